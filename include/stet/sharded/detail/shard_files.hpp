// SPDX-License-Identifier: MIT
// The files of a group of ranks: the lowest rank lays them out and finishes them, all ranks of the group write into them.
#ifndef STET_SHARDED_DETAIL_SHARD_FILES_HPP
#define STET_SHARDED_DETAIL_SHARD_FILES_HPP

#include "block_memory.hpp"
#include "plan.hpp"

#include "../../bytes/crc32c.hpp"
#include "../../checkpoint/add_variables.hpp"
#include "../../manifest/shards.hpp"
#include "../../store/open.hpp"
#include "../../writer/atomic_file.hpp"
#include "../../writer/detail/parts.hpp"
#include "../../writer/writer.hpp"

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

/// Bytes of a block that this rank writes, and where to.
struct planned_write {
  /// The lowest rank of the group, the number of the file among those of the group, and the place there.
  std::uint32_t group = 0, file = 0;
  std::uint64_t offset_bytes = 0;
  /// Between this and the write before there is nothing but padding.
  bool follows_last = false;
  fragment from;
};

/// The number of an unfinished file, which every rank of its group knows without being told.
inline std::uint32_t unfinished_number(std::uint64_t save, std::uint32_t group, std::uint32_t file) noexcept {
  const std::uint64_t hash = fnv1a(save).add(group, 4).add(file, 4).value();
  return static_cast<std::uint32_t>(hash >> 32 ^ hash) |
         1u; // not 0, at which `atomic_file` looks for those of dead programs
}

/// A file of this group, as its lowest rank knows it.
class shard_file {
public:
  shard_file() = default;
  shard_file(const shard_file&) = delete;
  shard_file& operator=(const shard_file&) = delete;

  /// Adds a piece. Errors: those of `writer::add`
  result<void> add(const tensor_facts& of, const planned_piece& piece) {
    const bool is_whole = piece.place.extents == of.shape;
    const json_text own = variable_attributes(of.is_trainable, of.slot_of);
    element_layout layout = element_layout::of(of.dtype);
    layout.bits = of.bits;
    const std::uint64_t size_bytes = piece.size_bytes();
    const auto no_source = [](piece_sink&) -> result<void> { return errc::source_failed; }; // ranks write the bytes
    contents_.add_source(is_whole ? of.name : of.name + text_of(piece.place), layout, extents(piece.place.extents),
                         size_bytes, no_source,
                         is_whole ? own : with_slice_of({of.name, of.shape, piece.place.start}, own));
    pieces_.push_back(piece.fragments);
    size_bytes_ += size_bytes;
    const auto added = contents_.added();
    return added ? result<void>() : added.error();
  }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }

  /// Decides where the pieces lie. Errors: those of `writer::save` that are not the system's
  result<void> lay_out(const save_options& options) {
    const auto added = contents_.added();
    if (!added) return added.error();
    plan_ = std::make_unique<save_plan>(added->tensors, no_sources_, options);
    return plan_->prepare({}, {contents_.graph, contents_.state, contents_.metadata, no_text_});
  }
  /// Tells the ranks what they write into it, as number `file`.
  void tell_ranks(std::uint32_t file, rank_messages& to) const {
    std::uint64_t last_rank = to.size();
    for (std::size_t number = 0; number < pieces_.size(); ++number) {
      std::uint64_t offset = plan_->rows()[number].offset_bytes;
      for (const fragment& each : pieces_[number]) {
        message_writer out(to[each.rank]);
        out.number(std::uint64_t{file} << 32 | each.block).number(last_rank == each.rank ? 1 : 0);
        out.number(offset).number(each.first_byte).number(each.size_bytes);
        offset += each.size_bytes;
        last_rank = each.rank;
      }
    }
  }

  /// Creates the file, empty, of its size. Errors: those of `atomic_file::create`, and
  /// @retval errc::file_exists  its name is taken: the next save takes another
  result<void> create(const file_operations& operations, std::string_view folder, std::string_view head,
                      std::uint32_t number) {
    result<atomic_file> made = atomic_file::create(operations, folder, head, plan_->file_size_bytes(), number);
    if (!made) return made.error();
    file_.emplace(std::move(*made));
    const std::string expected = atomic_file::temporary_path_of(folder, head, number);
    if (file_->temporary_path() != expected) return error(errc::file_exists, expected);
    return {};
  }

  /// Finishes and publishes the file, as number `number` of `count`, provisionally, when all ranks have written.
  /// @param checksums  by rank: of what it wrote into the files of this group, in the order in which it was told
  result<shard_reference> finish(std::string_view folder, std::string_view head, std::uint32_t number,
                                 std::uint32_t count, const save_options& options,
                                 std::vector<message_reader>& checksums) {
    fnv1a content = content_hash(plan_->file_size_bytes());
    for (std::size_t piece = 0; piece < pieces_.size(); ++piece) {
      std::uint32_t crc = 0;
      for (const fragment& each : pieces_[piece]) {
        crc = crc32c_combine(crc, static_cast<std::uint32_t>(checksums[each.rank].number()), each.size_bytes);
        if (!checksums[each.rank].is_whole()) return errc::rank_lost;
      }
      plan_->set_crc32c(piece, crc);
      add_to_content(content, plan_->rows()[piece].offset_bytes, crc);
    }
    if (auto written = plan_->write_frame(*file_); !written) return written.error();
    if (auto finished = file_->finish(options.is_durable, true); !finished) return finished.error();
    // A file of this name has these bytes: the name stands for them. It belongs to another checkpoint then.
    shard_reference made{part_name(head, number, count, content.value(), ".stet"), {}};
    const std::string path = std::string(folder) + made.file_name;
    const bool is_taken = static_cast<bool>(file::open(path));
    file_->set_name(made.file_name);
    if (auto named = is_taken ? file_->publish() : file_->publish_provisionally(); !named) return named.error();
    const result<store> opened = open(path);
    if (!opened) return opened.error();
    made.digest = content_digest(*opened);
    return made;
  }
  /// Waits until the name is on the disk. Errors: the system's
  result<void> sync_folder() const { return file_->sync_folder(); }
  /// The checkpoint that lists the file is there.
  void keep() noexcept { file_->keep(); }
  /// Removes the file, unless it is kept.
  void discard() noexcept { file_.reset(); }

  [[nodiscard]] std::uint64_t file_size_bytes() const noexcept { return plan_->file_size_bytes(); }

private:
  writer contents_;
  std::vector<piece_source> no_sources_;
  json_text no_text_;
  std::vector<std::vector<fragment>> pieces_;
  std::uint64_t size_bytes_ = 0;
  std::unique_ptr<save_plan> plan_;
  std::optional<atomic_file> file_;
};

/// Writes what this rank has into the files of its group.
class shard_writer {
public:
  shard_writer(const file_operations& operations, std::string_view folder, std::string_view head, std::uint64_t save)
      : operations_(operations), folder_(folder), head_(head), save_(save) {}
  shard_writer(const shard_writer&) = delete;
  shard_writer& operator=(const shard_writer&) = delete;
  ~shard_writer() { (void)close(); }

  /// Carries out `writes`, and notes the checksum of each.
  /// @param blocks  the blocks of this rank by number
  result<void> run(std::span<const planned_write> writes, std::span<const block_memory> blocks, bool is_durable,
                   std::vector<std::uint32_t>& checksums) {
    checksums.assign(writes.size(), 0);
    for (std::size_t i = 0; i < writes.size(); ++i) {
      if (i == 0 || writes[i].file != writes[i - 1].file || writes[i].group != writes[i - 1].group) {
        if (auto ended = end(is_durable); !ended) return ended;
        path_ =
            atomic_file::temporary_path_of(folder_, head_, unfinished_number(save_, writes[i].group, writes[i].file));
        const auto opened = call_again(operations_, &file_operations::open_to_write, path_);
        if (!opened) return opened.error();
        handle_ = *opened;
      }
      if (auto written = write(writes[i], blocks[writes[i].from.block], checksums[i]); !written) return written;
    }
    return end(is_durable);
  }

private:
  result<void> write(const planned_write& of, const block_memory& block, std::uint32_t& crc) {
    const std::span<const std::byte> there = block.in_place();
    constexpr std::size_t step = output_buffer_size_bytes; // stays in the cache between its checksum and its copy
    if (there.empty()) scratch_.resize(step);
    const std::size_t whole = step / block.element_size_bytes() * block.element_size_bytes();
    for (std::uint64_t done = 0; done < of.from.size_bytes;) {
      const std::size_t size = static_cast<std::size_t>((std::min<std::uint64_t>)(whole, of.from.size_bytes - done));
      std::span<const std::byte> some;
      if (there.empty()) {
        block.copy_to(of.from.first_byte + done, std::span(scratch_).first(size));
        some = std::span(scratch_).first(size);
      } else {
        some = there.subspan(static_cast<std::size_t>(of.from.first_byte + done), size);
      }
      crc = crc32c(some, crc);
      if (auto put_there = put(of.offset_bytes + done, some, of.follows_last || done != 0); !put_there)
        return put_there;
      done += size;
    }
    return {};
  }

  /// Writes bytes, small ones together with those before.
  /// @param follows  between them there is only padding
  result<void> put(std::uint64_t at, std::span<const std::byte> bytes, bool follows) {
    constexpr std::size_t small_bytes = std::size_t{64} << 10;
    const std::uint64_t end = small_at_ + small_.size();
    const bool joins = !small_.empty() && follows && at - end < small_bytes;
    if (!joins || small_.size() + (at - end) + bytes.size() > output_buffer_size_bytes) {
      if (auto written = write_small(); !written) return written;
    }
    if (bytes.size() > small_bytes) return write_all(at, bytes);
    if (small_.empty())
      small_at_ = at;
    else
      small_.resize(static_cast<std::size_t>(at - small_at_));
    small_.insert(small_.end(), bytes.begin(), bytes.end());
    return {};
  }
  result<void> write_small() {
    const auto written = write_all(small_at_, small_);
    small_.clear();
    return written;
  }
  result<void> write_all(std::uint64_t at, std::span<const std::byte> bytes) {
    const auto written = write_whole(operations_, *handle_, at, bytes);
    return written ? written : written.error().about(path_);
  }
  result<void> end(bool is_durable) {
    if (!handle_) return {};
    if (auto written = write_small(); !written) return written;
    if (is_durable) {
      if (auto synced = call_again(operations_, &file_operations::sync, *handle_); !synced)
        return synced.error().about(path_);
    }
    return close();
  }
  result<void> close() noexcept {
    if (!handle_) return {};
    const native_handle handle = *std::exchange(handle_, std::nullopt);
    const auto closed = operations_.close(operations_.context, handle);
    return closed ? result<void>() : closed.error().about(path_);
  }

  const file_operations& operations_;
  std::string folder_, head_, path_;
  std::uint64_t save_;
  std::optional<native_handle> handle_;
  std::vector<std::byte> scratch_;
  /// Bytes that go to `small_at_`, with those that follow.
  std::vector<std::byte> small_;
  std::uint64_t small_at_ = 0;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
