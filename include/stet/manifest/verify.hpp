// SPDX-License-Identifier: MIT
// Verifies a whole store: compares manifest and index, the padding, and every checksum, in parallel.
#ifndef STET_MANIFEST_VERIFY_HPP
#define STET_MANIFEST_VERIFY_HPP

#include "parse.hpp"
#include "shards.hpp"
#include "to_index.hpp"

#include "../load/load.hpp"
#include "../store/store.hpp"

#include <algorithm>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// The checks that `verify_store` makes, and its number of threads.
struct verify_options {
  /// True to compare the manifest with the index.
  bool manifest = true;
  /// True to compare the padding with zero.
  bool padding = true;
  /// True to compare the checksums of the tensors.
  bool checksums = true;
  /// True to verify each shard of a sharded checkpoint, too, as the store that it is.
  bool shards = true;
  /// 0: as many as the machine has processors. Fewer where the system has no more to give.
  unsigned thread_count = 0;
};

/// The result of `verify_store`.
struct verify_report {
  /// Everything that is wrong, tensors in manifest order; empty for a sound store. The subject is the tensor's name, or the
  /// part of the file; of a shard, its own name of the tensor, or its file.
  std::vector<error> problems;
  /// Tensors whose checksum was compared, and those that have none (an alias counts as its original and is in neither). Of the
  /// latter, those that are not in memory were read, which compares the checks that their reader knows of.
  std::uint64_t tensors_compared = 0;
  /// The number of tensors that have no checksum.
  std::uint64_t tensors_without_checksum = 0;
  /// The number of tensors whose checksum matches.
  std::uint64_t tensors_sound = 0;
  /// Bytes of tensors that were read for it, checksum or not.
  std::uint64_t compared_bytes = 0;
  /// True if the store has a manifest, and it was compared with the index.
  bool has_manifest = false;
  /// True if the store has padding, and it was compared with zero.
  bool has_padding = false;

  /// True if no fault was found.
  [[nodiscard]] bool is_sound() const noexcept { return problems.empty(); }
};

namespace detail {

/// Compares the checksums of tensors with several threads, and reads what has none and is not in memory.
inline void check_tensors(const store& of, unsigned thread_count, verify_report& report) {
  std::vector<load_request> requests;
  for (const tensor each : of) {
    if (of.index().original_of(each.entry())) continue;
    const bool has_checksum = each.entry().has_crc32c();
    ++(has_checksum ? report.tensors_compared : report.tensors_without_checksum);
    if (has_checksum || each.bytes().size() != each.size_bytes()) report.compared_bytes += each.size_bytes();
    requests.emplace_back(each);
  }
  load_options options;
  options.thread_count = thread_count;
  options.verify_checksums = true;
  (void)load(of, requests, options); // each request has its own outcome
  for (const load_request& request : requests) {
    const tensor& each = request.of();
    if (!request.outcome()) {
      report.problems.push_back(request.outcome().error());
    } else if (each.entry().has_crc32c()) {
      ++report.tensors_sound;
    } else if (each.dtype() == dtype::string && each.bytes().size() == each.size_bytes()) {
      // Bytes that are in memory and have no checksum can only be wrong as strings.
      if (const auto strings = each.as_strings(); !strings) report.problems.push_back(strings.error());
    }
  }
}

/// Looks for bytes that are not zero where nothing lies.
class padding_check {
public:
  explicit padding_check(verify_report& report) noexcept : report_(report) {}

  /// Begins a file. The bytes in front of `begin` belong to the header or a section.
  void begin(const source& file, std::string_view name, std::uint64_t begin) noexcept {
    file_ = &file;
    name_ = name;
    end_ = begin;
  }
  /// Something lies at [offset, offset + size): what is between it and the last thing must be zero. Reports the first byte
  /// that is not.
  void skip_to(std::uint64_t offset, std::uint64_t size) {
    for (bool found = false; end_ < offset && !found;) {
      std::byte chunk[4096];
      const std::span<std::byte> some(chunk,
                                      static_cast<std::size_t>((std::min<std::uint64_t>)(sizeof chunk, offset - end_)));
      if (auto read = file_->read_at(end_, some); !read) {
        found = true;
        report_.problems.push_back(read.error().about(name_));
      } else if (const auto bad = std::find_if(some.begin(), some.end(), [](std::byte b) { return b != std::byte{0}; });
                 bad != some.end()) {
        found = true;
        report_.problems.emplace_back(errc::nonzero_padding, name_,
                                      end_ + static_cast<std::uint64_t>(bad - some.begin()));
      }
      end_ += some.size();
    }
    end_ = offset + size;
  }

private:
  verify_report& report_;
  const source* file_ = nullptr;
  std::string_view name_;
  std::uint64_t end_ = 0;
};

/// The size of the header of a native file; a later version's may be longer than this one's.
inline std::uint64_t header_size_bytes(const source& file) noexcept {
  std::byte start[header_field::header_size.end()];
  return file.read_at(0, start) ? header_field::header_size.load(start) : file_header::size_bytes;
}

/// Checks the bytes between the sections and tensors of a native file and of its parts.
/// @param is_head  the file has no tensors, and others are shards
inline void check_padding(const store& of, bool is_head, verify_report& report) {
  padding_check seen(report);
  std::byte start[file_header::size_bytes];
  const source& head = of.data();
  const bool is_native = head.size_bytes() >= sizeof start && head.read_at(0, start) && has_native_magic(start);
  if (!is_native) return;
  const result<file_header> header = decode_header(start, head.size_bytes());
  if (!header) return report.problems.push_back(header.error());
  report.has_padding = true;
  seen.begin(head, {}, header_size_bytes(head));
  seen.skip_to(header->manifest_offset_bytes, header->manifest_size_bytes);
  if (header->index_size_bytes != 0) seen.skip_to(header->index_offset_bytes, header->index_size_bytes);
  // Tensors stand in ascending order, part by part; only a manifest without index may have them in another.
  std::vector<index_entry> entries;
  if (is_head) return seen.skip_to(header->file_size_bytes, 0);
  for (const index_entry entry : of.index()) {
    if (entry.size_bytes() != 0 && !of.index().original_of(entry)) entries.push_back(entry);
  }
  std::stable_sort(entries.begin(), entries.end(), [](index_entry a, index_entry b) {
    return a.part() != b.part() ? a.part() < b.part() : a.offset_bytes() < b.offset_bytes();
  });
  auto next = entries.begin();
  if (of.index().part_count() == 0) {
    for (; next != entries.end(); ++next) seen.skip_to(next->offset_bytes(), next->size_bytes());
  }
  seen.skip_to(header->file_size_bytes, 0);
  for (std::uint32_t number = 0; number < of.index().part_count(); ++number) {
    const source& part = of.part(number);
    seen.begin(part, of.index().part(number).path, of.index().part(number).has_header ? header_size_bytes(part) : 0);
    for (; next != entries.end() && next->part() == number; ++next)
      seen.skip_to(next->offset_bytes(), next->size_bytes());
    seen.skip_to(part.size_bytes(), 0);
  }
  // The last byte of packed elements is filled up with zero bits.
  for (const index_entry entry : entries) {
    const std::uint64_t used_bits = entry.element_count() % 8 * entry.bits() % 8;
    if (used_bits == 0 || entry.bits() >= 8) continue;
    std::byte last[1] = {};
    if (auto read = of.at(entry).read(entry.size_bytes() - 1, last); !read) {
      report.problems.push_back(read.error().about(entry.name()));
    } else if ((static_cast<unsigned>(last[0]) >> used_bits) != 0) {
      report.problems.emplace_back(errc::nonzero_padding, entry.name(), entry.offset_bytes() + entry.size_bytes() - 1);
    }
  }
}

/// Parses the manifest and compares it with the index, which that of a head is not made of.
inline void check_manifest_against_index(const store& of, bool is_head, verify_report& report) {
  if (of.manifest_text().empty()) return;
  report.has_manifest = true;
  result<manifest> parsed = parse_manifest(of.manifest_text());
  if (!parsed) return report.problems.push_back(parsed.error());
  if (is_head) return;
  for (std::uint32_t part = 0; part < parsed->parts.size() && part < of.index().part_count(); ++part) {
    if (!parsed->parts[part].size_bytes) parsed->parts[part].size_bytes = of.index().part(part).size_bytes;
  }
  index_limits limits;
  limits.data_end_bytes = of.data().size_bytes();
  limits.foreign = true;
  const result<std::vector<std::byte>> made = make_index(*parsed, limits);
  if (!made) return report.problems.push_back(made.error());
  const std::span<const std::byte> index = of.index().bytes();
  if (parsed->alignment_bytes != of.alignment_bytes() ||
      !std::equal(made->begin(), made->end(), index.begin(), index.end())) {
    report.problems.emplace_back(errc::manifest_mismatch);
  }
}

} // namespace detail

/// Reads all of an open store and reports everything that is wrong with it. Opening it has checked its structure; this
/// compares the manifest with the index byte for byte, looks for anything but zeros in the padding, compares every
/// tensor with its checksum, and reads each tensor without one that is not in memory. Of a sharded checkpoint it does so for each
/// shard, whose tensors are counted.
/// Cost: reads every byte, as `load` does; allocates for the manifest, and about 500 bytes for each tensor; starts threads.
[[nodiscard]] inline verify_report verify_store(const store& of, const verify_options& options = {}) {
  verify_report report;
  const result<std::vector<shard_reference>> shards = shards_of(of);
  const bool is_head = shards && !shards->empty();
  if (options.manifest) detail::check_manifest_against_index(of, is_head, report);
  if (options.padding) detail::check_padding(of, is_head, report);
  if (options.checksums && !is_head) detail::check_tensors(of, options.thread_count, report);
  for (std::size_t number = 0; is_head && options.shards && number < shards->size(); ++number) {
    const std::string_view file = (*shards)[number].file_name;
    const result<store> shard = open_shard(of, number);
    if (!shard) {
      report.problems.push_back(shard.error().about(file));
      continue;
    }
    const verify_report found = verify_store(*shard, options);
    for (const error& each : found.problems)
      report.problems.push_back(each.subject().empty() ? each.about(file) : each);
    report.tensors_compared += found.tensors_compared;
    report.tensors_without_checksum += found.tensors_without_checksum;
    report.tensors_sound += found.tensors_sound;
    report.compared_bytes += found.compared_bytes;
  }
  return report;
}

} // namespace stet::inline STET_NAMESPACE

#endif
