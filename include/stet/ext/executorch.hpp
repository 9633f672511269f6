// SPDX-License-Identifier: MIT
// Feeds programs of ExecuTorch from a store, in place. Include it after <memory> and <executorch/runtime/core/named_data_map.h>, of
// ExecuTorch 1.5 or later.
#ifndef STET_EXT_EXECUTORCH_HPP
#define STET_EXT_EXECUTORCH_HPP

#include "../source/memory.hpp"
#include "../store/store.hpp"
#include "../vocabulary/detail/endian.hpp"
#include "detail/in_place.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE {

/// ExecuTorch's type of the elements of a dtype, `ScalarType::Undefined` where it has none.
[[nodiscard]] constexpr executorch::aten::ScalarType executorch_type(dtype of) noexcept {
  using executorch::aten::ScalarType;
  switch (of) {
  case dtype::boolean:
    return ScalarType::Bool;
  case dtype::int8:
    return ScalarType::Char;
  case dtype::int16:
    return ScalarType::Short;
  case dtype::int32:
    return ScalarType::Int;
  case dtype::int64:
    return ScalarType::Long;
  case dtype::uint8:
    return ScalarType::Byte;
  case dtype::uint16:
    return ScalarType::UInt16;
  case dtype::uint32:
    return ScalarType::UInt32;
  case dtype::uint64:
    return ScalarType::UInt64;
  case dtype::float16:
    return ScalarType::Half;
  case dtype::bfloat16:
    return ScalarType::BFloat16;
  case dtype::float32:
    return ScalarType::Float;
  case dtype::float64:
    return ScalarType::Double;
  case dtype::complex64:
    return ScalarType::ComplexFloat;
  case dtype::complex128:
    return ScalarType::ComplexDouble;
  case dtype::float8_e4m3fn:
    return ScalarType::Float8_e4m3fn;
  case dtype::float8_e5m2:
    return ScalarType::Float8_e5m2;
  case dtype::float8_e4m3fnuz:
    return ScalarType::Float8_e4m3fnuz;
  case dtype::float8_e5m2fnuz:
    return ScalarType::Float8_e5m2fnuz;
  case dtype::qint8:
    return ScalarType::QInt8;
  case dtype::quint8:
    return ScalarType::QUInt8;
  case dtype::qint32:
    return ScalarType::QInt32;
  default:
    return ScalarType::Undefined;
  }
}

/// How an `executorch_data_map` brings tensors into memory.
struct executorch_options {
  /// Where tables and copies go; nullptr: on the heap. It outlives the map and every buffer.
  memory_resource* memory = nullptr;
  /// How many bytes behind those of a tensor are readable. Backends read beyond their weights: XNNPACK 16 bytes.
  std::uint32_t bytes_behind = 16;
};

/// The tensors of a store, of whatever format, as the weights of a program that has none of its own: pass it to
/// `Program::load_method`. A weight is found by its name in the store, which has to be the fully qualified name in the program.
/// Its bytes are used where they are. A tensor of a streamed store is mapped or read when the program asks for it; one that is not
/// aligned for its type, has too little behind it or is of the other byte order is copied.
///
/// Lifetime: the map and each buffer that it gave keep the store. Layouts and keys are valid as long as the map; a method may use it as
/// long as it lives. A map that was moved from can only be destroyed. Threads: const members may be called from several at once.
///
///     const auto store = std::make_shared<const stet::store>(std::move(*opened)); // of stet::open or open_any
///     const auto weights = stet::executorch_data_map::make(store);
///     auto method = program->load_method("forward", &memory, nullptr, &*weights);
class executorch_data_map final : public executorch::ET_RUNTIME_NAMESPACE::NamedDataMap {
  using error_type = executorch::runtime::Error;
  using buffer_type = executorch::runtime::FreeableBuffer;
  using layout_type = executorch::ET_RUNTIME_NAMESPACE::TensorLayout;
  template <class T> using result_type = executorch::runtime::Result<T>;

public:
  /// A map over `from`, which is not nullptr. Reads no tensor.
  /// @retval errc::out_of_memory
  /// Cost: one allocation, of the extents and names.
  [[nodiscard]] static result<executorch_data_map> make(std::shared_ptr<const store> from,
                                                        const executorch_options& options = {}) noexcept {
    executorch_data_map made(std::move(from), options);
    if (!made.fill_table()) return errc::out_of_memory;
    return made;
  }

  /// Extents, order of axes (always row-major) and type of a tensor.
  /// @retval NotFound      no tensor has this name
  /// @retval InvalidType   ExecuTorch has no such element type
  /// @retval NotSupported  an extent does not fit its 32 bits, or there are too many
  [[nodiscard]] result_type<const layout_type> get_tensor_layout(std::string_view key) const noexcept override {
    const result<tensor> found = from_->find(key);
    if (!found) return error_type::NotFound;
    const executorch::aten::ScalarType type = executorch_type(found->dtype());
    if (type == executorch::aten::ScalarType::Undefined) return error_type::InvalidType;
    const std::int32_t* const sizes = table()[found->entry().number()].sizes;
    if (sizes == nullptr) return error_type::NotSupported;
    const std::size_t rank = found->shape().rank();
    return layout_type::create({sizes, rank}, {row_major, rank}, type);
  }

  /// The bytes of a tensor: in place, or for the buffer alone.
  /// @retval NotFound                no tensor has this name
  /// @retval InvalidType             it holds strings
  /// @retval MemoryAllocationFailed  there is no memory for the buffer's owner, or for a copy
  /// @retval NotSupported            a copy does not fit the address space
  /// @retval AccessFailed            the bytes cannot be read
  /// @retval InvalidExternalData     a boolean is neither 0 nor 1
  /// Cost: a small allocation, besides what is loaded or copied; for booleans, reads every byte.
  [[nodiscard]] result_type<buffer_type> get_data(std::string_view key) const noexcept override {
    const result<tensor> found = find_numbers(key);
    if (!found) return error_of(found.error());
    if (found->size_bytes() == 0) return buffer_type();
    result<loaded_tensor> loaded = from_->load(found->name(), options_.memory, options_.bytes_behind);
    if (!loaded) return error_of(loaded.error());
    const auto in_place = detail::bytes_in_place(**loaded, found->layout().bits, 1);
    if (in_place) return give(*in_place, found->size_bytes(), std::move(*loaded));
    if (in_place.error().code() == errc::bad_value) return error_of(in_place.error());
    result<source> copy = copy_native(**loaded);
    if (!copy) return error_of(copy.error());
    const std::byte* const data = copy->data();
    return give(data, found->size_bytes(), std::move(*copy));
  }

  /// Copies the first `size_bytes` bytes of a tensor, as this machine uses them.
  /// @retval NotFound             no tensor has this name
  /// @retval InvalidType          it holds strings
  /// @retval InvalidArgument      there are fewer bytes, or the last word would be cut; or `buffer` is nullptr
  /// @retval AccessFailed         the bytes cannot be read
  /// @retval InvalidExternalData  a boolean is neither 0 nor 1
  [[nodiscard]] error_type load_data_into(std::string_view key, void* buffer,
                                          std::size_t size_bytes) const noexcept override {
    const result<tensor> found = find_numbers(key);
    if (!found) return error_of(found.error());
    const std::size_t word = describe(found->dtype()).word_size_bytes;
    if (size_bytes > found->size_bytes() || size_bytes % word != 0) return error_type::InvalidArgument;
    if (size_bytes == 0) return error_type::Ok;
    if (buffer == nullptr) return error_type::InvalidArgument;
    std::byte* const into = static_cast<std::byte*>(buffer);
    if (const auto done = read_native(*found, into, size_bytes); !done) return error_of(done.error());
    return error_type::Ok;
  }

  /// The number of tensors.
  [[nodiscard]] result_type<std::uint32_t> get_num_keys() const noexcept override { return from_->tensor_count(); }

  /// The name of tensor number `index`, in the order of the manifest.
  /// @retval InvalidArgument  there are fewer tensors
  /// @retval NotSupported     a NUL in the name would end it
  [[nodiscard]] result_type<const char*> get_key(std::uint32_t index) const noexcept override {
    if (index >= from_->tensor_count()) return error_type::InvalidArgument;
    const char* const key = table()[index].key;
    if (key == nullptr) return error_type::NotSupported;
    return key;
  }

private:
  /// What ExecuTorch wants of a tensor in a form of its own; nullptr where it has none.
  struct row {
    const char* key;
    const std::int32_t* sizes;
  };
  /// What a buffer keeps.
  template <class Bytes> struct kept {
    std::shared_ptr<const store> from;
    Bytes bytes; // which go first
  };

  executorch_data_map(std::shared_ptr<const store>&& from, const executorch_options& options) noexcept
      : from_(std::move(from)), options_(options) {}

  [[nodiscard]] const row* table() const noexcept { return static_cast<const row*>(table_.get()); }

  /// Rows, then all extents, then all names.
  [[nodiscard]] bool fill_table() noexcept {
    const std::uint32_t count = from_->tensor_count();
    if (count == 0) return true;
    std::uint64_t extent_count = 0, text_bytes = 0;
    for (const tensor each : *from_) { // which the index holds, so that the sums cannot overflow
      extent_count += each.shape().rank();
      text_bytes += each.name().size() + 1;
    }
    const std::uint64_t size_bytes =
        count * std::uint64_t{sizeof(row)} + extent_count * sizeof(std::int32_t) + text_bytes;
    if (size_bytes > PTRDIFF_MAX) return false;
    table_ = detail::owned_block::allocate(static_cast<std::size_t>(size_bytes), alignof(row), options_.memory);
    if (table_.get() == nullptr) return false;
    row* const rows = static_cast<row*>(table_.get());
    std::int32_t* sizes = reinterpret_cast<std::int32_t*>(rows + count);
    char* text = reinterpret_cast<char*>(sizes + extent_count);
    for (const tensor each : *from_) {
      const shape extents = each.shape();
      const std::string_view name = each.name();
      const bool has_key = name.find('\0') == std::string_view::npos;
      bool has_sizes = extents.rank() <= sizeof row_major;
      for (std::size_t axis = 0; axis < extents.rank(); ++axis) {
        has_sizes = has_sizes && extents[axis] <= INT32_MAX;
        ::new (sizes + axis) std::int32_t(has_sizes ? static_cast<std::int32_t>(extents[axis]) : 0);
      }
      ::new (rows + each.entry().number()) row{has_key ? text : nullptr, has_sizes ? sizes : nullptr};
      if (!name.empty()) std::memcpy(text, name.data(), name.size());
      text[name.size()] = '\0';
      sizes += extents.rank();
      text += name.size() + 1;
    }
    return true;
  }

  /// The tensor called `key`, whose elements are numbers of whatever kind.
  [[nodiscard]] result<tensor> find_numbers(std::string_view key) const noexcept {
    result<tensor> found = from_->find(key);
    if (found && found->dtype() == dtype::string) return error(errc::dtype_mismatch, key);
    return found;
  }

  /// Reads the first `size_bytes` bytes, whole words, in the byte order of this machine.
  static result<void> read_native(const tensor& of, std::byte* into, std::size_t size_bytes) noexcept {
    if (auto done = of.read(0, {into, size_bytes}); !done) return done;
    if (of.entry().is_big_endian() == detail::host_is_little_endian)
      detail::reverse_words(into, size_bytes, describe(of.dtype()).word_size_bytes);
    if (of.dtype() == dtype::boolean && !detail::are_booleans(into, size_bytes))
      return error(errc::bad_value, of.name());
    return {};
  }
  [[nodiscard]] result<source> copy_native(const tensor& of) const noexcept {
    result<source> made = source::allocate(of.size_bytes() + options_.bytes_behind, options_.memory);
    if (!made) return made;
    const std::size_t size_bytes = static_cast<std::size_t>(of.size_bytes());
    if (auto done = read_native(of, made->writable_data(), size_bytes); !done) return done.error();
    std::memset(made->writable_data() + size_bytes, 0, options_.bytes_behind);
    return made;
  }

  /// A buffer that keeps `bytes`, which `data` points into.
  template <class Bytes>
  result_type<buffer_type> give(const std::byte* data, std::uint64_t size_bytes, Bytes&& bytes) const noexcept {
    auto* const owner = new (std::nothrow) kept<Bytes>{from_, std::move(bytes)};
    if (owner == nullptr) return error_type::MemoryAllocationFailed;
    const auto release = [](void* of, void*, std::size_t) { delete static_cast<kept<Bytes>*>(of); };
    return buffer_type(data, static_cast<std::size_t>(size_bytes), release, owner);
  }

  static error_type error_of(const error& failure) noexcept {
    switch (failure.code()) {
    case errc::not_found:
      return error_type::NotFound;
    case errc::dtype_mismatch:
      return error_type::InvalidType;
    case errc::out_of_memory:
      return error_type::MemoryAllocationFailed;
    case errc::too_large:
      return error_type::NotSupported;
    case errc::bad_value:
      return error_type::InvalidExternalData;
    default:
      return error_type::AccessFailed;
    }
  }

  /// As many dimensions as ExecuTorch has.
  static constexpr std::uint8_t row_major[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

  std::shared_ptr<const store> from_;
  executorch_options options_;
  detail::owned_block table_;
};

} // namespace stet::inline STET_NAMESPACE

#endif
