// SPDX-License-Identifier: MIT
// Patterns of names: matching, and rewriting by what the wildcards matched.
#ifndef STET_RESTORE_GLOB_HPP
#define STET_RESTORE_GLOB_HPP

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline v0_1 {

/// A pattern of tensor names. `?` stands for one byte other than '/', `*` for any bytes other than '/', `**` for any bytes
/// at all; everything else for itself. There is no escape: names with these characters are matched exactly by
/// `rename_rule::exact`.
class glob {
public:
  glob(std::string_view pattern) {
    for (std::size_t i = 0; i < pattern.size(); ++i) {
      if (pattern[i] == '*') {
        const bool is_deep = i + 1 < pattern.size() && pattern[i + 1] == '*';
        tokens_.push_back({is_deep ? kind::deep : kind::star, '*'});
        i += is_deep ? 1u : 0u;
      } else {
        tokens_.push_back({pattern[i] == '?' ? kind::one : kind::byte, pattern[i]});
      }
    }
  }
  glob(const char* pattern) : glob(std::string_view(pattern)) {}

  /// Whether all of `name` matches.
  /// @param captures  if given, set to what each wildcard matched, in order; views `name`. Earlier wildcards take as few
  ///                  bytes as they can.
  /// Cost: at most the product of both sizes, whatever the pattern; allocates.
  [[nodiscard]] bool matches(std::string_view name, std::vector<std::string_view>* captures = nullptr) const {
    // The states (token, position) known to lead nowhere; so no state is tried twice.
    std::vector<bool> is_dead((tokens_.size() + 1) * (name.size() + 1), false);
    struct choice {
      std::size_t token, begin, end;
    };
    std::vector<choice> wildcards;
    std::size_t token = 0, at = 0;
    for (;;) {
      bool is_lost = is_dead[token * (name.size() + 1) + at];
      if (!is_lost && token == tokens_.size()) {
        if (at == name.size()) break;
        is_lost = true;
      }
      if (!is_lost) {
        const auto [what, byte] = tokens_[token];
        if (what == kind::star || what == kind::deep) {
          wildcards.push_back({token++, at, at});
          continue;
        }
        const bool fits = at < name.size() && (what == kind::one ? name[at] != '/' : name[at] == byte);
        if (fits) {
          if (what == kind::one) wildcards.push_back({token, at, at + 1});
          ++token;
          ++at;
          continue;
        }
      }
      is_dead[token * (name.size() + 1) + at] = true;
      // Back to the last wildcard that can take one byte more.
      for (;;) {
        if (wildcards.empty()) return false;
        choice& last = wildcards.back();
        const kind what = tokens_[last.token].what;
        if (what != kind::one && last.end < name.size() && (what == kind::deep || name[last.end] != '/')) {
          at = ++last.end;
          token = last.token + 1;
          break;
        }
        wildcards.pop_back();
      }
    }
    if (captures != nullptr) {
      captures->clear();
      for (const choice& each : wildcards) captures->push_back(name.substr(each.begin, each.end - each.begin));
    }
    return true;
  }

  /// The text `replacement` in which $1 … $9 stand for what the first … ninth wildcard matched, and $$ for '$'.
  [[nodiscard]] static std::string rewrite(std::string_view replacement, const std::vector<std::string_view>& captures) {
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
  std::vector<token_type> tokens_;
};

} // namespace stet::inline v0_1

#endif
