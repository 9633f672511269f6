// SPDX-License-Identifier: MIT
// Sharded checkpoints: the list of shards in a head, and each shard as a store of its own.
#ifndef STET_MANIFEST_SHARDS_HPP
#define STET_MANIFEST_SHARDS_HPP

#include "content_digest.hpp"
#include "detail/digest_text.hpp"
#include "detail/gathered_path.hpp"
#include "parse.hpp"
#include "slice_of.hpp"

#include "../source/detail/borrow_source.hpp"
#include "../store/open.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// A sharded checkpoint
// ====================
//
// A head, `ckpt-100.stet`, and shards beside it, `ckpt-100-00000-of-00002-89abcdef.stet` and so on. Several processes write the
// shards, each its own; the head comes last.
//
//   head   a native file with a manifest and without index, so that a reader which does not know of shards refuses it. It has no
//          tensors and no other files. Its manifest has graph, state and metadata as ever, and the field `shards`
//   shard  an ordinary native store in one file. Its tensors are whole tensors of the checkpoint, or pieces of them: those have the
//          attribute `slice_of`. All other attributes of a piece are those of the whole tensor
//
// manifest.hpp specifies both fields. The tensors of the checkpoint are those of its shards, in the order in which they first appear
// there. The pieces of a tensor, boxes of any size, cover it once. Where two shards have the same piece, or the same whole tensor,
// the first in the list counts: so a checkpoint takes over a shard of an earlier one.

namespace stet::inline STET_NAMESPACE {

/// The largest number of shards of a checkpoint.
inline constexpr std::size_t max_shard_count = 4096;

/// One shard in the list of a head.
struct shard_reference {
  /// A plain file name in the folder of the head.
  std::string file_name;
  /// The `content_digest` of that store.
  sha256_digest digest;
};

namespace detail {

inline constexpr std::string_view shards_key = "shards";

/// Checks the list of shards of a head.
inline result<void> check_shards(std::span<const shard_reference> shards) {
  if (shards.empty()) return error(errc::missing_part, shards_key);
  if (shards.size() > max_shard_count) return error(errc::too_large, shards_key, max_shard_count);
  for (const shard_reference& each : shards) {
    if (!is_part_name(each.file_name)) return error(errc::bad_path, each.file_name);
  }
  const std::size_t duplicate =
      find_duplicate(shards.size(), [&](std::size_t i) -> std::string_view { return shards[i].file_name; });
  if (duplicate != name_table::none) return error(errc::duplicate_part, shards[duplicate].file_name);
  return {};
}

inline constexpr manifest_field<shard_reference> shard_fields[] = {
    {"file", true, [](json_input& in, shard_reference& into) { return read_string(in, into.file_name); }},
    {"sha256", true,
     [](json_input& in, shard_reference& into) {
       std::string digits;
       if (const field_problem problem = read_string(in, digits)) return problem;
       const std::optional<sha256_digest> digest = digest_of_hex(digits);
       if (!digest) return field_problem(errc::bad_checksum_field);
       into.digest = *digest;
       return field_problem();
     }},
};

/// The shards that the manifest of a native file without index lists; none if it is no head.
inline result<std::vector<shard_reference>> shards_in(const manifest& of) {
  std::vector<shard_reference> shards;
  const std::string_view field = member_of(of.extra.text(), shards_key);
  if (field.empty()) return shards;
  json_input in(field);
  if (in.next() != json_token::begin_array) return error(errc::wrong_type, shards_key);
  while (in.next() != json_token::end_array && !in.failure()) {
    if (shards.size() == max_shard_count) return error(errc::too_large, shards_key, max_shard_count);
    const field_problem problem = read_object<shard_reference>(in, shard_fields, shards.emplace_back());
    if (problem && !in.failure()) return error(problem.code, shards_key);
  }
  if (in.failure()) return error(in.failure()->code(), shards_key);
  if (auto checked = check_shards(shards); !checked) return checked.error();
  if (!of.tensors.empty() || !of.parts.empty()) return error(errc::manifest_mismatch, shards_key);
  return shards;
}

} // namespace detail

/// The shards of an open store, in the order of its parts: part k is the file of shard k, in whole. None if it is not sharded.
/// Errors: those of `parse_manifest`, and those that `read_manifest` names for the list.
/// Cost: parses the manifest of the head; of another native file, a look at its header.
[[nodiscard]] inline result<std::vector<shard_reference>> shards_of(const store& of) {
  if (!detail::is_without_index(of.data()) || !detail::may_have_member(of.manifest_text(), detail::shards_key))
    return std::vector<shard_reference>();
  const result<manifest> parsed = parse_manifest(of.manifest_text());
  if (!parsed) return parsed.error();
  return detail::shards_in(*parsed);
}

/// The field `shards` of a head's manifest, an object of that one member. Cost: allocates the text.
[[nodiscard]] inline json_text shards_field(std::span<const shard_reference> shards) {
  std::string list;
  for (const shard_reference& each : shards) {
    std::string one;
    detail::append_json_key(one, std::string_view("file"));
    detail::append_json_string(one, std::string_view(each.file_name));
    detail::append_json_key(one, std::string_view("sha256"));
    detail::append_json_string(one, std::string_view(detail::hex_of(each.digest)));
    list.append(list.empty() ? "[" : ",").append(one) += '}';
  }
  std::string text;
  detail::append_json_key(text, detail::shards_key);
  return json_text(text.append(list.empty() ? "[" : list).append("]}"));
}

/// A shard of an open sharded checkpoint as the store that it is, with its own manifest. It borrows from the checkpoint, which must
/// stay open.
/// @param number  less than the number of `shards_of`
/// @retval errc::invalid_argument  the store has no such shard
/// Errors: those of `open`. Cost: a pass over the shard's table of tensors, which is read again where the bytes are on demand.
[[nodiscard]] inline result<store> open_shard(const store& of, std::size_t number,
                                              memory_resource* memory = nullptr) noexcept {
  const tensor_index& index = of.index();
  if (number >= index.part_count() || !detail::is_without_index(of.data())) return errc::invalid_argument;
  const auto part = static_cast<std::uint32_t>(number);
  if (!detail::is_file_part(index.part(part).path)) return errc::invalid_argument;
  return detail::open_store(detail::borrow_source(of.part(part)), detail::no_parts(), memory);
}

/// What the manifest of a shard says of one of its tensors.
struct shard_piece {
  /// The name of the tensor of the checkpoint.
  std::string tensor;
  /// The place in it; nothing: this is all of it.
  std::optional<slice_place> place;
  /// The attributes of the tensor of the checkpoint, without `slice_of`: an object, or nothing.
  json_text attributes;
};

/// What the manifest of a shard says of each of its tensors, in their order.
/// @retval errc::manifest_mismatch  the manifest has other tensors than the index
/// or an error of `parse_manifest`. Cost: parses the manifest.
[[nodiscard]] inline result<std::vector<shard_piece>> pieces_of(const store& shard) {
  result<manifest> parsed = parse_manifest(shard.manifest_text());
  if (!parsed) return parsed.error();
  if (parsed->tensors.size() != shard.tensor_count()) return errc::manifest_mismatch;
  std::vector<shard_piece> pieces;
  pieces.reserve(parsed->tensors.size());
  auto entry = shard.index().begin();
  for (manifest_tensor& each : parsed->tensors) {
    if ((*entry).name() != each.name) return error(errc::manifest_mismatch, each.name);
    ++entry;
    result<std::optional<slice_place>> place = slice_of(each.attributes);
    if (!place) return place.error().about(each.name);
    if (!*place) {
      pieces.push_back({std::move(each.name), std::nullopt, std::move(each.attributes)});
      continue;
    }
    json_text others = detail::without_member(each.attributes, detail::slice_of_key);
    std::string name = (*place)->tensor;
    pieces.push_back({std::move(name), std::move(*place), std::move(others)});
  }
  return pieces;
}

namespace detail {

/// What the manifest of a store says. Of a sharded checkpoint it has the tensors of all shards in their order, of which it gives
/// names and attributes alone, and no field `shards`.
inline result<manifest> parse_with_shards(const store& of) {
  result<manifest> head = parse_manifest(of.manifest_text());
  if (!head || !is_without_index(of.data())) return head;
  const result<std::vector<shard_reference>> shards = shards_in(*head);
  if (!shards) return shards.error();
  if (shards->empty()) return head;
  head->extra = without_member(head->extra, shards_key);
  std::set<std::string> seen;
  for (std::size_t number = 0; number < shards->size(); ++number) {
    const result<store> shard = open_shard(of, number);
    if (!shard) return shard.error().about((*shards)[number].file_name);
    result<std::vector<shard_piece>> pieces = pieces_of(*shard);
    if (!pieces) return pieces.error();
    for (shard_piece& each : *pieces) {
      if (!seen.insert(each.tensor).second) continue;
      manifest_tensor& made = head->tensors.emplace_back();
      made.name = std::move(each.tensor);
      made.attributes = std::move(each.attributes);
    }
  }
  return head;
}

} // namespace detail

} // namespace stet::inline STET_NAMESPACE

#endif
