// SPDX-License-Identifier: MIT
// Folders of torch.distributed.checkpoint: the table in .metadata, and the pieces in the files beside it.
#ifndef STET_FORMATS_PYTORCH_DETAIL_DISTRIBUTED_HPP
#define STET_FORMATS_PYTORCH_DETAIL_DISTRIBUTED_HPP

#include "importer.hpp"

#include "../../common/finish_model.hpp"
#include "../../common/model_folder.hpp"
#include "../../common/slices.hpp"
#include "../../common/store_builder.hpp"

#include "../../../index/detail/name_hash.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// .metadata is a pickle of an object whose state has, each as an object with a dict as its state,
//
//   state_dict_metadata  {NAME: TensorStorageMetadata{properties, size, chunks: [ChunkStorageMetadata{offsets, sizes}]}},
//                        or BytesStorageMetadata for what is no tensor
//   storage_data         {MetadataIndex{fqn: NAME, offset}: _StorageInfo{relative_path, offset, length}}
//   planner_data         {NAME: (key, key, …)}: the path of the value in the object that was saved
//
// The state of `properties` is a tuple that begins with the dtype. A piece is an archive of torch.save, of a tensor or of a value.
// Source: github.com/pytorch/pytorch, torch/distributed/checkpoint/metadata.py and filesystem.py.

namespace stet::inline STET_NAMESPACE::detail {

inline constexpr std::string_view pytorch_metadata_name = ".metadata", pytorch_pieces_ending = ".distcp";

/// The bytes of a chunk or value: a range of a file.
struct distributed_piece {
  std::string_view file;
  std::uint64_t offset_bytes = 0, size_bytes = 0;
};
/// A chunk of a tensor, or the whole value; its offsets are in `distributed_table`.
struct distributed_key {
  std::string_view name;
  const std::vector<std::uint64_t>* offsets;

  friend bool operator<(const distributed_key& a, const distributed_key& b) noexcept {
    return a.name != b.name ? a.name < b.name : *a.offsets < *b.offsets;
  }
};

/// The table of a folder, read from its pickle.
class distributed_table {
public:
  /// A tensor or a value.
  struct item {
    std::string_view name;
    /// Of a tensor; nullptr: its dtype is not known, or it is no tensor.
    const pytorch_type* type = nullptr;
    bool is_tensor = false;
    const std::vector<std::uint64_t>* shape = nullptr;
    pickle_ref chunks = no_pickle_value;
  };

  explicit distributed_table(memory_resource* memory) noexcept : of_(memory), values_(of_) {}

  /// @param bytes  of .metadata, which must outlive the table
  /// @retval errc::malformed  no table, or one that contradicts itself; or it names a function that runs code, the subject
  /// @retval errc::bad_path   a file is not a plain name
  /// or an error of the pickle
  result<void> read(std::span<const std::byte> bytes) {
    if (auto done = run_pickle(of_, bytes); !done) return done;
    const pickle_ref state = state_of(of_.root());
    const pickle_ref items = find_in_dict(values_, state, "state_dict_metadata");
    const pickle_ref places = find_in_dict(values_, state, "storage_data");
    paths_ = find_in_dict(values_, state, "planner_data");
    if (items == no_pickle_value || places == no_pickle_value || of_[items].kind != pickle_kind::dict ||
        of_[places].kind != pickle_kind::dict)
      return bad(pytorch_metadata_name);
    for (pickle::walk each(of_, of_[places]); each.next();) {
      if (auto done = read_place(each.key(), each.value()); !done) return done;
    }
    for (pickle::walk each(of_, of_[items]); each.next();) {
      if (auto done = read_item(each.key(), each.value()); !done) return done;
    }
    return {};
  }

  [[nodiscard]] const pickle& values() const noexcept { return of_; }
  [[nodiscard]] const std::vector<item>& items() const noexcept { return items_; }
  [[nodiscard]] const std::map<distributed_key, distributed_piece>& pieces() const noexcept { return pieces_; }
  /// The paths of values, a dict; `no_pickle_value`: none.
  [[nodiscard]] pickle_ref paths() const noexcept { return paths_; }

  /// The piece of a value, or of the chunk at these offsets; nullptr: there is none.
  [[nodiscard]] const distributed_piece* find(std::string_view name, const std::vector<std::uint64_t>& offsets) const {
    const auto found = pieces_.find({name, &offsets});
    return found == pieces_.end() ? nullptr : &found->second;
  }
  /// Reads a chunk. @return false if it is none
  bool read_chunk(pickle_ref number, const std::vector<std::uint64_t>*& offsets,
                  const std::vector<std::uint64_t>*& sizes) {
    const pickle_ref state = state_of(number);
    return read_sizes(find_in_dict(values_, state, "offsets"), offsets) &&
           read_sizes(find_in_dict(values_, state, "sizes"), sizes);
  }

private:
  static error bad(std::string_view what) noexcept { return error(errc::malformed, what); }

  /// The state of an object; `no_pickle_value`: none.
  [[nodiscard]] pickle_ref state_of(pickle_ref number) const noexcept {
    if (number == no_pickle_value || of_[number].kind != pickle_kind::object) return no_pickle_value;
    return of_.object(of_[number]).state;
  }
  [[nodiscard]] std::string_view class_of(pickle_ref number) const noexcept {
    if (of_[number].kind != pickle_kind::object) return {};
    const pickle_value& callee = of_[of_.object(of_[number]).callee];
    return callee.kind == pickle_kind::global ? of_.name_of(callee) : std::string_view();
  }
  /// Sizes are kept once for each value of the pickle, which may use one often.
  bool read_sizes(pickle_ref number, const std::vector<std::uint64_t>*& into) {
    if (number == no_pickle_value) return false;
    const auto [found, is_new] = sizes_.try_emplace(number);
    if (is_new && !values_.read_sizes(number, found->second)) {
      sizes_.erase(found);
      return false;
    }
    into = &found->second;
    return true;
  }

  result<void> read_place(pickle_ref key, pickle_ref value) {
    const pickle_ref of = state_of(key), place = state_of(value);
    const pickle_ref name = find_in_dict(values_, of, "fqn"), file = find_in_dict(values_, place, "relative_path");
    const pickle_ref offset = find_in_dict(values_, of, "offset");
    distributed_piece piece;
    if (name == no_pickle_value || of_[name].kind != pickle_kind::text || file == no_pickle_value ||
        of_[file].kind != pickle_kind::text ||
        !values_.read_count(find_in_dict(values_, place, "offset"), piece.offset_bytes) ||
        !values_.read_count(find_in_dict(values_, place, "length"), piece.size_bytes))
      return bad("storage_data");
    piece.file = of_.text(file);
    if (!is_part_name(piece.file) || piece.file == pytorch_metadata_name) return error(errc::bad_path, piece.file);
    const std::vector<std::uint64_t>* offsets = &no_offsets_;
    const bool is_chunk = offset != no_pickle_value && of_[offset].kind != pickle_kind::none;
    if (is_chunk && !read_sizes(offset, offsets)) return bad("storage_data");
    pieces_[{of_.text(name), offsets}] = piece;
    return {};
  }

  result<void> read_item(pickle_ref key, pickle_ref value) {
    if (of_[key].kind != pickle_kind::text) return bad("state_dict_metadata");
    item made;
    made.name = of_.text(key);
    made.is_tensor = class_of(value) == "TensorStorageMetadata";
    if (made.is_tensor) {
      const pickle_ref state = state_of(value), properties = find_in_dict(values_, state, "properties");
      made.chunks = find_in_dict(values_, state, "chunks");
      const bool has_chunks = made.chunks != no_pickle_value && of_[made.chunks].kind == pickle_kind::list;
      if (!has_chunks || !read_sizes(find_in_dict(values_, state, "size"), made.shape))
        return error(errc::bad_shape, made.name);
      const pickle_ref fields = state_of(properties);
      pickle_ref dtype = no_pickle_value;
      if (fields != no_pickle_value) {
        dtype = of_[fields].kind == pickle_kind::tuple ? values_.argument(fields, 0)
                                                       : find_in_dict(values_, fields, "dtype");
      }
      if (dtype != no_pickle_value && of_[dtype].kind == pickle_kind::global)
        made.type = pytorch_dtype_of(of_[dtype].id);
    }
    items_.push_back(made);
    return {};
  }

  pickle of_;
  pytorch_values values_;
  pickle_ref paths_ = no_pickle_value;
  std::vector<item> items_;
  std::map<distributed_key, distributed_piece> pieces_;
  std::map<pickle_ref, std::vector<std::uint64_t>> sizes_;
  const std::vector<std::uint64_t> no_offsets_;
};

/// The files of a folder that the table names, in memory.
class distributed_files {
public:
  struct file {
    /// The part of the store; the bytes; or the error of opening.
    std::uint32_t part = 0;
    std::span<const std::byte> bytes;
    error failure = error(errc{});
  };

  /// Opens the files of pieces. A file that is missing or cannot be opened is kept as its error.
  /// @param into  gets the files; nullptr: `sources_` keeps them
  /// @retval errc::overlap  the pieces of a file, the subject, are longer than it is
  /// @retval errc::bad_path a file is a link (`open_options::follow_links`)
  result<void> open(const distributed_table& table, const model_folder& folder, const open_options& options,
                    store_builder* into) {
    std::map<std::string_view, std::uint64_t> sizes;
    for (const auto& [key, piece] : table.pieces()) {
      std::uint64_t& size = sizes[piece.file];
      if (!checked_add(size, piece.size_bytes, size)) return error(errc::overlap, piece.file);
    }
    for (const auto& [name, size] : sizes) {
      file made;
      result<source> opened = folder.open_part(name);
      if (opened && opened->data() == nullptr) opened = source::read(*opened->fetcher(), {}, 1, options.memory);
      if (!opened) {
        const errc code = opened.error().code();
        if (code == errc::bad_path || code == errc::out_of_memory) return opened.error().about(name);
        made.failure = error(code == errc::file_not_found ? errc::missing_part : code, name);
      } else {
        made.bytes = bytes_in(*opened);
        // Pieces beyond the end are errors of their tensors; those within do not overlap.
        if (size > made.bytes.size() && may_overlap(table, name, made.bytes.size())) return error(errc::overlap, name);
        if (into != nullptr) {
          made.part = into->add_file(name, std::move(*opened));
        } else {
          sources_.push_back(std::move(*opened));
        }
      }
      files_.emplace(name, made);
    }
    return {};
  }

  /// The bytes of a piece. @retval errc::missing_part, truncated  the file, the subject, is not there or ends before
  [[nodiscard]] result<std::span<const std::byte>> bytes(const distributed_piece& of) const {
    const file& from = files_.at(of.file);
    if (from.failure.code() != errc{}) return from.failure;
    if (!range_fits(of.offset_bytes, of.size_bytes, from.bytes.size()))
      return error(errc::truncated, of.file, from.bytes.size());
    return from.bytes.subspan(static_cast<std::size_t>(of.offset_bytes), static_cast<std::size_t>(of.size_bytes));
  }
  [[nodiscard]] std::uint32_t part(const distributed_piece& of) const { return files_.at(of.file).part; }

private:
  /// True if the pieces that lie within the file are together longer than it is.
  static bool may_overlap(const distributed_table& table, std::string_view name, std::uint64_t size_bytes) noexcept {
    std::uint64_t sum = 0;
    for (const auto& [key, piece] : table.pieces()) {
      if (piece.file == name && range_fits(piece.offset_bytes, piece.size_bytes, size_bytes)) sum += piece.size_bytes;
      if (sum > size_bytes) return true;
    }
    return false;
  }

  std::map<std::string_view, file> files_;
  std::vector<source> sources_;
};

/// Adds the tensors of a folder to a store.
class distributed_importer {
public:
  distributed_importer(store_builder& into, distributed_table& table, const distributed_files& files,
                       const open_options& options) noexcept
      : into_(into), table_(table), files_(files), options_(options) {}

  /// Errors: as `open_distributed_pytorch` documents them for tensors.
  result<void> run() {
    for (const distributed_table::item& each : table_.items()) {
      if (!each.is_tensor) continue;
      if (auto added = add(each); !added) return added;
    }
    return {};
  }

private:
  result<void> add(const distributed_table::item& of) {
    if (of.name.size() > max_name_size_bytes || !is_valid_name(of.name)) {
      into_.omit(of.name, error(errc::bad_name, of.name));
      return {};
    }
    if (of.type == nullptr) {
      into_.omit(of.name, error(errc::unknown_dtype, of.name));
      return {};
    }
    pytorch_tensor whole;
    whole.type = of.type;
    whole.shape = *of.shape;
    if (!measure(whole)) return error(errc::bad_shape, of.name);
    index_row row;
    row.name = of.name;
    row.layout = of.type->layout(false);
    row.shape = *of.shape;
    row.size_bytes = whole.size_bytes;
    if (whole.size_bytes == 0) {
      if (into_.file_count() == 0) row.part = into_.add_decoded(source());
    } else if (const error failure = gather(of, row); failure.code() != errc{}) {
      if (failure.code() == errc::out_of_memory) return failure;
      result<source> kept = source::keep(unreadable_bytes(failure, row.size_bytes), into_.memory());
      if (!kept) return kept.error();
      row.part = into_.add_decoded(std::move(*kept));
      row.offset_bytes = 0;
      row.big_endian = false;
    }
    into_.add(row);
    return {};
  }

  /// Sets the place of the elements of `row`. @return errc{}, or why there are none
  error gather(const distributed_table::item& of, index_row& row) {
    const pickle& values = table_.values();
    std::vector<tensor_slice> slices;
    std::size_t count = 0;
    for (pickle::walk each(values, values[of.chunks]); each.next(); ++count) {
      const std::vector<std::uint64_t>*offsets = nullptr, *sizes = nullptr;
      if (!table_.read_chunk(each.value(), offsets, sizes) || offsets->size() != sizes->size())
        return error(errc::bad_slice, of.name);
      std::vector<slice_extent> extents;
      for (std::size_t axis = 0; axis < sizes->size(); ++axis) {
        constexpr std::uint64_t most = ~std::uint64_t{0} >> 1;
        if ((*offsets)[axis] > most || (*sizes)[axis] > most) return error(errc::bad_slice, of.name);
        extents.push_back({static_cast<std::int64_t>((*offsets)[axis]), static_cast<std::int64_t>((*sizes)[axis])});
      }
      const std::size_t before = slices.size();
      if (!append_slice(extents, *of.shape, slices)) return error(errc::bad_slice, of.name);
      if (slices.size() == before) continue; // no elements
      const distributed_piece* const piece = table_.find(of.name, *offsets);
      if (piece == nullptr) return error_about(errc::bad_slice, of.name, "a chunk without a place");
      index_row placed;
      if (const error failure = place(*piece, of, *sizes, placed); failure.code() != errc{}) return failure;
      if (count != 0 && placed.big_endian != row.big_endian && slices.size() > 1)
        return error(errc::bad_slice, of.name);
      row.big_endian = placed.big_endian;
      row.layout = placed.layout;
      tensor_slice& slice = slices.back();
      const source& from = into_.part(placed.part);
      slice.data = from.data();
      slice.fetcher = from.fetcher();
      slice.part = placed.part;
      slice.offset_bytes = placed.offset_bytes;
      slice.size_bytes = placed.size_bytes;
    }
    if (slices.empty() || !sort_and_cover(*of.shape, slices)) return error(errc::bad_slice, of.name);
    return error(place_slices(into_, row, of.type->size_bytes, std::move(slices)));
  }

  /// Reads the archive of a chunk, which has one tensor. @return errc{}, or what is wrong with it
  error place(const distributed_piece& piece, const distributed_table::item& of,
              const std::vector<std::uint64_t>& sizes, index_row& row) {
    const result<std::span<const std::byte>> bytes = files_.bytes(piece);
    if (!bytes) return bytes.error();
    pytorch_content content(options_.memory);
    if (auto read = pytorch_content_reader(content, *bytes, files_.part(piece), piece.offset_bytes, options_).run();
        !read)
      return error_about(read.error().code(), of.name, read.error().subject());
    pytorch_values values = content.values();
    pytorch_tensor tensor;
    const result<pytorch_kind> kind =
        content.is_export() ? pytorch_kind::other : values.read(content.object.root(), tensor);
    if (!kind) return error_about(kind.error().code(), of.name, kind.error().subject());
    if (*kind != pytorch_kind::tensor) return error_about(errc::malformed, of.name, "a piece that is no tensor");
    if (tensor.type != of.type || tensor.shape != sizes || tensor.is_conjugate || tensor.is_negative)
      return error_about(errc::bad_slice, of.name, piece.file);
    pytorch_storage* own = nullptr;
    shape_ = tensor.shape;
    if (auto placed = pytorch_placer(into_, content, options_).place(tensor, row, own); !placed) return placed.error();
    row.shape = shape_;
    if (own == nullptr) return error_about(errc::bad_size, of.name, piece.file);
    return error(errc{});
  }

  store_builder& into_;
  distributed_table& table_;
  const distributed_files& files_;
  const open_options& options_;
  std::vector<std::uint64_t> shape_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
