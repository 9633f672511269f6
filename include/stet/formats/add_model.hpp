// SPDX-License-Identifier: MIT
// Conversion to stet: everything that an open model of any format holds, added to a writer.
#ifndef STET_FORMATS_ADD_MODEL_HPP
#define STET_FORMATS_ADD_MODEL_HPP

#include "any.hpp"
#include "check_model.hpp"

#include "../manifest/graph_json.hpp"
#include "../writer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// Gives the bytes of a tensor to a sink in little-endian order, and compares them with its checksum on their way: a copy
/// must not make damage look sound. The checksum is over the bytes as they stand in the file.
inline result<void> write_checked(const tensor& from, piece_sink& sink) {
  constexpr std::uint64_t piece_size = 256 * 1024; // whole words of any size
  const std::size_t word = from.entry().is_big_endian() ? describe(from.dtype()).word_size_bytes : 1u;
  const bool is_direct = word < 2 && from.bytes().size() == from.size_bytes();
  std::vector<std::byte> copy;
  std::uint32_t crc = 0;
  for (std::uint64_t done = 0; done < from.size_bytes();) {
    const std::uint64_t best_size = is_direct ? sink.best_piece_size_bytes() : piece_size;
    const auto size = static_cast<std::size_t>((std::min)(best_size, from.size_bytes() - done));
    if (!is_direct) {
      copy.resize(size);
      if (auto read = from.read(done, copy); !read) return read;
    }
    const std::span<const std::byte> piece =
        is_direct ? from.bytes().subspan(static_cast<std::size_t>(done), size) : std::span<const std::byte>(copy);
    crc = crc32c(piece, crc);
    for (std::size_t at = 0; word > 1 && at + word <= size; at += word)
      std::reverse(copy.data() + at, copy.data() + at + word);
    if (auto written = sink.write(piece); !written) return written;
    done += size;
  }
  if (from.entry().has_crc32c() && crc != from.entry().crc32c()) {
    return error(errc::checksum_mismatch, from.name(), from.entry().offset_bytes());
  }
  return {};
}

/// What a manifest would say beside the tensors of a model. Of several graphs it is the first.
inline result<manifest> manifest_beside(std::string_view path_utf8, const model& of) {
  if (is_native_model(of)) {
    result<manifest> parsed = merged_manifest(of);
    if (!parsed) return parsed;
    // Opening through an index does not read the manifest, which may speak of other tensors.
    auto named = parsed->tensors.begin();
    const model* all = &of;
    while (all->whole != nullptr) all = all->whole.get();
    for (const tensor each : all->store) {
      if (named == parsed->tensors.end() || named++->name != each.name())
        return error(errc::manifest_mismatch, each.name());
    }
    if (named != parsed->tensors.end()) return error(errc::manifest_mismatch, named->name);
    return parsed;
  }
  result<model_description> described = describe_any(path_utf8, of);
  if (!described) return described.error();
  manifest made;
  if (!described->graphs.empty()) made.graph = graph_to_json(described->graphs.front());
  made.state = std::move(described->state);
  made.metadata = std::move(described->metadata);
  for (tensor_note& each : described->tensors) {
    made.tensors.emplace_back();
    made.tensors.back().name = std::move(each.name);
    made.tensors.back().attributes = std::move(each.attributes);
  }
  return made;
}

} // namespace detail

/// Adds all that the model at `path_utf8`, opened as `from`, holds: tensors with their attributes, graph, state, metadata.
/// Saving compares each tensor with its checksum, if the file has one; checksums of ranges of the file are compared here. The second names that a foreign format gives its
/// tensors are left out; the aliases of a native file are kept. The model must stay open until `to` has been saved.
/// Errors: those of `check_ranges`, `describe_any` and `writer::add`, and
/// @retval errc::manifest_mismatch  the manifest of a native file lists other tensors than its index
inline result<void> add_model(writer& to, std::string_view path_utf8, const model& from) {
  if (auto checked = check_ranges(from); !checked) return checked;
  result<manifest> beside = detail::manifest_beside(path_utf8, from);
  if (!beside) return beside.error();
  std::unordered_map<std::string_view, json_text*> attributes;
  for (manifest_tensor& each : beside->tensors) {
    if (!each.attributes.empty()) attributes.emplace(each.name, &each.attributes);
  }
  for (const tensor each : from.store) {
    const auto original = from.store.original_of(each);
    if (original && !is_native_model(from)) continue;
    const auto found = attributes.find(each.name());
    json_text fields = found == attributes.end() ? json_text() : std::move(*found->second);
    const std::vector<std::uint64_t> shape(each.shape().begin(), each.shape().end());
    auto added = original
                     ? to.add_alias(each.name(), original->name(), std::move(fields))
                     : to.add_source(
                           each.name(), each.layout(), shape, each.size_bytes(),
                           [each](piece_sink& sink) { return detail::write_checked(each, sink); }, std::move(fields));
    if (!added) return added;
  }
  to.graph = std::move(beside->graph);
  to.state = std::move(beside->state);
  to.metadata = std::move(beside->metadata);
  to.set_extra(std::move(beside->extra));
  return {};
}

} // namespace stet::inline STET_NAMESPACE

#endif
