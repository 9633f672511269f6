// SPDX-License-Identifier: MIT
// What ranks send each other, as bytes: numbers of fixed size, texts, and errors.
#ifndef STET_SHARDED_DETAIL_MESSAGE_HPP
#define STET_SHARDED_DETAIL_MESSAGE_HPP

#include "../communicator.hpp"

#include "../../vocabulary/detail/endian.hpp"
#include "../../vocabulary/detail/spans.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Appends values to a message.
class message_writer {
public:
  explicit message_writer(std::vector<std::byte>& to) noexcept : to_(to) {}

  message_writer& number(std::uint64_t value) {
    std::byte bytes[8];
    store_little(bytes, value);
    to_.insert(to_.end(), bytes, bytes + sizeof bytes);
    return *this;
  }
  message_writer& numbers(std::span<const std::uint64_t> values) {
    for (const std::uint64_t each : values) number(each);
    return *this;
  }
  message_writer& text(std::string_view value) {
    number(value.size());
    const auto* const bytes = reinterpret_cast<const std::byte*>(value.data());
    to_.insert(to_.end(), bytes, bytes + value.size());
    return *this;
  }
  /// What became of something: success, or an error.
  message_writer& outcome(const result<void>& value) {
    const error failure = value ? error(errc{}) : value.error();
    number(static_cast<std::uint64_t>(failure.code())).number(failure.offset_bytes());
    return number(static_cast<std::uint32_t>(failure.system_code())).text(failure.subject());
  }

private:
  std::vector<std::byte>& to_;
};

/// Takes values from a message. One that is shorter gives zeros and empty texts, and `is_whole` tells.
class message_reader {
public:
  explicit message_reader(std::span<const std::byte> from) noexcept : from_(from) {}

  std::uint64_t number() noexcept {
    std::uint64_t value = 0;
    if (from_.size() < 8) return fail(), value;
    value = load_little<std::uint64_t>(from_.data());
    from_ = from_.subspan(8);
    return value;
  }
  /// A number of things that follow, each at least `least_bytes` long: no more than there can be.
  std::size_t count(std::size_t least_bytes) noexcept {
    const std::uint64_t value = number();
    if (value > from_.size() / least_bytes) return fail(), 0;
    return static_cast<std::size_t>(value);
  }
  void numbers(std::size_t how_many, std::vector<std::uint64_t>& into) {
    into.resize(how_many);
    for (std::uint64_t& each : into) each = number();
  }
  std::string_view text() noexcept {
    const std::size_t size = count(1);
    const std::string_view value = text_at(from_.data(), size);
    from_ = from_.subspan(size);
    return value;
  }
  result<void> outcome() noexcept {
    const auto code = static_cast<errc>(number());
    const std::uint64_t offset = number();
    const auto system_code = static_cast<std::int32_t>(static_cast<std::uint32_t>(number()));
    const std::string_view subject = text();
    if (!is_whole()) return errc::rank_lost;
    if (code == errc{}) return {};
    return error(code, subject, offset).with_system_code(system_code);
  }

  [[nodiscard]] bool is_empty() const noexcept { return from_.empty(); }
  [[nodiscard]] bool is_whole() const noexcept { return is_whole_; }

private:
  void fail() noexcept {
    is_whole_ = false;
    from_ = {};
  }

  std::span<const std::byte> from_;
  bool is_whole_ = true;
};

/// Makes one outcome of those of all ranks: success if all succeeded, else the same error on every rank. Two collectives after a failure,
/// else one.
inline result<void> agree(communicator& ranks, const result<void>& own) {
  std::uint64_t failed[1] = {own ? 0 : std::uint64_t{ranks.size()} - ranks.rank()}; // the lowest rank that failed
  if (auto told = ranks.all_reduce_max(failed); !told) return told;
  if (failed[0] == 0) return {};
  std::vector<std::byte> text;
  message_writer(text).outcome(own);
  text.resize(160); // as much as an error takes, with the longest subject
  const auto root = static_cast<std::uint32_t>(ranks.size() - failed[0]);
  if (auto told = ranks.broadcast(text, root); !told) return told;
  return message_reader(text).outcome();
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
