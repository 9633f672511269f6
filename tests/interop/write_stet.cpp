// SPDX-License-Identifier: MIT
// Saves a store that python_stet.py saves, too: write_stet OUT.stet METADATA.json ALIGNMENT. The file is to be the same.
#include <stet/json.hpp>
#include <stet/writer.hpp>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <tuple>
#include <vector>

namespace {

/// Eleven elements of each type: a count that fills no byte where elements are packed. 1 and 0 in turn, or 1 and 2 where there is no 0.
template <class... T> class one_of_each {
public:
  one_of_each() {
    std::apply([](auto&... elements) { (fill(elements), ...); }, all_);
  }
  void add_to(stet::writer& out) const {
    std::apply([&out](const auto&... elements) { (add(out, elements), ...); }, all_);
  }

private:
  template <class U> static void fill(std::array<U, 11>& elements) {
    const int other = stet::dtype_of<U>::value == stet::dtype::float8_e8m0fnu ? 2 : 0;
    for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<U>(i % 2 == 0 ? 1 : other);
  }
  template <class U> static void add(stet::writer& out, const std::array<U, 11>& elements) {
    out.add(stet::name_of(stet::dtype_of<U>::value), elements, {11});
  }
  std::tuple<std::array<T, 11>...> all_;
};

} // namespace

int main(int count, char** arguments) {
  if (count != 4) return 2;
  std::ifstream json(arguments[2], std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(json), std::istreambuf_iterator<char>()};

  std::vector<float> kernel(784 * 10);
  for (std::size_t i = 0; i < kernel.size(); ++i) kernel[i] = static_cast<float>(i) / 8 - 400;
  const std::vector<double> nothing;
  const std::vector<std::string> words{"metre", "", "\xC3\xA4"};
  const one_of_each<bool, std::int8_t, std::int16_t, std::int32_t, std::int64_t, std::uint8_t, std::uint16_t,
                    std::uint32_t, std::uint64_t, stet::float16, stet::bfloat16, float, double, stet::float8_e4m3fn,
                    stet::float8_e5m2, stet::float8_e4m3fnuz, stet::float8_e5m2fnuz, stet::float8_e4m3b11fnuz,
                    stet::float8_e8m0fnu, stet::float6_e2m3fn, stet::float6_e3m2fn, stet::float4_e2m1fn, stet::int4,
                    stet::uint4, stet::int2, stet::uint2>
      each;

  stet::writer out;
  out.add(
      "dense/kernel", kernel, {784, 10},
      stet::json_value{{"trainable", true}, {"quantization", {{"axis", 1}, {"scales", {0.1}}, {"zero_points", {0}}}}});
  out.add_alias("embedding/kernel", "dense/kernel", stet::json_value{{"note", "tied"}});
  out.add("nothing", nothing, {0, 3});
  out.add("also nothing", nothing, {3, 0});
  each.add_to(out);
  out.add("words", words, {3});
  out.add("step", std::int64_t{1200});
  out.add("\xC3\xBC\n\"\\\x1F/name", kernel, {10, 784});
  out.metadata = stet::json_value::parse(text);
  out.state = stet::json_value{{"global_step", 1200}, {"optimizer", {{"name", "SGD"}, {"learning_rate", 0.01}}}};
  stet::save_options options;
  options.alignment_bytes = static_cast<std::uint32_t>(std::strtoul(arguments[3], nullptr, 10));
  options.is_durable = false;
  const auto saved = out.save(arguments[1], options);
  if (saved) return 0;
  char message[256];
  const std::string_view line = saved.error().print(message, sizeof message);
  std::fprintf(stderr, "write_stet: %.*s\n", static_cast<int>(line.size()), line.data());
  return 1;
}
