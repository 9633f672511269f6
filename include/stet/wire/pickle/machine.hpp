// SPDX-License-Identifier: MIT
// The machine that runs a pickle without running anything else.
#ifndef STET_WIRE_PICKLE_MACHINE_HPP
#define STET_WIRE_PICKLE_MACHINE_HPP

#include "builder.hpp"

#include "../cursor.hpp"
#include "../json.hpp"

#include "../../vocabulary/detail/bit_cast.hpp"
#include "../../vocabulary/result.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// The values of a pickle of protocol 0 to 5, once it was read. Views the bytes, which must outlive it.
///
///     pickle read(memory);
///     if (auto done = read.run(bytes, names); !done) return done.error();
///     const pickle_value& root = read[read.root()];
class pickle : public pickle_builder {
public:
  /// @param memory  the memory for the values; nullptr: the heap
  explicit pickle(memory_resource* memory = nullptr) noexcept : pickle_builder(memory) {}

  /// Reads the pickle at the beginning of `bytes`; `size_bytes` then says where it ends. Call it once.
  /// @param names  the globals that the caller knows; others have the id 0
  /// @retval errc::truncated    the bytes end before STOP, or within an operand
  /// @retval errc::malformed    an operation without the values that it needs, or on others than it is for; a memo number that was
  ///                            not put, or is beyond the size of the bytes; text that is no number; an opcode that does not exist
  /// @retval errc::unsupported  an extension code or a buffer that is not in the pickle; or a newer protocol
  /// @retval errc::too_large    `bytes` are 4 GiB or more
  /// @retval errc::out_of_memory
  /// Errors have the offset of the opcode. Cost: one pass; memory of at most 96 times the size of the bytes, in practice 4 times.
  result<void> run(std::span<const std::byte> bytes, std::span<const pickle_name> names) noexcept {
    if (bytes.size() >= no_pickle_value) return error(errc::too_large, "pickle");
    bytes_ = bytes;
    names_ = names;
    in_ = byte_cursor(bytes);
    for (const pickle_kind kind : {pickle_kind::none, pickle_kind::boolean, pickle_kind::boolean, pickle_kind::tuple})
      (void)make(kind);
    if (values_.size() == 4) values_[true_ref].integer = 1;
    while (failure_ == errc{}) {
      const std::size_t at = bytes.size() - in_.left();
      const std::uint8_t opcode = in_.take_u8();
      if (in_.is_good() && opcode == '.') {
        root_ = pop();
        size_ = at + 1;
        if (failure_ == errc{}) return {};
      } else if (in_.is_good()) {
        step(opcode);
      }
      if (!in_.is_good() && failure_ != errc::out_of_memory) failure_ = errc::truncated;
      if (failure_ != errc{}) return error(failure_, "pickle", at);
    }
    return error(failure_, "pickle");
  }

private:
  // ---- operands as lines of text ----

  /// The rest of the line; its end is passed over.
  std::string_view take_line() noexcept {
    const std::string_view rest = text_at(in_.rest().data(), in_.left());
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) return in_.fail(), std::string_view();
    const std::string_view line = in_.take_text(end);
    in_.skip(1);
    return line;
  }
  std::uint64_t take_number_line() noexcept {
    const std::string_view line = take_line();
    std::uint64_t number = 0;
    if (line.empty() || line.size() > 10) return fail(errc::malformed), number;
    for (const char c : line) {
      if (c < '0' || c > '9') return fail(errc::malformed), number;
      number = number * 10 + static_cast<std::uint64_t>(c - '0');
    }
    return number;
  }
  /// A decimal integer, with a sign or without.
  void push_decimal(std::string_view line) noexcept {
    const bool is_negative = line.starts_with('-');
    std::size_t at = is_negative || line.starts_with('+') ? 1 : 0;
    if (at == line.size()) return fail(in_.is_good() ? errc::malformed : errc::truncated);
    std::uint64_t number = 0;
    bool fits = true;
    for (; at < line.size(); ++at) {
      if (line[at] < '0' || line[at] > '9') return fail(errc::malformed);
      const auto digit = static_cast<std::uint64_t>(line[at] - '0');
      fits = fits && number <= (~std::uint64_t{0} - digit) / 10;
      if (fits) number = number * 10 + digit;
    }
    constexpr std::uint64_t most = static_cast<std::uint64_t>((std::numeric_limits<std::int64_t>::max)());
    if (!fits || number > most + (is_negative ? 1u : 0u)) return push_view(pickle_kind::long_integer, line, true);
    push_integer(static_cast<std::int64_t>(is_negative ? ~number + 1 : number));
  }
  void push_real(double real) noexcept {
    pickle_value value;
    value.kind = pickle_kind::real;
    value.real = real;
    push(value);
  }
  void push_real_line() noexcept {
    std::string_view line = take_line();
    if (!in_.is_good()) return;
    if (line == "nan") return push_real(std::numeric_limits<double>::quiet_NaN());
    if (line == "inf") return push_real(std::numeric_limits<double>::infinity());
    if (line == "-inf") return push_real(-std::numeric_limits<double>::infinity());
    json_reader number(line);
    if (number.next() != json_token::number) return fail(errc::malformed);
    const json_number read = number.number();
    if (number.next() != json_token::end) return fail(errc::malformed);
    push_real(read.to_double());
  }
  /// A signed integer of some bytes, little-endian.
  void push_long(std::uint64_t size) noexcept {
    const std::string_view content = in_.take_text(size);
    if (!in_.is_good()) return;
    if (content.size() > 8) return push_view(pickle_kind::long_integer, content);
    std::uint64_t bits =
        !content.empty() && static_cast<unsigned char>(content.back()) >= 0x80u ? ~std::uint64_t{0} : 0;
    for (std::size_t i = content.size(); i-- > 0;) bits = bits << 8 | static_cast<unsigned char>(content[i]);
    push_integer(static_cast<std::int64_t>(bits));
  }

  // ---- text with escapes ----

  bool put_code(std::uint32_t code) noexcept {
    const auto put = [&](std::uint32_t byte) {
      return text_.push(static_cast<char>(static_cast<unsigned char>(byte)));
    };
    if (code < 0x80u) return put(code);
    if (code < 0x800u) return put(0xC0u | code >> 6) && put(0x80u | (code & 0x3Fu));
    if (code < 0x10000u)
      return put(0xE0u | code >> 12) && put(0x80u | (code >> 6 & 0x3Fu)) && put(0x80u | (code & 0x3Fu));
    return put(0xF0u | code >> 18) && put(0x80u | (code >> 12 & 0x3Fu)) && put(0x80u | (code >> 6 & 0x3Fu)) &&
           put(0x80u | (code & 0x3Fu));
  }
  /// The number of `count` hexadecimal digits; above every code if there are no such digits.
  static std::uint32_t hex(std::string_view text, std::size_t at, std::size_t count) noexcept {
    std::uint32_t number = 0;
    if (count > text.size() - at) return ~std::uint32_t{0};
    for (const char c : text.substr(at, count)) {
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) return ~std::uint32_t{0};
      number = number << 4 | static_cast<std::uint32_t>(digit);
    }
    return number;
  }
  /// Pushes text from a line: Latin-1 with \u and \U of protocol 0, or the literal of a string of Python 2.
  /// @param is_literal  the latter: other escapes count too, and bytes stay bytes
  void push_escaped(std::string_view line, bool is_literal) noexcept {
    const std::size_t begin = text_.size();
    bool is_good = true;
    for (std::size_t at = 0; at < line.size() && is_good;) {
      const char c = line[at++];
      if (c != '\\' || at == line.size()) {
        is_good = is_literal ? text_.push(c) : put_code(static_cast<unsigned char>(c));
        continue;
      }
      const char kind = line[at];
      const std::size_t digits = kind == 'u' && !is_literal   ? 4
                                 : kind == 'U' && !is_literal ? 8
                                 : kind == 'x' && is_literal  ? 2
                                                              : 0;
      if (digits != 0) {
        const std::uint32_t code = hex(line, at + 1, digits);
        if (code > 0x10FFFFu) return fail(errc::malformed);
        is_good = is_literal ? text_.push(static_cast<char>(static_cast<unsigned char>(code))) : put_code(code);
        at += digits + 1;
        continue;
      }
      constexpr std::string_view escapes = "\\'\"ntrabfv0", meanings = "\\'\"\n\t\r\a\b\f\v";
      const std::size_t found = is_literal ? escapes.find(kind) : std::string_view::npos;
      if (found >= meanings.size()) {
        if (is_literal && found != std::string_view::npos) return fail(errc::malformed); // octal: Python writes \x00
        is_good = text_.push(c);
        continue;
      }
      is_good = text_.push(meanings[found]);
      ++at;
    }
    if (!is_good) return fail(errc::out_of_memory);
    pickle_value value;
    value.kind = pickle_kind::text;
    value.is_other_form = true;
    value.count = static_cast<std::uint32_t>(text_.size() - begin);
    value.offset = begin;
    push(value);
  }
  void push_text_line(bool is_literal) noexcept {
    std::string_view line = take_line();
    if (!in_.is_good()) return;
    if (is_literal) {
      if (line.size() < 2 || (line[0] != '\'' && line[0] != '"') || line.back() != line[0])
        return fail(errc::malformed);
      line = line.substr(1, line.size() - 2);
    }
    for (const char c : line) {
      if (c == '\\' || (!is_literal && static_cast<unsigned char>(c) >= 0x80u)) return push_escaped(line, is_literal);
    }
    push_view(pickle_kind::text, line);
  }

  // ---- the opcodes ----

  void step(std::uint8_t opcode) noexcept {
    switch (opcode) {
    case '(':
      if (!marks_.push(static_cast<std::uint32_t>(stack_.size()))) fail(errc::out_of_memory);
      return;
    case '0': // drops a value, or else a mark
      if (stack_.size() == floor() && marks_.size() != 0) return (void)take_mark();
      return (void)pop();
    case '1':
      return stack_.shrink(take_mark());
    case '2':
      return push(top());
    case 'N':
      return push(none_ref);
    case 0x88:
      return push(true_ref);
    case 0x89:
      return push(false_ref);
    case 'K':
      return push_small(in_.take_u8());
    case 'M':
      return push_integer(in_.take_u16());
    case 'J':
      return push_integer(static_cast<std::int32_t>(in_.take_u32()));
    case 'I': {
      const std::string_view line = take_line();
      if (line == "00" || line == "01") return push(line == "01" ? true_ref : false_ref);
      return push_decimal(line);
    }
    case 'L': {
      std::string_view line = take_line();
      if (line.ends_with('L')) line.remove_suffix(1);
      return push_decimal(line);
    }
    case 0x8A:
      return push_long(in_.take_u8());
    case 0x8B:
      return push_long(in_.take_u32()); // a negative size is beyond the end
    case 'F':
      return push_real_line();
    case 'G': {
      std::uint64_t bits = 0;
      for (const std::byte each : in_.take_bytes(8)) bits = bits << 8 | static_cast<std::uint64_t>(each);
      return push_real(detail::bit_cast<double>(bits));
    }
    case 'X':
    case 'T':
      return push_view(pickle_kind::text, in_.take_text(in_.take_u32()));
    case 'U':
    case 0x8C:
      return push_view(pickle_kind::text, in_.take_text(in_.take_u8()));
    case 0x8D:
      return push_view(pickle_kind::text, in_.take_text(in_.take_u64()));
    case 'V':
    case 'S':
      return push_text_line(opcode == 'S');
    case 'B':
      return push_view(pickle_kind::bytes, in_.take_text(in_.take_u32()));
    case 'C':
      return push_view(pickle_kind::bytes, in_.take_text(in_.take_u8()));
    case 0x8E:
    case 0x96:
      return push_view(pickle_kind::bytes, in_.take_text(in_.take_u64()));
    case ')':
      return push(empty_tuple_ref);
    case 0x85:
    case 0x86:
    case 0x87:
      return push_tuple(opcode - 0x84u);
    case 't':
    case 0x91: {
      const std::size_t begin = take_mark();
      if (failure_ != errc{}) return;
      return push(make_row(opcode == 't' ? pickle_kind::tuple : pickle_kind::frozen_set, begin));
    }
    case ']':
      return push_container(pickle_kind::list);
    case '}':
      return push_container(pickle_kind::dict);
    case 0x8F:
      return push_container(pickle_kind::set);
    case 'l':
      return push_from_mark(pickle_kind::list);
    case 'd':
      return push_from_mark(pickle_kind::dict);
    case 'a':
      return has(2) ? add(stack_.size() - 1, pickle_kind::list) : void();
    case 's':
      return has(3) ? add(stack_.size() - 2, pickle_kind::dict) : void();
    case 'e':
      return add(take_mark(), pickle_kind::list);
    case 'u':
      return add(take_mark(), pickle_kind::dict);
    case 0x90:
      return add(take_mark(), pickle_kind::set);
    case 'c': {
      const pickle_ref module = make_view(pickle_kind::text, take_line());
      return push_global(module, make_view(pickle_kind::text, take_line()));
    }
    case 0x93: {
      const pickle_ref name = pop(), module = pop();
      return push_global(module, name);
    }
    case 'R':
    case 0x81: {
      const pickle_ref arguments = pop(), callee = pop();
      return push_object(callee, arguments);
    }
    case 0x92: {
      const pickle_ref keywords = pop(), arguments = pop(), callee = pop();
      return push_object(callee, arguments, keywords);
    }
    case 'i': {
      const pickle_ref module = make_view(pickle_kind::text, take_line());
      push_global(module, make_view(pickle_kind::text, take_line()));
      const pickle_ref callee = pop();
      const std::size_t begin = take_mark();
      if (failure_ != errc{}) return;
      return push_object(callee, make_row(pickle_kind::tuple, begin));
    }
    case 'o': {
      const std::size_t begin = take_mark();
      if (failure_ != errc{}) return;
      if (begin == stack_.size()) return fail(errc::malformed);
      const pickle_ref callee = stack_[begin];
      const pickle_ref arguments = make_row(pickle_kind::tuple, begin + 1);
      stack_.shrink(begin);
      return push_object(callee, arguments);
    }
    case 'b':
      return build();
    case 'P':
    case 'Q': {
      pickle_value value;
      value.kind = pickle_kind::persistent;
      const pickle_ref id = opcode == 'Q' ? pop() : make_view(pickle_kind::text, take_line());
      value.refs = {id, 0};
      return push(value);
    }
    case 'q':
      return put(in_.take_u8());
    case 'r':
      return put(in_.take_u32());
    case 'p':
      return put(take_number_line());
    case 0x94:
      return put(memo_count_);
    case 'h':
      return get(in_.take_u8());
    case 'j':
      return get(in_.take_u32());
    case 'g':
      return get(take_number_line());
    case 0x80:
      if (in_.take_u8() > 5) fail(errc::unsupported);
      return;
    case 0x95: // a frame only tells how much may be read at once
      if (in_.take_u64() > in_.left()) in_.fail();
      return;
    case 0x82: // extension codes, which stand for names of a registry
    case 0x83:
    case 0x84:
    case 0x97: // buffers outside of the pickle
    case 0x98:
      return fail(errc::unsupported);
    default:
      return fail(errc::malformed);
    }
  }
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
