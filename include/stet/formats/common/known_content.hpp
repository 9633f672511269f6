// SPDX-License-Identifier: MIT
// Files that are no models, and are often found where a model should be.
#ifndef STET_FORMATS_COMMON_KNOWN_CONTENT_HPP
#define STET_FORMATS_COMMON_KNOWN_CONTENT_HPP

#include "../format.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// A kind of content that is no model.
struct known_content {
  /// What it is: "an HTML page".
  std::string_view what;
  /// What to do.
  std::string_view advice;
  bool (*recognises)(const format_probe& probe);
};

/// True if the file begins with `text`, in capital or small letters, after spaces and a byte order mark.
inline bool starts_like(const format_probe& probe, std::string_view text) noexcept {
  std::string_view start(reinterpret_cast<const char*>(probe.start().data()), probe.start().size());
  if (start.starts_with("\xEF\xBB\xBF")) start.remove_prefix(3);
  start.remove_prefix((std::min)(start.find_first_not_of(" \t\r\n"), start.size()));
  if (start.size() < text.size()) return false;
  return std::equal(text.begin(), text.end(), start.begin(), [](char wanted, char found) {
    return wanted == (found >= 'A' && found <= 'Z' ? static_cast<char>(found - 'A' + 'a') : found);
  });
}
inline bool is_zero(std::span<const std::byte> bytes) noexcept {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte each) { return each == std::byte{0}; });
}

/// What is told by the first and last bytes; a model is none of it.
/// Sources: github.com/git-lfs/git-lfs, docs/spec.md; Python's pickletools, opcodes PROTO and STOP; RFC 1952; POSIX, pax.
inline constexpr known_content known_contents[] = {
    {"an empty file", "copy or download it again", [](const format_probe& probe) { return probe.size_bytes() == 0; }},
    {"a git-LFS pointer, not the file itself, which git lfs pull fetches", "call that in its repository",
     [](const format_probe& probe) { return probe.starts_with("version https://git-lfs.github.com/spec/"); }},
    {"an HTML page", "a server sent it instead of the file; download the file itself",
     [](const format_probe& probe) { return starts_like(probe, "<!doctype html") || starts_like(probe, "<html"); }},
    {"an XML page", "a server sent it instead of the file, as a rule for an error; it says which",
     [](const format_probe& probe) { return starts_like(probe, "<?xml"); }},
    {"nothing but NUL bytes", "it was never written, or a download was cut off; copy or download it again",
     [](const format_probe& probe) { return is_zero(probe.start()) && is_zero(probe.end()); }},
    {"a Python pickle", "it is not of torch.save; load it in Python and save it as safetensors",
     [](const format_probe& probe) {
       return probe.size_bytes() > 3 && probe.start()[0] == std::byte{0x80} && probe.start()[1] >= std::byte{2} &&
              probe.start()[1] <= std::byte{5} && probe.end().back() == std::byte{'.'};
     }},
    {"an ONNX model as text (protobuf's text format)",
     "parse it with onnx.parser or google.protobuf.text_format, and save it with onnx.save",
     [](const format_probe& probe) { return starts_like(probe, "ir_version:"); }},
    {"a zip archive", "without a model that is known: no data.pkl, config.json or arrays in its directory; unpack it",
     [](const format_probe& probe) { return probe.starts_with("PK\x03\x04") || probe.starts_with("PK\x05\x06"); }},
    {"a file compressed by gzip", "unpack it", [](const format_probe& probe) { return probe.starts_with("\x1F\x8B"); }},
    {"a tar archive", "unpack it",
     [](const format_probe& probe) {
       constexpr std::string_view magic = "ustar";
       const std::string_view start(reinterpret_cast<const char*>(probe.start().data()), probe.start().size());
       return start.size() > 262 && start.substr(257, magic.size()) == magic;
     }},
};

/// What the file of the probe is, where it is known and no model; nullptr: anything else, or no file.
inline const known_content* find_known_content(const format_probe& probe) noexcept {
  if (probe.failure()) return nullptr;
  for (const known_content& each : known_contents) {
    if (each.recognises(probe)) return &each;
  }
  return nullptr;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
