// SPDX-License-Identifier: MIT
// Patterns of names: matches names, and rewrites them by the text that the wildcards matched.
#ifndef STET_RESTORE_GLOB_HPP
#define STET_RESTORE_GLOB_HPP

#include "../vocabulary/config.hpp"

#include "../vocabulary/detail/checked.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// A pattern of tensor names. `?` matches one byte other than '/', `*` any bytes other than '/', `**` any bytes. Every other
/// character matches itself. There is no escape: `rename_rule::exact` matches names with these characters.
class glob {
public:
  /// The pattern `pattern`, which is copied.
  glob(std::string_view pattern) : start_(pattern.substr(0, pattern.find_first_of("*?"))) {
    for (std::size_t i = start_.size(); i < pattern.size(); ++i) {
      if (pattern[i] == '*') {
        const bool is_deep = i + 1 < pattern.size() && pattern[i + 1] == '*';
        tokens_.push_back({is_deep ? kind::deep : kind::star, '*'});
        i += is_deep ? 1u : 0u;
      } else {
        tokens_.push_back({pattern[i] == '?' ? kind::one : kind::byte, pattern[i]});
      }
    }
  }
  /// The same, for a string literal.
  glob(const char* pattern) : glob(std::string_view(pattern)) {}
  /// The same, for a string.
  glob(const std::string& pattern) : glob(std::string_view(pattern)) {}

  /// True if the whole of `name` matches.
  /// @param captures  if not nullptr, receives the text that each wildcard matched, in order; views `name`. Earlier wildcards
  ///                  match as few bytes as possible. Unchanged if the name does not match
  /// Cost: for any pattern, at most the product of both sizes in time, and an eighth of it in memory.
  [[nodiscard]] bool matches(std::string_view name, std::vector<std::string_view>* captures = nullptr) const {
    if (!name.starts_with(start_)) return false;
    const std::string_view rest = name.substr(start_.size());
    const std::size_t width = rest.size() + 1;
    // By token and position: whether the rest of the tokens matches the rest of the bytes. Filled from the end, so that no
    // combination is tried twice.
    std::vector<bool> fits(detail::container_size((tokens_.size() + std::uint64_t{1}) * width), false);
    fits[tokens_.size() * width + rest.size()] = true;
    for (std::size_t token = tokens_.size(); token-- > 0;) {
      const std::size_t here = token * width, after = here + width;
      const bool is_run = tokens_[token].what == kind::star || tokens_[token].what == kind::deep;
      for (std::size_t at = width; at-- > 0;) {
        const bool takes_byte = at < rest.size() && takes(tokens_[token], rest[at]);
        fits[here + at] =
            is_run ? fits[after + at] || (takes_byte && fits[here + at + 1]) : takes_byte && fits[after + at + 1];
      }
    }
    if (!fits[0]) return false;
    if (captures == nullptr) return true;
    captures->clear();
    std::size_t at = 0;
    for (std::size_t token = 0; token < tokens_.size(); ++token) {
      const std::size_t begin = at, after = (token + 1) * width;
      const kind what = tokens_[token].what;
      if (what == kind::byte || what == kind::one)
        ++at;
      else
        while (!fits[after + at]) ++at;
      if (what != kind::byte) captures->push_back(rest.substr(begin, at - begin));
    }
    return true;
  }

  /// The text `replacement` with $1 … $9 replaced by the text that the first … ninth wildcard matched (nothing, if there are
  /// fewer), and $$ by '$'.
  [[nodiscard]] static std::string rewrite(std::string_view replacement,
                                           const std::vector<std::string_view>& captures) {
    std::string made;
    for (std::size_t i = 0; i < replacement.size(); ++i) {
      const char next = replacement[i] == '$' && i + 1 < replacement.size() ? replacement[i + 1] : '\0';
      if (next == '$') {
        made += '$';
        ++i;
      } else if (next >= '1' && next <= '9') {
        const std::size_t number = static_cast<std::size_t>(next - '1');
        if (number < captures.size()) made += captures[number];
        ++i;
      } else {
        made += replacement[i];
      }
    }
    return made;
  }

private:
  enum class kind : unsigned char { byte, one, star, deep };
  struct token_type {
    kind what;
    char byte;
  };
  static bool takes(const token_type& token, char byte) noexcept {
    if (token.what == kind::byte) return byte == token.byte;
    return token.what == kind::deep || byte != '/';
  }

  /// The literal beginning of the pattern, which rejects most names quickly.
  std::string start_;
  std::vector<token_type> tokens_;
};

} // namespace stet::inline STET_NAMESPACE

#endif
