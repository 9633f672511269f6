// SPDX-License-Identifier: MIT
// Reads any bytes as JSON: the reader takes what nlohmann's parser takes, and gives the same value, but for what it is told to
// refuse (depth, keys that occur twice, integers beyond 64 bits).
#include "require.hpp"
#include "support/exact_text.hpp"

#include <stet/wire/json.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

using stet::errc;
using stet::detail::json_reader;
using stet::detail::json_token;

std::string decoded(const stet::detail::json_string& string) {
  std::string text(string.raw().size(), '\0');
  text.resize(string.decode(text.data()));
  require(string == text);
  return text;
}

/// Reads the value whose first token was read beside the same value of nlohmann's; it is at most `max_json_depth` deep.
void compare(json_reader& in, const nlohmann::ordered_json& value) {
  switch (in.token()) {
  case json_token::begin_object:
    for (const auto& [name, member] : value.items()) {
      require(in.next() == json_token::key && decoded(in.string()) == name);
      (void)in.next();
      compare(in, member);
    }
    require(in.next() == json_token::end_object);
    return;
  case json_token::begin_array:
    for (const auto& element : value) {
      (void)in.next();
      compare(in, element);
    }
    require(in.next() == json_token::end_array);
    return;
  case json_token::string:
    return require(decoded(in.string()) == value.get_ref<const std::string&>());
  case json_token::boolean:
    return require(value.is_boolean() && in.boolean() == value.get<bool>());
  case json_token::null:
    return require(value.is_null());
  case json_token::number: {
    const stet::detail::json_number& number = in.number();
    require(number.is_integer == value.is_number_integer());
    if (number.is_unsigned()) require(number.magnitude == value.get<std::uint64_t>());
    if (number.is_integer && number.is_negative)
      require(0 - number.magnitude == static_cast<std::uint64_t>(value.get<std::int64_t>()));
    if (!number.is_integer) require(number.to_double() == value.get<double>());
    return;
  }
  default:
    std::abort();
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const stet_test::exact_text exact({reinterpret_cast<const char*>(data), size});
  const std::string_view text(reinterpret_cast<const char*>(exact.bytes().data()), size);
  json_reader all(text);
  while (all.next() != json_token::end && all.token() != json_token::error) require(all.offset_bytes() <= size);
  require(all.offset_bytes() <= size);
  // A NUL ends the text for nlohmann's parser, and it skips a byte order mark.
  if (text.find('\0') != std::string_view::npos || text.starts_with("\xEF\xBB\xBF")) {
    require(all.token() == json_token::error);
    return 0;
  }
  if (all.code() == errc::too_deep || all.code() == errc::bad_number) return 0;
  require((all.code() == errc{}) == nlohmann::ordered_json::accept(text));
  if (all.code() != errc{}) return 0;

  std::vector<stet::detail::json_key> room(size);
  stet::detail::json_string duplicate;
  json_reader checked(text);
  (void)checked.next();
  const errc code = stet::detail::skip_checked(checked, room, duplicate);
  require(code == errc{} || code == errc::duplicate_key);
  if (code != errc{}) return 0;
  json_reader in(text);
  (void)in.next();
  compare(in, nlohmann::ordered_json::parse(text, nullptr, false));
  return 0;
}
