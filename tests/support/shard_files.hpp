// SPDX-License-Identifier: MIT
// Sharded checkpoints made by hand: shards with pieces of tensors, and the head that lists them.
#ifndef STET_TESTS_SUPPORT_SHARD_FILES_HPP
#define STET_TESTS_SUPPORT_SHARD_FILES_HPP

#include "temp_folder.hpp"

#include <stet/manifest/shards.hpp>
#include <stet/store/open.hpp>
#include <stet/writer/writer.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <deque>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

namespace stet_test {

using extent_list = std::vector<std::uint64_t>;

inline std::size_t count_of(const extent_list& shape) {
  std::uint64_t count = 1;
  for (const std::uint64_t extent : shape) count *= extent;
  return static_cast<std::size_t>(count);
}

/// The elements of a tensor in these tests: first, first + 1 …, row-major.
inline std::vector<std::int32_t> elements_from(std::int32_t first, const extent_list& shape) {
  std::vector<std::int32_t> all(count_of(shape));
  std::iota(all.begin(), all.end(), first);
  return all;
}

/// The elements of a box of a tensor.
inline std::vector<std::int32_t> box_of(const std::vector<std::int32_t>& whole, const extent_list& shape,
                                        const extent_list& start, const extent_list& extents) {
  std::vector<std::int32_t> box;
  for (std::size_t number = 0; number < count_of(extents); ++number) {
    std::size_t rest = number, at = 0, step = 1;
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      at += (rest % static_cast<std::size_t>(extents[axis]) + static_cast<std::size_t>(start[axis])) * step;
      rest /= static_cast<std::size_t>(extents[axis]);
      step *= static_cast<std::size_t>(shape[axis]);
    }
    box.push_back(whole[at]);
  }
  return box;
}

inline std::string slice_name(std::string_view tensor, const extent_list& start, const extent_list& extents) {
  std::string name(tensor);
  for (std::size_t axis = 0; axis < start.size(); ++axis) {
    name += axis == 0 ? "[" : ",";
    name += std::to_string(start[axis]) + ":" + std::to_string(start[axis] + extents[axis]);
  }
  return name + "]";
}

/// A shard in the making; elements of tensors live as long as it.
class shard_maker {
public:
  stet::writer out;

  /// A whole tensor of int32.
  shard_maker& whole(std::string_view name, std::int32_t first, const extent_list& shape,
                     stet::json_text attributes = {}) {
    out.add(name, kept_.emplace_back(elements_from(first, shape)), stet::extents(std::span(shape)),
            std::move(attributes));
    return *this;
  }
  /// A box of such a tensor.
  shard_maker& piece(std::string_view tensor, std::int32_t first, const extent_list& shape, const extent_list& start,
                     const extent_list& extents, const stet::json_text& attributes = {}) {
    out.add(slice_name(tensor, start, extents),
            kept_.emplace_back(box_of(elements_from(first, shape), shape, start, extents)),
            stet::extents(std::span(extents)), stet::with_slice_of({std::string(tensor), shape, start}, attributes));
    return *this;
  }

  /// Saves it as a shard. @return  what a head says of it
  stet::shard_reference save(const temp_folder& folder, std::string_view name,
                             const stet::save_options& options = {}) const {
    const std::string path = folder.path(name);
    const auto saved = out.save(path, options);
    REQUIRE_MESSAGE(saved, (saved ? stet::errc{} : saved.error().code()));
    const auto opened = stet::open(path);
    REQUIRE(opened);
    return {std::string(name), stet::content_digest(*opened)};
  }

private:
  std::deque<std::vector<std::int32_t>> kept_;
};

/// Saves a head that lists shards. @return  its path
inline std::string save_head(const temp_folder& folder, std::string_view name,
                             const std::vector<stet::shard_reference>& shards) {
  stet::writer head;
  head.state = stet::json_text(R"({"global_step":7})");
  head.set_shards(shards);
  const std::string path = folder.path(name);
  REQUIRE(head.save(path));
  return path;
}

} // namespace stet_test

#endif
