// SPDX-License-Identifier: MIT
// Where memory comes from: the program's own allocator, or the heap.
#ifndef STET_SOURCE_MEMORY_HPP
#define STET_SOURCE_MEMORY_HPP

#include "../vocabulary/config.hpp"

#include <cstddef>
#include <new>
#include <utility>

namespace stet::inline STET_NAMESPACE {

/// An allocator of the program. Derive from it and give its address to `open_options::memory` and the like; it must outlive
/// all that was made with it. stet/ext/pmr.hpp makes one of a `std::pmr::memory_resource`, which is not used here because
/// its header takes longer to include than the whole reading core. Called from every thread that opens, reads or closes.
class memory_resource {
public:
  /// Memory for `size_bytes` > 0 bytes, at a multiple of `alignment_bytes`, a power of two up to 65536; nullptr: none left,
  /// which is errc::out_of_memory to who asked for it.
  [[nodiscard]] virtual void* allocate(std::size_t size_bytes, std::size_t alignment_bytes) noexcept = 0;

  /// Takes back what `allocate` gave for the same size and alignment.
  virtual void deallocate(void* block, std::size_t size_bytes, std::size_t alignment_bytes) noexcept = 0;

protected:
  memory_resource() noexcept = default;
  memory_resource(const memory_resource&) noexcept = default;
  memory_resource& operator=(const memory_resource&) noexcept = default;
  // Neither public nor virtual, as that of `reader`.
  ~memory_resource() noexcept = default;
};

namespace detail {

/// A block of memory, or objects in one, from a memory resource or, where that is nullptr, from the heap. How to free it is
/// stored rather than named in the destructor: a program that never allocates, as firmware, is not asked for an operator
/// delete.
class owned_block {
public:
  owned_block() noexcept = default;
  owned_block(owned_block&& other) noexcept
      : block_(other.block_), size_bytes_(other.size_bytes_), alignment_bytes_(other.alignment_bytes_),
        memory_(other.memory_), destroy_(other.destroy_), release_(other.release_) {
    other.block_ = nullptr;
  }
  owned_block& operator=(owned_block&& other) noexcept {
    if (this != &other) {
      this->~owned_block();
      ::new (static_cast<void*>(this)) owned_block(std::move(other));
    }
    return *this;
  }
  ~owned_block() noexcept {
    if (block_ == nullptr) return;
    if (destroy_ != nullptr) destroy_(block_, size_bytes_);
    release_(*this);
  }

  /// Memory with unspecified contents; nullptr in `get()` when there is none left.
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

  /// One object, moved from `from`.
  template <class Object> static owned_block keep(Object&& from, memory_resource* memory) noexcept {
    owned_block made = allocate(sizeof(Object), alignof(Object), memory);
    if (made.block_ == nullptr) return made;
    ::new (made.block_) Object(std::move(from));
    made.destroy_ = destroy<Object>;
    return made;
  }

  /// So many objects; the caller has checked that their sizes fit.
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
