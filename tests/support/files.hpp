// SPDX-License-Identifier: MIT
// One store opened in every way there is.
#ifndef STET_TESTS_SUPPORT_FILES_HPP
#define STET_TESTS_SUPPORT_FILES_HPP

#include "native_bytes.hpp"
#include "temp_folder.hpp"

#include <stet/store/open.hpp>

#include <atomic>
#include <new>
#include <string>

namespace stet_test {

/// A program's own reader, over memory; counts the calls, and can be told to fail from a certain call on.
class memory_reader final : public stet::byte_reader {
public:
  static constexpr int never = -1;
  explicit memory_reader(std::span<const std::byte> bytes, int fails_at_call = never) noexcept
      : bytes_(bytes), fails_at_call_(fails_at_call) {}
  memory_reader(const memory_reader& other) noexcept
      : byte_reader(other), bytes_(other.bytes_), fails_at_call_(other.fails_at_call_), calls_(other.calls()) {}
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return bytes_.size(); }
  [[nodiscard]] stet::result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    if (fails_at_call_ != never && calls_ >= fails_at_call_)
      return stet::error(stet::errc::io_error, "the reader", offset_bytes);
    ++calls_;
    if (!stet::detail::range_fits(offset_bytes, into.size(), bytes_.size())) return stet::errc::truncated;
    if (!into.empty()) std::memcpy(into.data(), bytes_.data() + static_cast<std::size_t>(offset_bytes), into.size());
    return {};
  }
  /// The calls that did not fail.
  [[nodiscard]] int calls() const noexcept { return calls_; }

private:
  std::span<const std::byte> bytes_;
  int fails_at_call_;
  mutable std::atomic<int> calls_ = 0; // threads read at once
};

/// A copy in a block of exactly this size, aligned for every tensor, so that a sanitizer sees any over-read.
class exact_block {
public:
  explicit exact_block(std::span<const std::byte> bytes, std::size_t misalignment_bytes = 0)
      : block_(static_cast<std::byte*>(::operator new(bytes.size() + misalignment_bytes, std::align_val_t{64}))),
        at_(block_ + misalignment_bytes), size_(bytes.size()) {
    if (!bytes.empty()) std::memcpy(at_, bytes.data(), bytes.size());
  }
  exact_block(const exact_block&) = delete;
  exact_block& operator=(const exact_block&) = delete;
  ~exact_block() { ::operator delete(block_, std::align_val_t{64}); }
  [[nodiscard]] std::span<std::byte> span() const noexcept { return {at_, size_}; }

private:
  std::byte* block_;
  std::byte* at_;
  std::size_t size_;
};

/// One of the ways to open a store.
struct way_to_open {
  std::string name;
  /// Whether the tensors are in memory once the store is open.
  bool is_resident;
};

/// Calls `visit(way, result<store>&&)` with the same bytes opened in every way: from memory, through a reader
/// of the program, and from files by path, and by handle within a larger file at an odd offset.
class every_way {
public:
  template <class Visit> void open(std::span<const std::byte> bytes, Visit&& visit) const {
    {
      const exact_block block(bytes);
      visit(way_to_open{"memory", true}, stet::open(std::span<const std::byte>(block.span())));
    }
    const memory_reader reader(bytes);
    visit(way_to_open{"reader", false}, stet::open(reader));
    visit(way_to_open{"reader, read", true}, stet::open(reader, {.backing = stet::backing::read}));

    const std::string plain = folder_.write("store.stet", bytes);
    byte_vector package(lead_bytes, std::byte{0x55});
    package.insert(package.end(), bytes.begin(), bytes.end());
    package.insert(package.end(), tail_bytes, std::byte{0xAA});
    const std::string packed = folder_.write("package.bin", package);
    stet::open_options options;
    for (const auto& [backing, path_name, handle_name] : backings) {
      options.backing = backing;
      options.range = {};
      const bool is_resident = backing != stet::backing::stream;
      visit(way_to_open{path_name, is_resident}, stet::open(plain, options));
      options.range = {lead_bytes, bytes.size()};
      const auto file = stet::file::open(packed);
      if (!file) continue;
      visit(way_to_open{handle_name, is_resident}, stet::open(file->handle(), options));
    }
  }

  [[nodiscard]] const temp_folder& folder() const { return folder_; }
  static constexpr std::size_t way_count = 9;

private:
  static constexpr std::size_t lead_bytes = 777, tail_bytes = 100;
  struct named_backing {
    stet::backing backing;
    const char *path_name, *handle_name;
  };
  static constexpr named_backing backings[] = {{stet::backing::map, "mapped file", "mapped range of a handle"},
                                               {stet::backing::read, "read file", "read range of a handle"},
                                               {stet::backing::stream, "streamed file", "streamed range of a handle"}};
  temp_folder folder_;
};

} // namespace stet_test

#endif
