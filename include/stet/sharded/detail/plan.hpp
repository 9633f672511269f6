// SPDX-License-Identifier: MIT
// Decides what each rank writes where. No rank sees everything: an owner, chosen by the hash of its name, plans each tensor, and the first
// rank of a group of ranks lays out the file of that group.
#ifndef STET_SHARDED_DETAIL_PLAN_HPP
#define STET_SHARDED_DETAIL_PLAN_HPP

#include "boxes.hpp"
#include "message.hpp"
#include "../sharded_variables.hpp"

#include "../../bytes/detail/fnv1a.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// What all ranks say alike of a tensor.
struct tensor_facts {
  std::string name, slot_of;
  stet::dtype dtype{};
  std::uint8_t bits = 0;
  bool is_trainable = true;
  /// The least place in the lists of the ranks that have it: the order in files.
  std::uint64_t position = 0;
  std::vector<std::uint64_t> shape;

  [[nodiscard]] std::uint64_t element_size_bytes() const noexcept { return bits / 8u; }

  void write(message_writer& to) const { write(to, *this, dtype, bits, position); }
  /// Writes the facts of `of`, which calls most of them as this struct does.
  static void write(message_writer& to, const auto& of, stet::dtype dtype, std::uint8_t bits, std::uint64_t position) {
    to.text(of.name).text(of.slot_of).number(static_cast<std::uint64_t>(dtype)).number(bits);
    to.number(of.is_trainable ? 1 : 0).number(position).number(of.shape.size()).numbers(of.shape);
  }
  void read(message_reader& from) {
    name = from.text();
    slot_of = from.text();
    dtype = static_cast<stet::dtype>(from.number());
    bits = static_cast<std::uint8_t>(from.number());
    is_trainable = from.number() != 0;
    position = from.number();
    from.numbers(from.count(8), shape);
  }
};

/// @param of  a box, or a block
inline void write_box(message_writer& to, const auto& of) { to.numbers(of.start).numbers(of.extents); }
inline void read_box(message_reader& from, std::size_t rank, box& into) {
  from.numbers(rank, into.start);
  from.numbers(rank, into.extents);
}

/// Some bytes of a block of a rank, which it writes.
struct fragment {
  std::uint32_t rank = 0;
  /// The number of the block among those of the rank, of all variables.
  std::uint32_t block = 0;
  std::uint64_t first_byte = 0, size_bytes = 0;
};

/// A box of a tensor in the file of a group: its bytes are those of the fragments, in this order.
struct planned_piece {
  box place;
  std::vector<fragment> fragments;

  [[nodiscard]] std::uint64_t size_bytes() const noexcept {
    std::uint64_t size_bytes = 0;
    for (const fragment& each : fragments) size_bytes += each.size_bytes;
    return size_bytes;
  }
};

/// A tensor in the file of a group, and its pieces there, sorted.
struct planned_tensor {
  tensor_facts facts;
  std::vector<planned_piece> pieces;
};

/// The rank that plans the tensor called `name`.
inline std::uint32_t owner_of(std::string_view name, std::uint32_t rank_count) noexcept {
  return static_cast<std::uint32_t>(fnv1a().add(name).value() % rank_count);
}

/// Tells the owners what this rank has.
/// @param group  the group of this rank: its lowest rank
inline rank_messages describe_blocks(const sharded_variable_list& variables, std::uint32_t rank_count,
                                     std::uint32_t group) {
  rank_messages to(rank_count);
  std::uint64_t number = 0; // of the block
  for (std::size_t position = 0; position < variables.size(); ++position) {
    const sharded_variable& each = variables[position];
    std::vector<std::byte>& message = to[owner_of(each.name, rank_count)];
    message_writer out(message);
    if (message.empty()) out.number(group);
    tensor_facts::write(out, each, each.layout.dtype, each.layout.bits, position);
    out.number(each.blocks.size());
    for (const local_block& block : each.blocks) {
      out.number(number++);
      write_box(out, block);
    }
  }
  return to;
}

/// Plans the tensors that a rank owns.
class tensor_owner {
public:
  /// @param rank_count  of the communicator
  explicit tensor_owner(std::uint32_t rank_count) : group_of_(rank_count), load_bytes_(rank_count) {}

  /// Takes what rank `rank` says of its blocks.
  /// @retval errc::dtype_mismatch, shape_mismatch, invalid_argument  it contradicts an earlier rank: the subject is the name and both
  /// @retval errc::rank_lost  the message is cut short
  result<void> take(std::uint32_t rank, std::span<const std::byte> message) {
    message_reader in(message);
    if (in.is_empty()) return {};
    group_of_[rank] = static_cast<std::uint32_t>(in.number());
    tensor_facts facts; // whose memory is used again
    while (!in.is_empty()) {
      facts.read(in);
      const auto [found, is_new] = numbers_.try_emplace(facts.name, tensors_.size());
      if (is_new) tensors_.push_back({facts, rank, {}});
      owned_tensor& into = tensors_[found->second];
      if (auto same = compare(into, facts, rank); !same) return same;
      into.facts.position = (std::min)(into.facts.position, facts.position);
      const std::size_t block_count = in.count(8);
      for (std::size_t i = 0; i < block_count; ++i) {
        claim& made = into.claims.emplace_back();
        made.rank = rank;
        made.block = static_cast<std::uint32_t>(in.number());
        read_box(in, facts.shape.size(), made.place);
      }
    }
    return in.is_whole() ? result<void>() : errc::rank_lost;
  }

  /// Decides who writes what, after the ranks were taken in ascending order, and tells the groups: what to put into the message for each
  /// group's lowest rank.
  /// @param last_writers  of replicas, by name and box: who wrote them last time; becomes who does now
  /// @retval errc::bad_slice  the blocks of a tensor leave a gap, or overlap: the subject is the name and the ranks
  result<rank_messages> plan(std::unordered_map<std::string, std::uint32_t>& last_writers) {
    std::unordered_map<std::string, std::uint32_t> writers;
    rank_messages to(group_of_.size());
    for (owned_tensor& each : tensors_) {
      std::sort(each.claims.begin(), each.claims.end(), [](const claim& a, const claim& b) {
        if (a.place != b.place) return a.place < b.place;
        return std::pair(a.rank, a.block) < std::pair(b.rank, b.block);
      });
      if (auto tiled = check_tiling(each); !tiled) return tiled.error();
    }
    // What only one rank has is written there; replicas are shared out around that, the largest first.
    std::vector<std::pair<std::size_t, std::size_t>> replicas; // tensor, first claim
    for (std::size_t number = 0; number < tensors_.size(); ++number) {
      owned_tensor& each = tensors_[number];
      for (std::size_t first = 0, end = 0; first < each.claims.size(); first = end) {
        end = end_of_replica(each, first);
        if (end - first > 1)
          replicas.emplace_back(number, first);
        else
          assign(each, first, group_of_[each.claims[first].rank], {&each.claims[first], 1});
      }
    }
    std::sort(replicas.begin(), replicas.end(), [this](const auto& a, const auto& b) {
      const std::uint64_t size = size_of(tensors_[a.first], a.second), other = size_of(tensors_[b.first], b.second);
      return size != other ? size > other : a < b;
    });
    for (const auto& [number, first] : replicas) share_out(tensors_[number], first, last_writers, writers);
    last_writers = std::move(writers);
    for (owned_tensor& each : tensors_) tell_groups(each, to);
    return to;
  }

private:
  /// A block that a rank says it has.
  struct claim {
    std::uint32_t rank = 0, block = 0;
    box place;
  };
  struct owned_tensor {
    tensor_facts facts;
    std::uint32_t first_rank;
    std::vector<claim> claims;
    /// By the lowest rank of each group: boxes and who writes them.
    std::map<std::uint32_t, std::vector<planned_piece>> pieces{};
  };

  static error about_ranks(errc code, const tensor_facts& of, std::uint32_t a, std::uint32_t b, const char* what) {
    return error(code, of.name + " (ranks " + std::to_string(a) + " and " + std::to_string(b) + what + ")");
  }

  static result<void> compare(const owned_tensor& known, const tensor_facts& facts, std::uint32_t rank) {
    const tensor_facts& before = known.facts;
    if (before.dtype != facts.dtype || before.bits != facts.bits)
      return about_ranks(errc::dtype_mismatch, facts, known.first_rank, rank, "");
    if (before.shape != facts.shape) return about_ranks(errc::shape_mismatch, facts, known.first_rank, rank, "");
    if (before.is_trainable != facts.is_trainable || before.slot_of != facts.slot_of)
      return about_ranks(errc::invalid_argument, facts, known.first_rank, rank, " describe it differently");
    return {};
  }

  static std::size_t end_of_replica(const owned_tensor& of, std::size_t first) noexcept {
    std::size_t end = first + 1;
    while (end < of.claims.size() && of.claims[end].place == of.claims[first].place) ++end;
    return end;
  }
  static std::uint64_t size_of(const owned_tensor& of, std::size_t claim) noexcept {
    return of.claims[claim].place.element_count() * of.facts.element_size_bytes();
  }

  static result<void> check_tiling(owned_tensor& of) {
    std::uint64_t element_count = 1;
    for (const std::uint64_t extent : of.facts.shape) element_count *= extent;
    if (element_count == 0) { // one rank says that it is there
      of.claims.resize(1);
      of.claims[0].place = {std::vector<std::uint64_t>(of.facts.shape.size(), 0), of.facts.shape};
      return {};
    }
    std::erase_if(of.claims, [](const claim& each) { return each.place.element_count() == 0; });
    std::vector<const box*> boxes;
    boxes.reserve(of.claims.size());
    for (std::size_t first = 0; first < of.claims.size(); first = end_of_replica(of, first))
      boxes.push_back(&of.claims[first].place);
    if (do_tile(of.facts.shape, boxes)) return {};
    return why_not_tiled(of);
  }
  static error why_not_tiled(const owned_tensor& of) {
    constexpr std::size_t most = 2000; // pairs are compared
    for (std::size_t b = 0; b < of.claims.size() && b < most; ++b) {
      for (std::size_t a = 0; a < b; ++a) {
        const claim &one = of.claims[a], &other = of.claims[b];
        if (one.place != other.place && do_overlap(one.place, other.place))
          return about_ranks(errc::bad_slice, of.facts, one.rank, other.rank, " overlap");
      }
    }
    std::string ranks;
    std::vector<std::uint32_t> numbers;
    for (const claim& each : of.claims) numbers.push_back(each.rank);
    std::sort(numbers.begin(), numbers.end());
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    for (std::size_t i = 0; i < numbers.size() && i < 4; ++i)
      ranks += (i == 0 ? " " : ", ") + std::to_string(numbers[i]);
    if (numbers.size() > 4) ranks += ", …";
    return error(errc::bad_slice, of.facts.name + " (a gap between the blocks of ranks" + ranks + ")");
  }

  /// The key of a replica among the writers.
  static std::string key_of(const owned_tensor& of, std::size_t first) {
    return of.facts.name + '\0' + text_of(of.claims[first].place);
  }

  /// Decides who writes a box that several ranks have: those of the group that has written least so far, each a part of it.
  void share_out(owned_tensor& of, std::size_t first, const std::unordered_map<std::string, std::uint32_t>& before,
                 std::unordered_map<std::string, std::uint32_t>& now) {
    const std::span<const claim> claims = std::span(of.claims).subspan(first, end_of_replica(of, first) - first);
    // Where it was last time, so that what did not change can stay there; else ties begin anywhere, since owners know nothing of each
    // other's choices.
    const auto kept = before.find(key_of(of, first));
    std::uint32_t chosen = 0;
    if (kept != before.end() && std::any_of(claims.begin(), claims.end(),
                                            [&](const claim& each) { return group_of_[each.rank] == kept->second; })) {
      chosen = kept->second;
    } else {
      const std::size_t begin = static_cast<std::size_t>(fnv1a().add(of.facts.name).value() / 7 % claims.size());
      const claim* best = &claims[begin];
      for (std::size_t i = 1; i < claims.size(); ++i) {
        const claim& each = claims[(begin + i) % claims.size()];
        if (load_bytes_[each.rank] < load_bytes_[best->rank]) best = &each;
      }
      chosen = group_of_[best->rank];
    }
    now.emplace(key_of(of, first), chosen);
    std::vector<claim> writers;
    std::copy_if(claims.begin(), claims.end(), std::back_inserter(writers),
                 [&](const claim& each) { return group_of_[each.rank] == chosen; });
    std::sort(writers.begin(), writers.end(), [&](const claim& a, const claim& b) {
      return std::pair(load_bytes_[a.rank], a.rank) < std::pair(load_bytes_[b.rank], b.rank);
    });
    assign(of, first, chosen, writers);
  }

  /// Adds the box of a claim to the pieces of a group: each of `writers` writes a part of it, as long as that is worth a write. The claim
  /// has no box any more.
  void assign(owned_tensor& of, std::size_t first, std::uint32_t group, std::span<const claim> writers) {
    constexpr std::uint64_t least_bytes = std::uint64_t{1} << 20;
    const std::uint64_t size = size_of(of, first), element = of.facts.element_size_bytes();
    const auto count = static_cast<std::size_t>(std::clamp<std::uint64_t>(size / least_bytes, 1, writers.size()));
    planned_piece made{std::move(of.claims[first].place), {}}; // without fragments if there are no bytes
    std::uint64_t done = 0;
    for (std::size_t i = 0; size != 0 && i < count; ++i) {
      const std::uint64_t end = i + 1 == count ? size : size / element / count * (i + 1) * element;
      made.fragments.push_back({writers[i].rank, writers[i].block, done, end - done});
      load_bytes_[writers[i].rank] += end - done;
      done = end;
    }
    of.pieces[group].push_back(std::move(made));
  }

  /// Joins the pieces of each group that are one box together, and tells the group.
  static void tell_groups(owned_tensor& of, rank_messages& to) {
    for (auto& [group, pieces] : of.pieces) {
      std::sort(pieces.begin(), pieces.end(),
                [](const planned_piece& a, const planned_piece& b) { return a.place < b.place; });
      std::size_t joined = 0; // those that are left in front
      for (planned_piece& each : pieces) {
        if (&each != &pieces[joined]) pieces[joined] = std::move(each);
        ++joined;
        while (joined > 1 && append_box(pieces[joined - 2].place, pieces[joined - 1].place)) {
          const std::vector<fragment>& more = pieces[joined - 1].fragments;
          std::vector<fragment>& into = pieces[joined - 2].fragments;
          into.insert(into.end(), more.begin(), more.end());
          --joined;
        }
      }
      message_writer out(to[group]);
      of.facts.write(out);
      out.number(joined);
      for (const planned_piece& each : std::span(pieces).first(joined)) {
        write_box(out, each.place);
        out.number(each.fragments.size());
        for (const fragment& part : each.fragments)
          out.number(std::uint64_t{part.rank} << 32 | part.block).number(part.first_byte).number(part.size_bytes);
      }
    }
  }

  std::vector<std::uint32_t> group_of_;
  /// What the ranks write of the tensors of this owner.
  std::vector<std::uint64_t> load_bytes_;
  std::vector<owned_tensor> tensors_;
  std::unordered_map<std::string, std::size_t> numbers_;
};

/// Reads what the owners tell the lowest rank of a group, in the order of the file: that of registration, and of names.
/// @retval errc::rank_lost  a message is cut short
inline result<std::vector<planned_tensor>> read_planned(const rank_messages& from) {
  std::vector<planned_tensor> made;
  for (const std::vector<std::byte>& message : from) {
    message_reader in(message);
    while (!in.is_empty()) {
      planned_tensor& each = made.emplace_back();
      each.facts.read(in);
      each.pieces.resize(in.count(8));
      for (planned_piece& piece : each.pieces) {
        read_box(in, each.facts.shape.size(), piece.place);
        piece.fragments.resize(in.count(24));
        for (fragment& part : piece.fragments) {
          const std::uint64_t who = in.number();
          part.rank = static_cast<std::uint32_t>(who >> 32);
          part.block = static_cast<std::uint32_t>(who);
          part.first_byte = in.number();
          part.size_bytes = in.number();
        }
      }
    }
    if (!in.is_whole()) return errc::rank_lost;
  }
  std::sort(made.begin(), made.end(), [](const planned_tensor& a, const planned_tensor& b) {
    return a.facts.position != b.facts.position ? a.facts.position < b.facts.position : a.facts.name < b.facts.name;
  });
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
