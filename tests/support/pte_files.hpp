// SPDX-License-Identifier: MIT
// Makes programs of ExecuTorch without weights of their own.
#ifndef STET_TESTS_SUPPORT_PTE_FILES_HPP
#define STET_TESTS_SUPPORT_PTE_FILES_HPP

#include "flatbuffer_files.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet_test {

/// The method "forward" of a program: values, and calls of kernels over them. Each `add_…` gives the number of a value.
/// Source: pytorch/executorch, schema/program.fbs.
class pte_program {
public:
  /// A tensor of float32 that the caller hands over.
  std::int32_t add_input(std::vector<std::int32_t> sizes) {
    const std::int32_t made = add_tensor(std::move(sizes), {}, {});
    inputs_.push_back(made);
    return made;
  }
  /// A tensor of float32 in memory that the program plans.
  std::int32_t add_planned(std::vector<std::int32_t> sizes) {
    const flat_value place = plan(sizes);
    return add_tensor(std::move(sizes), place, {});
  }
  /// A weight of float32 outside of the program, used where it is; or `copied` into memory that the program plans, to be changed.
  std::int32_t add_external(std::string_view name, std::vector<std::int32_t> sizes, bool copied = false) {
    const flat_value place = copied ? plan(sizes) : flat_value{};
    constexpr std::int8_t external = 1;
    return add_tensor(std::move(sizes), place, flat_table({{}, flat_string(name), flat_number(external)}));
  }
  std::int32_t add_int(std::int64_t value) { return add_value(2, flat_table({flat_number(value)})); }
  std::int32_t add_bool(bool value) { return add_value(3, flat_table({flat_number(std::uint8_t{value})})); }

  /// Calls the variant `out` of a kernel: `arguments`, then the result, which it also returns.
  void call(std::string_view kernel, std::vector<std::int32_t> arguments, std::int32_t result) {
    arguments.insert(arguments.end(), {result, result});
    const auto number = static_cast<std::int32_t>(kernels_.size());
    kernels_.push_back(flat_table({flat_string(kernel), flat_string("out")}));
    constexpr std::uint8_t kernel_call = 1;
    calls_.push_back(
        flat_table({flat_number(kernel_call), flat_table({flat_number(number), flat_numbers(arguments)})}));
  }

  /// The file; `output` is what the method gives.
  [[nodiscard]] std::string bytes(std::int32_t output) const {
    const std::vector<std::int32_t> outputs{output};
    const flat_value chain = flat_table({flat_numbers(inputs_), flat_numbers(outputs), flat_list(calls_)});
    const flat_value method =
        flat_table({flat_string("forward"), flat_table({flat_string(""), flat_string("")}), flat_list(values_),
                    flat_numbers(inputs_), flat_numbers(outputs), flat_list({chain}), flat_list(kernels_),
                    flat_list({}), flat_numbers(std::vector<std::int64_t>{0, planned_})});
    // A program has a segment of constants, if an empty one. Its only offset is that of no tensor.
    const flat_value empty = flat_table({flat_number(std::uint64_t{0}), flat_number(std::uint64_t{0})});
    const flat_value constants =
        flat_table({flat_number(std::uint32_t{0}), flat_numbers(std::vector<std::uint64_t>{0})});
    return flatbuffer_file(
        "ET12",
        flat_table({flat_number(std::uint32_t{0}), flat_list({method}), {}, {}, flat_list({empty}), constants}));
  }

private:
  std::int32_t add_value(std::uint8_t type, flat_value value) {
    values_.push_back(flat_table({flat_number(type), std::move(value)}));
    return static_cast<std::int32_t>(values_.size() - 1);
  }
  std::int32_t add_tensor(std::vector<std::int32_t> sizes, flat_value place, flat_value extra) {
    std::vector<std::uint8_t> order;
    for (std::size_t axis = 0; axis < sizes.size(); ++axis) order.push_back(static_cast<std::uint8_t>(axis));
    constexpr std::int8_t float32 = 6;
    constexpr std::uint8_t tensor = 5;
    return add_value(tensor, flat_table({flat_number(float32),
                                         {},
                                         flat_numbers(sizes),
                                         flat_numbers(order),
                                         {},
                                         {},
                                         std::move(place),
                                         {},
                                         {},
                                         std::move(extra)}));
  }
  flat_value plan(const std::vector<std::int32_t>& sizes) {
    std::int64_t size_bytes = 4;
    for (const std::int32_t each : sizes) size_bytes *= each;
    const auto offset = static_cast<std::uint32_t>(planned_);
    planned_ += (size_bytes + 15) / 16 * 16;
    return flat_table({flat_number(std::uint32_t{1}), flat_number(offset)});
  }

  std::vector<flat_value> values_, kernels_, calls_;
  std::vector<std::int32_t> inputs_;
  std::int64_t planned_ = 0;
};

/// The digits network for `images` images. The names are those of a kernel and a bias, and of a second pair.
inline std::string digits_program(std::int32_t images, const std::vector<std::string>& names, bool copied = false) {
  constexpr std::int32_t pixels = 784, hidden = 10, classes = 10;
  pte_program made;
  const std::int32_t one = made.add_int(1), input = made.add_input({images, pixels});
  const std::int32_t kernel = made.add_external(names[0], {pixels, hidden}, copied),
                     bias = made.add_external(names[1], {hidden}, copied),
                     answer_kernel = made.add_external(names[2], {hidden, classes}, copied),
                     answer_bias = made.add_external(names[3], {classes}, copied);
  const std::int32_t sums = made.add_planned({images, hidden}), positive = made.add_planned({images, hidden}),
                     scores = made.add_planned({images, classes}), answers = made.add_planned({images, classes});
  made.call("aten::addmm", {bias, input, kernel, one, one}, sums);
  made.call("aten::relu", {sums}, positive);
  made.call("aten::addmm", {answer_bias, positive, answer_kernel, one, one}, scores);
  made.call("aten::_softmax", {scores, one, made.add_bool(false)}, answers);
  return made.bytes(answers);
}

} // namespace stet_test

#endif
