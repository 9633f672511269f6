// SPDX-License-Identifier: MIT
// Tests of result.hpp: one value or one error, moved and destroyed exactly once.
#include <stet/vocabulary/result.hpp>

#include <doctest/doctest.h>

#include <type_traits>
#include <utility>

using stet::errc;
using stet::result;

namespace {
/// Counts how many of its objects own something.
struct owner {
  explicit owner(int& count) noexcept : count_(&count) { ++count; }
  owner(owner&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
  ~owner() noexcept {
    if (count_ != nullptr) --*count_;
  }
  int* count_;
};

struct lender {
  using owns_views = void;
  [[nodiscard]] int view() const noexcept { return value; }
  int value = 0;
};
struct list {
  explicit list(int& count) noexcept : kept(count) {}
  owner kept;
  int values[2] = {3, 4};
  [[nodiscard]] const int* begin() const noexcept { return values; }
  [[nodiscard]] const int* end() const noexcept { return values + 2; }
};

template <class Result>
concept can_dereference = requires(Result made) { *static_cast<Result&&>(made); };
template <class Result>
concept can_reach_into = requires(Result made) { static_cast<Result&&>(made).operator->(); };
template <class Result>
concept can_move_out = requires(Result made) { static_cast<Result&&>(made).value(); };
} // namespace

TEST_SUITE("result") {
  TEST_CASE("a temporary lends nothing of a value whose views end with it") {
    static_assert(!can_dereference<result<lender>> && !can_reach_into<result<lender>>);
    static_assert(can_dereference<result<lender>&> && can_reach_into<result<lender>&>);
    static_assert(can_dereference<const result<lender>&> && can_reach_into<const result<lender>&>);
    static_assert(can_move_out<result<lender>>);
    static_assert(can_dereference<result<int>> && can_reach_into<result<int>>);
    CHECK(result<lender>(lender{7}).value().view() == 7);
    result<lender> kept = lender{8};
    CHECK((kept->view() == 8 && (*kept).view() == 8 && lender(*&kept.value()).value == 8));
  }

  TEST_CASE("a loop over a temporary keeps the value until it ends") {
    int count = 0, sum = 0;
    const auto make = [&]() -> result<list> { return list(count); };
    for (const int value : *make()) {
      CHECK(count == 1);
      sum += value;
    }
    CHECK(count == 0);
    for (const int value : make().value()) sum += count * value;
    CHECK(sum == 14);
  }

  TEST_CASE("holds a value or an error") {
    result<int> value = 7;
    CHECK(value);
    CHECK(*value == 7);
    result<int> failure = stet::error(errc::not_found, "x");
    CHECK_FALSE(failure);
    CHECK(failure.error().code() == errc::not_found);
    CHECK(failure.error().subject() == "x");
    value = std::move(failure);
    CHECK_FALSE(value);
    CHECK(value.error().subject() == "x");
    value = result<int>(8);
    CHECK(value);
    CHECK(*value == 8);
  }

  TEST_CASE("void holds success or an error and can be copied") {
    const result<void> success;
    CHECK(success);
    const result<void> failure = errc::io_error;
    const result<void> copy = failure;
    CHECK_FALSE(copy);
    CHECK(copy.error().code() == errc::io_error);
  }

  TEST_CASE("owns what it holds exactly once") {
    int count = 0;
    {
      result<owner> first = owner(count);
      CHECK(count == 1);
      result<owner> second = std::move(first);
      CHECK(count == 1);
      second = errc::not_found;
      CHECK(count == 0);
      second = owner(count);
      result<owner>& same = second;
      second = std::move(same);
      CHECK(count == 1);
    }
    CHECK(count == 0);
  }

  TEST_CASE("moves its value out and is usable in constant expressions") {
    static_assert(!std::is_copy_constructible_v<result<int>> && !std::is_default_constructible_v<result<int>>);
    static_assert(std::is_nothrow_move_constructible_v<result<owner>>);
    constexpr auto halved = [](int n) -> result<int> {
      if (n % 2 != 0) return errc::bad_value;
      return n / 2;
    };
    static_assert(*halved(8) == 4 && halved(3).error().code() == errc::bad_value);
    int count = 0;
    result<owner> held = owner(count);
    const owner taken = *std::move(held);
    CHECK(count == 1);
    CHECK(taken.count_ == &count);
  }

  TEST_CASE("has the members of std::expected") {
    result<int> seven = 7;
    const result<int> failure = stet::error(errc::not_found, "x");
    CHECK((seven.has_value() && seven.value() == 7 && !failure.has_value()));
    CHECK(seven.value_or(1) == 7);
    CHECK(failure.value_or(1) == 1);
    CHECK((result<void>().has_value() && !result<void>(errc::io_error).has_value()));

    const auto halved = [](int n) -> result<int> {
      if (n % 2 != 0) return errc::bad_value;
      return n / 2;
    };
    CHECK(result<int>(8).and_then(halved).value() == 4);
    CHECK(result<int>(7).and_then(halved).error() == errc::bad_value);
    CHECK(result<int>(stet::error(errc::not_found, "x")).and_then(halved).error().subject() == "x");
    CHECK(result<int>(8).transform([](int n) { return n + 0.5; }).value() == 8.5);
    CHECK(result<int>(errc::locked).transform([](int n) { return n + 0.5; }).error() == errc::locked);

    const result<int> kept = 8;
    CHECK(kept.and_then(halved).value() == 4);
    CHECK(kept.transform([](const int& n) { return n + 1; }).value() == 9);
    CHECK(failure.transform([](int n) { return n; }).error() == errc::not_found);

    int count = 0;
    const auto moved = result<owner>(owner(count)).transform([](owner&& one) { return std::move(one); });
    CHECK(count == 1);
    CHECK(moved.value().count_ == &count);
  }
}
