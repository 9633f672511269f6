// SPDX-License-Identifier: MIT
// Where a save goes, and the pieces on their way there.
#ifndef STET_WRITER_OUTPUT_HPP
#define STET_WRITER_OUTPUT_HPP

#include "detail/text.hpp"
#include "tensors.hpp"

#include "../bytes/crc32c.hpp"
#include "../manifest/detail/emit.hpp"
#include "../source/detail/helper_thread.hpp"
#include "../source/source.hpp"
#include "../store/tensor.hpp"

#include <bit>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// The destination of a save that is not a file of the operating system. Derive from it.
class byte_writer {
public:
  /// Writes all of `bytes`, which end within the announced size. Each byte is written at most once; bytes that are never
  /// written must read as zero.
  virtual result<void> write_at(std::uint64_t offset_bytes, std::span<const std::byte> bytes) = 0;

protected:
  ~byte_writer() = default;
};

} // namespace stet::inline STET_NAMESPACE

namespace stet::inline STET_NAMESPACE::detail {

/// The size of one write: a piece stays in the second-level cache between its checksum and its copy.
inline constexpr std::size_t output_buffer_size_bytes = 256 * 1024;

/// Gathers up to `output_buffer_size_bytes` bytes, in memory that is allocated when they first come.
class output_buffer {
public:
  explicit output_buffer(memory_resource* memory = nullptr) noexcept : memory_(memory) {}

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {room_.data(), size_}; }
  void clear() noexcept { size_ = 0; }

  /// All of the memory, for other use; the bytes in it are given up.
  /// @retval errc::out_of_memory
  result<std::span<std::byte>> take_room() noexcept {
    clear();
    if (auto there = make_room(); !there) return there.error();
    return std::span(room_.writable_data(), output_buffer_size_bytes);
  }
  /// Appends bytes, which fit. @retval errc::out_of_memory
  result<void> append(std::span<const std::byte> bytes) noexcept {
    if (auto there = make_room(); !there) return there;
    if (!bytes.empty()) std::memcpy(room_.writable_data() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
    return {};
  }
  /// Appends zeros, which fit. @retval errc::out_of_memory
  result<void> append_zeros(std::size_t count) noexcept {
    if (auto there = make_room(); !there) return there;
    std::memset(room_.writable_data() + size_, 0, count);
    size_ += count;
    return {};
  }

private:
  result<void> make_room() noexcept {
    if (room_.size_bytes() != 0) return {};
    result<source> made = source::allocate(output_buffer_size_bytes, memory_);
    if (!made) return made.error();
    room_ = std::move(*made);
    return {};
  }

  memory_resource* memory_;
  source room_;
  std::size_t size_ = 0;
};

/// Writes into memory of the right size, all zero.
class memory_output final : public byte_writer {
public:
  explicit memory_output(std::span<std::byte> into) noexcept : into_(into) {}
  result<void> write_at(std::uint64_t offset_bytes, std::span<const std::byte> bytes) override {
    if (!bytes.empty()) std::memcpy(into_.data() + static_cast<std::size_t>(offset_bytes), bytes.data(), bytes.size());
    return {};
  }

private:
  std::span<std::byte> into_;
};

/// Gathers small pieces of a file in ascending order, and writes them up to page boundaries: whole pages cost the system less
/// than pages written in two halves. Large pieces are written from their own memory.
class page_output {
public:
  /// Gathers in `buffer`, which several outputs may share one after the other.
  page_output(byte_writer& to, output_buffer& buffer, std::uint64_t offset_bytes = 0)
      : to_(to), buffer_(buffer), position_(offset_bytes) {
    buffer_.clear();
  }

  /// The offset of the next byte.
  [[nodiscard]] std::uint64_t position_bytes() const noexcept { return position_; }
  /// The number of bytes to the next boundary.
  [[nodiscard]] std::size_t room_bytes() const noexcept {
    return slice_size - static_cast<std::size_t>(position_ % slice_size);
  }

  /// Writes a piece of any size, and its checksum on the way if that is wanted: `sum(bytes)`, which must not throw, adds bytes to it,
  /// slices before they are written, or all of a large piece on another processor meanwhile.
  template <class Sum> result<void> write(std::span<const std::byte> piece, bool is_summed, Sum sum) {
    auto sum_all = [piece, &sum]() noexcept { sum(piece); };
    helper_thread summing;
    // Starting a thread, and asking how many there may be, takes as long as the checksum of some 100 KiB.
    constexpr std::size_t large_bytes = std::size_t{4} << 20;
    const bool is_apart = is_summed && piece.size() >= large_bytes && processor_count() > 1 && summing.start(sum_all);
    while (!piece.empty()) {
      const std::span<const std::byte> slice = take_slice(piece);
      if (is_summed && !is_apart) sum(slice);
      if (auto written = write_slice(slice); !written) return written; // after that thread has ended
    }
    return {};
  }

  /// Goes on at `offset_bytes`, not before here. A little gap is filled with zeros; a large one, or over a boundary, is not written.
  result<void> move_to(std::uint64_t offset_bytes) {
    const std::uint64_t gap = offset_bytes - position_;
    if (!buffer_.empty() && gap <= max_filled_gap && gap < room_bytes()) {
      if (auto gathered = buffer_.append_zeros(static_cast<std::size_t>(gap)); !gathered) return gathered;
    } else if (auto flushed = flush(); !flushed) {
      return flushed;
    }
    position_ = offset_bytes;
    return {};
  }

  /// Writes the gathered bytes.
  result<void> flush() {
    if (buffer_.empty()) return {};
    auto written = to_.write_at(position_ - buffer_.size(), buffer_.bytes());
    buffer_.clear();
    return written;
  }

private:
  static constexpr std::size_t slice_size = output_buffer_size_bytes;
  static constexpr std::uint64_t max_filled_gap = 4096;

  /// Removes from the front of `piece`, which is not empty, the bytes up to the next boundary.
  [[nodiscard]] std::span<const std::byte> take_slice(std::span<const std::byte>& piece) const noexcept {
    const std::span<const std::byte> slice = piece.first(piece.size() < room_bytes() ? piece.size() : room_bytes());
    piece = piece.subspan(slice.size());
    return slice;
  }
  /// Writes bytes that end at the next boundary, or before.
  result<void> write_slice(std::span<const std::byte> slice) {
    const bool is_to_boundary = slice.size() == room_bytes();
    const std::uint64_t begin = position_;
    position_ += slice.size();
    if (buffer_.empty() && is_to_boundary) return to_.write_at(begin, slice);
    if (auto gathered = buffer_.append(slice); !gathered) return gathered;
    return is_to_boundary ? flush() : result<void>();
  }

  byte_writer& to_;
  output_buffer& buffer_;
  std::uint64_t position_;
};

/// Whether an output computes the checksum of each tensor, which reads its bytes once more.
enum class tensor_checksums : std::uint8_t { none, crc32c };

/// Writes the tensors of one file in ascending order: gathers small pieces, writes large ones directly, and computes checksums
/// while the bytes are in the cache, or, of large pieces, on another processor.
class tensor_output final : public piece_sink {
public:
  /// Gathers in `buffer`, which several outputs may share one after the other.
  tensor_output(byte_writer& to, output_buffer& buffer, tensor_checksums wanted)
      : to_(to, buffer), has_checksums_(wanted == tensor_checksums::crc32c) {}

  /// Begins a tensor of `size_bytes` bytes at `offset_bytes`, not before the end of the last.
  result<void> begin(std::uint64_t offset_bytes, std::uint64_t size_bytes) {
    left_ = size_bytes;
    crc_ = 0;
    return to_.move_to(offset_bytes);
  }

  result<void> write(std::span<const std::byte> piece) override {
    if (failure_) return *failure_;
    if (const auto taken = take(piece); !taken) return failure_.emplace(taken.error());
    return {};
  }

  [[nodiscard]] std::size_t best_piece_size_bytes() const noexcept override { return to_.room_bytes(); }

  /// Ends a tensor.
  /// @retval errc::source_too_short  bytes are missing; or the error of a piece, which its source may have kept to itself
  result<void> end() const {
    if (failure_) return *failure_;
    if (left_ != 0) return errc::source_too_short;
    return {};
  }

  /// Where the last tensor ends.
  [[nodiscard]] std::uint64_t end_bytes() const noexcept { return to_.position_bytes(); }
  /// The checksum of the tensor's bytes so far, if checksums are wanted.
  [[nodiscard]] std::uint32_t crc32c_so_far() const noexcept { return crc_; }

  /// Writes the gathered bytes.
  result<void> flush() { return to_.flush(); }

private:
  result<void> take(std::span<const std::byte> piece) {
    if (piece.size() > left_) return errc::source_too_long;
    left_ -= piece.size();
    return to_.write(piece, has_checksums_,
                     [this](std::span<const std::byte> bytes) noexcept { crc_ = crc32c(bytes, crc_); });
  }

  page_output to_;
  bool has_checksums_;
  std::uint64_t left_ = 0;
  std::uint32_t crc_ = 0;
  std::optional<error> failure_;
};

/// Takes the text of a manifest piece by piece (a sink of `manifest_emitter`) and writes it through a buffer: a table of many
/// tensors would cost more in fresh memory than in writing.
class text_output {
public:
  /// Writes from `offset_bytes` on. The buffer, of at least 64 bytes, must outlive the output.
  text_output(byte_writer& to, std::uint64_t offset_bytes, std::span<std::byte> buffer)
      : to_(to), offset_(offset_bytes), begin_(reinterpret_cast<char*>(buffer.data())), end_(begin_ + buffer.size()),
        filler_(begin_) {}

  void raw(std::string_view text) {
    while (text.size() > room()) {
      const std::size_t count = room();
      filler_.raw(text.substr(0, count));
      text.remove_prefix(count);
      flush();
    }
    filler_.raw(text);
  }
  void number(std::uint64_t value) {
    make_room();
    filler_.number(value);
  }
  void offset(std::uint64_t value) { number(value); }
  void hex(std::uint64_t value, std::size_t digits) {
    make_room();
    filler_.hex(value, digits);
  }
  template <class Write> void piece(std::uint64_t bound, Write write) {
    if (bound > room()) flush();
    if (bound > room()) return write(*this); // more than the buffer holds
    filler_.piece(bound, write);
  }

  /// Writes the rest. @return the first error, if any
  result<void> finish() {
    flush();
    return written_;
  }
  /// The checksum of the bytes that were written.
  [[nodiscard]] std::uint32_t crc32c_so_far() const noexcept { return crc_; }

private:
  static constexpr std::size_t longest_number = 20;
  [[nodiscard]] std::size_t room() const noexcept { return static_cast<std::size_t>(end_ - filler_.at()); }
  void make_room() {
    if (room() < longest_number) flush();
  }
  void flush() {
    const auto bytes = std::as_bytes(std::span(begin_, filler_.at()));
    filler_ = text_filler(begin_);
    if (!written_ || bytes.empty()) return;
    crc_ = crc32c(bytes, crc_);
    written_ = to_.write_at(offset_, bytes);
    offset_ += bytes.size();
  }

  byte_writer& to_;
  std::uint64_t offset_;
  char *begin_, *end_;
  text_filler filler_;
  std::uint32_t crc_ = 0;
  result<void> written_;
};

/// Hands every piece to a function.
template <class Take> class piece_visitor final : public piece_sink {
public:
  explicit piece_visitor(Take& take) noexcept : take_(take) {}
  result<void> write(std::span<const std::byte> piece) override {
    take_(piece);
    return {};
  }

private:
  Take& take_;
};

/// Packs elements narrower than a byte, and on a big-endian host turns words around: elements as a file has them.
template <class T> result<void> write_encoded(std::span<const T> elements, piece_sink& sink) {
  constexpr dtype_description description = describe(dtype_of<T>::value);
  constexpr std::size_t step = 4096; // a multiple of 8 elements, so that every piece is whole bytes
  std::byte piece[step * sizeof(T)];
  while (!elements.empty()) {
    const std::span<const T> some = elements.first(elements.size() < step ? elements.size() : step);
    elements = elements.subspan(some.size());
    std::size_t size = 0;
    if constexpr (description.bits < 8) {
      size = (some.size() * description.bits + 7) / 8;
      std::memset(piece, 0, size);
      for (std::size_t i = 0; i < some.size(); ++i) {
        const std::uint32_t code = static_cast<std::uint32_t>(some[i].bits()) << (i * description.bits % 8);
        const std::size_t at = i * description.bits / 8;
        piece[at] |= static_cast<std::byte>(code & 0xFFu);
        if (code > 0xFFu) piece[at + 1] |= static_cast<std::byte>(code >> 8);
      }
    } else {
      size = some.size_bytes();
      std::memcpy(piece, some.data(), size);
      reverse_words(piece, size, description.word_size_bytes);
    }
    if (auto written = sink.write({piece, size}); !written) return written;
  }
  return {};
}

/// Writes strings as a string tensor has them: offsets, then bytes.
template <class Strings> result<void> write_strings(const Strings& strings, piece_sink& sink) {
  std::uint64_t offset = 0;
  std::byte encoded[8] = {};
  if (auto written = sink.write(encoded); !written) return written;
  for (const auto& each : strings) {
    offset += text_of(each).size();
    store_little(encoded, offset);
    if (auto written = sink.write(encoded); !written) return written;
  }
  for (const auto& each : strings) {
    const std::string_view text = text_of(each);
    if (auto written = sink.write(std::as_bytes(std::span(text.data(), text.size()))); !written) return written;
  }
  return {};
}

/// Writes the bytes of a tensor that are not in memory.
inline result<void> write_fetched(const tensor& from, piece_sink& sink) {
  std::vector<std::byte> piece(256 * 1024);
  for (std::uint64_t done = 0; done < from.size_bytes();) {
    const std::uint64_t left = from.size_bytes() - done;
    const std::span<std::byte> some(piece.data(), left < piece.size() ? static_cast<std::size_t>(left) : piece.size());
    if (auto read = from.read(done, some); !read) return read;
    if (auto written = sink.write(some); !written) return written;
    done += some.size();
  }
  return {};
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
