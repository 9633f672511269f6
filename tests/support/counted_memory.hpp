// SPDX-License-Identifier: MIT
// A program's own allocator that is watched: what was asked for, whether all came back, and what happens when there is none.
#ifndef STET_TESTS_SUPPORT_COUNTED_MEMORY_HPP
#define STET_TESTS_SUPPORT_COUNTED_MEMORY_HPP

#include <stet/source/memory.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace stet_test {

/// Takes memory from malloc, past every operator new. Each block remembers the size and alignment it was asked for.
class counted_memory final : public stet::memory_resource {
public:
  static constexpr std::uint64_t never = ~std::uint64_t{0};

  /// Has none left from allocation number `fails_at` on, counted from 0.
  explicit counted_memory(std::uint64_t fails_at = never) noexcept : fails_at_(fails_at) {}

  void* allocate(std::size_t size_bytes, std::size_t alignment_bytes) noexcept override {
    const std::lock_guard guard(mutex_);
    if (count_ >= fails_at_) return nullptr;
    auto* const raw = static_cast<std::byte*>(std::malloc(sizeof(facts) + alignment_bytes + size_bytes));
    if (raw == nullptr) return nullptr;
    const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(raw) + sizeof(facts);
    std::byte* const at = raw + sizeof(facts) + (alignment_bytes - begin % alignment_bytes) % alignment_bytes;
    const facts of{raw, size_bytes, alignment_bytes};
    std::memcpy(at - sizeof of, &of, sizeof of);
    ++count_;
    ++live_;
    bytes_ += size_bytes;
    if (size_bytes > largest_bytes_) largest_bytes_ = size_bytes;
    return at;
  }
  void deallocate(void* block, std::size_t size_bytes, std::size_t alignment_bytes) noexcept override {
    const std::lock_guard guard(mutex_);
    facts of;
    std::memcpy(&of, static_cast<std::byte*>(block) - sizeof of, sizeof of);
    is_sound_ = is_sound_ && of.size_bytes == size_bytes && of.alignment_bytes == alignment_bytes;
    --live_;
    std::free(of.raw);
  }

  /// How many blocks were given, how many of them are not back yet, their bytes, and the largest.
  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] std::uint64_t live() const noexcept { return live_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::uint64_t largest_bytes() const noexcept { return largest_bytes_; }
  /// Whether each block came back with the size and alignment it was asked for.
  [[nodiscard]] bool is_sound() const noexcept { return is_sound_; }

private:
  struct facts {
    std::byte* raw;
    std::size_t size_bytes, alignment_bytes;
  };
  std::mutex mutex_;
  std::uint64_t fails_at_, count_ = 0, live_ = 0, bytes_ = 0, largest_bytes_ = 0;
  bool is_sound_ = true;
};

} // namespace stet_test

#endif
