// SPDX-License-Identifier: MIT
// The values that a pickle builds, as plain data.
#ifndef STET_WIRE_PICKLE_VALUE_HPP
#define STET_WIRE_PICKLE_VALUE_HPP

#include "../../source/memory.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// The kind of a value.
enum class pickle_kind : std::uint8_t {
  none,
  boolean,
  integer,      ///< fits 64 bits
  long_integer, ///< does not
  real,
  text,  ///< str, and the str of Python 2
  bytes, ///< bytes and bytearray
  tuple,
  list,
  dict,
  set,
  frozen_set,
  /// A class or function by its name. It is never looked up.
  global,
  /// What a call or a class would make. Nothing is called: the value has the callee, its arguments, the state and the items.
  object,
  /// An object that is stored outside of the pickle, by its persistent id.
  persistent,
};

/// The number of a value of a pickle.
using pickle_ref = std::uint32_t;
inline constexpr pickle_ref no_pickle_value = ~pickle_ref{0};

/// A value. `pickle` (wire/pickle.hpp) gives what it refers to.
struct pickle_value {
  struct range {
    std::uint32_t first, last;
  };

  pickle_kind kind = pickle_kind::none;
  /// Text: it is in the buffer of decoded text. A long integer: it is written in decimal digits.
  bool is_other_form = false;
  /// Of a global: the `id` of its row in the table of names; 0: it is in no row.
  std::uint16_t id = 0;
  /// The number of bytes, elements or pairs.
  std::uint32_t count = 0;
  union {
    std::int64_t integer = 0;
    double real;
    std::uint64_t offset;
    range refs;
  };
};
static_assert(sizeof(pickle_value) == 16);

/// The parts of an object.
struct pickle_object {
  /// The class or function, and its positional arguments: a tuple, unless the pickle has something else there.
  pickle_ref callee = no_pickle_value, arguments = no_pickle_value;
  /// Its named arguments, the state that BUILD gives it, the elements that are appended and the pairs that are set;
  /// `no_pickle_value`: none.
  pickle_ref keywords = no_pickle_value, state = no_pickle_value, elements = no_pickle_value, pairs = no_pickle_value;
};

/// A row of the table of names: a global, and the number by which the caller knows it, from 1.
struct pickle_name {
  std::string_view module, name;
  std::uint16_t id;
};

/// An array that grows, of plain data, in memory of the program. Its size follows that of its contents.
template <class T> class pickle_array {
  static_assert(std::is_trivially_copyable_v<T>);

public:
  explicit pickle_array(memory_resource* memory) noexcept : memory_(memory) {}

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] T& operator[](std::size_t number) noexcept { return data()[number]; }
  [[nodiscard]] const T& operator[](std::size_t number) const noexcept {
    return static_cast<const T*>(block_.get())[number];
  }
  [[nodiscard]] T& back() noexcept { return data()[size_ - 1]; }
  void shrink(std::size_t size) noexcept { size_ = size; }

  /// Appends an element. @return false if there is no memory left
  bool push(const T& value) noexcept {
    if (size_ == capacity_ && !grow(size_ + 1)) return false;
    data()[size_++] = value;
    return true;
  }
  /// Makes it at least `size` elements large; new ones are `value`. @return false if there is no memory left
  bool extend(std::size_t size, const T& value) noexcept {
    if (size > capacity_ && !grow(size)) return false;
    while (size_ < size) data()[size_++] = value;
    return true;
  }

private:
  [[nodiscard]] T* data() noexcept { return static_cast<T*>(block_.get()); }
  bool grow(std::size_t least) noexcept {
    std::size_t larger = capacity_ < 32 ? 64 : capacity_ * 2;
    if (larger < least) larger = least;
    if (larger > ~std::size_t{0} / sizeof(T)) return false;
    owned_block made = owned_block::allocate(larger * sizeof(T), alignof(T), memory_);
    if (made.get() == nullptr) return false;
    if (size_ != 0) std::memcpy(made.get(), block_.get(), size_ * sizeof(T));
    block_ = std::move(made);
    capacity_ = larger;
    return true;
  }

  memory_resource* memory_;
  owned_block block_;
  std::size_t size_ = 0, capacity_ = 0;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
