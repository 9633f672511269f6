// SPDX-License-Identifier: MIT
// The files of weights of a TensorFlow.js model: the bytes cut into shards, published together with their model.json.
#ifndef STET_FORMATS_TFJS_DETAIL_SHARDS_HPP
#define STET_FORMATS_TFJS_DETAIL_SHARDS_HPP

#include "../open.hpp"

#include "../../../bytes/crc32c.hpp"
#include "../../../source/detail/path.hpp"
#include "../../../writer/atomic_file.hpp"
#include "../../../writer/detail/parts.hpp"
#include "../../../writer/tensors.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Takes the bytes of all weights in order. What is written is removed again unless it is published.
class tfjs_shards final : public piece_sink {
public:
  /// @param path  of model.json; must outlive this
  tfjs_shards(const file_operations& operations, std::string_view path, std::uint64_t size_bytes,
              std::uint64_t shard_size_bytes, bool is_durable)
      : operations_(operations), folder_(path.substr(0, folder_size(path))), name_(path.substr(folder_size(path))),
        size_bytes_(size_bytes), shard_size_bytes_(shard_size_bytes), is_durable_(is_durable) {
    count_ = static_cast<std::size_t>(size_bytes == 0 ? 1 : (size_bytes - 1) / shard_size_bytes + 1);
    buffer_.reserve(buffer_size_bytes);
  }

  result<void> write(std::span<const std::byte> piece) override {
    while (!piece.empty()) {
      if (buffer_.size() == buffer_size_bytes || flushed_ + buffer_.size() == shard_end()) {
        if (auto done = flush(); !done) return done;
      }
      const std::uint64_t room =
          (std::min<std::uint64_t>)(shard_end() - flushed_ - buffer_.size(), buffer_size_bytes - buffer_.size());
      if (room == 0) return errc::source_too_long;
      const auto some = piece.first(static_cast<std::size_t>((std::min<std::uint64_t>)(room, piece.size())));
      buffer_.insert(buffer_.end(), some.begin(), some.end());
      piece = piece.subspan(some.size());
    }
    return {};
  }

  /// Ends the last file.
  /// @retval errc::source_too_short  fewer bytes came than were announced
  result<void> finish() {
    if (auto done = flush(); !done) return done;
    if (flushed_ != size_bytes_) return errc::source_too_short;
    return files_.empty() ? begin_file() : end_file();
  }

  /// The names of the files, in order, as long as they will be.
  [[nodiscard]] std::vector<std::string> planned_names() const {
    std::vector<std::string> made;
    for (std::size_t number = 0; number < count_; ++number)
      made.push_back(part_name(name_, static_cast<std::uint32_t>(number), count_, 0, ".bin"));
    return made;
  }
  /// The names of the files that were written, in order.
  [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }

  /// Makes the files visible, and last model.json with this text, in place of what has its name.
  result<void> publish(std::string_view text) {
    const std::string path = folder_ + name_;
    const std::vector<std::string> before = own_files(path);
    result<atomic_file> head = atomic_file::create(operations_, folder_, name_, text.size());
    if (!head) return head.error();
    if (auto written = head->write_at(0, std::as_bytes(std::span(text.data(), text.size()))); !written) return written;
    if (auto finished = head->finish(is_durable_); !finished) return finished;
    // A file of this name has the same content; it is not to go should this fail.
    const auto is_taken = [&](std::size_t number) { return static_cast<bool>(file::open(folder_ + names_[number])); };
    if (auto published = publish_together(files_, *head, is_durable_, is_taken); !published) return published;
    for (const std::string& old : before) {
      if (std::find(names_.begin(), names_.end(), old) == names_.end())
        (void)operations_.remove(operations_.context, folder_ + old);
    }
    return {};
  }

private:
  static constexpr std::size_t buffer_size_bytes = 256 * 1024;

  /// Where the file that is being written ends among all bytes.
  [[nodiscard]] std::uint64_t shard_end() const noexcept {
    const std::uint64_t number = files_.empty() || is_ended_ ? files_.size() : files_.size() - 1;
    const std::uint64_t begin = number * shard_size_bytes_;
    return size_bytes_ - begin < shard_size_bytes_ ? size_bytes_ : begin + shard_size_bytes_;
  }

  result<void> begin_file() {
    const std::uint64_t begin = files_.size() * shard_size_bytes_;
    const std::uint64_t size = (std::min)(shard_size_bytes_, size_bytes_ - begin);
    result<atomic_file> file =
        atomic_file::create(operations_, folder_, part_name(name_, number_of_next(), count_, 0, ".bin"), size);
    if (!file) return file.error();
    files_.push_back(std::move(*file));
    file_begin_ = flushed_;
    crc_ = 0;
    is_ended_ = false;
    return size == 0 ? end_file() : result<void>();
  }
  result<void> end_file() {
    if (is_ended_) return {};
    is_ended_ = true;
    names_.push_back(name_of(files_.size() - 1, count_, flushed_ - file_begin_, crc_));
    files_.back().set_name(names_.back());
    return files_.back().finish(is_durable_, true);
  }
  [[nodiscard]] std::uint32_t number_of_next() const noexcept { return static_cast<std::uint32_t>(files_.size()); }

  /// Writes what is buffered, which is of one file, and ends that where it is full.
  result<void> flush() {
    if (buffer_.empty()) return {};
    if (files_.empty() || is_ended_) {
      if (auto begun = begin_file(); !begun) return begun;
    }
    if (auto written = files_.back().write_at(flushed_ - file_begin_, buffer_); !written) return written;
    crc_ = crc32c(buffer_, crc_);
    const std::uint64_t end = shard_end();
    flushed_ += buffer_.size();
    buffer_.clear();
    return flushed_ == end ? end_file() : result<void>();
  }

  /// The name of a file of weights with this content.
  [[nodiscard]] std::string name_of(std::size_t number, std::size_t count, std::uint64_t size_bytes,
                                    std::uint32_t crc) const {
    const std::uint64_t id = fnv1a().add(size_bytes, 8).add(crc, 4).value();
    return part_name(name_, static_cast<std::uint32_t>(number), count, id, ".bin");
  }

  /// The files that a save to `path` wrote with the model.json that is there now: those that it lists by the name that
  /// this number and content have here. What someone else's model.json lists is not its own. None if there is no
  /// such model.
  [[nodiscard]] std::vector<std::string> own_files(const std::string& path) const {
    std::vector<std::string> names;
    const result<tfjs_model_json> parsed = read_tfjs_model(format_probe(path));
    if (!parsed || parsed->groups.size() != 1) return names;
    const std::vector<std::string>& listed = parsed->groups.front().paths;
    for (std::size_t number = 0; number < listed.size(); ++number) {
      if (is_own_file(listed[number], number, listed.size())) names.push_back(listed[number]);
    }
    return names;
  }

  [[nodiscard]] bool is_own_file(const std::string& name, std::size_t number, std::size_t count) const {
    if (!is_like_part_name(name, name_)) // else it need not be read
      return false;
    const result<file> opened = file::open(folder_ + name, open_for::read, links::no_follow);
    if (!opened) return false;
    std::vector<std::byte> piece(buffer_size_bytes);
    std::uint32_t crc = 0;
    for (std::uint64_t at = 0; at < opened->size_bytes(); at += piece.size()) {
      piece.resize(static_cast<std::size_t>((std::min<std::uint64_t>)(piece.size(), opened->size_bytes() - at)));
      if (!opened->read(at, piece)) return false;
      crc = crc32c(piece, crc);
    }
    return name == name_of(number, count, opened->size_bytes(), crc);
  }

  const file_operations& operations_;
  std::string folder_, name_;
  std::uint64_t size_bytes_, shard_size_bytes_;
  std::size_t count_ = 1;
  bool is_durable_, is_ended_ = false;
  std::vector<atomic_file> files_;
  std::vector<std::string> names_;
  std::vector<std::byte> buffer_;
  std::uint64_t flushed_ = 0, file_begin_ = 0;
  std::uint32_t crc_ = 0;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
