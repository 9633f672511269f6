// SPDX-License-Identifier: MIT
// Puts new values into the tensors of an ONNX model; every other byte of it stays the same.
#ifndef STET_FORMATS_ONNX_REPLACE_HPP
#define STET_FORMATS_ONNX_REPLACE_HPP

#include "detail/edits.hpp"
#include "open.hpp"

#include "../common/memory_sink.hpp"
#include "../common/model_folder.hpp"
#include "../save_any_options.hpp"

#include "../../bytes/crc32c.hpp"
#include "../../bytes/sha1.hpp"
#include "../../source/file.hpp"
#include "../../source/file_operations.hpp"
#include "../../writer/atomic_file.hpp"
#include "../../writer/detail/parts.hpp"
#include "../../writer/detail/stream_output.hpp"
#include "../../writer/tensors.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// New values of a tensor of an ONNX model.
struct onnx_values {
  /// The name of the tensor in the store.
  std::string name;
  /// Writes all bytes of the tensor as a store has them: row-major, little-endian, packed. Called once; where two tensors of the model
  /// are the same bytes of a file, for one of them.
  piece_source write;
};

/// How to write the new model.
struct onnx_replace_options {
  /// How to open the files of the model.
  open_options files = {};
  /// Wait until the files and their names are on the disk.
  bool is_durable = true;
  /// The system calls to save with; nullptr: the operating system's.
  const file_operations* operations = nullptr;
};

namespace detail {

/// Replaces values. Used once.
class onnx_replacement {
public:
  onnx_replacement(std::string_view model_path, std::span<const onnx_values> values, std::string_view out_path,
                   const onnx_replace_options& options)
      : model_path_(model_path), out_path_(out_path), values_(values), options_(options),
        operations_(options.operations == nullptr ? system_file_operations() : *options.operations),
        beside_(model_path, read_options()) {}

  result<saved_files> run() {
    if (file_name_in(out_path_).empty()) return error(errc::bad_path, out_path_);
    result<source> file = open_source(model_path_, read_options());
    if (!file) return file.error();
    onnx_input in(*file);
    const onnx_kind kind = kind_of_onnx(in);
    if (kind == onnx_kind::none) return error(errc::unknown_format, model_path_);
    result<onnx_tensors> found = find_onnx_tensors(in, kind);
    if (!found) return found.error();
    if (auto planned = plan(in, *found); !planned) return planned.error();
    if (auto written = write_other_files(in, *found); !written) return written.error();
    if (in.failure()) return *in.failure();
    add_size_edits(found->messages, edits_);
    if (auto written = write_model(*file); !written) return written.error();
    return saved_;
  }

private:
  /// Another file with values: its edits, and its tensors.
  struct other_file {
    std::vector<onnx_edit> edits;
    std::vector<const onnx_tensor*> tensors;
    bool has_checksum = false;
  };

  [[nodiscard]] open_options read_options() const noexcept {
    open_options made = options_.files;
    made.access = access::read_only;
    made.range = {};
    return made;
  }

  /// Finds the tensors of the values, and makes the edits of the model's file and of others.
  result<void> plan(onnx_input& in, const onnx_tensors& found) {
    std::map<std::string_view, const onnx_tensor*> by_name;
    for (const onnx_tensor& each : found.tensors) {
      if (!by_name.emplace(each.name, &each).second) return error(errc::duplicate_name, each.name);
      if (each.place != onnx_place::other_file) continue;
      other_file& other = others_[each.location];
      other.tensors.push_back(&each);
      other.has_checksum = other.has_checksum || each.checksum;
    }
    std::map<std::string_view, bool> is_taken;
    for (const onnx_values& each : values_) {
      const auto tensor = by_name.find(each.name);
      if (tensor == by_name.end()) return error(errc::not_found, each.name);
      if (!is_taken.emplace(each.name, true).second) return error(errc::duplicate_name, each.name);
      const onnx_tensor& to = *tensor->second;
      if (to.layout.dtype == dtype::string) return error_about(errc::unsupported, to.name, "strings");
      if (to.size_bytes == 0) continue;
      if (to.place == onnx_place::other_file) {
        others_[to.location].edits.push_back({{to.offset_bytes, to.offset_bytes + to.size_bytes}, {}, &each.write});
      } else if (to.place == onnx_place::file) {
        edits_.push_back({to.values, {}, &each.write, to.message_number});
      } else if (auto encoded = replace_list(in, to, each); !encoded) {
        return encoded;
      }
    }
    for (auto& [path, other] : others_) {
      if (auto checked = check_shared(other); !checked) return checked;
    }
    return {};
  }

  /// Replaces the fields of a list by those with new values, at the place of the first one.
  result<void> replace_list(onnx_input& in, const onnx_tensor& to, const onnx_values& values) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(to.size_bytes));
    memory_sink into(bytes);
    result<void> written = values.write(into);
    if (written && !into.is_full()) written = errc::source_too_short;
    if (!written) return written.error().subject().empty() ? written.error().about(to.name) : written.error();
    bool is_first = true;
    onnx_fields fields(in, to.message);
    while (fields.next()) {
      if (fields.number() != static_cast<std::uint32_t>(to.list)) continue;
      onnx_edit edit;
      edit.range = {fields.offset_bytes(), fields.rest().begin};
      edit.message = to.message_number;
      if (is_first) edit.bytes = encode_onnx_list(to, bytes, fields.type() == protobuf_type::bytes);
      is_first = false;
      edits_.push_back(std::move(edit));
    }
    return in.outcome();
  }

  /// Sorts the edits of a file. Of tensors that are the same bytes, one edit stays.
  /// @retval errc::overlap  other tensors, one of them the subject, would change with one that is replaced
  static result<void> check_shared(other_file& other) {
    const auto is_before = [](const onnx_edit& a, const onnx_edit& b) {
      return a.range.begin != b.range.begin ? a.range.begin < b.range.begin : a.range.end < b.range.end;
    };
    std::sort(other.edits.begin(), other.edits.end(), is_before);
    std::size_t edit_count = other.edits.size();
    const auto is_same = [](const onnx_edit& a, const onnx_edit& b) {
      return a.range.begin == b.range.begin && a.range.end == b.range.end;
    };
    // How many tensors of a range are replaced: all of them, or others would change.
    std::map<std::pair<std::uint64_t, std::uint64_t>, std::size_t> replaced;
    for (const onnx_edit& each : other.edits) ++replaced[{each.range.begin, each.range.end}];
    other.edits.erase(std::unique(other.edits.begin(), other.edits.end(), is_same), other.edits.end());
    if (edit_count == 0) return {};
    for (const onnx_tensor* const each : other.tensors) {
      const onnx_range own{each->offset_bytes, each->offset_bytes + each->size_bytes};
      if (own.size_bytes() == 0) continue;
      const auto after =
          std::upper_bound(other.edits.begin(), other.edits.end(), own.end - 1,
                           [](std::uint64_t at, const onnx_edit& edit) { return at < edit.range.begin; });
      if (after == other.edits.begin()) continue;
      const onnx_edit& last = *(after - 1);
      if (last.range.end <= own.begin) continue;
      auto& left = replaced[{own.begin, own.end}];
      if (last.range.begin != own.begin || last.range.end != own.end || left == 0)
        return error(errc::overlap, each->name);
      --left;
    }
    return {};
  }

  /// Writes the other files that change, or all of them if the new model is in another folder, and names them in the model.
  result<void> write_other_files(onnx_input& in, onnx_tensors& found) {
    const bool is_same_folder = folder_in(model_path_) == folder_in(out_path_);
    std::size_t count = 0;
    for (const auto& [path, other] : others_) count += !is_same_folder || !other.edits.empty() ? 1u : 0u;
    for (const auto& [path, other] : others_) {
      if (is_same_folder && other.edits.empty()) continue;
      result<source> from = open_file_beside(beside_, path, read_options());
      if (!from) return from.error();
      for (const onnx_tensor* const each : other.tensors) {
        if (!range_fits(each->offset_bytes, each->size_bytes, from->size_bytes()))
          return error(errc::truncated, each->name, each->offset_bytes);
      }
      result<std::string> digest = write_other_file(*from, other, count);
      if (!digest) return digest.error();
      for (const onnx_tensor* const each : other.tensors) name_other_file(in, *each, parts_.size() - 1, *digest, found);
    }
    return in.outcome();
  }

  /// Passes bytes on, and adds them to checksums.
  class summed_sink final : public piece_sink {
  public:
    summed_sink(piece_sink& to, bool with_sha1) noexcept : to_(to), with_sha1_(with_sha1) {}
    result<void> write(std::span<const std::byte> piece) override {
      crc_ = crc32c(piece, crc_);
      if (with_sha1_) sha1_.update(piece);
      return to_.write(piece);
    }
    [[nodiscard]] std::size_t best_piece_size_bytes() const noexcept override { return to_.best_piece_size_bytes(); }
    [[nodiscard]] std::uint32_t crc() const noexcept { return crc_; }
    /// The SHA-1 digest in hexadecimal digits.
    [[nodiscard]] std::string digest() noexcept {
      constexpr std::string_view digits = "0123456789abcdef";
      std::string made;
      for (const std::byte each : sha1_.finish().bytes) {
        made += digits[std::to_integer<std::size_t>(each >> 4)];
        made += digits[std::to_integer<std::size_t>(each & std::byte{15})];
      }
      return made;
    }

  private:
    piece_sink& to_;
    sha1 sha1_;
    std::uint32_t crc_ = 0;
    bool with_sha1_;
  };

  /// @return the SHA-1 digest, if the model states one
  result<std::string> write_other_file(const source& from, const other_file& other, std::size_t count) {
    const std::string_view folder = folder_in(out_path_), name = file_name_in(out_path_);
    const auto number = static_cast<std::uint32_t>(parts_.size());
    result<atomic_file> made =
        atomic_file::create(operations_, folder, part_name(name, number, count, 0, ".data"), from.size_bytes());
    if (!made) return made.error();
    parts_.push_back(std::move(*made));
    stream_output out(parts_.back(), 0, false);
    summed_sink sums(out, other.has_checksum);
    if (auto copied = copy_with_edits(from, other.edits, sums); !copied) return copied.error();
    if (auto flushed = out.flush(); !flushed) return flushed.error();
    const std::uint64_t content_id = content_hash(from.size_bytes()).add(sums.crc(), 4).value();
    part_names_.push_back(part_name(name, number, count, content_id, ".data"));
    parts_.back().set_name(part_names_.back());
    saved_.file_size_bytes += from.size_bytes();
    ++saved_.file_count;
    if (auto finished = parts_.back().finish(options_.is_durable, true); !finished) return finished.error();
    return other.has_checksum ? sums.digest() : std::string();
  }

  /// Puts the name of a new file, and its digest, into the external data of a tensor.
  void name_other_file(onnx_input& in, const onnx_tensor& of, std::size_t part, const std::string& digest,
                       onnx_tensors& found) {
    onnx_fields fields(in, of.message);
    while (fields.next()) {
      if (fields.tag() != bytes_field(13)) continue;
      const onnx_message entry{fields.length_offset_bytes(), fields.payload(), of.message_number};
      std::string key;
      onnx_message value;
      bool has_value = false;
      onnx_fields pair(in, entry.content);
      while (pair.next()) {
        if (pair.tag() == bytes_field(1)) key = pair.text();
        if (pair.tag() != bytes_field(2)) continue;
        has_value = true;
        value.length_offset_bytes = pair.length_offset_bytes();
        value.content = pair.payload();
      }
      if (!has_value || (key != "location" && key != "checksum")) continue;
      found.messages.push_back(entry);
      value.parent = static_cast<std::uint32_t>(found.messages.size() - 1);
      found.messages.push_back(value);
      edits_.push_back({value.content, key == "location" ? part_names_[part] : digest, nullptr,
                        static_cast<std::uint32_t>(found.messages.size() - 1)});
    }
  }

  /// Writes the model, and gives all files their names.
  result<void> write_model(const source& file) {
    constexpr std::uint64_t most = 0x7FFFFFFF; // of a message of Protocol Buffers
    std::uint64_t size = file.size_bytes();
    for (const onnx_edit& each : edits_) size += each.size_bytes() - each.range.size_bytes();
    if (size > most && size > file.size_bytes()) return error(errc::too_large, out_path_);
    result<atomic_file> head = atomic_file::create(operations_, folder_in(out_path_), file_name_in(out_path_), size);
    if (!head) return head.error();
    stream_output out(*head, 0, false);
    if (auto copied = copy_with_edits(file, edits_, out); !copied) return copied;
    if (auto flushed = out.flush(); !flushed) return flushed;
    if (auto finished = head->finish(options_.is_durable); !finished) return finished;
    saved_.file_size_bytes += size;
    ++saved_.file_count;
    // A file of such a name has the same content; it is not to go should this fail.
    const auto is_taken = [&](std::size_t number) {
      return static_cast<bool>(file::open(std::string(folder_in(out_path_)) + part_names_[number]));
    };
    return publish_together(parts_, *head, options_.is_durable, is_taken);
  }

  std::string_view model_path_, out_path_;
  std::span<const onnx_values> values_;
  const onnx_replace_options& options_;
  const file_operations& operations_;
  model_folder beside_;
  std::vector<onnx_edit> edits_;
  std::map<std::string, other_file> others_;
  std::vector<atomic_file> parts_;
  std::vector<std::string> part_names_;
  saved_files saved_;
};

} // namespace detail

/// Writes a copy of the ONNX model at `model_path_utf8` to `out_path_utf8` in which tensors have new values. `raw_data` and lists of
/// floats in one piece are overwritten; other lists are encoded again, and the sizes of the messages around them with them. Every
/// other byte stays the same, but for the names of other files:
///   - a file with values that change is written again, under a new name that is made of the new model's and the content, and the model
///     states this name, and the SHA-1 digest if it stated one. The old file stays, as other models may use it;
///   - if the new model is in another folder (by the text of the paths), the files that do not change are copied, too.
/// `out_path_utf8` may be that of the model. All files are written before the model appears under its name, so that a reader finds
/// the old model or the new one, and a program that has the old one mapped keeps it.
/// @retval errc::not_found        the model has no tensor of a name, the subject
/// @retval errc::duplicate_name   a name, the subject, occurs twice
/// @retval errc::unsupported      a tensor, the subject, has strings
/// @retval errc::overlap          a tensor, the subject, shares bytes with one that is replaced, and is not replaced itself
/// @retval errc::source_too_short, source_too_long  the values are fewer or more than the tensor has
/// @retval errc::too_large        the model would become larger than the 2 GiB that Protocol Buffers allow
/// or an error of `open_onnx`, of `onnx_values::write`, or of `atomic_file`. After an error, what was at `out_path_utf8` is there still.
/// Cost: reads and writes each file that changes once; a list that is encoded again is in memory.
inline result<saved_files> replace_onnx_values(std::string_view model_path_utf8, std::span<const onnx_values> values,
                                               std::string_view out_path_utf8,
                                               const onnx_replace_options& options = {}) {
  return detail::onnx_replacement(model_path_utf8, values, out_path_utf8, options).run();
}

} // namespace stet::inline STET_NAMESPACE

#endif
