// SPDX-License-Identifier: MIT
// A tensor of an open store: what it is, and its bytes where they lie.
#ifndef STET_STORE_TENSOR_HPP
#define STET_STORE_TENSOR_HPP

#include "../bytes/detail/convert.hpp"
#include "../index/index.hpp"
#include "../source/byte_reader.hpp"
#include "../vocabulary/config.hpp"
#include "../vocabulary/view.hpp"

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// Writes what is asked of a tensor: "float32 [64, any]", an extent of any size being `dynamic`; without extents, the dtype alone.
inline void print_request(text_writer& out, dtype d, const std::size_t* extents, std::size_t rank) noexcept {
  out.append(name_of(d));
  if (extents == nullptr) return;
  out.append(" [");
  for (std::size_t axis = 0; axis < rank; ++axis) {
    if (axis != 0) out.append(", ");
    if (extents[axis] == dynamic) {
      out.append("any");
    } else {
      out.append(std::uint64_t{extents[axis]});
    }
  }
  out.append("]");
}

/// Whether `own` has these extents, `dynamic` being any. All of them are put into `stored`, of `rank` numbers.
inline bool has_extents(const shape& own, const std::size_t* extents, std::size_t rank, std::size_t* stored) noexcept {
  if (own.rank() != rank) return false;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    if (extents[axis] != dynamic && extents[axis] != own[axis]) return false;
    stored[axis] = static_cast<std::size_t>(own[axis]);
  }
  return true;
}

/// An error about the tensor `name` and what is wrong with it, each shortened so that both fit into the subject.
inline error error_about(errc code, std::string_view name, std::string_view what) noexcept {
  constexpr std::size_t most = error::max_subject_bytes, least_name = 24;
  char subject[most];
  text_writer out(subject, most);
  const std::size_t size = what.size() < most - least_name - 2 ? what.size() : most - least_name - 2;
  append_shortened(out, name, most - size - 2);
  out.append(": ");
  append_shortened(out, what, most - out.text().size());
  return error(code, out.text());
}

} // namespace detail

/// Asks `copy_to` to convert elements to the destination's type.
struct convert_t {};
/// The argument that asks `tensor::copy_to` to convert.
inline constexpr convert_t convert{};

/// A tensor of an open store. A handle of a few words, copied freely; it and what it gives are valid while the store is
/// open, also after the store object was moved. Const members may be called from several threads.
class tensor {
public:
  /// Names no tensor.
  tensor() noexcept = default;

  /// For stores: the tensor at `entry`, its bytes at `data` (nullptr: fetched from `fetcher`, at its offset).
  tensor(const tensor_index& index, index_entry entry, const std::byte* data, bool is_writable,
         const byte_reader* fetcher) noexcept
      : entry_(entry), layout_(index.layout(entry)), data_(data), fetcher_(fetcher), is_writable_(is_writable) {}

  /// The name, UTF-8.
  [[nodiscard]] std::string_view name() const noexcept { return entry_.name(); }
  /// The dtype of the elements.
  [[nodiscard]] stet::dtype dtype() const noexcept { return layout_.dtype; }
  /// Dtype, width and block of the elements.
  [[nodiscard]] const element_layout& layout() const noexcept { return layout_; }
  /// Extents in elements, outermost first.
  [[nodiscard]] stet::shape shape() const noexcept { return entry_.shape(); }
  /// The number of elements.
  [[nodiscard]] std::uint64_t element_count() const noexcept { return entry_.element_count(); }
  /// The size of the bytes.
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return entry_.size_bytes(); }
  /// Where and how the tensor stands in its file.
  [[nodiscard]] index_entry entry() const noexcept { return entry_; }

  /// Whether the tensor's bytes, as this machine uses them, are in memory.
  [[nodiscard]] bool is_in_place() const noexcept { return data_ != nullptr && !needs_swap(); }

  /// Whether the store was opened for writing, and the bytes are in memory. What is written to an alias, its original has, too;
  /// no other tensor.
  [[nodiscard]] bool is_writable() const noexcept { return is_writable_; }

  /// The bytes as they are stored; empty if they are not in memory.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    return detail::bytes_at(data_, data_ == nullptr ? 0 : static_cast<std::size_t>(size_bytes()));
  }

  /// The elements in place, row-major.
  /// @retval errc::dtype_mismatch    they are not of type T
  /// @retval errc::packed            they are packed below a byte
  /// @retval errc::not_resident      they are not in memory
  /// @retval errc::wrong_byte_order  this machine has the other byte order
  /// @retval errc::misaligned        they are not aligned for T: the memory or the file's alignment is at fault
  /// @retval errc::bad_value         T is bool and a byte is neither 0 nor 1
  /// Cost: a few comparisons; for bool, reads every byte.
  template <element T> [[nodiscard]] result<std::span<const T>> as() const noexcept {
    if (const errc failure = check_type<std::remove_const_t<T>>(); failure != errc{})
      return unfit(failure, dtype_of<T>::value);
    return std::span<const T>(reinterpret_cast<const T*>(data_), static_cast<std::size_t>(element_count()));
  }

  /// The elements in place, for writing: into memory, a copy-on-write or a shared-write mapping.
  /// Errors: those of `as`, and
  /// @retval errc::read_only  the store was not opened for writing
  template <element T> [[nodiscard]] result<std::span<T>> as_writable() const noexcept {
    if (const errc failure = check_type<T>(); failure != errc{}) return unfit(failure, dtype_of<T>::value);
    if (!is_writable_) return error(errc::read_only, name());
    T* const first = reinterpret_cast<T*>(const_cast<std::byte*>(data_));
    return std::span<T>(first, static_cast<std::size_t>(element_count()));
  }

  /// The elements in place with their extents, or, with `dynamic_rank` in their place, with the tensor's shape; T is const, or the
  /// store open for writing.
  /// Errors: those of `as` or `as_writable`, and
  /// @retval errc::shape_mismatch  rank or a fixed extent differs
  template <class T, std::size_t... Extents>
    requires element<T>
  [[nodiscard]] result<view<T, Extents...>> as_view() const noexcept {
    using view_type = view<T, Extents...>;
    constexpr bool has_any_rank = std::is_same_v<view_type, view<T, dynamic_rank>>;
    const auto fail = [&](errc failure) {
      if constexpr (has_any_rank) {
        return unfit(failure, dtype_of<T>::value);
      } else {
        return unfit(failure, dtype_of<T>::value, view_type::static_extents, view_type::rank);
      }
    };
    if (const errc failure = check_type<std::remove_const_t<T>>(); failure != errc{}) return fail(failure);
    if (!std::is_const_v<T> && !is_writable_) return fail(errc::read_only);
    T* const first = reinterpret_cast<T*>(const_cast<std::byte*>(data_));
    if constexpr (has_any_rank) {
      return view_type(first, shape());
    } else {
      std::size_t extents[view_type::rank + 1] = {};
      if (!detail::has_extents(shape(), view_type::static_extents, view_type::rank, extents))
        return fail(errc::shape_mismatch);
      return view_type(first, extents);
    }
  }

  /// Elements narrower than a byte (int4, uint2, float6 …) in place, read one at a time.
  /// @retval errc::dtype_mismatch  they are not of type T
  /// @retval errc::not_resident    they are not in memory
  template <element T>
    requires requires(T value) { T::from_bits(value.bits()); } && (sizeof(T) == 1)
  [[nodiscard]] result<packed_span<T>> as_packed() const noexcept {
    if (dtype_of<T>::value != dtype()) return unfit(errc::dtype_mismatch, dtype_of<T>::value);
    if (data_ == nullptr) return error(errc::not_resident, name());
    return packed_span<T>(data_, element_count(), layout_.bits);
  }

  /// The strings of a string tensor in place.
  /// @retval errc::dtype_mismatch    not a string tensor
  /// @retval errc::not_resident      the bytes are not in memory; read them and use `string_span::validate`
  /// @retval errc::bad_string_table  the offsets are not valid
  /// Cost: reads every offset.
  [[nodiscard]] result<string_span> as_strings() const noexcept {
    if (dtype() != dtype::string) return unfit(errc::dtype_mismatch, dtype::string);
    if (data_ == nullptr) return error(errc::not_resident, name());
    auto strings = string_span::validate(bytes(), element_count());
    if (!strings) return strings.error().about(name());
    return strings;
  }

  /// The same tensor, whose bytes `from` delivers: a reader of the tensor's file, or of as much of it as is then asked for. It must
  /// outlive the tensor.
  [[nodiscard]] tensor delivered_by(const byte_reader& from) const noexcept {
    tensor made = *this;
    made.data_ = nullptr;
    made.fetcher_ = &from;
    made.is_writable_ = false;
    return made;
  }

  /// Whether `read` within the size cannot fail: the bytes are in memory, in place or where a reader gathers them.
  [[nodiscard]] bool reads_from_memory() const noexcept {
    return data_ != nullptr || (fetcher_ != nullptr && fetcher_->reads_from_memory());
  }

  /// Copies stored bytes, from byte `offset_bytes` of the tensor on, into all of `into`.
  /// @retval errc::bad_range  they do not lie within the tensor; or an error of the reader
  [[nodiscard]] result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept {
    if (!detail::range_fits(offset_bytes, into.size(), size_bytes())) return error(errc::bad_range, name());
    if (into.empty()) return {};
    if (data_ == nullptr) {
      if (fetcher_ == nullptr) return error(errc::not_resident, name());
      return fetcher_->read(entry_.offset_bytes() + offset_bytes, detail::writable_bytes_at(into.data(), into.size()));
    }
    std::memcpy(into.data(), data_ + static_cast<std::size_t>(offset_bytes), into.size());
    return {};
  }

  /// Copies the elements, wherever and in whatever byte order and packing they are stored.
  /// @param into  as many elements as the tensor has, or more
  /// @retval errc::dtype_mismatch    they are not of type T; `copy_to(into, convert)` converts them
  /// @retval errc::buffer_too_small  `into` is too small
  /// @retval errc::bad_value         T is bool and a byte is neither 0 nor 1
  /// or an error of the reader. Cost: reads every byte once, allocates nothing.
  template <element T>
    requires(!std::is_const_v<T>)
  [[nodiscard]] result<void> copy_to(std::span<T> into) const noexcept {
    if (dtype_of<T>::value != dtype()) return unfit(errc::dtype_mismatch, dtype_of<T>::value);
    if (into.size() < element_count()) return too_small(into.size());
    const bool is_plain = layout_.bits == sizeof(T) * 8 && !needs_swap() && dtype() != dtype::boolean;
    if (!is_plain) return copy_through(into, detail::copy_elements<T>);
    return read(0, std::as_writable_bytes(into.first(static_cast<std::size_t>(element_count()))));
  }

  /// As above, but elements of another dtype are converted by the rules of bytes/detail/convert.hpp.
  /// @retval errc::not_convertible  strings, blocks, or complex numbers to real ones
  template <element T>
    requires(!std::is_const_v<T>)
  [[nodiscard]] result<void> copy_to(std::span<T> into, convert_t) const noexcept {
    if (dtype_of<T>::value == dtype()) return copy_to(into);
    if (into.size() < element_count()) return too_small(into.size());
    return copy_through(into, detail::convert_elements<T>);
  }

  /// As above, but `conversion` makes the elements, as many as the tensor has: `copy_to(into, stet::dequantize)` with
  /// formats/gguf/dequantize.hpp. Errors and cost: those of the conversion.
  template <element T>
    requires(!std::is_const_v<T>)
  [[nodiscard]] result<void> copy_to(std::span<T> into,
                                     result<void> (*conversion)(const tensor&, std::span<T>) noexcept) const noexcept {
    if (into.size() < element_count()) return too_small(into.size());
    return conversion(*this, into.first(static_cast<std::size_t>(element_count())));
  }

  /// As above, but `layout` arranges the elements: `copy_to(into, stet::permute({3, 2, 0, 1}))` with store/permute.hpp. Errors and cost:
  /// those of `layout.copy`.
  template <element T, class Layout>
    requires(!std::is_const_v<T> &&
             requires(const Layout& layout, const tensor& from, std::span<T> into) { layout.copy(from, into); })
  [[nodiscard]] result<void> copy_to(std::span<T> into, const Layout& layout) const noexcept {
    if (into.size() < element_count()) return too_small(into.size());
    return layout.copy(*this, into.first(static_cast<std::size_t>(element_count())));
  }

  /// The CRC-32C of the tensor's bytes, whether the file has a checksum or not.
  /// Errors: those of a reader. Cost: reads every byte, allocates nothing.
  [[nodiscard]] result<std::uint32_t> compute_crc32c() const noexcept {
    if (data_ != nullptr) return crc32c(bytes());
    std::uint32_t crc = 0;
    std::byte chunk[chunk_size_bytes];
    for (std::uint64_t done = 0; done < size_bytes();) {
      const std::uint64_t left = size_bytes() - done;
      const std::size_t count = left < sizeof chunk ? static_cast<std::size_t>(left) : sizeof chunk;
      if (auto fetched = read(done, detail::writable_bytes_at(chunk, count)); !fetched) return fetched.error();
      crc = crc32c(detail::bytes_at(chunk, count), crc);
      done += count;
    }
    return crc;
  }

  /// Compares the tensor's bytes with its checksum.
  /// @retval errc::checksum_mismatch  they are damaged
  /// @retval errc::no_checksum        the file has none for this tensor
  /// or an error of the reader. Cost: reads every byte, allocates nothing.
  [[nodiscard]] result<void> verify_checksum() const noexcept {
    if (!entry_.has_crc32c()) return error(errc::no_checksum, name());
    const result<std::uint32_t> crc = compute_crc32c();
    if (!crc) return crc.error();
    if (*crc != entry_.crc32c()) return error(errc::checksum_mismatch, name(), entry_.offset_bytes());
    return {};
  }

  /// Writes what the tensor is: "float32 [20, 32]".
  void print_layout(text_writer& out) const noexcept {
    out.append(name_of(dtype())).append(" ");
    shape().print(out);
  }

private:
  /// The error that this is not what was asked for: "dense/kernel: float32 [64, 16] expected, float32 [20, 32] found". Where both
  /// fit and something else is wrong, the name is the subject.
  [[nodiscard]] error unfit(errc failure, stet::dtype expected, const std::size_t* extents = nullptr,
                            std::size_t rank = 0) const noexcept {
    if (failure != errc::dtype_mismatch && failure != errc::shape_mismatch) return error(failure, name());
    char text[256];
    text_writer what(text, sizeof text);
    detail::print_request(what, expected, extents, rank);
    what.append(" expected, ");
    print_layout(what);
    return detail::error_about(failure, name(), what.append(" found").text());
  }
  [[nodiscard]] error too_small(std::size_t element_count) const noexcept {
    char text[256];
    text_writer what(text, sizeof text);
    print_layout(what);
    what.append(", room for ").append(std::uint64_t{element_count}).append(" elements");
    return detail::error_about(errc::buffer_too_small, name(), what.text());
  }

  /// Of the stack, for what is not in memory.
  static constexpr std::size_t chunk_size_bytes = STET_SMALL_CODE ? 512 : 4096;

  /// Whether a word of the tensor has to be reversed before this machine can use it; not where there is none.
  [[nodiscard]] bool needs_swap() const noexcept {
    return describe(dtype()).word_size_bytes > 1 && entry_.is_big_endian() == detail::host_is_little_endian &&
           size_bytes() != 0;
  }

  template <element T> [[nodiscard]] errc check_type() const noexcept {
    if (dtype_of<T>::value != dtype()) return errc::dtype_mismatch;
    if (layout_.bits != sizeof(T) * 8) return errc::packed;
    if (data_ == nullptr) return errc::not_resident;
    if (needs_swap()) return errc::wrong_byte_order;
    // A tensor without bytes stands nowhere, and so nowhere wrong.
    if (size_bytes() != 0 && !detail::is_aligned(data_, alignof(T))) return errc::misaligned;
    if constexpr (std::is_same_v<T, bool>) {
      if (!detail::are_booleans(bytes().data(), bytes().size())) return errc::bad_value;
    }
    return errc{};
  }

  /// Brings the elements into `into` by one of the functions of bytes/detail/convert.hpp.
  template <element T>
  [[nodiscard]] result<void> copy_through(std::span<T> into, errc (*copy)(const detail::stored_elements&,
                                                                          std::span<T>) noexcept) const noexcept {
    const std::size_t count = static_cast<std::size_t>(element_count());
    if (data_ != nullptr) {
      const errc failure = copy({data_, dtype(), layout_.bits, needs_swap()}, into.first(count));
      return failure == errc{} ? result<void>() : error(failure, name());
    }
    // Any multiple of 8 elements is a whole number of bytes, whatever the width; no element has more than 128 bits.
    std::byte chunk[chunk_size_bytes];
    constexpr std::size_t step = chunk_size_bytes / 16;
    for (std::size_t done = 0; done < count; done += step) {
      const std::size_t elements = count - done < step ? count - done : step;
      const std::size_t size = (elements * layout_.bits + 7) / 8;
      if (auto fetched = read(std::uint64_t{done / 8} * layout_.bits, detail::writable_bytes_at(chunk, size)); !fetched)
        return fetched;
      const errc failure = copy({chunk, dtype(), layout_.bits, needs_swap()}, into.subspan(done, elements));
      if (failure != errc{}) return error(failure, name());
    }
    return {};
  }

  index_entry entry_;
  element_layout layout_;
  const std::byte* data_ = nullptr;
  const byte_reader* fetcher_ = nullptr;
  bool is_writable_ = false;
};

} // namespace stet::inline STET_NAMESPACE

#endif
