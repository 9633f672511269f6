// SPDX-License-Identifier: MIT
// A model without some of its tensors.
#ifndef STET_FORMATS_SELECT_HPP
#define STET_FORMATS_SELECT_HPP

#include "native/checkpoint_folder.hpp"

#include "../checkpoint/layered.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// The number of the tensor that a tensor stays or goes with: its original, of which it is a second name, or any alias of a foreign
/// format.
inline std::uint32_t number_with_names(const model& in, const tensor& of) {
  const bool goes_with_original = !is_native_model(in) || in.is_second_name(of);
  const index_entry original = goes_with_original ? in.store.index().original_of(of.entry()) : index_entry();
  return (original ? original : of.entry()).number();
}

} // namespace detail

/// The model without the tensors for which `is_left_out(tensor)` is true. A second name goes with the tensor, and the tensor with
/// it; so does every alias of a foreign format. Another alias of a native file that stays has the bytes alone.
/// Graph, state and metadata remain those of the whole model.
/// @param left_out  if given, set to the names of the tensors that are left out, without the aliases that go with them
/// Errors: those of `layer_stores`. Cost: an index of its own; reads no tensor.
inline result<model> without_tensors(model&& from, const auto& is_left_out,
                                     std::vector<std::string>* left_out = nullptr) {
  auto whole = detail::kept<const model>::of(std::move(from));
  const model& old = *whole;
  const store& all = old.store;
  std::vector<bool> hides(all.tensor_count(), false);
  for (const tensor each : all) {
    if (is_left_out(each)) hides[detail::number_with_names(old, each)] = true;
  }
  std::vector<std::string> hidden;
  for (const tensor each : all) {
    const std::uint32_t number = detail::number_with_names(old, each);
    if (!hides[number]) continue;
    hidden.emplace_back(each.name());
    if (left_out != nullptr && number == each.entry().number()) left_out->emplace_back(each.name());
  }
  const store_layer layer{"model", &all, hidden};
  result<store> rest = layer_stores({&layer, 1}, {}, old.options.memory);
  if (!rest) return rest.error();
  std::vector<std::uint32_t> second_names;
  for (const tensor each : *rest) {
    const result<tensor> before = all.find(each.name());
    if (before && old.is_second_name(*before)) second_names.push_back(each.entry().number());
  }
  return model{std::move(*rest),        old.format, old.file_count,   old.options, old.omitted, old.checks,
               std::move(second_names), nullptr,    std::move(whole), old.path};
}

/// The model without all tensors but those for which `is_wanted(tensor)` is true, or true for one of their second names; of a
/// foreign format, for one of their aliases.
/// @param left_out  as above
/// Errors and cost: those of `without_tensors`.
inline result<model> only_tensors(model&& from, const auto& is_wanted, std::vector<std::string>* left_out = nullptr) {
  std::vector<bool> is_kept(from.store.tensor_count(), false);
  std::vector<std::uint32_t> numbers;
  for (const tensor each : from.store) {
    numbers.push_back(detail::number_with_names(from, each));
    if (is_wanted(each)) is_kept[numbers.back()] = true;
  }
  return without_tensors(
      std::move(from), [&](const tensor& each) { return !is_kept[numbers[each.entry().number()]]; }, left_out);
}

} // namespace stet::inline STET_NAMESPACE

#endif
