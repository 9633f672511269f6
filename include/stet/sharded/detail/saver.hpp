// SPDX-License-Identifier: MIT
// Saves the blocks of all ranks as the shards of one checkpoint.
#ifndef STET_SHARDED_DETAIL_SAVER_HPP
#define STET_SHARDED_DETAIL_SAVER_HPP

#include "shard_files.hpp"
#include "../save_options.hpp"

#include "../../manifest/detail/caught.hpp"
#include "../../manifest/open.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// The saves of one rank: keeps the plan as long as no rank's blocks change. Whatever fails on a rank, that rank takes part in every
/// exchange to the end, so that no other waits for it, and all get the same error.
class shard_saver {
public:
  /// @param nonce  the same on every rank, and another for every saver
  shard_saver(communicator& ranks, const shard_options& shards, const save_options& options, std::uint64_t nonce)
      : ranks_(ranks), shards_(shards), options_(options),
        group_(shards.per == shard_per::rank ? ranks.rank() : ranks.node()), save_(nonce) {
    options_.form = store_form::single_file;
    options_.deduplicate = false;
  }
  shard_saver(const shard_saver&) = delete;
  shard_saver& operator=(const shard_saver&) = delete;

  /// Saves the blocks. Rank 0 calls `publish(shards)`, a result<void>, which makes the head of the checkpoint, when all shards are there.
  /// @param folder  "" or ending in a separator
  /// @param head    the name of the head
  /// @param base    the head of the last checkpoint that was saved; "" for a whole one. It lists the shards of the last whole checkpoint
  ///                at its end, which are to be listed again where nothing has changed
  /// @param ready   an error: this rank has nothing to save, and so none has
  template <class Publish>
  result<sharded_report> save(std::string_view folder, std::string_view head, const sharded_variable_list& variables,
                              Publish publish, std::string_view base = {}, const result<void>& ready = {}) {
    folder_ = folder;
    head_ = head;
    save_ = fnv1a(save_).add(1, 1).value();
    const result<bool> planned = find_plan(variables, base.empty(), ready);
    if (!planned) return planned.error();
    std::vector<block_memory> blocks;
    auto written = caught([&]() -> result<void> {
      for (const sharded_variable& each : variables) {
        for (const local_block& block : each.blocks) blocks.emplace_back(each, block);
      }
      return {};
    });
    const bool is_delta = *planned && !base.empty();
    shard_layout& layout = is_delta ? changed_ : whole_;
    std::vector<shard_reference> listed_again;
    if (is_delta) {
      if (auto found = find_changed(base, blocks, written, listed_again); !found) return found.error();
    }
    std::vector<std::uint32_t> checksums;
    if (written) {
      written = caught([&] {
        return shard_writer(operations(), folder_, head_, save_)
            .run(layout.writes, blocks, options_.is_durable, checksums);
      });
    }
    result<sharded_report> saved = commit(layout, written, checksums, listed_again, publish);
    if (saved) saved->is_plan_reused = *planned;
    // Where a rank was lost on the way, rank 0 may yet publish the head, or has: its shards must be there then. If it does not, they are
    // what a killed program leaves.
    const bool may_be_listed =
        saved || saved.error().code() == errc::not_durable || saved.error().code() == errc::rank_lost;
    for (shard_file& each : layout.files) {
      if (may_be_listed) each.keep();
      each.discard();
    }
    return saved;
  }

private:
  /// Files of this group, if this is its lowest rank, and what this rank writes.
  struct shard_layout {
    std::deque<shard_file> files; // their plans refer to them
    std::vector<planned_write> writes;
    /// By group: the number of its first file, and at the end that of all files.
    std::vector<std::uint32_t> first_files;
  };

  [[nodiscard]] const file_operations& operations() const noexcept {
    return options_.operations == nullptr ? system_file_operations() : *options_.operations;
  }

  // ---- planning ----

  /// Has a plan, and the files created: that of the last save if nothing has changed on any rank, which one exchange of 16 bytes tells.
  /// @return whether it is that of the last save
  /// @param is_whole  the files of a whole checkpoint are created
  result<bool> find_plan(const sharded_variable_list& variables, bool is_whole, const result<void>& ready) {
    enum : std::uint64_t { unchanged = 0, changed = 1, failed = 2 };
    rank_messages described;
    bool is_known = false;
    const auto own = caught([&]() -> result<void> {
      if (!ready) return ready;
      described = describe_blocks(variables, ranks_.size(), group_);
      is_known = has_plan_ && described == described_;
      return is_known && is_whole ? create_files(whole_) : result<void>();
    });
    // The greatest state of all; and where all are alike, whether they save the same checkpoint.
    constexpr std::uint64_t mask = (std::uint64_t{1} << 48) - 1;
    const std::uint64_t state = !own       ? failed
                                : is_known ? unchanged
                                           : changed,
                        what = fnv1a(save_).add(head_).value() & mask;
    std::uint64_t told[2] = {state << 48 | what, state << 48 | (~what & mask)};
    if (auto exchanged = ranks_.all_reduce_max(told); !exchanged) return exchanged.error();
    const std::uint64_t greatest = told[0] >> 48;
    if (greatest == unchanged && (told[0] & mask) == (~told[1] & mask)) return true;
    discard_files(whole_);
    if (greatest == failed) return agree(ranks_, own).error();
    if (greatest == changed) {
      told[0] = what;
      told[1] = ~what & mask;
      if (auto exchanged = ranks_.all_reduce_max(told); !exchanged) return exchanged.error();
    }
    if ((told[0] & mask) != (~told[1] & mask))
      return error(errc::invalid_argument, head_); // ranks save different checkpoints
    has_plan_ = false;
    described_ = std::move(described);
    const auto planned = plan();
    if (!planned) return discard_files(whole_), planned.error();
    has_plan_ = true;
    return false;
  }

  /// Makes a plan together: every rank tells the owners of the tensors, they tell the groups, and these tell the ranks.
  result<void> plan() {
    result<rank_messages> came = ranks_.all_to_all(described_);
    if (!came) return came.error();
    rank_messages to;
    auto own = caught([&]() -> result<void> {
      tensor_owner owner(ranks_.size());
      for (std::uint32_t rank = 0; rank < ranks_.size(); ++rank) {
        if (auto taken = owner.take(rank, (*came)[rank]); !taken) return taken;
      }
      result<rank_messages> made = owner.plan(last_writers_);
      if (!made) return made.error();
      to = std::move(*made);
      return {};
    });
    // Whoever has failed has nothing to tell; that it has failed is told at the end.
    to.resize(ranks_.size());
    came = ranks_.all_to_all(to);
    if (!came) return came.error();
    if (own) {
      own = caught([&]() -> result<void> {
        result<std::vector<planned_tensor>> tensors = read_planned(*came);
        if (!tensors) return tensors.error();
        tensors_ = std::move(*tensors);
        return lay_out(whole_, to, [](const planned_piece&) { return true; });
      });
    }
    if (!own) to.assign(ranks_.size(), {});
    came = ranks_.all_to_all(to);
    if (!came) return came.error();
    if (own) own = caught([&] { return take_writes(*came, whole_); });
    if (own) own = caught([&] { return create_files(whole_); });
    return agree(ranks_, own);
  }

  /// Lays out files of the group for those of its pieces that are wanted, and tells everyone how many files there are, and its ranks what
  /// they write.
  template <class IsWanted> result<void> lay_out(shard_layout& into, rank_messages& to, IsWanted is_wanted) {
    to.assign(ranks_.size(), {});
    into.files.clear();
    for (const planned_tensor& each : tensors_) {
      for (const planned_piece& piece : each.pieces) {
        if (!is_wanted(piece)) continue;
        const std::uint64_t size_bytes = piece.size_bytes();
        const std::uint64_t before = into.files.empty() ? 0 : into.files.back().size_bytes();
        const std::uint64_t most = shards_.max_size_bytes;
        const bool is_full = before != 0 && (size_bytes > most || before > most - size_bytes);
        if (into.files.empty() || is_full) into.files.emplace_back();
        if (auto added = into.files.back().add(each.facts, piece); !added) return added;
      }
    }
    for (std::vector<std::byte>& each : to) message_writer(each).number(into.files.size());
    for (std::uint32_t number = 0; number < into.files.size(); ++number) {
      if (auto placed = into.files[number].lay_out(options_); !placed) return placed;
      into.files[number].tell_ranks(number, to);
    }
    return {};
  }

  result<void> take_writes(const rank_messages& from, shard_layout& into) {
    into.writes.clear();
    into.first_files.assign(1, 0);
    for (std::uint32_t rank = 0; rank < from.size(); ++rank) {
      message_reader in(from[rank]); // an empty one is of a rank that has failed
      const auto file_count = in.is_empty() ? 0u : static_cast<std::uint32_t>(in.number());
      into.first_files.push_back(into.first_files.back() + file_count);
      while (!in.is_empty()) {
        planned_write& made = into.writes.emplace_back();
        const std::uint64_t what = in.number();
        made.group = rank;
        made.file = static_cast<std::uint32_t>(what >> 32);
        made.from.block = static_cast<std::uint32_t>(what);
        made.follows_last = in.number() != 0;
        made.offset_bytes = in.number();
        made.from.first_byte = in.number();
        made.from.size_bytes = in.number();
      }
      if (!in.is_whole()) return errc::rank_lost;
    }
    return {};
  }

  result<void> create_files(shard_layout& of) {
    for (std::uint32_t number = 0; number < of.files.size(); ++number) {
      const std::uint32_t unfinished = unfinished_number(save_, ranks_.rank(), number);
      if (auto created = of.files[number].create(operations(), folder_, head_, unfinished); !created) return created;
    }
    return {};
  }
  static void discard_files(shard_layout& of) noexcept {
    for (shard_file& each : of.files) each.discard();
  }

  // ---- what has changed ----

  /// Finds the pieces that have other bytes than in the last whole checkpoint, and makes the files for them. Two exchanges: each rank
  /// tells its group what has changed, and is told what to write.
  /// @param written       becomes an error of this rank
  /// @param listed_again  becomes the shards of that checkpoint, on rank 0
  result<void> find_changed(std::string_view base, std::span<const block_memory> blocks, result<void>& written,
                            std::vector<shard_reference>& listed_again) {
    rank_messages to;
    if (written) {
      written = caught([&]() -> result<void> {
        to.resize(ranks_.size());
        const std::vector<bool> is_changed = compare(base, blocks, listed_again);
        message_writer out(to[group_]);
        for (const bool each : is_changed) out.number(each ? 1 : 0);
        return {};
      });
    }
    to.resize(ranks_.size());
    result<rank_messages> came = ranks_.all_to_all(to);
    if (!came) return came.error();
    changed_.files.clear();
    if (written) {
      written = caught([&]() -> result<void> {
        std::vector<message_reader> flags(came->begin(), came->end());
        unchanged_count_ = 0;
        const auto is_wanted = [&](const planned_piece& piece) {
          bool is_changed = false;
          for (const fragment& each : piece.fragments) {
            is_changed = flags[each.rank].number() != 0 || is_changed;
            is_changed = is_changed || !flags[each.rank].is_whole(); // that rank has failed
          }
          if (!is_changed) ++unchanged_count_;
          return is_changed;
        };
        if (auto placed = lay_out(changed_, to, is_wanted); !placed) return placed;
        return create_files(changed_);
      });
    }
    if (!written) to.assign(ranks_.size(), {});
    came = ranks_.all_to_all(to);
    if (!came) return came.error();
    if (written) written = caught([&] { return take_writes(*came, changed_); });
    return {};
  }

  /// Compares what this rank has with the last shards that the head `base` lists, which were saved whole by this plan.
  /// @return by write: whether it has changed, or cannot be compared
  std::vector<bool> compare(std::string_view base, std::span<const block_memory> blocks,
                            std::vector<shard_reference>& shards) const {
    std::vector<bool> is_changed(whole_.writes.size(), true);
    const result<store> head =
        open(folder_ + std::string(base), {.backing = backing::stream, .read_manifest = read_manifest});
    if (!head) return is_changed;
    result<std::vector<shard_reference>> listed = shards_of(*head);
    const std::size_t count = whole_.first_files.back();
    if (!listed || listed->size() < count) return is_changed;
    shards.assign(std::make_move_iterator(listed->end() - static_cast<std::ptrdiff_t>(count)),
                  std::make_move_iterator(listed->end()));
    std::optional<store> shard;
    std::uint32_t opened = ~std::uint32_t{0}; // its number
    std::vector<std::byte> scratch;
    for (std::size_t i = 0; i < whole_.writes.size(); ++i) {
      const planned_write& each = whole_.writes[i];
      const std::uint32_t number = whole_.first_files[each.group] + each.file;
      if (number != opened) {
        opened = number;
        shard.reset();
        result<store> found = open(folder_ + shards[number].file_name);
        if (found && content_digest(*found) == shards[number].digest) shard.emplace(std::move(*found));
      }
      if (!shard || !range_fits(each.offset_bytes, each.from.size_bytes, shard->data().size_bytes())) continue;
      const std::byte* const before = shard->data().data() + static_cast<std::size_t>(each.offset_bytes);
      is_changed[i] = !blocks[each.from.block].is_equal(
          each.from.first_byte, {before, static_cast<std::size_t>(each.from.size_bytes)}, scratch);
    }
    return is_changed;
  }

  // ---- committing ----

  /// Three exchanges: checksums go to the lowest rank of each group, which finishes its files; what these are goes to rank 0, which makes
  /// the head; and everyone is told what became of it.
  template <class Publish>
  result<sharded_report> commit(shard_layout& layout, const result<void>& written,
                                const std::vector<std::uint32_t>& checksums, std::vector<shard_reference>& listed_again,
                                Publish& publish) {
    rank_messages to;
    auto own = caught([&]() -> result<void> {
      to.resize(ranks_.size());
      message_writer out(to[group_]);
      out.outcome(written);
      for (std::size_t i = 0; written && i < checksums.size(); ++i) out.number(checksums[i]);
      return {};
    });
    to.resize(ranks_.size());
    result<rank_messages> came = ranks_.all_to_all(to);
    if (!came) return came.error();
    std::vector<shard_reference> finished;
    std::uint64_t file_size_bytes = 0;
    if (own) own = caught([&] { return finish_files(layout, *came, finished, file_size_bytes); });
    auto told = caught([&]() -> result<void> {
      to.assign(ranks_.size(), {});
      message_writer out(to[0]);
      out.outcome(own).number(file_size_bytes).number(&layout == &changed_ ? unchanged_count_ : 0);
      for (const shard_reference& each : finished)
        out.text(each.file_name).text(text_at(each.digest.bytes, sizeof each.digest.bytes));
      return {};
    });
    if (!told) to.assign(ranks_.size(), {}); // which rank 0 takes for a failure
    came = ranks_.all_to_all(to);
    if (!came) return came.error();
    sharded_report report;
    result<void> done;
    if (ranks_.rank() == 0) done = caught([&] { return make_head(*came, listed_again, publish, report); });
    std::vector<std::byte> outcome;
    told = caught([&]() -> result<void> {
      message_writer(outcome)
          .outcome(done)
          .number(report.file_size_bytes)
          .number(report.shard_count)
          .number(report.is_delta ? 1 : 0);
      return {};
    });
    outcome.resize(256);
    if (auto exchanged = ranks_.broadcast(outcome, 0); !exchanged) return exchanged.error();
    message_reader in(outcome);
    if (auto all = in.outcome(); !all) return all.error();
    report.file_size_bytes = in.number();
    report.shard_count = static_cast<std::uint32_t>(in.number());
    report.is_delta = in.number() != 0;
    for (const planned_write& each : layout.writes) report.written_bytes += each.from.size_bytes;
    return report;
  }

  result<void> finish_files(shard_layout& of, const rank_messages& from, std::vector<shard_reference>& finished,
                            std::uint64_t& size_bytes) {
    std::vector<message_reader> checksums;
    for (const std::vector<std::byte>& each : from) {
      message_reader& in = checksums.emplace_back(each);
      if (each.empty()) continue; // a rank of another group, or one that has no memory left
      if (auto written = in.outcome(); !written) return written;
    }
    for (std::uint32_t number = 0; number < of.files.size(); ++number) {
      const auto made = of.files[number].finish(folder_, head_, of.first_files[ranks_.rank()] + number,
                                                of.first_files.back(), options_, checksums);
      if (!made) return made.error();
      finished.push_back(*made);
      size_bytes += of.files[number].file_size_bytes();
    }
    // Names that the head will list must be on the disk before it is.
    if (options_.is_durable && !of.files.empty()) return of.files.front().sync_folder();
    return {};
  }

  template <class Publish>
  result<void> make_head(const rank_messages& from, std::vector<shard_reference>& listed_again, Publish& publish,
                         sharded_report& report) {
    std::vector<shard_reference> shards;
    for (const std::vector<std::byte>& each : from) {
      message_reader in(each);
      if (auto own = in.outcome(); !own) return own;
      report.file_size_bytes += in.number();
      report.is_delta = in.number() != 0 || report.is_delta;
      while (!in.is_empty()) {
        shard_reference& made = shards.emplace_back();
        made.file_name = in.text();
        const std::string_view digest = in.text();
        if (digest.size() != sizeof made.digest.bytes) return errc::rank_lost;
        std::memcpy(made.digest.bytes, digest.data(), digest.size());
      }
    }
    report.shard_count = static_cast<std::uint32_t>(shards.size());
    // The new ones first: they count where both have a piece.
    if (report.is_delta && listed_again.empty()) return errc::missing_base; // other ranks could open it
    if (report.is_delta)
      shards.insert(shards.end(), std::make_move_iterator(listed_again.begin()),
                    std::make_move_iterator(listed_again.end()));
    return publish(std::span<const shard_reference>(shards));
  }

  communicator& ranks_;
  shard_options shards_;
  save_options options_;
  std::uint32_t group_;
  /// Another number for every save, the same on every rank.
  std::uint64_t save_;
  std::string folder_, head_;
  /// What this rank has said of its blocks, and the plan that came of it.
  rank_messages described_;
  bool has_plan_ = false;
  std::vector<planned_tensor> tensors_; // of this group, on its lowest rank
  shard_layout whole_, changed_;
  std::uint64_t unchanged_count_ = 0;
  std::unordered_map<std::string, std::uint32_t> last_writers_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
