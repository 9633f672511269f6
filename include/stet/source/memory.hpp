// SPDX-License-Identifier: MIT
// The memory of stet: from the program's own allocator, or from the heap.
#ifndef STET_SOURCE_MEMORY_HPP
#define STET_SOURCE_MEMORY_HPP

#include "../vocabulary/config.hpp"
#include "../vocabulary/detail/move_assign.hpp"

#include <cstddef>
#include <new>
#include <utility>

namespace stet::inline STET_NAMESPACE {

/// An allocator of the program. Derive from it and pass its address to `open_options::memory` and similar options. It must
/// outlive everything that was made with it, and is called from every thread that opens, reads or closes. stet/ext/pmr.hpp
/// adapts a `std::pmr::memory_resource`, which is not used here because its header costs more to include than the whole reading
/// core.
class memory_resource {
public:
  /// Allocates `size_bytes` > 0 bytes at a multiple of `alignment_bytes`, a power of two up to 65536. Returns nullptr if there
  /// is no memory left; the call that needed it then fails with errc::out_of_memory.
  [[nodiscard]] virtual void* allocate(std::size_t size_bytes, std::size_t alignment_bytes) noexcept = 0;

  /// Frees a block that `allocate` returned for the same size and alignment.
  virtual void deallocate(void* block, std::size_t size_bytes, std::size_t alignment_bytes) noexcept = 0;

protected:
  memory_resource() noexcept = default;
  memory_resource(const memory_resource&) noexcept = default;
  memory_resource& operator=(const memory_resource&) noexcept = default;
  // Neither public nor virtual, as that of `byte_reader`.
  ~memory_resource() noexcept = default;
};

namespace detail {

/// A block of memory, or of objects, from a memory resource, or from the heap if that is nullptr. The function that frees it is
/// stored, not named in the destructor, so that a program that never allocates, such as firmware, needs no operator delete.
class owned_block {
public:
  owned_block() noexcept = default;
  owned_block(owned_block&& other) noexcept
      : block_(other.block_), size_bytes_(other.size_bytes_), alignment_bytes_(other.alignment_bytes_),
        memory_(other.memory_), destroy_(other.destroy_), release_(other.release_) {
    other.block_ = nullptr;
  }
  owned_block& operator=(owned_block&& other) noexcept { return detail::move_assign(*this, other); }
  ~owned_block() noexcept {
    if (block_ == nullptr) return;
    if (destroy_ != nullptr) destroy_(block_, size_bytes_);
    release_(*this);
  }

  /// Allocates memory with unspecified contents; `get()` is nullptr if there is no memory left.
  static owned_block allocate(std::size_t size_bytes, std::size_t alignment_bytes, memory_resource* memory) noexcept {
    owned_block made;
    made.size_bytes_ = size_bytes;
    made.alignment_bytes_ = alignment_bytes;
    made.memory_ = memory;
    if (memory != nullptr) {
      made.block_ = memory->allocate(size_bytes, alignment_bytes);
      made.release_ = [](const owned_block& of) noexcept {
        of.memory_->deallocate(of.block_, of.size_bytes_, of.alignment_bytes_);
      };
    } else {
      made.block_ = ::operator new(size_bytes, std::align_val_t{alignment_bytes}, std::nothrow);
      made.release_ = [](const owned_block& of) noexcept {
        ::operator delete(of.block_, std::align_val_t{of.alignment_bytes_});
      };
    }
    return made;
  }

  /// Allocates one object, moved from `from`.
  template <class Object> static owned_block keep(Object&& from, memory_resource* memory) noexcept {
    owned_block made = allocate(sizeof(Object), alignof(Object), memory);
    if (made.block_ == nullptr) return made;
    ::new (made.block_) Object(std::move(from));
    made.destroy_ = destroy<Object>;
    return made;
  }

  /// Allocates `count` objects; the caller has checked that the total size fits.
  template <class Object> static owned_block make(std::size_t count, memory_resource* memory) noexcept {
    owned_block made = allocate(count * sizeof(Object), alignof(Object), memory);
    if (made.block_ == nullptr) return made;
    for (std::size_t i = 0; i < count; ++i) ::new (static_cast<void*>(static_cast<Object*>(made.block_) + i)) Object();
    made.destroy_ = destroy<Object>;
    return made;
  }

  [[nodiscard]] void* get() const noexcept { return block_; }

private:
  template <class Object> static void destroy(void* block, std::size_t size_bytes) noexcept {
    Object* const first = static_cast<Object*>(block);
    for (std::size_t i = size_bytes / sizeof(Object); i-- > 0;) first[i].~Object();
  }

  void* block_ = nullptr;
  std::size_t size_bytes_ = 0, alignment_bytes_ = 0;
  memory_resource* memory_ = nullptr;
  void (*destroy_)(void*, std::size_t) noexcept = nullptr;
  void (*release_)(const owned_block&) noexcept = nullptr;
};

} // namespace detail

} // namespace stet::inline STET_NAMESPACE

#endif
