// SPDX-License-Identifier: MIT
// Writes the seeds of tfjs_fuzz.cpp into the folder it is given.
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

int main(int count, char** arguments) {
  using namespace std::literals;
  if (count != 2)
    return 1;
  const std::filesystem::path folder(arguments[1]);
  std::filesystem::create_directories(folder);
  const auto write = [&](const char* name, std::string_view text, char cut, std::string_view weights) {
    std::ofstream out(folder / name, std::ios::binary);
    out << static_cast<char>(text.size() & 0xFF) << static_cast<char>(text.size() >> 8) << cut << text
        << weights;
    return out.good();
  };
  const bool done =
      write(
          "weights",
          R"([{"paths":["w","v"],"weights":[{"name":"s","shape":[2],"dtype":"string"},{"name":"q","shape":[3],"dtype":"float32",)"
          R"("quantization":{"dtype":"uint8","scale":0.5,"min":-1}},{"name":"h","shape":[],"dtype":"float32","quantization":)"
          R"({"dtype":"float16"}},{"name":"f","shape":[1,1],"dtype":"float32","group":"optimizer"}]}])",
          3, "\x02\0\0\0ab\0\0\0\0\x01\x02\x03\x00\x3c\0\0\x80\x3f"sv) &&
      write(
          "layers",
          R"({"format":"layers-model","modelTopology":{"class_name":"Sequential","config":{"name":"m","layers":[{"class_name":)"
          R"("Dense","config":{"name":"d","units":1,"batch_input_shape":[null,2]}}]}},"weightsManifest":[{"paths":["w"],"weights":)"
          R"([{"name":"d/kernel","shape":[2,1],"dtype":"float32"},{"name":"d/bias","shape":[1],"dtype":"int32"}]}]})",
          12, "\0\0\x80\x3f\0\0\0\x40\x01\0\0\0"sv) &&
      write(
          "graph",
          R"({"format":"graph-model","signature":{"outputs":{"y":{"name":"y:0","dtype":"DT_BOOL"}}},"modelTopology":{"node":[{"name":)"
          R"("c","op":"Const","attr":{"dtype":{"type":"DT_BOOL"}}},{"name":"y","op":"Identity","input":["c"]}],"versions":{"producer":1}},)"
          R"("modelInitializer":{"node":[]},"weightsManifest":[{"paths":["w"],"weights":[{"name":"c","shape":[2],"dtype":"bool"}]}]})",
          2, "\x01\0"sv);
  return done ? 0 : 1;
}
