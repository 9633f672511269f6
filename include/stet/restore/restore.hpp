// SPDX-License-Identifier: MIT
// Brings a program's variables to the values that a store has, all or none, and says what became of each.
#ifndef STET_RESTORE_RESTORE_HPP
#define STET_RESTORE_RESTORE_HPP

#include "detail/matching.hpp"
#include "report.hpp"
#include "rules.hpp"
#include "variables.hpp"

#include "../load/load.hpp"
#include "../store/copy_elements.hpp"
#include "../store/store.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// One restore: a plan that changes nothing, then the changes, of which none can fail. Keeps references to its arguments.
class restore_run {
public:
  /// A restore of `to` from `from`, by `rules`.
  restore_run(const store& from, const variable_list& to, const restore_rules& rules)
      : store_(from), variables_(to), rules_(rules) {}

  /// Decides what will become of everything. Reads tensors only if checksums are to be verified, or to check bools.
  restore_report plan() {
    restore_report report;
    steps_.clear();
    std::vector<bool> taken(store_.tensor_count(), false); // by number
    for (const variable& each : variables_) {
      step planned{&each, {}, report.entries.size()};
      restore_entry entry = decide(planned, taken);
      if (changes(entry.outcome)) entry.copied_bytes = written_bytes(planned, entry.outcome);
      report.copied_bytes += entry.copied_bytes;
      planned.outcome = entry.outcome;
      report.entries.push_back(std::move(entry));
      if (changes(planned.outcome)) steps_.push_back(std::move(planned));
    }
    for (const tensor each : store_) {
      if (taken[detail::original_number(store_, each)] || detail::any_matches(rules_.ignore, each.name())) continue;
      restore_entry entry;
      entry.tensor = each.name();
      entry.outcome = restore_outcome::unexpected;
      entry.is_error = rules_.unexpected == absence_policy::error;
      entry.reason = describe_tensor(each);
      report.entries.push_back(std::move(entry));
    }
    return report;
  }

  /// Carries the plan out. If that fails, nothing has changed, and the entry at fault in `report`, the plan's, says why.
  /// @retval errc::out_of_memory, or an error of the store's reader or of the program's `reshape`
  result<void> carry_out(restore_report& report) {
    // Whatever can fail happens in memory of our own first. Bytes in memory that need no function of the program cannot, but for
    // those of bools, which the plan has checked where they are in place.
    const bool is_apart = !writes_into_store();
    std::vector<copy> staged, direct;
    for (step& each : steps_) {
      if (each.outcome == restore_outcome::bound || each.to->size_bytes() == 0) continue;
      const bool is_checked = each.from.is_in_place() || each.from.dtype() != dtype::boolean;
      if (is_apart && is_direct(each) && each.from.reads_from_memory() && is_checked) {
        direct.push_back({&each, {each.to->data(), each.to->size_bytes()}});
      } else if (auto done = stage(each, staged); !done) {
        return fail(report, each, done.error());
      }
    }
    if (const failed_step bad = carry_out(staged); bad.of != nullptr) return fail(report, *bad.of, bad.why);
    (void)carry_out(direct);
    for (const step& each : steps_) {
      if (each.outcome == restore_outcome::bound)
        each.to->point_at(each.from.bytes().data());
      else if (each.staged.get() != nullptr)
        std::memcpy(each.to->data(), each.staged.get(), each.to->size_bytes());
    }
    return {};
  }

private:
  struct step {
    const variable* to;
    tensor from;
    /// The number of its line in the report.
    std::size_t entry;
    restore_outcome outcome{};
    detail::owned_block staged{};
  };

  /// A step that copies or converts the whole of its tensor, and where to.
  struct copy {
    step* of;
    std::span<std::byte> into;
  };
  struct failed_step {
    step* of = nullptr;
    error why{errc{}};
  };

  /// Copies, together where that is much. @return the first that failed, if one did
  failed_step carry_out(const std::vector<copy>& copies) const {
    constexpr std::uint64_t large_bytes = std::uint64_t{4} << 20; // takes several threads less time than one
    std::uint64_t size_bytes = 0;
    for (const copy& each : copies) size_bytes += each.into.size();
    std::vector<load_request> requests;
    if (size_bytes >= large_bytes) {
      requests.reserve(copies.size());
      for (const copy& each : copies) requests.emplace_back(each.of->from, each.into, each.of->to->layout().dtype);
      load_options options;
      options.memory = rules_.memory;
      (void)load(store_, requests, options); // each request has its own outcome
    }
    for (std::size_t i = 0; i < copies.size(); ++i) {
      result<void> done = errc::out_of_memory;
      if (!requests.empty()) done = requests[i].outcome();
      // One by one, no memory is needed.
      if (!done && done.error() == errc::out_of_memory)
        done = copy_elements(copies[i].of->from, copies[i].of->to->layout().dtype, copies[i].into);
      if (!done) return {copies[i].of, done.error()};
    }
    return {};
  }

  static bool changes(restore_outcome outcome) noexcept { return outcome <= restore_outcome::bound; }
  static std::string describe_tensor(const tensor& of) {
    return detail::describe_elements(name_of(of.dtype()), of.shape());
  }

  restore_entry decide(step& planned, std::vector<bool>& taken) const {
    const variable& to = *planned.to;
    restore_entry entry;
    entry.variable = to.name();
    entry.tensor = to.name();
    if (auto other = detail::renamed(rules_.renames, to.name())) entry.tensor = std::move(*other);
    const auto found = store_.find(entry.tensor);
    if (found) taken[detail::original_number(store_, *found)] = true; // also if excluded: the program knows it
    if (detail::any_matches(rules_.exclude, to.name()) ||
        (!rules_.include.empty() && !detail::any_matches(rules_.include, to.name()))) {
      entry.outcome = restore_outcome::excluded;
      return entry;
    }
    if (!found) {
      entry.outcome = restore_outcome::missing;
      entry.is_error = rules_.missing == absence_policy::error && !to.is_optional();
      return entry;
    }
    planned.from = *found;
    compare(planned, entry);
    if (changes(entry.outcome) && rules_.verify_checksums) {
      if (auto sound = found->verify_checksum(); !sound) fail(entry, sound.error());
    }
    return entry;
  }

  static void fail(restore_entry& entry, std::string_view reason) {
    entry.outcome = restore_outcome::failed;
    entry.is_error = true;
    entry.reason = reason;
  }
  static void fail(restore_entry& entry, const error& why) {
    char buffer[256];
    const bool is_named = why.subject() == entry.tensor || why.subject() == entry.variable;
    fail(entry, (is_named ? why.about({}) : why).print(buffer, sizeof buffer));
  }

  /// How the tensor can become the variable, if it can.
  void compare(const step& planned, restore_entry& entry) const {
    const variable& to = *planned.to;
    const tensor& from = planned.from;
    const bool is_same_dtype = from.dtype() == to.layout().dtype;
    const bool is_same_shape = from.shape().equals(to.shape());
    if (!is_same_dtype || !is_same_shape) {
      entry.reason = describe_tensor(from) + " in the store, " +
                     detail::describe_elements(name_of(to.layout().dtype), to.shape()) + " in the program";
    }
    const bool is_bound = rules_.mode == restore_mode::bind && to.can_be_pointed();
    if (!is_same_dtype && (rules_.dtype == dtype_policy::error || is_bound || !is_convertible(from, to))) {
      entry.outcome = restore_outcome::dtype_mismatch;
      entry.is_error = true;
      return;
    }
    if (is_same_shape) {
      entry.outcome = is_bound        ? restore_outcome::bound
                      : is_same_dtype ? restore_outcome::copied
                                      : restore_outcome::converted;
    } else if (rules_.shape == shape_policy::ask && rules_.reshape && !is_bound) {
      entry.outcome = restore_outcome::reshaped;
    } else if (rules_.shape == shape_policy::overlap && from.shape().rank() == to.shape().size() && !is_bound) {
      entry.outcome = restore_outcome::overlapped;
    } else {
      entry.outcome = restore_outcome::shape_mismatch;
      entry.is_error = rules_.shape != shape_policy::skip;
      return;
    }
    if (is_bound) return compare_place(planned, entry);
    if (to.is_const())
      return fail(entry, "the program may only read it through its view, which restore_mode::bind points elsewhere");
    if (to.bytes().size() != to.size_bytes()) return fail(entry, "the program's view views no memory to copy to");
    if (from.dtype() == dtype::boolean && from.is_in_place()) {
      if (const auto checked = from.as<bool>(); !checked) fail(entry, checked.error());
    }
  }

  /// Whether the program's view can be pointed at the bytes: they must be what its type asks for.
  static void compare_place(const step& planned, restore_entry& entry) {
    const variable& to = *planned.to;
    const tensor& from = planned.from;
    // What `tensor::as` checks, for a type that is known here by its size and alignment only.
    errc problem{};
    if (from.layout().bits != to.layout().bits)
      problem = errc::packed;
    else if (from.bytes().data() == nullptr)
      problem = errc::not_resident;
    else if (!from.is_in_place())
      problem = errc::wrong_byte_order;
    else if (from.size_bytes() != 0 && !detail::is_aligned(from.bytes().data(), to.alignment_))
      problem = errc::misaligned;
    else if (!to.is_const() && !from.is_writable())
      problem = errc::read_only;
    else if (from.dtype() == dtype::boolean && !from.as<bool>())
      problem = errc::bad_value;
    if (problem != errc{}) fail(entry, error(problem));
  }

  static bool is_convertible(const tensor& from, const variable& to) noexcept {
    const dtype_kind source = describe(from.dtype()).kind, target = describe(to.layout().dtype).kind;
    const auto is_opaque = [](dtype_kind kind) { return kind == dtype_kind::string || kind == dtype_kind::block; };
    return !is_opaque(source) && !is_opaque(target) && (source != dtype_kind::complex || target == dtype_kind::complex);
  }

  /// Whether the whole of the tensor becomes the whole of the variable.
  static bool is_direct(const step& each) noexcept {
    return each.outcome == restore_outcome::copied || each.outcome == restore_outcome::converted;
  }

  /// The bytes of the variable that a step writes.
  static std::uint64_t written_bytes(const step& planned, restore_outcome outcome) {
    if (outcome == restore_outcome::bound) return 0;
    if (outcome != restore_outcome::overlapped) return planned.to->size_bytes();
    std::uint64_t count = 1;
    for (std::size_t axis = 0; axis < planned.to->shape().size(); ++axis) {
      const std::uint64_t to = planned.to->shape()[axis], from = planned.from.shape()[axis];
      count *= to < from ? to : from;
    }
    return count * (planned.to->layout().bits / 8); // whole bytes, in memory
  }

  /// Whether a variable lies in memory of the store (it was bound before): writing it could change what another is read from.
  bool writes_into_store() const {
    std::vector<const source*> writable;
    if (store_.data().is_writable()) writable.push_back(&store_.data());
    for (std::uint32_t part = 0; part < store_.index().part_count(); ++part) {
      if (store_.part(part).is_writable()) writable.push_back(&store_.part(part));
    }
    for (const step& each : steps_) {
      const std::uintptr_t at = reinterpret_cast<std::uintptr_t>(each.to->data());
      for (const source* const of : writable) {
        const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(of->data());
        if (at >= begin && at - begin < of->size_bytes()) return true;
      }
    }
    return false;
  }

  /// Gives a step memory of its own for what the variable will hold, and fills it, or adds it to `copies`.
  result<void> stage(step& each, std::vector<copy>& copies) const {
    each.staged = detail::owned_block::allocate(each.to->size_bytes(), staging_alignment, rules_.memory);
    if (each.staged.get() == nullptr) return errc::out_of_memory;
    const std::span<std::byte> into{static_cast<std::byte*>(each.staged.get()), each.to->size_bytes()};
    if (!is_direct(each)) return fill(each, into);
    copies.push_back({&each, into});
    return {};
  }

  /// Notes in the report that a step failed. @return the error
  static error fail(restore_report& report, const step& each, const error& failure) {
    const error why = failure.subject().empty() ? failure.about(each.to->name()) : failure;
    restore_entry& entry = report.entries[each.entry];
    report.copied_bytes -= std::exchange(entry.copied_bytes, 0);
    fail(entry, why);
    return why;
  }

  /// Writes to `into` what a function of the program, or an overlap, makes of the variable.
  result<void> fill(const step& each, std::span<std::byte> into) const {
    std::memcpy(into.data(), each.to->data(), into.size());
    if (each.outcome == restore_outcome::reshaped) return rules_.reshape(each.from, *each.to, into);
    return copy_overlap(each, into);
  }

  /// Copies the elements whose indices both shapes have, row by row of the innermost dimension.
  result<void> copy_overlap(const step& each, std::span<std::byte> into) const {
    const std::vector<std::uint64_t>& to = each.to->shape();
    const std::vector<std::uint64_t> from(each.from.shape().begin(), each.from.shape().end());
    const std::size_t element_size = each.to->layout().bits / 8;
    std::uint64_t size_bytes = 0;
    if (!detail::checked_multiply(each.from.element_count(), std::uint64_t{element_size}, size_bytes) ||
        size_bytes > PTRDIFF_MAX)
      return errc::out_of_memory;
    if (size_bytes == 0) return {};
    const detail::owned_block block =
        detail::owned_block::allocate(static_cast<std::size_t>(size_bytes), staging_alignment, rules_.memory);
    if (block.get() == nullptr) return errc::out_of_memory;
    const std::span<std::byte> elements(static_cast<std::byte*>(block.get()), static_cast<std::size_t>(size_bytes));
    if (auto copied = copy_elements(each.from, each.to->layout().dtype, elements); !copied) return copied;
    const std::size_t rank = to.size();
    std::vector<std::uint64_t> common(rank), at(rank, 0);
    for (std::size_t axis = 0; axis < rank; ++axis) {
      common[axis] = to[axis] < from[axis] ? to[axis] : from[axis];
      if (common[axis] == 0) return {};
    }
    for (;;) {
      std::uint64_t source = 0, target = 0;
      for (std::size_t axis = 0; axis < rank; ++axis) {
        source = source * from[axis] + at[axis];
        target = target * to[axis] + at[axis];
      }
      std::memcpy(into.data() + static_cast<std::size_t>(target) * element_size,
                  elements.data() + static_cast<std::size_t>(source) * element_size,
                  static_cast<std::size_t>(common[rank - 1]) * element_size);
      // The next row: count up in the dimensions but the innermost.
      std::size_t axis = rank - 1;
      for (;;) {
        at[axis] = 0;
        if (axis == 0) return {};
        --axis;
        if (++at[axis] != common[axis]) break;
      }
    }
  }

  static constexpr std::size_t staging_alignment = 64;
  const store& store_;
  const variable_list& variables_;
  const restore_rules& rules_;
  std::vector<step> steps_;
};

/// Says what `restore` would do, and changes nothing.
/// Cost: a look-up for each variable; reads tensors only to verify checksums, or bools.
[[nodiscard]] inline restore_report plan_restore(const store& from, const variable_list& to,
                                                 const restore_rules& rules = {}) {
  return restore_run(from, to, rules).plan();
}

/// Restores variables from a store. Either all that the rules ask for happens, or no variable has changed.
/// @param report  if given, set to what became of each variable and tensor, also on failure
/// @retval errc::binding_failed  something differs in a way that the rules make an error; the subject lists the names, the
///                               report says why
/// or errc::out_of_memory, an error of the store's reader, or of `restore_rules::reshape`, its variable's entry in the report
/// then `failed`. Cost: reads each tensor once; tensors that are not in memory, and those that a function or an overlap fills,
/// are staged in memory of their size first. Reads and copies as `load` does, with several threads where that takes less time.
[[nodiscard]] inline result<void> restore(const store& from, const variable_list& to, const restore_rules& rules = {},
                                          restore_report* report = nullptr) {
  restore_run run(from, to, rules);
  restore_report planned = run.plan();
  result<void> done;
  if (planned.is_good()) {
    done = run.carry_out(planned);
  } else {
    done = detail::binding_failure(planned);
  }
  if (report != nullptr) *report = std::move(planned);
  return done;
}

} // namespace stet::inline STET_NAMESPACE

#endif
