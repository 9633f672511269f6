// SPDX-License-Identifier: MIT
// Builds the values of a pickle: the stack, the marks and the memo of its machine.
#ifndef STET_WIRE_PICKLE_BUILDER_HPP
#define STET_WIRE_PICKLE_BUILDER_HPP

#include "values.hpp"

#include "../cursor.hpp"

#include "../../vocabulary/error.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// The state of the machine, and what its operations do with it. After a failure, or behind the end of the bytes, values mean nothing
/// but can be used.
class pickle_builder : public pickle_values {
protected:
  /// Values that many pickles have often.
  static constexpr pickle_ref none_ref = 0, false_ref = 1, true_ref = 2, empty_tuple_ref = 3;

  explicit pickle_builder(memory_resource* memory) noexcept
      : pickle_values(memory), stack_(memory), marks_(memory), memo_(memory) {}

  void fail(errc code) noexcept {
    if (failure_ == errc{}) failure_ = code;
  }

  // ---- values, the stack ----

  pickle_ref make(const pickle_value& value) noexcept {
    if (!values_.push(value)) return fail(errc::out_of_memory), none_ref;
    return static_cast<pickle_ref>(values_.size() - 1);
  }
  pickle_ref make(pickle_kind kind) noexcept {
    pickle_value value;
    value.kind = kind;
    value.refs = {0, 0};
    return make(value);
  }
  void push(pickle_ref number) noexcept {
    if (!stack_.push(number)) fail(errc::out_of_memory);
  }
  void push(const pickle_value& value) noexcept { push(make(value)); }
  /// The lowest place of the stack that an operation may use.
  [[nodiscard]] std::size_t floor() const noexcept { return marks_.size() == 0 ? 0 : marks_[marks_.size() - 1]; }
  [[nodiscard]] bool has(std::size_t count) noexcept {
    if (stack_.size() - floor() >= count) return true;
    fail(errc::malformed);
    return false;
  }
  pickle_ref pop() noexcept {
    if (!has(1)) return none_ref;
    const pickle_ref number = stack_.back();
    stack_.shrink(stack_.size() - 1);
    return number;
  }
  [[nodiscard]] pickle_ref top() noexcept { return has(1) ? stack_.back() : none_ref; }
  /// Takes the last mark away. @return its place on the stack; the values from there on are still there
  std::size_t take_mark() noexcept {
    if (marks_.size() == 0) return fail(errc::malformed), stack_.size();
    const std::size_t place = marks_.back();
    marks_.shrink(marks_.size() - 1);
    return place;
  }

  pickle_ref make_integer(std::int64_t integer) noexcept {
    pickle_value value;
    value.kind = pickle_kind::integer;
    value.integer = integer;
    return make(value);
  }
  void push_integer(std::int64_t integer) noexcept { push(make_integer(integer)); }
  /// Pushes an integer that pickles have often: extents and strides. There is one value of each.
  void push_small(std::uint8_t integer) noexcept {
    pickle_ref& known = small_[integer];
    if (known == none_ref) known = make_integer(integer);
    push(known);
  }
  /// Pushes a value whose bytes are `content`, in the pickle.
  void push_view(pickle_kind kind, std::string_view content, bool is_other_form = false) noexcept {
    push(make_view(kind, content, is_other_form));
  }
  pickle_ref make_view(pickle_kind kind, std::string_view content, bool is_other_form = false) noexcept {
    if (!in_.is_good()) return none_ref;
    pickle_value value;
    value.kind = kind;
    value.is_other_form = is_other_form;
    value.count = static_cast<std::uint32_t>(content.size());
    value.offset = static_cast<std::uint64_t>(content.data() - reinterpret_cast<const char*>(bytes_.data()));
    return make(value);
  }
  /// A tuple or frozen set of the values of the stack from `begin` on, which it takes away.
  pickle_ref make_row(pickle_kind kind, std::size_t begin) noexcept {
    if (kind == pickle_kind::tuple && begin == stack_.size()) return empty_tuple_ref;
    pickle_value value;
    value.kind = kind;
    value.count = static_cast<std::uint32_t>(stack_.size() - begin);
    value.refs = {static_cast<std::uint32_t>(slots_.size()), 0};
    for (std::size_t i = begin; i < stack_.size(); ++i) {
      if (!slots_.push(stack_[i])) return fail(errc::out_of_memory), none_ref;
    }
    stack_.shrink(begin);
    return make(value);
  }
  void push_tuple(std::size_t count) noexcept {
    if (has(count)) push(make_row(pickle_kind::tuple, stack_.size() - count));
  }

  // ---- containers ----

  void append(pickle_ref to, pickle_ref key, pickle_ref value) noexcept {
    const auto number = static_cast<std::uint32_t>(items_.size());
    if (!items_.push({key, value, 0})) return fail(errc::out_of_memory);
    pickle_value& of = values_[to];
    if (of.count == 0) {
      of.refs.first = number;
    } else {
      items_[of.refs.last].next = number;
    }
    of.refs.last = number;
    ++of.count;
  }
  /// The container of `kind` that `number` is, or that an object has.
  pickle_ref container(pickle_ref number, pickle_kind kind) noexcept {
    const pickle_value& value = values_[number];
    if (value.kind == kind) return number;
    if (value.kind != pickle_kind::object) return fail(errc::malformed), none_ref;
    const std::uint32_t place = value.refs.first;
    const auto part = kind == pickle_kind::dict ? &pickle_object::pairs : &pickle_object::elements;
    if (objects_[place].*part == no_pickle_value) {
      const pickle_ref made = make(kind == pickle_kind::dict ? kind : pickle_kind::list);
      objects_[place].*part = made;
    }
    return objects_[place].*part;
  }
  /// Adds the values of the stack from `begin` on to the container below them.
  void add(std::size_t begin, pickle_kind kind) noexcept {
    const std::size_t count = stack_.size() - begin;
    if (begin == 0 || begin - 1 < floor()) return fail(errc::malformed);
    if (kind == pickle_kind::dict && count % 2 != 0) return fail(errc::malformed);
    if (count != 0) {
      const pickle_ref to = container(stack_[begin - 1], kind);
      const std::size_t step = kind == pickle_kind::dict ? 2 : 1;
      for (std::size_t i = begin; i < stack_.size() && failure_ == errc{}; i += step)
        append(to, step == 2 ? stack_[i] : no_pickle_value, stack_[i + step - 1]);
    }
    stack_.shrink(begin);
  }
  void push_container(pickle_kind kind) noexcept { push(make(kind)); }
  /// Pushes a list or dict of the values behind the last mark.
  void push_from_mark(pickle_kind kind) noexcept {
    const std::size_t begin = take_mark();
    if (failure_ != errc{}) return;
    const std::size_t count = stack_.size() - begin;
    const pickle_ref made = make(kind);
    if (!stack_.push(made)) return fail(errc::out_of_memory);
    // The container goes below its elements.
    for (std::size_t i = count; i-- > 0;) stack_[begin + i + 1] = stack_[begin + i];
    stack_[begin] = made;
    add(begin + 1, kind);
  }

  // ---- names and objects ----

  void push_global(pickle_ref module, pickle_ref name) noexcept {
    if (failure_ != errc{} || !in_.is_good()) return;
    if (values_[module].kind != pickle_kind::text || values_[name].kind != pickle_kind::text)
      return fail(errc::malformed);
    pickle_value value;
    value.kind = pickle_kind::global;
    value.refs = {module, name};
    const std::string_view module_text = text(module), name_text = text(name);
    for (const pickle_name& each : names_) {
      if (each.name == name_text && each.module == module_text) {
        value.id = each.id;
        break;
      }
    }
    push(value);
  }
  /// Pushes what calling `callee` would give.
  void push_object(pickle_ref callee, pickle_ref arguments, pickle_ref keywords = no_pickle_value) noexcept {
    if (failure_ != errc{}) return;
    pickle_value value;
    value.kind = pickle_kind::object;
    value.refs = {static_cast<std::uint32_t>(objects_.size()), 0};
    pickle_object made;
    made.callee = callee;
    made.arguments = arguments;
    made.keywords = keywords;
    if (!objects_.push(made)) return fail(errc::out_of_memory);
    push(value);
  }
  /// Only an object takes a state, and only one.
  void build() noexcept {
    const pickle_ref state = pop(), of = top();
    if (failure_ != errc{}) return;
    if (values_[of].kind != pickle_kind::object) return fail(errc::malformed);
    pickle_object& object = objects_[values_[of].refs.first];
    if (object.state != no_pickle_value) return fail(errc::malformed);
    object.state = state;
  }

  // ---- the memo ----

  /// Python numbers values one by one, so that a number beyond the size of the pickle is none of its making.
  void put(std::uint64_t number) noexcept {
    const pickle_ref value = top();
    if (failure_ != errc{} || !in_.is_good()) return;
    if (number >= bytes_.size()) return fail(errc::malformed);
    const auto place = static_cast<std::size_t>(number);
    if (place >= memo_.size() && !memo_.extend(place + 1, no_pickle_value)) return fail(errc::out_of_memory);
    if (memo_[place] == no_pickle_value) ++memo_count_;
    memo_[place] = value;
  }
  void get(std::uint64_t number) noexcept {
    if (failure_ != errc{} || !in_.is_good()) return;
    if (number >= memo_.size() || memo_[static_cast<std::size_t>(number)] == no_pickle_value)
      return fail(errc::malformed);
    push(memo_[static_cast<std::size_t>(number)]);
  }

  std::span<const pickle_name> names_;
  byte_cursor in_; // the bytes that were not read yet
  pickle_array<pickle_ref> stack_;
  pickle_array<std::uint32_t> marks_;
  pickle_array<pickle_ref> memo_;
  std::size_t memo_count_ = 0;
  pickle_ref small_[256] = {}; // none_ref: it was not made yet
  errc failure_ = errc{};
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
