// SPDX-License-Identifier: MIT
// Replaces weights where their bytes are in a file, and the checksums of the members of an archive.
#ifndef STET_FORMATS_REPLACE_DETAIL_IN_PLACE_HPP
#define STET_FORMATS_REPLACE_DETAIL_IN_PLACE_HPP

#include "weight_maker.hpp"
#include "weight_plan.hpp"

#include "../../../bytes/crc32.hpp"
#include "../../../wire/zip.hpp"
#include "../../../writer/atomic_file.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Copies a file, with other bytes at some places. Places may be given in any order; they are apart, or the same. Used once.
class patched_copy {
public:
  /// @param from  the file; it must outlive this object
  explicit patched_copy(const source& from) noexcept : from_(from) {}

  /// The bytes of `step.to`, at their offset, become those that its weights make.
  void replace(const weight_step& step) {
    segments_.push_back({step.to.entry().offset_bytes(), step.to.size_bytes(), &step, nullptr});
  }
  /// Makes the checksums of the members anew that have a replaced byte, also those of archives within the archive. Call it after each
  /// `replace`. Errors: those of read_zip.
  result<void> mend_archive() {
    std::sort(segments_.begin(), segments_.end());
    replaced_.assign(segments_.begin(), segments_.end());
    const result<std::vector<zip_member>> members = read_zip(bytes_in(from_), zip_repeats::last_wins);
    if (!members) return members.error();
    (void)outer_.add(*members, none, replaced_);
    for (std::size_t number = 0; number < outer_.all.size(); ++number) mend_within(number);
    for (const mended& each : outer_.all) add_fields(each);
    for (const mended& each : inner_.all) add_fields(each);
    return {};
  }

  /// Writes the file. `done(step, out_of_range_count)` is called when the bytes of a tensor were written.
  template <class Done> result<void> write(byte_writer& to, weight_maker& maker, Done done) {
    std::sort(segments_.begin(), segments_.end());
    std::uint64_t at = 0;
    for (const segment& each : segments_) {
      if (each.begin < at) continue; // the bytes of the tensor before, which are the same
      if (auto copied = copy(at, each.begin, to); !copied) return copied;
      at = each.begin;
      if (each.member == nullptr) {
        const std::uint64_t before = maker.out_of_range_count();
        auto made = maker.make(*each.step, [&](std::span<const std::byte> bytes) { return put(at, bytes, to); });
        if (!made) return made;
        if (at != each.end()) return error(errc::source_too_short, each.step->to.name());
        done(*each.step, maker.out_of_range_count() - before);
      } else {
        // A checksum is written when it is known. Until then, the archive around it has the old one.
        count(at, bytes_in(from_).subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(each.size)));
      }
      at = each.end();
    }
    if (auto copied = copy(at, from_.size_bytes(), to); !copied) return copied;
    for (const segment& each : segments_) {
      if (each.member == nullptr || each.member->around == none) continue;
      mended& around = outer_.all[each.member->around];
      around.crc32 =
          crc32_after_change(around.crc32, field_at(each.begin) ^ each.member->crc32, around.end() - each.end());
    }
    for (const segment& each : segments_) {
      if (each.member == nullptr) continue;
      std::byte field[4];
      store_little(field, each.member->crc32);
      if (auto written = to.write_at(each.begin, field); !written) return written;
    }
    return {};
  }

private:
  static constexpr std::size_t none = ~std::size_t{0};

  /// A member of an archive with replaced bytes, and its checksum so far. Offsets are those of the file.
  struct mended {
    zip_member of;
    /// The number of the member that has the archive; `none`: the archive is the file.
    std::size_t around;
    std::uint32_t crc32;
    [[nodiscard]] std::uint64_t end() const noexcept { return of.offset_bytes + of.stored_size_bytes; }
  };
  /// Bytes that are not copied: those of a tensor, or the checksum of a member.
  struct segment {
    std::uint64_t begin, size;
    const weight_step* step;
    const mended* member;
    [[nodiscard]] std::uint64_t end() const noexcept { return begin + size; }
    friend bool operator<(const segment& a, const segment& b) noexcept { return a.begin < b.begin; }
  };

  /// Members with replaced bytes that are apart, by offset.
  struct mended_members {
    std::vector<mended> all;
    std::size_t next = 0; // the first that ends behind what was counted

    /// Adds those of `members` that have some of the bytes, which are sorted. @return how many of these lie wholly in one
    std::size_t add(const std::vector<zip_member>& members, std::size_t around, const std::vector<segment>& replaced) {
      std::size_t within = 0;
      for (const zip_member& each : members) {
        const std::uint64_t end = each.offset_bytes + each.stored_size_bytes;
        // The first replaced bytes that end behind the beginning of the member.
        auto found = std::partition_point(replaced.begin(), replaced.end(),
                                          [&](const segment& of) { return of.end() <= each.offset_bytes; });
        if (found == replaced.end() || found->begin >= end) continue;
        all.push_back({each, around, 0});
        for (; found != replaced.end() && found->begin < end; ++found)
          within += found->begin >= each.offset_bytes && found->end() <= end ? 1u : 0u;
      }
      std::sort(all.begin(), all.end(),
                [](const mended& a, const mended& b) { return a.of.offset_bytes < b.of.offset_bytes; });
      return within;
    }
    /// Adds the bytes at `at` to the checksums.
    void count(std::uint64_t at, std::span<const std::byte> bytes) noexcept {
      while (!bytes.empty()) {
        while (next < all.size() && at >= all[next].end()) ++next;
        if (next == all.size()) return;
        mended& of = all[next];
        const bool is_before = at < of.of.offset_bytes;
        const std::uint64_t left = is_before ? of.of.offset_bytes - at : of.end() - at;
        const auto some = static_cast<std::size_t>((std::min)(left, std::uint64_t{bytes.size()}));
        if (!is_before) of.crc32 = crc32(bytes.first(some), of.crc32);
        bytes = bytes.subspan(some);
        at += some;
      }
    }
  };

  /// Adds the members of the archive that an outer member is, if the replaced bytes are those of its members: the weights of PyTorch
  /// within an archive of torch.export.
  void mend_within(std::size_t number) {
    const zip_member& outer = outer_.all[number].of;
    const std::span<const std::byte> bytes = bytes_in(from_).subspan(static_cast<std::size_t>(outer.offset_bytes),
                                                                     static_cast<std::size_t>(outer.stored_size_bytes));
    if (outer.method != zip_member::is_stored || !is_zip(bytes)) return;
    result<std::vector<zip_member>> members = read_zip(bytes, zip_repeats::last_wins);
    if (!members) return;
    for (zip_member& each : *members) {
      for (std::uint64_t* const offset : {&each.entry_bytes, &each.header_bytes, &each.offset_bytes, &each.end_bytes})
        *offset += outer.offset_bytes;
    }
    mended_members found;
    const std::size_t within = found.add(*members, number, replaced_);
    mended_members whole;
    // Otherwise it only looks like an archive.
    if (within != whole.add({outer}, none, replaced_)) return;
    inner_.all.insert(inner_.all.end(), found.all.begin(), found.all.end());
  }

  /// Adds the places of the checksum of a member: its entry, its local header, and its descriptor.
  void add_fields(const mended& of) {
    constexpr std::uint64_t in_entry = 16, in_header = 14, size = 4;
    const zip_member& member = of.of;
    segments_.push_back({member.entry_bytes + in_entry, size, nullptr, &of});
    // With a descriptor, the header may have none.
    const std::uint64_t end = of.end();
    const std::uint64_t descriptor_size = member.end_bytes - end;
    if (field_at(member.header_bytes + in_header) == member.crc32 && (descriptor_size == 0 || member.crc32 != 0))
      segments_.push_back({member.header_bytes + in_header, size, nullptr, &of});
    if (descriptor_size == 0) return;
    const bool has_mark = descriptor_size == 16 || descriptor_size == 24;
    segments_.push_back({end + (has_mark ? 4u : 0u), size, nullptr, &of});
  }
  [[nodiscard]] std::uint32_t field_at(std::uint64_t offset) const noexcept {
    return load_little<std::uint32_t>(from_.data() + static_cast<std::size_t>(offset));
  }

  /// Adds the bytes at `at` to the checksums of the members that have them.
  void count(std::uint64_t at, std::span<const std::byte> bytes) noexcept {
    outer_.count(at, bytes);
    inner_.count(at, bytes);
  }
  /// Writes bytes at `at`, which goes on.
  result<void> put(std::uint64_t& at, std::span<const std::byte> bytes, byte_writer& to) {
    if (auto written = to.write_at(at, bytes); !written) return written;
    count(at, bytes);
    at += bytes.size();
    return {};
  }

  /// Copies the bytes in [begin, end).
  result<void> copy(std::uint64_t begin, std::uint64_t end, byte_writer& to) {
    constexpr std::uint64_t piece_size = 4 * 1024 * 1024, read_size = 256 * 1024;
    std::vector<std::byte> room;
    while (begin < end) {
      const bool is_resident = from_.data() != nullptr;
      const auto size = static_cast<std::size_t>((std::min)(is_resident ? piece_size : read_size, end - begin));
      std::span<const std::byte> piece;
      if (is_resident) {
        piece = bytes_in(from_).subspan(static_cast<std::size_t>(begin), size);
      } else {
        room.resize(size);
        if (auto read = from_.read_at(begin, room); !read) return read;
        piece = room;
      }
      if (auto written = put(begin, piece, to); !written) return written;
    }
    return {};
  }

  const source& from_;
  mended_members outer_, inner_;
  std::vector<segment> replaced_; // by offset
  std::vector<segment> segments_;
};

/// Why the bytes of a tensor cannot be replaced in the one file of its model; nothing if they can.
inline std::optional<std::string> problem_of_place(const model& of, const tensor& each) {
  if (!of.is_in_file(each)) return "its bytes are not in the file as they are: decoded, compressed or gathered";
  if (each.entry().has_crc32c()) return "the file has a checksum of it in a table";
  if (each.entry().is_big_endian() && each.dtype() == dtype::block) return "its blocks are big-endian";
  return std::nullopt;
}

/// Records in the report that numbers of a tensor are out of the range of its codes.
inline void note_out_of_range(restore_entry& entry, std::uint64_t count) {
  if (count == 0) return;
  if (!entry.reason.empty()) entry.reason += "; ";
  entry.reason += std::to_string(count) + " of its numbers are out of the range of the scale and got the nearest code";
}

/// Records in the report that nothing was written, and why: an error while the bytes of a tensor were made.
inline void note_failure(restore_report& report, const error& why) {
  for (restore_entry& each : report.entries) {
    const bool is_at_fault = why.subject() == each.tensor || why.subject() == each.variable;
    if (is_at_fault && each.copied_bytes != 0) {
      char buffer[256];
      each.outcome = restore_outcome::failed;
      each.is_error = true;
      each.reason = why.about({}).print(buffer, sizeof buffer);
    }
    each.copied_bytes = 0;
  }
  report.copied_bytes = 0;
}

/// Plans a replacement and carries it out.
/// @param problem_of  problem_of(tensor): nothing, or why the bytes of the tensor cannot be replaced
/// @param save        save(plan, maker) writes the files, notes in the report what is out of range, and returns their size
/// Errors: as `replace_weights` documents them, and those of `save`.
template <class ProblemOf, class Save>
result<replaced_weights> replace_by_plan(const model& of, const store& from, const restore_rules& rules,
                                         const replace_options& options, restore_report& report, ProblemOf problem_of,
                                         Save save) {
  weight_plan plan(of, from, rules, options);
  if (auto planned = plan.run(report, problem_of); !planned) return planned.error();
  if (!report.is_good()) return binding_failure(report);
  if (plan.steps().empty()) return error(errc::not_found, of.path);
  const auto maker = std::make_unique<weight_maker>(options.memory); // too large for the stack
  const result<std::uint64_t> size_bytes = save(plan, *maker);
  if (!size_bytes && size_bytes.error().code() != errc::not_durable) note_failure(report, size_bytes.error());
  if (!size_bytes) return size_bytes.error();
  return replaced_weights{*size_bytes, plan.steps().size(), maker->out_of_range_count()};
}

/// `replace_weights` of a model of one file whose tensors are in place. Errors and cost: as there.
inline result<replaced_weights> replace_in_place(const model& of, const store& from, const restore_rules& rules,
                                                 std::string_view out_path_utf8, const replace_options& options,
                                                 restore_report& report) {
  if (of.file_count != 1 || of.whole != nullptr || of.files != nullptr) {
    return error(errc::unsupported, of.file_count > 1 ? "a model of several files" : of.format->name);
  }
  const source& file = of.store.tensor_file(0);
  const auto save = [&](const weight_plan& plan, weight_maker& maker) -> result<std::uint64_t> {
    patched_copy copy(file);
    bool has_bytes = false;
    for (const weight_step& each : plan.steps()) {
      if (each.to.size_bytes() == 0) continue;
      copy.replace(each);
      has_bytes = true;
    }
    std::byte start[4];
    const bool is_archive = has_bytes && file.size_bytes() >= sizeof start && file.read_at(0, start) && is_zip(start);
    if (is_archive) {
      if (file.data() == nullptr) return error(errc::not_resident, of.path);
      if (auto mended = copy.mend_archive(); !mended) return mended.error();
    }
    auto saved = save_file(options.operations, out_path_utf8, file.size_bytes(), options.is_durable,
                           [&](byte_writer& to) -> result<void> {
                             return copy.write(to, maker, [&](const weight_step& step, std::uint64_t count) {
                               note_out_of_range(report.entries[step.entry], count);
                             });
                           });
    return saved ? result<std::uint64_t>(file.size_bytes()) : saved.error();
  };
  return replace_by_plan(
      of, from, rules, options, report, [&](const tensor& each) { return problem_of_place(of, each); }, save);
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
