// SPDX-License-Identifier: MIT
// The names of the files of a model that is split over several GGUF files.
#ifndef STET_FORMATS_GGUF_DETAIL_PART_NAME_HPP
#define STET_FORMATS_GGUF_DETAIL_PART_NAME_HPP

#include "../../../vocabulary/error.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// The end of the names of GGUF files.
inline constexpr std::string_view gguf_ending = ".gguf";

/// A name with "-NNNNN-of-MMMMM" in it, of which the last counts: the names of all parts follow. Numbers begin with 1.
struct gguf_part_name {
  /// The text in front of the number with its '-', and behind the count.
  std::string_view before, after;
  std::uint64_t number = 0, count = 0;
  /// The digits of each: zeros fill them up.
  std::size_t number_digits = 0, count_digits = 0;

  /// Takes a name apart; false if it has no number and count.
  static constexpr bool parse(std::string_view name, gguf_part_name& into) noexcept {
    constexpr std::string_view middle = "-of-";
    for (std::size_t at = name.size(); at-- > 2;) {
      if (name[at] != '-' || name.size() - at <= middle.size() || !is_at(name, at, middle)) continue;
      std::size_t begin = at, end = at + middle.size();
      while (begin > 0 && is_digit(name[begin - 1])) --begin;
      while (end < name.size() && is_digit(name[end])) ++end;
      gguf_part_name made;
      made.number_digits = at - begin;
      made.count_digits = end - at - middle.size();
      constexpr std::size_t most = 9;
      if (made.number_digits == 0 || made.number_digits > most || made.count_digits == 0 || made.count_digits > most)
        continue;
      if (begin == 0 || name[begin - 1] != '-') continue;
      made.before = {name.data(), begin};
      made.after = {name.data() + end, name.size() - end};
      for (std::size_t i = begin; i < at; ++i) made.number = made.number * 10 + digit(name[i]);
      for (std::size_t i = at + middle.size(); i < end; ++i) made.count = made.count * 10 + digit(name[i]);
      into = made;
      return true;
    }
    return false;
  }

  /// Writes the name of part `of`, which counts from 1.
  constexpr void print(std::uint64_t of, text_writer& out) const noexcept {
    out.append(before);
    append(of, number_digits, out);
    out.append("-of-");
    append(count, count_digits, out);
    out.append(after);
  }

private:
  static constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
  static constexpr std::uint64_t digit(char c) noexcept { return static_cast<std::uint64_t>(c - '0'); }
  static constexpr bool is_at(std::string_view name, std::size_t at, std::string_view text) noexcept {
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (name[at + i] != text[i]) return false;
    }
    return true;
  }
  /// Appends a number in at least `digits` digits.
  static constexpr void append(std::uint64_t value, std::size_t digits, text_writer& out) noexcept {
    std::size_t needed = 1;
    for (std::uint64_t rest = value / 10; rest != 0; rest /= 10) ++needed;
    for (; needed < digits; ++needed) out.append("0");
    out.append(value);
  }
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
