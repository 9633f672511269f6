// SPDX-License-Identifier: MIT
// A value or the error that stands in its place.
#ifndef STET_VOCABULARY_RESULT_HPP
#define STET_VOCABULARY_RESULT_HPP

#include "detail/move_assign.hpp"
#include "config.hpp"
#include "error.hpp"

#include <new>
#include <utility>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// A type whose views end with it, as those of a store do. Such a class says so: `using owns_views = void;`.
template <class T>
concept view_owner = requires { typename T::owns_views; };

} // namespace detail

/// Holds a `T` or a `stet::error`; what every call that may fail returns. Move-only, never empty, never throws.
/// Reading the one that is not there is a mistake of the program (STET_ASSERT).
/// `T` must move and be destroyed without exceptions. That is not asserted: the traits of every `T` would be a twentieth of
/// what including the library costs.
template <class T> class [[nodiscard]] result {
public:
  using value_type = T;

  /// A result that holds `value`.
  constexpr result(T&& value) noexcept : value_(std::move(value)), has_value_(true) {}
  /// A result that holds a copy of `value`.
  constexpr result(const T& value) noexcept : value_(value), has_value_(true) {}
  /// A result that holds `failure`.
  constexpr result(const stet::error& failure) noexcept : error_(failure), has_value_(false) {}
  /// A result that holds an error without a subject.
  constexpr result(errc code) noexcept : error_(code), has_value_(false) {}

  constexpr result(result&& other) noexcept : has_value_(other.has_value_) {
    if (has_value_) {
      ::new (static_cast<void*>(&value_)) T(std::move(other.value_));
    } else {
      ::new (static_cast<void*>(&error_)) stet::error(other.error_);
    }
  }
  result(const result&) = delete;
  result& operator=(const result&) = delete;
  constexpr result& operator=(result&& other) noexcept { return detail::move_assign(*this, other); }
  constexpr ~result() noexcept {
    if (has_value_) value_.~T();
  }

  /// Whether a value is held.
  [[nodiscard]] constexpr explicit operator bool() const noexcept { return has_value_; }

  /// The value; requires `*this`. It lives as long as this result.
  [[nodiscard]] constexpr T& operator*() & noexcept { return STET_ASSERT(has_value_), value_; }
  /// The value; requires `*this`.
  [[nodiscard]] constexpr const T& operator*() const& noexcept { return STET_ASSERT(has_value_), value_; }
  /// Accesses a member of the value; requires `*this`.
  [[nodiscard]] constexpr T* operator->() & noexcept { return STET_ASSERT(has_value_), &value_; }
  /// Accesses a member of the value; requires `*this`.
  [[nodiscard]] constexpr const T* operator->() const& noexcept { return STET_ASSERT(has_value_), &value_; }

  /// The value of a result that ends here, moved out, so that a loop over it keeps it.
  [[nodiscard]] constexpr T operator*() && noexcept { return STET_ASSERT(has_value_), std::move(value_); }
  /// Accesses a member of the value; requires `*this`.
  [[nodiscard]] constexpr T* operator->() && noexcept { return STET_ASSERT(has_value_), &value_; }
  /// Of a temporary, what a store gives would end with it: `stet::open(path)->get<float>(name)` does not compile. Keep the
  /// result in a variable, or move the value into one: `stet::open(path).value()`.
  T operator*() && noexcept
    requires detail::view_owner<T>
  = delete;
  T* operator->() && noexcept
    requires detail::view_owner<T>
  = delete;

  /// As std::expected has them. `value` requires `*this`, as `*` does: it never throws.
  [[nodiscard]] constexpr bool has_value() const noexcept { return has_value_; }
  /// The value; requires `*this`.
  [[nodiscard]] constexpr T& value() & noexcept { return **this; }
  /// The value; requires `*this`.
  [[nodiscard]] constexpr const T& value() const& noexcept { return **this; }
  /// The value, moved out; requires `*this`.
  [[nodiscard]] constexpr T value() && noexcept { return STET_ASSERT(has_value_), std::move(value_); }
  /// The value, or `otherwise` where an error is held.
  template <class U> [[nodiscard]] constexpr T value_or(U&& otherwise) const& {
    return has_value_ ? value_ : static_cast<T>(std::forward<U>(otherwise));
  }
  /// The value, or `otherwise` if there is none.
  template <class U> [[nodiscard]] constexpr T value_or(U&& otherwise) && {
    return has_value_ ? std::move(value_) : static_cast<T>(std::forward<U>(otherwise));
  }
  /// `next(value)`, which returns a result; the error where one is held. Of a result that ends here the value is moved.
  template <class Next>
  [[nodiscard]] constexpr auto and_then(Next&& next) const& -> decltype(next(std::declval<const T&>())) {
    if (!has_value_) return error_;
    return next(value_);
  }
  /// As above, of a result that ends here.
  template <class Next> [[nodiscard]] constexpr auto and_then(Next&& next) && -> decltype(next(std::declval<T&&>())) {
    if (!has_value_) return error_;
    return next(std::move(value_));
  }
  /// A result of what `change(value)` returns; the error where one is held. Of a result that ends here the value is moved.
  template <class Change>
  [[nodiscard]] constexpr auto transform(Change&& change) const& -> result<decltype(change(std::declval<const T&>()))> {
    if (!has_value_) return error_;
    return change(value_);
  }
  /// As above, of a result that ends here.
  template <class Change>
  [[nodiscard]] constexpr auto transform(Change&& change) && -> result<decltype(change(std::declval<T&&>()))> {
    if (!has_value_) return error_;
    return change(std::move(value_));
  }

  /// The error; requires `!*this`.
  [[nodiscard]] constexpr const stet::error& error() const noexcept { return STET_ASSERT(!has_value_), error_; }

private:
  union {
    T value_;
    stet::error error_;
  };
  bool has_value_;
};

/// Success, or an error.
template <> class [[nodiscard]] result<void> {
public:
  using value_type = void;

  /// Success.
  constexpr result() noexcept : success_{}, has_value_(true) {}
  /// A failure.
  constexpr result(const stet::error& failure) noexcept : error_(failure), has_value_(false) {}
  /// A failure without a subject.
  constexpr result(errc code) noexcept : error_(code), has_value_(false) {}

  /// Whether the call succeeded.
  [[nodiscard]] constexpr explicit operator bool() const noexcept { return has_value_; }
  /// True if the call succeeded.
  [[nodiscard]] constexpr bool has_value() const noexcept { return has_value_; }
  /// The error; requires `!*this`.
  [[nodiscard]] constexpr const stet::error& error() const noexcept { return STET_ASSERT(!has_value_), error_; }

private:
  union {
    char success_;
    stet::error error_;
  };
  bool has_value_;
};

} // namespace stet::inline STET_NAMESPACE

#endif
