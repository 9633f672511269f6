// SPDX-License-Identifier: MIT
// Finds the place of a tensor's bytes: in the file, or behind a reader.
#ifndef STET_FORMATS_PYTORCH_DETAIL_PLACER_HPP
#define STET_FORMATS_PYTORCH_DETAIL_PLACER_HPP

#include "content.hpp"

#include "../../common/readers.hpp"
#include "../../common/store_builder.hpp"
#include "../../../store/detail/strided_bytes.hpp"

#include "../../../store/open.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// Places tensors of one file in a store.
class pytorch_placer {
public:
  pytorch_placer(store_builder& into, pytorch_content& from, const open_options& options) noexcept
      : into_(into), from_(from), options_(options) {}

  /// Sets the place of the bytes of `row`: in the file, gathered by a reader, or a reader that fails with the reason.
  /// @param own  the storage, where it is there and fits
  result<void> place(const pytorch_tensor& of, index_row& row, pytorch_storage*& own) {
    own = nullptr;
    row.layout = of.type->layout(from_.is_big_endian);
    row.big_endian =
        from_.is_big_endian && row.layout.dtype != dtype::block && describe(of.type->dtype).word_size_bytes > 1;
    row.shape = of.shape;
    row.size_bytes = of.size_bytes;
    pytorch_storage* const storage = from_.storages.find(of.key);
    if (storage == nullptr) return fail(row, error_about(errc::missing_part, "data", of.key));
    if (storage->size_bytes != of.storage_size_bytes) return fail(row, error_about(errc::bad_size, "data", of.key));
    if (!of.fits()) return fail(row, error_about(errc::bad_offset, "data", of.key));
    if (auto unpacked = unpack(*storage); !unpacked) return fail(row, unpacked.error());
    own = storage;
    row.part = storage->part;
    row.offset_bytes = 0;
    if (of.size_bytes == 0) return {};
    const std::uint64_t first = storage->offset_bytes + of.begin_bytes + of.offset * of.type->size_bytes;
    if (of.is_contiguous()) {
      row.offset_bytes = first;
      return {};
    }
    if (is_blown_up(of)) return fail(row, error_about(errc::too_large, "data", of.key));
    if (auto loaded = load(*storage); !loaded) return fail(row, loaded.error());
    const std::uint64_t first_element = storage->offset_bytes + of.begin_bytes + of.offset * of.type->size_bytes;
    strided_bytes gathered(into_.part(storage->part), first_element, of.type->size_bytes);
    for (std::size_t axis = 0; axis < of.shape.size(); ++axis) gathered.add_axis(of.shape[axis], of.strides[axis]);
    result<source> kept = source::keep(std::move(gathered), into_.memory());
    if (!kept) return kept.error();
    row.part = into_.add_decoded(std::move(*kept));
    return {};
  }

  /// Decompresses a storage, unless that was done, or is not needed. Errors: those of open_member.
  result<void> unpack(pytorch_storage& storage) {
    if (storage.packed == nullptr) return {};
    result<source> bytes = open_member(from_.archive, *storage.packed, options_.inflate, into_.memory());
    if (!bytes) return bytes.error();
    storage.part = into_.add_decoded(std::move(*bytes));
    storage.offset_bytes = 0;
    storage.packed = nullptr;
    return {};
  }

private:
  /// Reads a storage on demand into memory: elements that lie apart are not fetched one by one. Errors: those of source::load.
  result<void> load(pytorch_storage& storage) {
    const source& from = into_.part(storage.part);
    if (from.data() != nullptr) return {};
    result<source> bytes = from.load({storage.offset_bytes, storage.size_bytes}, into_.memory());
    if (!bytes) return bytes.error();
    storage.part = into_.add_decoded(std::move(*bytes));
    storage.offset_bytes = 0;
    return {};
  }
  /// A view may repeat elements: a few bytes are then as many as the file says. Above this, they are not what a model stores.
  static bool is_blown_up(const pytorch_tensor& of) noexcept {
    constexpr std::uint64_t always = std::uint64_t{64} << 20, most_repeats = 1024;
    return of.size_bytes > always && of.size_bytes / most_repeats > of.storage_size_bytes;
  }
  result<void> fail(index_row& row, const error& reason) {
    result<source> kept = source::keep(unreadable_bytes(reason, row.size_bytes), into_.memory());
    if (!kept) return kept.error();
    row.part = into_.add_decoded(std::move(*kept));
    row.offset_bytes = 0;
    return {};
  }

  store_builder& into_;
  pytorch_content& from_;
  const open_options& options_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
