// SPDX-License-Identifier: MIT
// What a program that links stet::formats relies on: it opens a model of any format and saves it in another, and its own file
// includes no JSON library and no format.
#include <stet/formats/compiled.hpp>

#ifdef INCLUDE_NLOHMANN_JSON_HPP_
#error "compiled.hpp includes the JSON library"
#endif
#if defined(STET_WRITER_WRITER_HPP) || defined(STET_FORMATS_FORMAT_HPP)
#error "compiled.hpp includes a format or the writer"
#endif

#include <stet/formats/description.hpp>
#include <stet/writer.hpp>

#include <cstdio>

namespace {

int failed(const stet::error& why) {
  char text[512];
  std::printf("%s\n", why.print(text, sizeof text).data());
  return 1;
}

} // namespace

int main() {
  const float kernel[] = {1.5f, -2.0f, 0.25f, 8.0f};
  stet::writer out;
  out.add("dense/kernel", kernel, {2, 2});
  out.metadata = stet::json_text(R"({"author":"me"})");
  if (auto saved = stet::compiled::save_any("consumer.stet", out); !saved) return failed(saved.error());

  const auto native = stet::compiled::open_any("consumer.stet");
  if (!native) return failed(native.error());
  const auto described = stet::compiled::describe(*native);
  if (!described) return failed(described.error());
  if (described->metadata["author"] != "me") return 2;

  // Into another format and, from there, by way of a writer of the program, back.
  if (auto saved = stet::compiled::save_any("consumer.weights.h5", *native); !saved) return failed(saved.error());
  const auto keras = stet::compiled::open_any("consumer.weights.h5");
  if (!keras) return failed(keras.error());
  stet::writer again;
  if (auto added = stet::compiled::add_model(again, *keras); !added) return failed(added.error());
  if (again.tensor_count() != keras->store.tensor_count()) return 3; // a second name is an alias of the writer
  for (const stet::tensor each : keras->store) {
    float values[4] = {};
    if (!each.copy_to(std::span<float>(values))) return 4;
    for (int i = 0; i < 4; ++i) {
      if (values[i] != kernel[i]) return 5;
    }
  }
  const auto missing = stet::compiled::open_any("consumer.none");
  return !missing && missing.error() == stet::errc::file_not_found ? 0 : 6;
}
