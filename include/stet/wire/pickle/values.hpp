// SPDX-License-Identifier: MIT
// The values of a pickle that was read, and the walk over them.
#ifndef STET_WIRE_PICKLE_VALUES_HPP
#define STET_WIRE_PICKLE_VALUES_HPP

#include "value.hpp"

#include "../../vocabulary/detail/spans.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// The values of a pickle. Values may share others, and contain themselves: a walk over them needs a limit of its own.
class pickle_values {
public:
  /// The value of the pickle.
  [[nodiscard]] pickle_ref root() const noexcept { return root_; }
  /// The size of the pickle: what follows begins there.
  [[nodiscard]] std::size_t size_bytes() const noexcept { return size_; }
  /// The number of values; those that are used several times count once.
  [[nodiscard]] std::size_t value_count() const noexcept { return values_.size(); }
  [[nodiscard]] const pickle_value& operator[](pickle_ref number) const noexcept { return values_[number]; }

  /// The text of a text, the bytes of bytes or of a long integer (its digits, or two's complement, little-endian). Text is as
  /// the pickle has it: it may be no UTF-8.
  [[nodiscard]] std::string_view text(const pickle_value& of) const noexcept {
    if (of.kind == pickle_kind::text && of.is_other_form)
      return of.count == 0 ? std::string_view()
                           : std::string_view(&text_[static_cast<std::size_t>(of.offset)], of.count);
    return text_at(bytes_.data() + static_cast<std::size_t>(of.offset), of.count);
  }
  [[nodiscard]] std::string_view text(pickle_ref number) const noexcept { return text(values_[number]); }
  /// The module and the name of a global.
  [[nodiscard]] std::string_view module_of(const pickle_value& global) const noexcept {
    return text(global.refs.first);
  }
  [[nodiscard]] std::string_view name_of(const pickle_value& global) const noexcept { return text(global.refs.last); }

  /// Element `number`, below `count`, of a tuple or frozen set.
  [[nodiscard]] pickle_ref element(const pickle_value& of, std::size_t number) const noexcept {
    return slots_[of.refs.first + number];
  }
  [[nodiscard]] const pickle_object& object(const pickle_value& of) const noexcept { return objects_[of.refs.first]; }
  /// The persistent id of a value that is stored elsewhere.
  [[nodiscard]] pickle_ref persistent_id(const pickle_value& of) const noexcept { return of.refs.first; }

  /// Walks over the elements of a tuple, list or set, or the keys and values of a dict.
  class walk {
  public:
    walk(const pickle_values& from, const pickle_value& of) noexcept
        : from_(&from), at_(of.refs.first), left_(of.count),
          is_chain_(of.kind != pickle_kind::tuple && of.kind != pickle_kind::frozen_set) {}
    /// Goes to the first or next element. @return false at the end
    bool next() noexcept {
      if (left_ == 0) return false;
      --left_;
      if (!is_chain_) {
        value_ = from_->slots_[at_++];
        return true;
      }
      const item& each = from_->items_[at_];
      key_ = each.key;
      value_ = each.value;
      at_ = each.next;
      return true;
    }
    /// The key, in a dict.
    [[nodiscard]] pickle_ref key() const noexcept { return key_; }
    [[nodiscard]] pickle_ref value() const noexcept { return value_; }

  private:
    const pickle_values* from_;
    std::uint32_t at_, left_;
    bool is_chain_;
    pickle_ref key_ = no_pickle_value, value_ = no_pickle_value;
  };

protected:
  /// An element of a list or set, or a pair of a dict.
  struct item {
    pickle_ref key, value;
    std::uint32_t next;
  };

  explicit pickle_values(memory_resource* memory) noexcept
      : values_(memory), slots_(memory), items_(memory), objects_(memory), text_(memory) {}

  std::span<const std::byte> bytes_;
  pickle_array<pickle_value> values_;
  pickle_array<pickle_ref> slots_; // of tuples
  pickle_array<item> items_;       // of lists, sets and dicts
  pickle_array<pickle_object> objects_;
  pickle_array<char> text_; // decoded
  pickle_ref root_ = 0;
  std::size_t size_ = 0;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
