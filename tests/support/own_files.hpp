// SPDX-License-Identifier: MIT
// A program's own file system: files in memory that no operating system knows.
#ifndef STET_TESTS_SUPPORT_OWN_FILES_HPP
#define STET_TESTS_SUPPORT_OWN_FILES_HPP

#include "files.hpp"
#include "temp_folder.hpp"

#include <stet/source/file_system.hpp>

#include <atomic>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace stet_test {

/// How bytes are given: in memory, or fetched by a reader that the store keeps.
enum class given : std::uint8_t { in_place, on_demand };

class own_files final : public stet::file_system {
public:
  explicit own_files(given how, stet::memory_resource* memory = nullptr) : how_(how), memory_(memory) {}

  void add(const std::string& path, std::span<const std::byte> bytes) {
    files_[path] = stet::source::copy(bytes).value();
  }
  void remove(const std::string& path) { files_.erase(path); }
  /// Takes in a file of the disk as `path`, or all files below a folder.
  void load(const std::string& path, const std::string& from) {
    const std::filesystem::path root = to_path(from);
    if (!std::filesystem::is_directory(root)) return load_file(path, from);
    for (const auto& each : std::filesystem::recursive_directory_iterator(root)) {
      if (each.is_regular_file())
        load_file(path + "/" + to_utf8(std::filesystem::relative(each.path(), root)), to_utf8(each.path()));
    }
  }
  /// How many files were opened.
  [[nodiscard]] int opened() const noexcept { return opened_; }

  [[nodiscard]] stet::result<stet::source> open_file(std::string_view path) const noexcept override {
    const auto found = files_.lower_bound(path);
    if (found == files_.end() || found->first != path) {
      while (path.ends_with('/')) path.remove_suffix(1);
      for (const auto& [name, bytes] : files_) {
        if (name.size() > path.size() && name.starts_with(path) && name[path.size()] == '/')
          return stet::errc::not_a_regular_file;
      }
      return stet::errc::file_not_found;
    }
    ++opened_;
    const std::span<const std::byte> bytes(found->second.data(), static_cast<std::size_t>(found->second.size_bytes()));
    return how_ == given::in_place ? stet::source::borrow(bytes) : stet::source::keep(memory_reader(bytes), memory_);
  }
  [[nodiscard]] stet::result<void> list_folder(std::string_view path, bool (*visit)(void*, std::string_view) noexcept,
                                               void* visitor) const noexcept override {
    for (const auto& [name, bytes] : files_) {
      const std::string_view rest = std::string_view(name).substr(name.starts_with(path) ? path.size() : name.size());
      if (!rest.empty() && rest.find('/') == std::string_view::npos && !visit(visitor, rest)) break;
    }
    return {};
  }

private:
  void load_file(const std::string& path, const std::string& from) { files_[path] = stet::source::read(from).value(); }

  std::map<std::string, stet::source, std::less<>> files_;
  given how_;
  stet::memory_resource* memory_;
  mutable std::atomic<int> opened_ = 0;
};

} // namespace stet_test

#endif
