// SPDX-License-Identifier: MIT
// Compares the checksums of a model's files that its store does not have.
#ifndef STET_FORMATS_CHECK_MODEL_HPP
#define STET_FORMATS_CHECK_MODEL_HPP

#include "model.hpp"
#include "common/visit_pieces.hpp"

#include "../bytes/crc32.hpp"
#include "../load/load.hpp"
#include "../vocabulary/inflate.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// The CRC-32 of what a deflated range becomes.
inline result<std::uint32_t> crc32_of_inflated(const model& of, const source& from, const range_check& check) {
  const std::uint64_t size_bytes = *check.inflated_size_bytes;
  if (of.options.inflate == nullptr) return error(errc::compressed, check.name);
  if (size_bytes / max_inflation > check.size_bytes)
    return error(errc::bad_compression, check.name, check.offset_bytes);
  result<source> stored = source::allocate(from.data() == nullptr ? check.size_bytes : 0, of.options.memory);
  if (!stored) return stored.error();
  const std::byte* bytes = from.data() + (from.data() == nullptr ? 0 : static_cast<std::size_t>(check.offset_bytes));
  if (from.data() == nullptr) {
    bytes = stored->data();
    if (auto read =
            from.read_at(check.offset_bytes, {stored->writable_data(), static_cast<std::size_t>(check.size_bytes)});
        !read) {
      return read.error().about(check.name);
    }
  }
  result<source> made = source::allocate(size_bytes, of.options.memory);
  if (!made) return made.error();
  const std::span<std::byte> into(made->writable_data(), static_cast<std::size_t>(size_bytes));
  if (!of.options.inflate(bytes, static_cast<std::size_t>(check.size_bytes), into.data(), into.size(), false)) {
    return error(errc::bad_compression, check.name, check.offset_bytes);
  }
  return crc32(into);
}

} // namespace detail

/// Compares one checksum of a range of a model's files.
/// @retval errc::checksum_mismatch  the bytes are damaged; the subject is the name of the range
/// @retval errc::bad_compression    they are deflated, and damaged
/// or an error of the reader. Cost: reads the range once; at most 256 KiB of memory, or of a deflated range what it becomes;
/// of a mapped file, pages of a few MiB.
[[nodiscard]] inline result<void> check_range(const model& of, const range_check& check) {
  constexpr std::uint64_t most = 256 * 1024;
  const source& from = of.store.tensor_file(check.part);
  std::uint32_t crc = 0;
  sha1 digest;
  const auto add = [&](std::span<const std::byte> bytes) {
    if (check.sha1) {
      digest.update(bytes);
    } else {
      crc = crc32(bytes, crc);
    }
  };
  if (check.inflated_size_bytes) {
    const result<std::uint32_t> inflated = detail::crc32_of_inflated(of, from, check);
    if (!inflated) return inflated.error();
    crc = *inflated;
  } else if (from.data() != nullptr) {
    detail::visit_pieces(from, check.offset_bytes, check.size_bytes, add);
  } else {
    std::vector<std::byte> memory(static_cast<std::size_t>((std::min)(most, check.size_bytes)));
    for (std::uint64_t done = 0; done < check.size_bytes;) {
      const std::span<std::byte> piece =
          std::span(memory).first(static_cast<std::size_t>((std::min)(most, check.size_bytes - done)));
      if (auto read = from.read_at(check.offset_bytes + done, piece); !read) return read.error().about(check.name);
      add(piece);
      done += piece.size();
    }
  }
  if (check.sha1 ? !(digest.finish() == *check.sha1) : crc != check.crc32)
    return error(errc::checksum_mismatch, check.name, check.offset_bytes);
  return {};
}

/// Compares all of them; what copies a model does so first, so that the copy does not make damage look sound.
/// Errors: those of `check_range`, of the first that fails. Cost: reads the ranges once.
[[nodiscard]] inline result<void> check_ranges(const model& of) {
  for (const range_check& each : of.checks) {
    if (auto checked = check_range(of, each); !checked) return checked;
  }
  return {};
}

/// Compares what the files have of one tensor of the model: its checksum, and those of the ranges that it may lie in.
/// Errors: those of `check_range`, and of `load`. A tensor without either passes. Cost: reads the tensor, with several
/// threads, and the ranges.
[[nodiscard]] inline result<void> check_tensor(const model& of, const tensor& which) {
  const bool is_in_file = of.is_in_file(which);
  const std::uint32_t part = which.entry().part();
  const std::uint64_t at = which.entry().offset_bytes();
  for (const range_check& each : of.checks) {
    // What is decoded may come from any range; one that is deflated and holds tensors was compared when it was decoded.
    if (each.inflated_size_bytes) continue;
    const bool may_hold =
        !is_in_file || (each.part == part && at >= each.offset_bytes && at - each.offset_bytes < each.size_bytes);
    if (!may_hold) continue;
    if (auto checked = check_range(of, each); !checked) return checked;
  }
  if (!which.entry().has_crc32c()) return {};
  load_request request(which);
  load_options options;
  options.verify_checksums = true;
  return load(of.store, std::span(&request, 1), options);
}

} // namespace stet::inline STET_NAMESPACE

#endif
