// SPDX-License-Identifier: MIT
// Walks over the constant tensors of a TFLite file: those whose buffer has bytes.
#ifndef STET_FORMATS_TFLITE_DETAIL_CONSTANTS_HPP
#define STET_FORMATS_TFLITE_DETAIL_CONSTANTS_HPP

#include "schema.hpp"

#include "../../../index/detail/name_hash.hpp"
#include "../../../vocabulary/shape.hpp"
#include "../../../wire/flatbuffers.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// A constant tensor. What it views is valid until the walk goes on.
struct tflite_constant {
  std::uint32_t subgraph = 0, number = 0;
  std::string_view name;
  /// What the name in the store begins with: "SUBGRAPH:NUMBER:", since names occur in several subgraphs, and several times in one.
  std::string_view key;
  /// nullptr: the type is not known, or its elements have no bytes.
  const tflite_type* type = nullptr;
  std::span<const std::uint64_t> extents;
  /// The bytes of the buffer in the file.
  std::uint64_t offset_bytes = 0, size_bytes = 0;
  /// The bytes are in another file: an ExternalBuffer.
  bool is_external = false;
  /// The table of the tensor.
  flatbuffer_table table;

  /// An error about the tensor.
  [[nodiscard]] error problem(errc code, std::uint64_t at) const noexcept {
    char buffer[error::max_subject_bytes];
    text_writer text(buffer, sizeof buffer);
    text.append(key);
    append_shortened(text, name, sizeof buffer - key.size());
    return error(code, text.text(), at);
  }
};

/// The file whose tables are read.
class tflite_file {
public:
  /// @param bytes  must outlive this object
  /// @param uses   as for `flatbuffer`
  explicit tflite_file(std::span<const std::byte> bytes, std::uint64_t uses = 2) noexcept : in_(bytes, uses) {}

  /// Reads the root.
  /// @retval errc::malformed     the file has not the identifier of a TFLite file, or an older version
  /// @retval errc::newer_format  a newer version
  /// or a fault of the FlatBuffer
  result<void> open() noexcept {
    if (!flatbuffer::has_identifier(in_.bytes(), tflite_identifier)) return error(errc::malformed, {}, 0);
    model_ = in_.root();
    const auto version = model_.number<std::uint32_t>(tflite_field::version);
    buffers_ = model_.references(tflite_field::buffers);
    subgraphs_ = model_.references(tflite_field::subgraphs);
    if (!in_.is_good()) return in_.problem("model");
    if (version > tflite_version) return error(errc::newer_format, "version", model_.offset_bytes());
    if (version < tflite_version) return error(errc::malformed, "version", model_.offset_bytes());
    return {};
  }

  [[nodiscard]] flatbuffer& in() noexcept { return in_; }
  [[nodiscard]] const flatbuffer_table& model() const noexcept { return model_; }
  [[nodiscard]] const flatbuffer_vector& buffers() const noexcept { return buffers_; }
  [[nodiscard]] const flatbuffer_vector& subgraphs() const noexcept { return subgraphs_; }

  /// Calls `visit(const tflite_constant&)`, a `result<void>`, for each constant tensor in the order of subgraphs and tensors. Its
  /// size fits its shape, unless it is sparse, a string, or of an unknown type.
  /// Errors: those of `visit`, faults of the FlatBuffer, and
  /// @retval errc::bad_name    the name is not UTF-8, or has a NUL
  /// @retval errc::bad_offset  there is no buffer of this number
  /// @retval errc::truncated   the bytes are past the end of the file
  /// @retval errc::malformed   there are bytes in two places
  /// @retval errc::bad_shape   an extent is negative, a size overflows, or the rank is above `max_rank`
  /// @retval errc::bad_size    the buffer does not have as many bytes as shape and type make
  template <class Visit>
  result<void> for_each_constant(Visit visit) noexcept(noexcept(visit(std::declval<const tflite_constant&>()))) {
    for (std::uint32_t s = 0; s < subgraphs_.size(); ++s) {
      const flatbuffer_vector tensors = subgraphs_.table(s).references(tflite_field::tensors);
      for (std::uint32_t t = 0; t < tensors.size(); ++t) {
        tflite_constant of;
        char key[key_size];
        text_writer text(key, sizeof key);
        of.key = text.append(std::uint64_t{s}).append(":").append(std::uint64_t{t}).append(":").text();
        of.subgraph = s;
        of.number = t;
        of.table = tensors.table(t);
        if (auto read = read_constant(of); !read) return read;
        if (of.size_bytes == 0 && !of.is_external) continue;
        if (auto visited = visit(static_cast<const tflite_constant&>(of)); !visited) return visited;
      }
    }
    return in_.is_good() ? result<void>() : in_.problem("subgraph");
  }

private:
  static constexpr std::size_t key_size = 24;

  /// The fault of the FlatBuffer, about a tensor.
  [[nodiscard]] error fault(const tflite_constant& of) const noexcept {
    const error found = in_.problem({});
    return of.problem(found.code(), found.offset_bytes());
  }

  result<void> read_constant(tflite_constant& of) noexcept {
    of.name = of.table.string(tflite_field::tensor_name).text();
    // The name is copied to the index.
    (void)in_.spend(of.name.size() / 4, of.table.offset_bytes());
    if (!in_.is_good()) return fault(of);
    if (!is_utf8_without_nul(of.name)) return of.problem(errc::bad_name, of.table.offset_bytes());
    of.is_external = of.table.number<std::uint32_t>(tflite_field::external_buffer) != 0;
    if (auto placed = place(of); !placed) return placed;
    if (of.size_bytes == 0 && !of.is_external) return {};
    if (of.size_bytes != 0 && of.is_external) return of.problem(errc::malformed, of.table.offset_bytes());
    of.type = find_tflite_type(of.table.number<std::int8_t>(tflite_field::type));
    element_counter counter;
    if (auto read = read_extents(of, counter); !read) return read;
    const bool is_sparse = of.table.table(tflite_field::sparsity).is_present();
    if (!in_.is_good()) return fault(of);
    if (of.type == nullptr || of.is_external) return {};
    std::uint64_t size = 0;
    if (!checked_size_bytes(counter, element_layout::of(of.type->dtype), size))
      return of.problem(errc::bad_shape, of.table.offset_bytes());
    if (is_sparse || of.type->dtype == dtype::string || size == of.size_bytes) return {};
    return of.problem(errc::bad_size, of.offset_bytes);
  }

  /// Sets the bytes: those of the buffer, in the FlatBuffer or behind it. None, if the buffer has none.
  result<void> place(tflite_constant& of) noexcept {
    const auto number = of.table.number<std::uint32_t>(tflite_field::buffer);
    if (!in_.is_good()) return fault(of);
    if (number >= buffers_.size()) // a file without buffers has no constants
      return number == 0 ? result<void>() : of.problem(errc::bad_offset, of.table.offset_bytes());
    const flatbuffer_table table = buffers_.table(number);
    const flatbuffer_vector data = table.vector(tflite_field::data, 1);
    const auto offset = table.number<std::uint64_t>(tflite_field::offset);
    const auto size = table.number<std::uint64_t>(tflite_field::size);
    if (!in_.is_good()) return fault(of);
    const bool is_outside = offset > tflite_placeholder_offset;
    if (is_outside && data.size() != 0) return of.problem(errc::malformed, table.offset_bytes());
    if (is_outside && !range_fits(offset, size, in_.size_bytes())) return of.problem(errc::truncated, in_.size_bytes());
    of.offset_bytes = is_outside ? offset : data.offset_bytes();
    of.size_bytes = is_outside ? size : std::uint64_t{data.size()};
    return {};
  }

  result<void> read_extents(tflite_constant& of, element_counter& counter) noexcept {
    const flatbuffer_vector shape = of.table.vector(tflite_field::shape, 4);
    if (!in_.is_good()) return fault(of);
    const auto bad = [&] { return of.problem(errc::bad_shape, shape.offset_bytes()); };
    if (shape.size() > max_rank) return bad();
    (void)in_.spend(shape.size(), shape.offset_bytes());
    for (std::uint32_t axis = 0; axis < shape.size(); ++axis) {
      const auto extent = shape.number<std::int32_t>(axis);
      if (extent < 0) return bad();
      extents_[axis] = static_cast<std::uint64_t>(extent);
      if (!counter.multiply(extents_[axis])) return bad();
    }
    of.extents = std::span<const std::uint64_t>(extents_, shape.size());
    return {};
  }

  flatbuffer in_;
  flatbuffer_table model_;
  flatbuffer_vector buffers_, subgraphs_;
  std::uint64_t extents_[max_rank];
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
