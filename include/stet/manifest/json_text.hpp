// SPDX-License-Identifier: MIT
// JSON text from anyone → values: no recursion, no exception, a bounded depth, and no key twice in one
// object.
#ifndef STET_MANIFEST_JSON_TEXT_HPP
#define STET_MANIFEST_JSON_TEXT_HPP

#include "manifest.hpp"
#include "detail/names.hpp"

#include "../vocabulary/result.hpp"

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// Reads text for nlohmann's parser and leaves behind how far it came, which the parser tells its handlers
/// only of syntax errors.
class text_cursor {
public:
  using iterator_category = std::forward_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  text_cursor(const char* at, const char** reached) noexcept : at_(at), reached_(reached) {}
  reference operator*() const noexcept { return *at_; }
  text_cursor& operator++() noexcept { return *reached_ = ++at_, *this; }
  text_cursor operator++(int) noexcept {
    text_cursor before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const text_cursor& a, const text_cursor& b) noexcept { return a.at_ == b.at_; }

private:
  const char* at_;
  const char** reached_;
};

/// Handles the events of nlohmann's parser. Finished values wait on a stack until the object or array around
/// them ends. `Handler` derives from it and may hide the events, and `complete`, to take values elsewhere.
template <class Handler> class json_reader {
public:
  explicit json_reader(std::string_view text) noexcept
      : begin_(text.data()), reached_(text.data()), end_(begin_ + text.size()) {}

  // ---- the events; false ends the parsing ----

  bool null() { return handler().complete(nullptr); }
  bool boolean(bool value) { return handler().complete(value); }
  bool number_integer(json_value::number_integer_t value) { return handler().complete(value); }
  bool number_unsigned(json_value::number_unsigned_t value) { return handler().complete(value); }
  bool number_float(json_value::number_float_t value, const std::string& text) {
    // An integer beyond 64 bits comes as a float and would not be what the text says.
    if (text.find_first_of(".eE") == std::string::npos)
      return fail(errc::bad_number, keys_.empty() ? std::string() : keys_.back());
    return handler().complete(value);
  }
  bool string(std::string& value) { return handler().complete(std::move(value)); }
  bool binary(json_value::binary_t&) { return fail(errc::bad_json); }
  bool key(std::string& name) { return keys_.push_back(std::move(name)), true; }

  bool start_object(std::size_t) { return open(); }
  bool start_array(std::size_t) { return open(); }
  bool end_object() {
    if (!keys_differ()) return false;
    const frame object = frames_.back();
    json_value value = take_members(keys_.begin() + static_cast<std::ptrdiff_t>(object.first_key), keys_.end(),
                                    values_.begin() + static_cast<std::ptrdiff_t>(object.first_value));
    close();
    return handler().complete(std::move(value));
  }
  bool end_array() {
    const auto first = values_.begin() + static_cast<std::ptrdiff_t>(frames_.back().first_value);
    json_value value = json_value::array_t(std::make_move_iterator(first), std::make_move_iterator(values_.end()));
    close();
    return handler().complete(std::move(value));
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& problem) {
    constexpr int number_overflow = 406; // nlohmann: json.exception.out_of_range.406
    error_ =
        error(problem.id == number_overflow ? errc::bad_number : errc::bad_json, {}, position == 0 ? 0 : position - 1);
    return false;
  }

protected:
  /// An object or array that has begun: where its keys and values begin on the stacks.
  struct frame {
    std::size_t first_key, first_value;
  };
  using key_iterator = std::vector<std::string>::iterator;
  using value_iterator = std::vector<json_value>::iterator;

  /// Parses the text. @return false with `error_` set if it is not what it should be
  bool read() {
    return json_value::sax_parse(text_cursor(begin_, &reached_), text_cursor(end_, &reached_), &handler());
  }

  bool fail(errc code, std::string_view subject = {}) noexcept {
    error_ = error(code, subject, position());
    return false;
  }
  [[nodiscard]] std::uint64_t position() const noexcept { return static_cast<std::uint64_t>(reached_ - begin_); }

  /// Whether no key occurs twice in the innermost object.
  bool keys_differ() {
    const std::size_t first = frames_.back().first_key;
    const auto name_at = [&](std::size_t i) -> std::string_view { return keys_[first + i]; };
    const std::size_t duplicate = find_duplicate(keys_.size() - first, name_at);
    return duplicate == name_table::none || fail(errc::duplicate_key, name_at(duplicate));
  }

  bool open() {
    if (frames_.size() == max_manifest_depth) return fail(errc::too_deep);
    frames_.push_back({keys_.size(), values_.size()});
    return true;
  }
  /// Ends the innermost object or array and drops what is left of it.
  void close() {
    const frame ended = frames_.back();
    keys_.erase(keys_.begin() + static_cast<std::ptrdiff_t>(ended.first_key), keys_.end());
    values_.erase(values_.begin() + static_cast<std::ptrdiff_t>(ended.first_value), values_.end());
    frames_.pop_back();
  }

  /// Makes an object of keys and as many values. Members are appended without the search that ordered_json
  /// makes for each.
  static json_value take_members(key_iterator key, key_iterator last, value_iterator value) {
    json_value::object_t members;
    members.reserve(static_cast<std::size_t>(last - key));
    for (; key != last; ++key, ++value) members.emplace_back(std::move(*key), std::move(*value));
    return members;
  }

  error error_{errc::bad_json};
  std::vector<frame> frames_;
  /// The keys of open objects whose members have begun, and the values that are complete within open objects
  /// and arrays.
  std::vector<std::string> keys_;
  std::vector<json_value> values_;

private:
  Handler& handler() noexcept { return static_cast<Handler&>(*this); }

  const char *begin_, *reached_, *end_;
};

/// Makes one value of the whole text.
class json_tree_reader final : public json_reader<json_tree_reader> {
public:
  using json_reader::json_reader;

  result<json_value> run() {
    if (!read()) return error_;
    return std::move(values_.front());
  }
  bool complete(json_value value) { return values_.push_back(std::move(value)), true; }
};

/// What nlohmann's parser would put up with: it skips a byte order mark, and takes a NUL for the end of the
/// text.
inline result<void> check_json_text(std::string_view text, const manifest_limits& limits) noexcept {
  if (text.size() > limits.size_bytes) return error(errc::too_large, {}, limits.size_bytes);
  if (text.substr(0, 3) == "\xEF\xBB\xBF") return error(errc::bad_json, {}, 0);
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) return error(errc::bad_json, {}, nul);
  return {};
}

} // namespace detail

/// Makes a value of JSON text, which may be anything. The order of keys is kept, and integers apart from
/// floats.
///
/// The error's offset is where reading stood in the text.
/// @retval errc::too_large      the text is longer than `limits` allow
/// @retval errc::bad_json       not JSON in UTF-8, or text follows it
/// @retval errc::too_deep       more than `max_manifest_depth` objects and arrays within each other
/// @retval errc::duplicate_key  a key, the subject, occurs twice in one object
/// @retval errc::bad_number     an integer does not fit 64 bits, or a number exceeds a double
/// Cost: allocates up to thirty times the size of the text where it is nothing but punctuation. No recursion.
/// Source: RFC 8259.
inline result<json_value> parse_json(std::string_view text, const manifest_limits& limits = {}) {
  if (const result<void> checked = detail::check_json_text(text, limits); !checked) return checked.error();
  return detail::json_tree_reader(text).run();
}

} // namespace stet::inline STET_NAMESPACE

#endif
