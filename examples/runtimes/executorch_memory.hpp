// SPDX-License-Identifier: MIT
// The memory that a method of ExecuTorch needs besides its weights.
#ifndef RUNTIMES_EXECUTORCH_MEMORY_HPP
#define RUNTIMES_EXECUTORCH_MEMORY_HPP

#include <memory>

#include <executorch/extension/memory_allocator/malloc_memory_allocator.h>
#include <executorch/runtime/executor/memory_manager.h>
#include <executorch/runtime/executor/method_meta.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace runtimes {

/// Memory for what is between the layers, as large as the program says, and for what the method allocates while it is loaded. The method
/// must not outlive it.
class executorch_memory {
public:
  explicit executorch_memory(const executorch::runtime::MethodMeta& of)
      : planned_(planned(of)), spans_(spans(planned_)), planned_memory_({spans_.data(), spans_.size()}),
        manager_(&allocator_, &planned_memory_) {}
  executorch_memory(const executorch_memory&) = delete;
  executorch_memory& operator=(const executorch_memory&) = delete;

  executorch::runtime::MemoryManager* manager() noexcept { return &manager_; }

private:
  using pieces = std::vector<std::vector<std::uint8_t>>;
  using piece_spans = std::vector<executorch::runtime::Span<std::uint8_t>>;

  static pieces planned(const executorch::runtime::MethodMeta& of) {
    pieces made;
    for (std::size_t i = 0; i < of.num_memory_planned_buffers(); ++i)
      made.emplace_back(static_cast<std::size_t>(*of.memory_planned_buffer_size(i)));
    return made;
  }
  static piece_spans spans(pieces& of) {
    piece_spans made;
    for (auto& each : of) made.emplace_back(each.data(), each.size());
    return made;
  }

  pieces planned_;
  piece_spans spans_;
  executorch::extension::MallocMemoryAllocator allocator_;
  executorch::runtime::HierarchicalAllocator planned_memory_;
  executorch::runtime::MemoryManager manager_;
};

} // namespace runtimes

#endif
