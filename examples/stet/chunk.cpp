// SPDX-License-Identifier: MIT
// A store in memory as a window on tensors of any size.
#include "chunk.hpp"

#include <stet/writer.hpp>

namespace command {

stet::result<element_window> element_window::on(const stet::tensor& of) {
  const std::vector<std::byte> zeros(element_count / 8 * of.layout().bits);
  stet::writer out;
  if (auto added = out.add_bytes("window", of.layout(), {element_count}, zeros); !added)
    return added.error();
  stet::result<std::vector<std::byte>> saved = out.save_to_memory();
  if (!saved)
    return saved.error();
  element_window made;
  made.of_ = of;
  made.memory_ = std::move(*saved);
  stet::result<stet::store> opened = stet::open(std::span<const std::byte>(made.memory_));
  if (!opened)
    return opened.error();
  made.store_ = std::move(*opened);
  const stet::result<stet::tensor> found = made.store_.find("window");
  if (!found)
    return found.error();
  made.window_ = *found;
  made.bytes_ =
      std::span(made.memory_).subspan(static_cast<std::size_t>(found->entry().offset_bytes()), zeros.size());
  return made;
}

stet::result<void> element_window::move_to(std::uint64_t first) {
  size_ = static_cast<std::size_t>((std::min<std::uint64_t>)(element_count, of_.element_count() - first));
  used_bytes_ = (size_ * of_.layout().bits + 7) / 8;
  const std::span<std::byte> used = bytes_.first(used_bytes_);
  if (auto read = of_.read(first / 8 * of_.layout().bits, used); !read)
    return read;
  const std::size_t word = stet::describe(of_.dtype()).word_size_bytes;
  if (of_.entry().is_big_endian() && word > 1)
    reverse_words(used, word);
  return {};
}

} // namespace command
