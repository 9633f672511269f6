// SPDX-License-Identifier: MIT
// Standard output and standard error, and how numbers look there.
#include "console.hpp"

#include <cerrno>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <system_error>
#include <utility>

#if defined(_WIN32)
#include <fcntl.h>
#include <io.h>
#else
#include <unistd.h>
#endif

namespace command {

namespace {

constexpr std::size_t buffer_size = 64 * 1024;

std::string_view variable(const char* name) noexcept {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

bool is_colour_wanted() noexcept {
#if defined(_WIN32)
  return false;
#else
  // https://no-color.org: set and not empty.
  return isatty(STDOUT_FILENO) != 0 && variable("NO_COLOR").empty() && variable("TERM") != "dumb";
#endif
}

/// Escapes U+202A to U+202E and U+2066 to U+2069, which turn the text around them to another direction.
std::string without_directions(std::string text) {
  for (std::size_t at = text.find('\xE2'); at != std::string::npos; at = text.find('\xE2', at + 1)) {
    if (text.size() - at < 3) break;
    const unsigned second = static_cast<unsigned char>(text[at + 1]), third = static_cast<unsigned char>(text[at + 2]);
    const unsigned point = 0x2000u | (second & 0x3Fu) << 6 | (third & 0x3Fu);
    if (!(point >= 0x202Au && point <= 0x202Eu) && !(point >= 0x2066u && point <= 0x2069u)) continue;
    char escape[8];
    std::snprintf(escape, sizeof escape, "\\u%04x", point);
    text.replace(at, 3, escape);
  }
  return text;
}

} // namespace

console::console() : has_colours_(is_colour_wanted()) {
#if defined(_WIN32)
  _setmode(_fileno(stdout), _O_BINARY);
#endif
#if defined(SIGPIPE)
  std::signal(SIGPIPE, SIG_IGN); // writing fails instead, and that is noticed
#endif
#if defined(SIGXFSZ)
  std::signal(SIGXFSZ, SIG_IGN); // likewise beyond the limit of file sizes
#endif
  std::setvbuf(stdout, nullptr, _IONBF, 0);
  buffer_.reserve(buffer_size);
}

console& console::write(std::string_view text) {
  if (buffer_.size() + text.size() > buffer_size) flush();
  if (text.size() > buffer_size) {
    put(text.data(), text.size());
  } else {
    buffer_.append(text);
  }
  return *this;
}

console& console::write(std::span<const std::byte> bytes) {
  return write(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

console& console::write(colour in, std::string_view text) {
  constexpr std::string_view codes[] = {"", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[36m"};
  if (!has_colours_ || in == colour::plain) return write(text);
  return write(codes[static_cast<std::size_t>(in)]).write(text).write("\x1b[0m");
}

console& console::write_escaped(std::string_view text) { return write(escaped(text)); }

status console::fail(std::string_view path, const stet::error& what) {
  // The subject of an error about the file itself is its path, cut if it is long.
  const bool is_about_path = what.about(path).subject() == what.subject();
  const stet::error named = is_about_path ? what.about({}) : what;
  char text[512];
  return fail(path, named.print(text, sizeof text));
}

status console::fail(std::string_view path, std::string_view what) {
  say(escaped(path).append(": ").append(what));
  return status::bad;
}

status console::misuse(std::string_view what) {
  say(escaped(what).append(" (see stet --help)"));
  return status::wrong_use;
}

status console::finish(status outcome) {
  flush();
  if (write_error_ == 0 || write_error_ == EPIPE) return outcome;
  say(std::string("standard output: ").append(std::generic_category().message(write_error_)));
  return status::bad;
}

void console::flush() {
  put(buffer_.data(), buffer_.size());
  buffer_.clear();
}

void console::put(const void* bytes, std::size_t size_bytes) {
  if (write_error_ != 0 || size_bytes == 0) return;
  errno = 0;
  if (std::fwrite(bytes, 1, size_bytes, stdout) != size_bytes) write_error_ = errno != 0 ? errno : EIO;
}

void console::say(std::string_view line) {
  flush(); // so that the line comes after what was written before it
  const std::string text = without_directions(std::string("stet: ").append(line).append("\n"));
  std::fwrite(text.data(), 1, text.size(), stderr);
}

std::string escaped(std::string_view text) {
  std::string out(text.size() * 4, '\0'); // each byte as \xNN at most
  out.resize(stet::text_writer(out.data(), out.size()).append_escaped(text).text().size());
  return without_directions(std::move(out));
}

std::string human_size(std::uint64_t size_bytes) {
  constexpr const char* units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  char text[32];
  if (size_bytes < 1024) {
    std::snprintf(text, sizeof text, "%" PRIu64 " B", size_bytes);
    return text;
  }
  double value = static_cast<double>(size_bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 1023.95; value /= 1024) ++unit; // what would be printed as 1024.0
  std::snprintf(text, sizeof text, "%.1f %s", value, units[unit]);
  return text;
}

std::string grouped(std::uint64_t count) {
  const std::string digits = std::to_string(count);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i != 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string counted(std::uint64_t count, std::string_view noun) {
  return grouped(count).append(" ").append(noun).append(count == 1 ? "" : "s");
}

std::string right_aligned(std::string_view text, std::size_t width) {
  return std::string(text.size() < width ? width - text.size() : 0, ' ').append(text);
}

std::string left_aligned(std::string_view text, std::size_t width) {
  return std::string(text).append(text.size() < width ? width - text.size() : 0, ' ');
}

} // namespace command
