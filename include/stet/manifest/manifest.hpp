// SPDX-License-Identifier: MIT
// The manifest of a store: the specification in prose, and its fields as plain structs.
#ifndef STET_MANIFEST_MANIFEST_HPP
#define STET_MANIFEST_MANIFEST_HPP

#include "json_text.hpp"

#include "../index/format.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// The stet manifest, version 1
// ============================
//
// The manifest says which tensors a store has and where their bytes lie. It stands in a native file
// (index/format.hpp), where it is the part that people and other languages read, or it is a file of its own,
// `model.json`, that names the files with the tensors' bytes beside it (the loose form). It is data: nothing
// in it ever runs.
//
// It is one JSON object (RFC 8259) in UTF-8, without a byte order mark, at most 64 objects and arrays deep. A
// key occurs once in its object, everywhere. Offsets, sizes, extents and all other counts are non-negative
// integers below 2^64, written without sign, fraction or exponent. An integer that 64 bits do not hold is
// refused even where any number may stand, since reading it would change it.
//
//   {"stet": {"version": 1, "minimum_reader": 1},
//    "alignment_bytes": 64,
//    "data": ["weights.bin",
//             {"path": "more.stet", "size_bytes": 4096, "content_id": "0123456789abcdef"}],
//    "tensors": {
//     "dense/kernel": {"dtype": "float32", "shape": [784, 10], "offset_bytes": 4096, "size_bytes": 31360,
//                      "crc32c": "0a1b2c3d"}},
//    "graph": {}, "state": {}, "metadata": {}}
//
// Of the manifest
//   stet             required; stands first, so that a reader can tell early that it is too old
//     version          the version of the format that the writer followed, at least minimum_reader
//     minimum_reader   the least version a reader must know to read the store rightly, at least 1
//   alignment_bytes  a power of two, 1 … 65536: every offset is a multiple of it. Default 1
//   data             the files that hold the tensors' bytes, each a path or an object:
//     path             required: the plain name of a file in the folder of the manifest, at most 255 bytes,
//                      without slashes, backslashes, colons and control characters, not ending in a full
//                      stop or a space. No two are equal
//     size_bytes       the size of the file; another size is an error
//     content_id       16 lower-case hexadecimal digits: the file begins with a header of kind part, which
//                      has this content id (index/format.hpp). Without it the file is raw bytes
//                    Bytes that belong to no tensor are padding; a save puts some behind the last tensor of a file
//                    Without `data`, the tensors lie in the file of the manifest
//   tensors          required: an object of tensors by name. A name is 1 … 65535 bytes without NUL, compared
//                    bytewise; it may hold '/', '..' or anything else, since it never becomes a path
//   graph            an object: what the network computes, as graph.hpp specifies it; anything else is kept, too
//   state            an object: global step, random number generator, hyper-parameters, anything
//   metadata         an object: anything
//   shards           of the head of a sharded checkpoint (shards.hpp), a native file without index, alone: the stores
//                    in its folder whose tensors are the checkpoint's, 1 … 4096 objects. It has no tensors and no
//                    `data` then. Of the same piece in two of them, the first counts
//     file           required: a plain name, as `path` above. No two are equal
//     sha256         required: the content digest of that store, 64 lower-case hexadecimal digits: SHA-256 of its
//                    manifest's text followed by its index
//   tensor_order     "name": the store was made of a file that sorts tensors by name, so that their order is not that
//                    of the model
//
// Of a tensor
//   dtype            required: a name from dtype_table (vocabulary/dtype.hpp), NumPy's and ml_dtypes' own
//   shape            required: at most 254 extents, outermost first; [] for a scalar. The product of the
//                    extents, zeros taken as ones, times the size of an element fits in 63 bits, so that no
//                    zero hides an overflow
//   offset_bytes     required: from the start of the file it lies in; 0 for a tensor without bytes
//   size_bytes       required: what dtype and shape make; for strings, at least 8 (element count + 1)
//   crc32c           the CRC-32C of the bytes, 8 lower-case hexadecimal digits
//   data             the number of the file in the list above; default 0
//   bits             stored bits of an element where these are not the dtype's own: 8, for an int4 in a byte
//   block            required for the dtype "block", and only there:
//                    {"name": "q4_k", "elements": 256, "size_bytes": 144}
//   alias_of         the name of an earlier tensor, not itself an alias, with which this one shares its
//                    bytes. Everything above is equal in both
//   trainable        true or false
//   second_name      true: an alias that only gives the tensor a further name to be found by. Other formats do not
//                    save it
//   slice_of         of a tensor of a shard: the piece that it is of a tensor of the checkpoint. All other attributes
//                    are those of the whole tensor. Elements are whole bytes each: no strings, no blocks
//     tensor         required: the name of the whole tensor
//     shape          required: its extents
//     start          required: where the piece begins, as many numbers; its extents are its own shape
//   quantization     an object; what it stands for is left to the program, but these fields fit the tensor:
//     axis             less than the rank
//     scales           a number, or an array of as many as the axis has elements, or of one; finite and
//                      greater than 0; or the name of a tensor
//     zero_points      as many integers as there are scales, each one that the dtype can hold; or the name
//                      of a tensor
//
// Tensors do not overlap, aliases apart. In a native file they stand in ascending order of (data, offset); in
// the loose form they may stand in any order.
//
// How the manifest grows. Fields that a reader does not know, in the manifest and in tensors, are kept as
// they are and in their order, and have no effect; elsewhere they are passed over. Whatever would make an
// older reader misread a store raises minimum_reader, and a reader refuses a store whose minimum_reader is
// above its own version.
//
// As written by this library: keys in the order above, further fields last, no spaces, one tensor a line. The
// same manifest gives the same bytes everywhere.
//
// README.md in this folder has a program in Python that writes a store in the loose form in ten lines.

namespace stet::inline STET_NAMESPACE {

/// The largest depth of nested objects and arrays; the manifest itself counts as one.
inline constexpr std::size_t max_manifest_depth = 64;

/// The limits for reading a manifest.
struct manifest_limits {
  /// The largest size of the text. A longer text is rejected before it is parsed.
  std::uint64_t size_bytes = max_manifest_size_bytes;
};

/// The block of a tensor whose dtype is `dtype::block`.
struct manifest_block {
  /// The name of the block type: "q4_k".
  std::string name;
  /// The number of elements of a block.
  std::uint32_t element_count = 0;
  /// The size of a block.
  std::uint32_t size_bytes = 0;
  friend bool operator==(const manifest_block&, const manifest_block&) = default;
};

/// One tensor of a manifest; the fields are those of the specification above.
struct manifest_tensor {
  /// The name, UTF-8.
  std::string name;
  /// The dtype of the elements.
  stet::dtype dtype = dtype::float32;
  /// Stored bits of an element; 0 for strings and blocks.
  std::uint8_t bits = 32;
  /// The block of the dtype "block".
  manifest_block block;
  /// The extents, outermost first.
  std::vector<std::uint64_t> shape;
  /// Number of the file that holds the tensor.
  std::uint32_t part = 0;
  /// The offset of the bytes in the part.
  std::uint64_t offset_bytes = 0;
  /// The size of the bytes.
  std::uint64_t size_bytes = 0;
  /// The CRC-32C of the bytes.
  std::optional<std::uint32_t> crc32c;
  /// The number, in `manifest::tensors`, of the tensor this one shares its bytes with.
  std::optional<std::uint32_t> alias_of;
  /// An object: trainable, quantization, and every field that this library does not know, in order; or nothing.
  json_text attributes;

  /// The layout of the elements. The block's name lives as long as this tensor.
  [[nodiscard]] element_layout layout() const noexcept {
    return {dtype, bits, {block.name, block.element_count, block.size_bytes}};
  }
  friend bool operator==(const manifest_tensor&, const manifest_tensor&) = default;
};

/// One file that holds tensors.
struct manifest_part {
  /// The plain name of the file.
  std::string path;
  /// Absent: whatever size the file has.
  std::optional<std::uint64_t> size_bytes;
  /// Present: the file begins with a header of kind part that has this content id.
  std::optional<std::uint64_t> content_id;
  friend bool operator==(const manifest_part&, const manifest_part&) = default;
};

/// A manifest; the fields are those of the specification above. A plain value: parse_manifest makes one from
/// text, check_manifest says whether it can be printed, print_manifest prints it, make_index makes an index
/// from it.
struct manifest {
  /// The version of the format that the writer followed.
  std::uint32_t version = format_version;
  /// The least version a reader must know to read the store correctly.
  std::uint32_t minimum_reader = format_version;
  /// The power of two that every tensor's offset is a multiple of.
  std::uint32_t alignment_bytes = 1;
  /// The files that hold the tensors; empty: the file of the manifest does.
  std::vector<manifest_part> parts;
  /// The tensors.
  std::vector<manifest_tensor> tensors;
  /// The graph of the model, an object; or nothing, as in the next two.
  json_text graph;
  /// The state of the session.
  json_text state;
  /// Free-form fields of the model.
  json_text metadata;
  /// An object: every field that this library does not know, in order; or nothing.
  json_text extra;
  friend bool operator==(const manifest&, const manifest&) = default;
};

} // namespace stet::inline STET_NAMESPACE

#endif
