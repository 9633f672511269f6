// SPDX-License-Identifier: MIT
// Says what a file is, why it does not open as a model, and what to do; repairs what can be repaired without a guess.
#ifndef STET_FORMATS_DOCTOR_HPP
#define STET_FORMATS_DOCTOR_HPP

#include "any.hpp"
#include "diagnosis.hpp"
#include "common/known_content.hpp"
#include "safetensors/open.hpp"
#include "safetensors/detail/index_text.hpp"

#include "../index/format.hpp"
#include "../json.hpp"
#include "../source/detail/path.hpp"
#include "../source/file_operations.hpp"
#include "../source/file_system.hpp"
#include "../writer/atomic_file.hpp"
#include "../writer/detail/list_folder.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// A file as it is after a repair: cut, or with NUL bytes of a range as spaces.
class repaired_bytes final : public byte_reader {
public:
  repaired_bytes(std::span<const std::byte> from, std::uint64_t blank_begin, std::uint64_t blank_end) noexcept
      : from_(from), blank_begin_(blank_begin), blank_end_(blank_end) {}
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return from_.size(); }
  /// True if all bytes are as they were.
  [[nodiscard]] bool is_cut_alone() const noexcept { return blank_begin_ == blank_end_; }
  /// The bytes as they were.
  [[nodiscard]] std::span<const std::byte> all() const noexcept { return from_; }
  [[nodiscard]] result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    if (!range_fits(offset_bytes, into.size(), from_.size())) return error(errc::bad_range, {}, offset_bytes);
    if (into.empty()) return {};
    std::memcpy(into.data(), from_.data() + static_cast<std::size_t>(offset_bytes), into.size());
    const std::uint64_t begin = (std::max)(blank_begin_, offset_bytes);
    const std::uint64_t end = (std::min)(blank_end_, offset_bytes + into.size());
    if (begin < end)
      std::memset(into.data() + static_cast<std::size_t>(begin - offset_bytes), ' ',
                  static_cast<std::size_t>(end - begin));
    return {};
  }

private:
  std::span<const std::byte> from_;
  std::uint64_t blank_begin_, blank_end_;
};

/// The frame of a safetensors file: where its header ends, without NUL bytes at the end, and with; and where its data ends.
struct safetensors_frame {
  std::uint64_t text_end = 0, header_end = 0, data_end = 0;
};
/// Nothing if the bytes do not begin as such a file.
inline std::optional<safetensors_frame> frame_of_safetensors(std::span<const std::byte> bytes) {
  constexpr std::size_t prefix = safetensors_length_size_bytes;
  if (bytes.size() < prefix + 2 || bytes[prefix] != std::byte{'{'}) return std::nullopt;
  const auto length = load_little<std::uint64_t>(bytes.data());
  if (length > bytes.size() - prefix || length > max_safetensors_header_size_bytes) return std::nullopt;
  safetensors_frame made;
  made.header_end = made.text_end = made.data_end = prefix + length;
  while (bytes[static_cast<std::size_t>(made.text_end) - 1] == std::byte{0}) --made.text_end;
  const std::span<const std::byte> text = bytes.subspan(prefix, static_cast<std::size_t>(made.text_end) - prefix);
  const result<json_value> header = parse_json({reinterpret_cast<const char*>(text.data()), text.size()});
  if (!header || !header->is_object()) return std::nullopt;
  for (const json_value& each : *header) {
    const auto offsets = each.is_object() ? each.find("data_offsets") : each.end();
    if (!each.is_object() || offsets == each.end() || !offsets->is_array() || offsets->size() != 2) continue;
    const auto* const end = (*offsets)[1].get_ptr<const json_value::number_unsigned_t*>();
    std::uint64_t data_end = 0;
    if (end == nullptr || !checked_add(made.header_end, *end, data_end)) return std::nullopt;
    made.data_end = (std::max)(made.data_end, data_end);
  }
  return made;
}

/// The program's files, one of which is as after a repair.
class files_with_repair final : public file_system {
public:
  files_with_repair(std::string_view path, const repaired_bytes& repaired, const open_options& options) noexcept
      : path_(path), repaired_(repaired), options_(options) {}

  [[nodiscard]] result<source> open_file(std::string_view path_utf8) const noexcept override {
    if (path_utf8 != path_) return open_source(path_utf8, options_);
    return repaired_.is_cut_alone() ? source::borrow(repaired_.all()) : source::stream(repaired_);
  }
  [[nodiscard]] result<void> list_folder(std::string_view path_utf8,
                                         bool (*visit)(void* visitor, std::string_view name) noexcept,
                                         void* visitor) const noexcept override {
    if (options_.files == nullptr) return errc::unsupported;
    return options_.files->list_folder(path_utf8, visit, visitor);
  }

private:
  std::string_view path_;
  const repaired_bytes& repaired_;
  const open_options& options_;
};

/// A file that does not open: its path, how it was opened, and its bytes.
struct examined_file {
  std::string_view path;
  const open_options& options;
  std::span<const std::byte> bytes;

  /// Whether the file opens after a repair.
  [[nodiscard]] bool opens_as(const repaired_bytes& repaired) const {
    open_options how = options;
    const files_with_repair files(path, repaired, options);
    how.files = &files;
    return bool(open_any(path, how));
  }
};

/// Compares the size of a file with the end that it states, and tells what is more or missing.
/// @param kind  of the file, for people
inline void examine_size(const examined_file& of, std::string_view kind, std::uint64_t end, diagnosis& into) {
  const std::uint64_t size = of.bytes.size();
  if (end == size) return;
  into.says_more = true;
  if (end > size) {
    into.what = std::string(kind) + " that is cut off: " + std::to_string(end - size) + " of " + std::to_string(end) +
                " bytes are missing";
    into.advice = "copy or download it again";
    return;
  }
  const std::uint64_t extra = size - end;
  const bool is_nul = is_zero(of.bytes.subspan(static_cast<std::size_t>(end)));
  into.what = std::string(kind) + " with " + std::to_string(extra) + (is_nul ? " NUL" : "") +
              (extra == 1 ? " byte" : " bytes") + " after its end";
  into.advice = "look what they are";
  if (!of.opens_as({of.bytes.first(static_cast<std::size_t>(end)), 0, 0})) return;
  into.repair = diagnosis::repair_kind::cut;
  into.kept_bytes = end;
  into.advice = "`stet doctor --repair` leaves them out";
}

/// What is wrong with a file that begins as a safetensors file does.
inline void examine_safetensors(const examined_file& of, diagnosis& into) {
  const std::optional<safetensors_frame> frame = frame_of_safetensors(of.bytes);
  if (!frame) return;
  if (frame->text_end == frame->header_end) return examine_size(of, "a safetensors file", frame->data_end, into);
  into.what = "a safetensors file whose header is padded with NUL bytes, where the format has spaces";
  into.says_more = true;
  into.advice = "its writer has to be mended";
  if (!of.opens_as({of.bytes, frame->text_end, frame->header_end})) return;
  into.repair = diagnosis::repair_kind::blank;
  into.advice = "`stet doctor --repair` makes spaces of them";
}

/// The bytes that follow a native file. One that is cut off has an error that says so.
inline void examine_native(const examined_file& of, diagnosis& into) {
  if (of.bytes.size() < header_field::file_size.end()) return;
  // The header has a checksum: what opens without the rest had this size.
  const std::uint64_t end = header_field::file_size.load(of.bytes.data());
  if (end < of.bytes.size()) examine_size(of, "a native file", end, into);
}

/// What is wrong with the end of a zip archive: the last record of an end tells.
inline void examine_zip(const examined_file& of, diagnosis& into) {
  constexpr std::string_view mark("PK\5\6", 4);
  constexpr std::size_t record_size = 22, directory_size_at = 12, directory_at = 16, comment_size_at = 20;
  const std::string_view all = text_at(of.bytes.data(), of.bytes.size());
  const std::size_t at = all.rfind(mark);
  if (at == all.npos) {
    into.says_more = true;
    into.what = "a zip archive that is cut off: the directory at its end is missing";
    into.advice = "copy or download it again";
    return;
  }
  if (all.size() - at < record_size) return;
  const std::byte* const record = of.bytes.data() + at;
  const std::uint64_t end = at + record_size + load_little<std::uint16_t>(record + comment_size_at);
  const std::uint64_t directory_end = std::uint64_t{load_little<std::uint32_t>(record + directory_size_at)} +
                                      load_little<std::uint32_t>(record + directory_at);
  // The directory of an archive of more than 4 GiB is elsewhere. One that is not in front of the record tells of several archives.
  const bool is_record = directory_end == at || directory_end > 0xFFFFFFFEu;
  if (is_record && end < all.size()) examine_size(of, "a zip archive", end, into);
}

/// Whether a further GGUF file begins within one.
inline void examine_gguf(std::span<const std::byte> bytes, diagnosis& into) {
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  constexpr std::string_view magic = "GGUF";
  constexpr std::size_t header_size = 24;
  for (std::size_t at = all.find(magic, header_size); at != all.npos; at = all.find(magic, at + 1)) {
    if (all.size() - at < header_size) break;
    // The version, and two counts of less than 2^32: not four letters in a text.
    const std::string_view next = all.substr(at, header_size);
    const bool is_header = next[4] >= 1 && next[4] <= 3 && next.substr(5, 3) == std::string_view("\0\0\0", 3) &&
                           next.substr(12, 4) == std::string_view("\0\0\0\0", 4) &&
                           next.substr(20, 4) == std::string_view("\0\0\0\0", 4);
    if (!is_header) continue;
    into.what = "several GGUF files one after the other, the second from byte " + std::to_string(at) + " on";
    into.says_more = true;
    into.advice = "the parts of a split model must stay files of their own; download them again";
    return;
  }
}

/// Whether the files that an index of shards names are there.
inline void examine_index(std::string_view path, std::span<const std::byte> bytes, diagnosis& into) {
  safetensors_weight_map map(nullptr);
  if (!map.read(text_at(bytes.data(), bytes.size()))) return;
  std::vector<std::string> missing;
  bool is_any_there = false;
  for (std::uint32_t number = 0; number < map.index().part_count(); ++number) {
    std::string name(map.index().part(number).path);
    if (is_file(std::string(folder_in(path)) + name, {})) {
      is_any_there = true;
    } else {
      missing.push_back(std::move(name));
    }
  }
  if (missing.empty()) return;
  into.says_more = true;
  into.what = is_any_there ? "an index of shards of which " + std::to_string(missing.size()) + " are missing, first " +
                                 missing[0]
                           : "an index that is stale: none of the files that it names is there, such as " + missing[0];
  into.advice = is_any_there ? "copy or download the files that are missing"
                             : "copy the index again, or `stet doctor --repair` makes one of the files that are there";
  if (!is_any_there) into.repair = diagnosis::repair_kind::reindex;
}

/// Whether a folder has checkpoints of TensorFlow and no state file.
inline void examine_folder(std::string_view path, diagnosis& into) {
  const std::string folder = std::string(path).append(separator_after(path));
  const auto names = list_folder(system_file_operations(), folder);
  if (!names) return;
  std::string newest;
  for (const std::string& name : *names) {
    if (name == "checkpoint") return;
    constexpr std::string_view ending = ".index";
    if (!name.ends_with(ending)) continue;
    const std::string prefix = name.substr(0, name.size() - ending.size());
    if (prefix.size() > newest.size() || (prefix.size() == newest.size() && prefix > newest)) newest = prefix;
  }
  if (newest.empty()) return;
  into.says_more = true;
  into.what = "a folder with checkpoints of TensorFlow, but without its state file `checkpoint`, which says which is "
              "the newest";
  into.advice = "give one of them: " + folder + newest;
}

/// Writes all that a reader gives to a file, durably. It gets its name when it is complete.
inline result<void> write_whole_file(std::string_view path, const byte_reader& from) {
  return save_file(nullptr, path, from.size_bytes(), true, [&from](byte_writer& to) -> result<void> {
    std::vector<std::byte> piece(256 * 1024);
    for (std::uint64_t done = 0; done < from.size_bytes();) {
      const std::uint64_t left = from.size_bytes() - done;
      const std::span<std::byte> some =
          std::span(piece).first(static_cast<std::size_t>((std::min)(left, std::uint64_t{piece.size()})));
      if (auto read = from.read(done, some); !read) return read;
      if (auto written = to.write_at(done, some); !written) return written;
      done += some.size();
    }
    return {};
  });
}

/// The text of an index of the safetensors files in a folder.
/// @retval errc::duplicate_name  two of them have a tensor of this name
/// or an error of opening one, the subject
inline result<std::string> index_of_shards(std::string_view folder) {
  auto names = list_folder(system_file_operations(), folder,
                           [](std::string_view name) { return name.ends_with(".safetensors"); });
  if (!names) return names.error();
  std::sort(names->begin(), names->end());
  std::map<std::string, std::string_view> map;
  std::uint64_t total = 0;
  for (const std::string& name : *names) {
    const result<store> shard = open_safetensors(std::string(folder) + name);
    if (!shard) return shard.error().about(name);
    for (const tensor each : *shard) {
      if (!map.emplace(each.name(), name).second) return error(errc::duplicate_name, each.name());
      total += each.size_bytes();
    }
  }
  return safetensors_index_text({map.begin(), map.end()}, total);
}

} // namespace detail

/// Opens what is at `path_utf8` as `open_any` does, and where that fails looks for the reason. Never an error: what cannot be told
/// is in `diagnosis::problem`.
/// Cost: that of `open_any`; where it fails, reads the header once more, of GGUF the whole file, and opens what a repair would
/// make.
[[nodiscard]] inline diagnosis diagnose(std::string_view path_utf8, const open_options& options = {}) {
  diagnosis made;
  {
    const result<model> opened = open_any(path_utf8, options);
    if (opened) {
      made.what = opened->format == nullptr ? "a model" : std::string(opened->format->about);
      return made;
    }
    made.problem = opened.error();
  }
  made.what = std::string_view(to_text(*made.problem));
  made.advice =
      *made.problem == errc::truncated ? "copy or download it again" : "its writer, or a copy of it, is at fault";
  format_probe probe(path_utf8, options);
  if (probe.is_folder()) {
    detail::examine_folder(path_utf8, made);
    return made;
  }
  if (probe.failure()) {
    made.advice = "look at the path and its permissions";
    return made;
  }
  if (*made.problem == errc::unknown_format) {
    made.advice = "known are " + names_of_known_formats();
    if (const detail::known_content* const found = detail::find_known_content(probe)) {
      made.says_more = true;
      made.what = found->what;
      made.advice = found->advice;
      return made;
    }
  }
  if (*made.problem == errc::missing_part && !detail::is_zip(probe.start()))
    made.advice = "copy or download the file that is missing, to where the model names it";
  const auto bytes = probe.bytes();
  if (!bytes) return made;
  const detail::examined_file of{path_utf8, options, *bytes};
  if (probe.starts_with("GGUF")) {
    detail::examine_gguf(*bytes, made);
  } else if (has_native_magic(probe.start())) {
    detail::examine_native(of, made);
  } else if (detail::is_zip(probe.start())) {
    detail::examine_zip(of, made);
  } else if (probe.starts_like_json()) {
    detail::examine_index(path_utf8, *bytes, made);
  } else {
    detail::examine_safetensors(of, made);
  }
  return made;
}

/// Writes the repaired file to `to_utf8`. The file itself stays as it is, unless both paths are the same.
/// @param found  what `diagnose` found of `path_utf8`, which has not changed since
/// @retval errc::unsupported     there is no repair
/// @retval errc::bad_path        a new index is not in the folder of the shards
/// @retval errc::duplicate_name  a new index would name a tensor, the subject, twice
/// or an error of the operating system
inline result<void> repair(const diagnosis& found, std::string_view path_utf8, std::string_view to_utf8) {
  using enum diagnosis::repair_kind;
  if (found.repair == none) return error(errc::unsupported, path_utf8);
  if (found.repair == reindex) {
    const std::string_view folder = detail::folder_in(path_utf8);
    if (folder != detail::folder_in(to_utf8)) return error(errc::bad_path, to_utf8);
    const result<std::string> text = detail::index_of_shards(folder);
    if (!text) return text.error();
    const std::span<const char> all(text->data(), text->size());
    return detail::write_whole_file(to_utf8, detail::repaired_bytes(std::as_bytes(all), 0, 0));
  }
  format_probe probe(path_utf8);
  const auto bytes = probe.bytes();
  if (!bytes) return bytes.error();
  if (found.repair == cut) {
    if (found.kept_bytes > bytes->size()) return error(errc::unsupported, path_utf8);
    const auto kept = bytes->first(static_cast<std::size_t>(found.kept_bytes));
    return detail::write_whole_file(to_utf8, detail::repaired_bytes(kept, 0, 0));
  }
  const auto frame = detail::frame_of_safetensors(*bytes);
  if (!frame) return error(errc::unsupported, path_utf8);
  return detail::write_whole_file(to_utf8, detail::repaired_bytes(*bytes, frame->text_end, frame->header_end));
}

} // namespace stet::inline STET_NAMESPACE

#endif
