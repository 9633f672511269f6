// SPDX-License-Identifier: MIT
// The output of the command: standard output in large pieces, one line on standard error.
#ifndef STET_COMMAND_CONSOLE_HPP
#define STET_COMMAND_CONSOLE_HPP

#include <stet/vocabulary/error.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace command {

/// The exit status of the program.
enum class status : int {
  done = 0,
  /// The file, or the answer, is bad; a line on standard error says why.
  bad = 1,
  wrong_use = 2,
};

/// Colours of the terminal (ECMA-48, 8.3.117); none where the output is not one, or does not want them.
enum class colour : std::uint8_t { plain, faint, red, green, cyan };

/// Standard output and standard error. After the reader of standard output closed it, text is dropped.
class console {
public:
  console();
  console(const console&) = delete;
  console& operator=(const console&) = delete;

  /// Writes text, or a tensor's bytes, to standard output.
  console& write(std::string_view text);
  console& write(std::span<const std::byte> bytes);
  /// Writes text between the codes that turn the colour on and off.
  console& write(colour in, std::string_view text);
  /// Writes text that came from a file, control characters escaped.
  console& write_escaped(std::string_view text);

  /// False after the reader of standard output closed it: the command can end.
  [[nodiscard]] bool is_open() const noexcept { return write_error_ == 0; }

  /// Writes an error of the file at `path` to standard error: "stet: PATH: SUBJECT: sentence (at byte N)".
  status fail(std::string_view path, const stet::error& what);
  /// Writes a sentence about the file at `path` to standard error.
  status fail(std::string_view path, std::string_view what);
  /// Writes a mistake of the command line to standard error.
  status misuse(std::string_view what);

  /// Writes what is left. `outcome`, unless standard output could not be written: a closed pipe is no
  /// failure, a full disk is.
  status finish(status outcome);

private:
  void flush();
  void put(const void* bytes, std::size_t size_bytes);
  void say(std::string_view line);

  std::string buffer_;
  int write_error_ = 0;
  bool has_colours_ = false;
};

/// The text with control characters, and those of text direction, escaped.
std::string escaped(std::string_view text);

/// A size as a person reads it: "40 B", "30.6 KiB".
std::string human_size(std::uint64_t size_bytes);

/// A count with its digits in groups of three: "1,204".
std::string grouped(std::uint64_t count);

/// A count and what is counted: "1,204 tensors", "1 tensor".
std::string counted(std::uint64_t count, std::string_view noun);

/// `text` filled up with spaces to `width` characters: in front, or behind.
std::string right_aligned(std::string_view text, std::size_t width);
std::string left_aligned(std::string_view text, std::size_t width);

} // namespace command

#endif
