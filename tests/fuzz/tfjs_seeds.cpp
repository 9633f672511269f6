// SPDX-License-Identifier: MIT
// Writes the seeds of tfjs_fuzz.cpp into the folder it is given.
#include "fuzz/seed_folder.hpp"

#include <string>
#include <string_view>

int main(int count, char** arguments) {
  using namespace std::literals;
  stet_test::seed_folder seeds(count, arguments);
  const auto add = [&](const char* name, std::string_view text, char cut, std::string_view weights) {
    const std::string sizes = {static_cast<char>(text.size() & 0xFF), static_cast<char>(text.size() >> 8), cut};
    seeds.add(name, std::string(sizes).append(text).append(weights));
  };
  add("weights",
      R"([{"paths":["w","v"],"weights":[{"name":"s","shape":[2],"dtype":"string"},{"name":"q","shape":[3],"dtype":"float32",)"
      R"("quantization":{"dtype":"uint8","scale":0.5,"min":-1}},{"name":"h","shape":[],"dtype":"float32","quantization":)"
      R"({"dtype":"float16"}},{"name":"f","shape":[1,1],"dtype":"float32","group":"optimizer"}]}])",
      3, "\x02\0\0\0ab\0\0\0\0\x01\x02\x03\x00\x3c\0\0\x80\x3f"sv);
  add("layers",
      R"({"format":"layers-model","modelTopology":{"class_name":"Sequential","config":{"name":"m","layers":[{"class_name":)"
      R"("Dense","config":{"name":"d","units":1,"batch_input_shape":[null,2]}}]}},"weightsManifest":[{"paths":["w"],"weights":)"
      R"([{"name":"d/kernel","shape":[2,1],"dtype":"float32"},{"name":"d/bias","shape":[1],"dtype":"int32"}]}]})",
      12, "\0\0\x80\x3f\0\0\0\x40\x01\0\0\0"sv);
  add("graph",
      R"({"format":"graph-model","signature":{"outputs":{"y":{"name":"y:0","dtype":"DT_BOOL"}}},"modelTopology":{"node":[{"name":)"
      R"("c","op":"Const","attr":{"dtype":{"type":"DT_BOOL"}}},{"name":"y","op":"Identity","input":["c"]}],"versions":{"producer":1}},)"
      R"("modelInitializer":{"node":[]},"weightsManifest":[{"paths":["w"],"weights":[{"name":"c","shape":[2],"dtype":"bool"}]}]})",
      2, "\x01\0"sv);
  return seeds.status();
}
