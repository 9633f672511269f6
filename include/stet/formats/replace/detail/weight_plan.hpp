// SPDX-License-Identifier: MIT
// Plans the replacement of a model's weights: matches tensors by the rules of a restore, and makes the bytes of each.
#ifndef STET_FORMATS_REPLACE_DETAIL_WEIGHT_PLAN_HPP
#define STET_FORMATS_REPLACE_DETAIL_WEIGHT_PLAN_HPP

#include "../../description.hpp"
#include "../../gguf/dequantize.hpp"
#include "../../gguf/quantize.hpp"
#include "../../model.hpp"
#include "../../replace_options.hpp"

#include "../../../manifest/quantization.hpp"
#include "../../../restore/detail/matching.hpp"
#include "../../../store/copy_elements.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// A tensor of a model that gets new values.
struct weight_step {
  /// How the values become the bytes of the model's tensor.
  enum method_type : std::uint8_t { convert, quantize, make_blocks };

  tensor to, from;
  /// The number of its entry in the report.
  std::size_t entry = 0;
  method_type method = convert;
  /// For `quantize`: the scales and zero points of the model's tensor.
  quantization codes{};
  /// The axes of `from` in the order of those of `to`; empty: the same order.
  std::vector<std::uint32_t> axes{};
};

/// Finds which tensors of a model get new values, and what is wrong. Used once. Keeps references to its arguments.
class weight_plan {
public:
  weight_plan(const model& of, const store& from, const restore_rules& rules, const replace_options& options)
      : model_(of), from_(from), rules_(rules), options_(options) {}

  /// Decides about each tensor of the model, then about those of the weights that none took. `report` tells the outcomes.
  /// @param is_place  is_place(tensor): nothing, or why the bytes of the tensor cannot be replaced where they are
  /// Errors: those of `describe`, if the model has codes for which new values are numbers.
  template <class IsPlace> result<void> run(restore_report& report, IsPlace is_place) {
    collect_names();
    std::vector<bool> taken(from_.tensor_count(), false);
    for (const tensor each : model_.store) {
      if (model_.store.original_of(each)) continue;
      weight_step step{each, {}, report.entries.size()};
      report.entries.emplace_back();
      restore_entry& entry = report.entries.back();
      bool is_step = false;
      if (auto decided = decide(step, entry, taken, is_place, is_step); !decided) return decided;
      if (!is_step) continue;
      entry.copied_bytes = each.size_bytes();
      steps_.push_back(std::move(step));
    }
    check_shared(report);
    for (const tensor each : from_) {
      if (taken[original_number(from_, each)] || any_matches(rules_.ignore, each.name())) continue;
      restore_entry entry;
      entry.tensor = each.name();
      entry.outcome = restore_outcome::unexpected;
      entry.is_error = rules_.unexpected == absence_policy::error;
      entry.reason = describe_elements(name_of(each.layout()), each.shape());
      report.entries.push_back(std::move(entry));
    }
    report.copied_bytes = 0;
    for (const restore_entry& each : report.entries) report.copied_bytes += each.copied_bytes;
    return {};
  }

  /// What is to be replaced, in the order of the model. Some may be errors in the report.
  [[nodiscard]] const std::vector<weight_step>& steps() const noexcept { return steps_; }

private:
  static void fail(restore_entry& entry, restore_outcome outcome, std::string reason) {
    entry.outcome = outcome;
    entry.is_error = true;
    entry.reason = std::move(reason);
    entry.copied_bytes = 0;
  }

  /// Collects the names by which each tensor of the model is known.
  void collect_names() {
    for (const tensor each : model_.store) {
      if (const auto original = model_.store.original_of(each))
        names_[original->entry().number()].emplace_back(each.name());
    }
  }

  template <class IsPlace>
  result<void> decide(weight_step& step, restore_entry& entry, std::vector<bool>& taken, IsPlace is_place,
                      bool& is_step) {
    std::vector<std::string_view> names{step.to.name()};
    if (const auto found = names_.find(step.to.entry().number()); found != names_.end())
      names.insert(names.end(), found->second.begin(), found->second.end());
    entry.variable = names.front();
    entry.tensor = names.front();
    result<tensor> found = error(errc::not_found);
    for (const std::string_view name : names) {
      std::string wanted(name);
      if (auto other = renamed(rules_.renames, name)) wanted = std::move(*other);
      found = from_.find(wanted);
      if (found || wanted != name) entry.tensor = std::move(wanted);
      if (found) break;
    }
    if (found) taken[original_number(from_, *found)] = true;
    const auto match = [&](const std::vector<glob>& globs) {
      return std::any_of(names.begin(), names.end(), [&](std::string_view name) { return any_matches(globs, name); });
    };
    if (match(rules_.exclude) || (!rules_.include.empty() && !match(rules_.include))) {
      entry.outcome = restore_outcome::excluded;
      return {};
    }
    if (!found) {
      entry.outcome = restore_outcome::missing;
      entry.is_error = rules_.missing == absence_policy::error;
      return {};
    }
    step.from = *found;
    for (const axis_order& each : options_.axes) {
      if (!match({each.tensors})) continue;
      step.axes = each.axes;
      break;
    }
    return compare(step, entry, is_place, is_step);
  }

  /// True if the axes of the weights, in the order of the step, have the extents of the model's tensor.
  static bool has_same_shape(const weight_step& step) {
    const shape from = step.from.shape(), to = step.to.shape();
    if (step.axes.empty()) return from.rank() == to.rank() && std::equal(from.begin(), from.end(), to.begin());
    if (from.rank() != to.rank() || step.axes.size() != to.rank()) return false;
    std::vector<bool> is_used(to.rank(), false);
    for (std::size_t axis = 0; axis < to.rank(); ++axis) {
      const std::uint32_t of = step.axes[axis];
      if (of >= to.rank() || is_used[of] || from[of] != to[axis]) return false;
      is_used[of] = true;
    }
    return true;
  }

  template <class IsPlace>
  result<void> compare(weight_step& step, restore_entry& entry, IsPlace is_place, bool& is_step) {
    const element_layout &to = step.to.layout(), &from = step.from.layout();
    const dtype_kind kind = describe(to.dtype).kind, given = describe(from.dtype).kind;
    const std::string both = describe_elements(name_of(from), step.from.shape()) + " in the weights, " +
                             describe_elements(name_of(to), step.to.shape()) + " in the model";
    if (!has_same_shape(step)) {
      fail(entry, restore_outcome::shape_mismatch, both);
      entry.is_error = rules_.shape != shape_policy::skip;
      return {};
    }
    const bool is_same = to.dtype == from.dtype && (to.dtype != dtype::block || to.block == from.block);
    const bool is_number = given != dtype_kind::string && (given != dtype_kind::block || is_dequantizable(from.block));
    if (kind == dtype_kind::string || given == dtype_kind::string)
      return fail(entry, restore_outcome::failed, "strings cannot be replaced in place"), result<void>();
    if (!is_same && rules_.dtype == dtype_policy::error)
      return fail(entry, restore_outcome::dtype_mismatch, both), result<void>();
    if (kind == dtype_kind::block && (!is_same || !step.axes.empty())) {
      if (!is_number || given == dtype_kind::complex || !is_quantizable(to.block))
        return fail(entry, restore_outcome::dtype_mismatch, both + "; blocks of this type cannot be made"),
               result<void>();
      step.method = weight_step::make_blocks;
    } else if (!is_same) {
      const bool is_to_codes = (kind == dtype_kind::signed_integer || kind == dtype_kind::unsigned_integer) &&
                               (given == dtype_kind::floating || given == dtype_kind::block);
      if (!is_number || (given == dtype_kind::complex && kind != dtype_kind::complex))
        return fail(entry, restore_outcome::dtype_mismatch, both), result<void>();
      if (is_to_codes) {
        if (auto found = find_codes(step, entry); !found) return found;
        if (entry.is_error) return {};
      }
    }
    if (const std::optional<std::string> why = is_place(step.to))
      return fail(entry, restore_outcome::failed, *why), result<void>();
    if (rules_.verify_checksums) {
      if (const auto checked = step.from.verify_checksum(); !checked) {
        char buffer[256];
        return fail(entry, restore_outcome::failed, std::string(checked.error().print(buffer, sizeof buffer))),
               result<void>();
      }
    }
    entry.outcome = is_same ? restore_outcome::copied : restore_outcome::converted;
    if (!is_same) entry.reason = both;
    is_step = true;
    return {};
  }

  /// Finds the quantization of the model's tensor; without one, numbers are cast.
  result<void> find_codes(weight_step& step, restore_entry& entry) {
    if (!described_) {
      auto made = describe(model_);
      if (!made) return made.error();
      described_.emplace();
      for (tensor_note& each : made->tensors) (*described_)[std::move(each.name)] = std::move(each.attributes);
    }
    const auto note = described_->find(std::string(step.to.name()));
    if (note == described_->end()) return {};
    if (const auto found = note->second.find("quantization"); found != note->second.end()) {
      result<quantization> codes = read_quantization(json_text(found->dump()), step.to, model_.store);
      if (!codes) return codes.error();
      step.codes = std::move(*codes);
      step.method = weight_step::quantize;
      return {};
    }
    const auto own = note->second.find(std::string(model_.format->name));
    const bool is_other = own != note->second.end() && (own->contains("blockwise") || own->contains("unread"));
    if (is_other)
      fail(entry, restore_outcome::failed, "its quantization is not affine, so numbers have no codes in it");
    return {};
  }

  /// Tensors that share bytes must all get the same ones.
  void check_shared(restore_report& report) {
    struct range {
      tensor of;
      const weight_step* step;
    };
    std::vector<range> all;
    std::unordered_map<std::uint32_t, const weight_step*> by_number;
    for (const weight_step& each : steps_) by_number[each.to.entry().number()] = &each;
    if (by_number.empty()) return;
    for (const tensor each : model_.store) {
      if (each.size_bytes() == 0 || model_.store.original_of(each)) continue;
      const auto found = by_number.find(each.entry().number());
      all.push_back({each, found == by_number.end() ? nullptr : found->second});
    }
    const auto place = [](const range& each) {
      return std::pair(each.of.entry().part(), each.of.entry().offset_bytes());
    };
    std::stable_sort(all.begin(), all.end(), [&](const range& a, const range& b) { return place(a) < place(b); });
    std::size_t widest = 0; // the range before that ends last
    for (std::size_t i = 1; i < all.size(); ++i) {
      const index_entry before = all[widest].of.entry(), entry = all[i].of.entry();
      const std::uint64_t end = before.offset_bytes() + before.size_bytes();
      if (before.part() == entry.part() && entry.offset_bytes() < end) compare_shared(all[widest], all[i], report);
      if (before.part() != entry.part() || entry.offset_bytes() + entry.size_bytes() > end) widest = i;
    }
  }
  void compare_shared(const auto& a, const auto& b, restore_report& report) {
    if (a.step == nullptr && b.step == nullptr) return;
    const index_entry x = a.of.entry(), y = b.of.entry();
    const bool is_same = a.step != nullptr && b.step != nullptr && x.offset_bytes() == y.offset_bytes() &&
                         x.size_bytes() == y.size_bytes() && a.of.dtype() == b.of.dtype() &&
                         a.step->method == b.step->method && a.step->axes == b.step->axes &&
                         original_number(from_, a.step->from) == original_number(from_, b.step->from);
    if (is_same) return;
    for (const auto& [one, other] : {std::pair(a.step, &b.of), std::pair(b.step, &a.of)}) {
      if (one == nullptr) continue;
      fail(report.entries[one->entry], restore_outcome::failed,
           "its bytes are also those of " + std::string(other->name()) + ", which gets other values or none");
    }
  }

  const model& model_;
  const store& from_;
  const restore_rules& rules_;
  const replace_options& options_;
  std::unordered_map<std::uint32_t, std::vector<std::string>> names_;
  std::optional<std::unordered_map<std::string, json_value>> described_;
  std::vector<weight_step> steps_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
