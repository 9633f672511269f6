// SPDX-License-Identifier: MIT
// A folder on a disk that can lose its power: what of the calls made so far may be there afterwards, in every order.
#ifndef STET_TESTS_SUPPORT_SIMULATED_DISK_HPP
#define STET_TESTS_SUPPORT_SIMULATED_DISK_HPP

#include <stet/source/file_operations.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet_test {

/// What a folder holds.
using disk_image = std::map<std::string, std::vector<std::byte>>;

/// What happens to one call.
enum class disk_fault : std::uint8_t {
  none,
  no_space,     ///< it is not made and fails
  io_error,     ///< the same, for another reason
  late_error,   ///< it is made, and then said to have failed
  interruption, ///< it is not made, and was cut short by a signal
  short_write,  ///< one byte is written; other calls are made
};

/// The system's operations on one folder, remembered. Bytes are on the disk once their file was synced, names once the
/// folder was. Of what was not synced POSIX promises nothing: each change of a name may be there or not, whatever came
/// before or after it (a rename is two: the new name, and the end of the old one), and of bytes none, some or all. Nothing
/// is really synced. A folder that is made has its own name on the disk once the folder that it lies in was synced. Not copyable:
/// the table refers to this object.
class simulated_disk {
public:
  simulated_disk() {
    table_.context = this;
    table_.create_exclusive = [](void* self, std::string_view path) noexcept { return at(self).create(path); };
    table_.write_at = [](void* self, stet::native_handle handle, std::uint64_t offset,
                         std::span<const std::byte> bytes) noexcept { return at(self).write(handle, offset, bytes); };
    table_.reserve = [](void* self, stet::native_handle handle, std::uint64_t size) noexcept {
      return at(self).run<stet::reservation>([&] {
        auto done = system().reserve(nullptr, handle, size);
        if (done && *done == stet::reservation::reserved) at(self).grow(handle, size);
        return done;
      });
    };
    table_.set_size = [](void* self, stet::native_handle handle, std::uint64_t size) noexcept {
      return at(self).run<void>([&] {
        auto done = system().set_size(nullptr, handle, size);
        if (done) at(self).file_of(handle).bytes.resize(static_cast<std::size_t>(size));
        return done;
      });
    };
    table_.sync = [](void* self, stet::native_handle handle) noexcept {
      return at(self).run<void>([&]() -> stet::result<void> {
        file_state& file = at(self).file_of(handle);
        file.durable = file.bytes;
        return {};
      });
    };
    table_.close = [](void* self, stet::native_handle handle) noexcept {
      at(self).handles_.erase(handle);
      const auto closed = system().close(nullptr, handle); // come what may
      return at(self).run<void>([&] { return closed; });
    };
    table_.rename_over = [](void* self, std::string_view from, std::string_view to) noexcept {
      return at(self).run<void>([&] {
        auto done = system().rename_over(nullptr, from, to);
        if (done) at(self).rename(name_of(from), name_of(to));
        return done;
      });
    };
    table_.sync_folder = [](void* self, std::string_view path) noexcept {
      return at(self).run<void>([&]() -> stet::result<void> {
        simulated_disk& disk = at(self);
        if (path == parent_of(disk.made_folder_)) disk.made_folder_.clear();
        if (!disk.folder_.empty() && path != disk.folder_) return {};
        disk.durable_names_ = disk.names_;
        disk.pending_.clear();
        ++disk.folder_sync_count_;
        return {};
      });
    };
    table_.remove = [](void* self, std::string_view path) noexcept {
      return at(self).run<void>([&] {
        auto done = system().remove(nullptr, path);
        if (done) at(self).change({name_of(path), none});
        return done;
      });
    };
    table_.list_folder = [](void* self, std::string_view path, bool (*visit)(void*, std::string_view) noexcept,
                            void* visitor) noexcept {
      return at(self).run<void>([&] { return system().list_folder(nullptr, path, visit, visitor); });
    };
    table_.lock_file = [](void* self, std::string_view path) noexcept {
      return at(self).run<stet::native_handle>([&] {
        auto done = system().lock_file(nullptr, path);
        at(self).folder_ = parent_of(path); // where the files are
        if (done) at(self).add(name_of(path), *done);
        return done;
      });
    };
    table_.create_folder = [](void* self, std::string_view path) noexcept {
      return at(self).run<void>([&] {
        auto done = system().create_folder(nullptr, path);
        if (done) at(self).made_folder_ = path;
        return done;
      });
    };
    table_.keep_locked = [](void* self, stet::native_handle handle) noexcept {
      return at(self).run<stet::native_handle>([&] {
        auto done = system().keep_locked(nullptr, handle);
        if (done) at(self).handles_[*done] = at(self).handles_[handle];
        return done;
      });
    };
    table_.remove_unlocked = [](void* self, std::string_view path) noexcept {
      return at(self).run<void>([&] {
        auto done = system().remove_unlocked(nullptr, path);
        if (done) at(self).change({name_of(path), none});
        return done;
      });
    };
    table_.copy_access = [](void* self, stet::native_handle handle, std::string_view from) noexcept {
      return at(self).run<void>([&] { return system().copy_access(nullptr, handle, from); });
    };
    table_.read_link = [](void* self, std::string_view path, std::span<char> into) noexcept {
      return at(self).run<std::size_t>([&] { return system().read_link(nullptr, path, into); });
    };
  }
  simulated_disk(const simulated_disk&) = delete;
  simulated_disk& operator=(const simulated_disk&) = delete;

  [[nodiscard]] const stet::file_operations& operations() const noexcept { return table_; }
  /// Calls so far, and how many of them were syncs of the folder.
  [[nodiscard]] std::size_t call_count() const noexcept { return call_count_; }
  [[nodiscard]] std::size_t folder_sync_count() const noexcept { return folder_sync_count_; }
  /// Is called before each call: there the power fails, or the process is killed.
  std::function<void()> before_call;
  /// `what` happens to call number `at_call`, counted from 0.
  void set_fault(disk_fault what, std::size_t at_call) {
    fault_ = what;
    fault_at_ = at_call;
  }

  /// Whether the folder was made, and a loss of power may take it back with all that it holds.
  [[nodiscard]] bool may_lose_folder() const { return !made_folder_.empty(); }
  /// Takes in what a folder holds, as if it were on the disk.
  void load(const disk_image& image) {
    for (const auto& [name, bytes] : image) {
      files_.push_back({bytes, bytes});
      names_[name] = durable_names_[name] = files_.size() - 1;
    }
  }

  /// What the folder holds for everyone as long as the power stays.
  [[nodiscard]] disk_image present() const { return image_of(names_, variant::all); }

  /// Calls `visit(image)` for each different folder that may be there after a loss of power now.
  template <class Visit> void after_power_loss(Visit&& visit) const {
    std::set<std::pair<std::map<std::string, std::size_t>, int>> seen;
    const auto visit_subset = [&](auto&& is_there) {
      std::map<std::string, std::size_t> names = durable_names_;
      for (std::size_t i = 0; i < pending_.size(); ++i) {
        if (is_there(i)) apply(names, pending_[i]);
      }
      for (const variant bytes : {variant::none, variant::half, variant::zeros, variant::all}) {
        if (bytes != variant::all && !has_unsynced(names)) continue;
        if (seen.insert({names, static_cast<int>(bytes)}).second) visit(image_of(names, bytes));
      }
    };
    constexpr std::size_t most_for_all_subsets = 10;
    if (pending_.size() <= most_for_all_subsets) {
      for (std::size_t subset = 0; subset < std::size_t{1} << pending_.size(); ++subset) {
        visit_subset([&](std::size_t i) { return (subset >> i & 1u) != 0; });
      }
      return;
    }
    for (std::size_t count = 0; count <= pending_.size(); ++count) {
      visit_subset([&](std::size_t i) { return i < count; });
      visit_subset([&](std::size_t i) { return i >= count; });
      visit_subset([&](std::size_t i) { return i == count; });
      visit_subset([&](std::size_t i) { return i != count; });
    }
    std::mt19937 random(static_cast<unsigned>(call_count_));
    for (int round = 0; round < 1000; ++round) visit_subset([&](std::size_t) { return (random() & 1u) != 0; });
  }

private:
  static constexpr std::size_t none = ~std::size_t{0};
  enum class variant : std::uint8_t { none, half, zeros, all };
  struct file_state {
    std::vector<std::byte> bytes, durable;
  };
  /// From now on `name` leads to `file`, or to nothing.
  struct name_change {
    std::string name;
    std::size_t file;
  };

  static simulated_disk& at(void* self) noexcept { return *static_cast<simulated_disk*>(self); }
  static const stet::file_operations& system() noexcept { return stet::system_file_operations(); }
  /// The folder of a path, its separator included.
  static std::string_view parent_of(std::string_view path) { return path.substr(0, path.rfind('/') + 1); }
  static std::string name_of(std::string_view path) { return std::string(path.substr(path.rfind('/') + 1)); }

  /// Makes a call, or the failure that is due.
  template <class Value, class Call> stet::result<Value> run(Call&& call) {
    if (before_call) before_call();
    const disk_fault what = call_count_++ == fault_at_ ? fault_ : disk_fault::none;
    switch (what) {
    case disk_fault::no_space:
      return stet::error(stet::errc::no_space).with_system_code(ENOSPC);
    case disk_fault::io_error:
      return stet::error(stet::errc::io_error).with_system_code(EIO);
    case disk_fault::interruption:
      return stet::error(stet::errc::io_error).with_system_code(EINTR);
    case disk_fault::late_error: {
      [[maybe_unused]] auto done = call();
      if constexpr (std::is_same_v<Value, stet::native_handle>) {
        if (done) {
          handles_.erase(*done);
          (void)system().close(nullptr, *done);
        }
      }
      return stet::error(stet::errc::io_error).with_system_code(EIO);
    }
    case disk_fault::short_write:
    case disk_fault::none:
      break;
    }
    return call();
  }

  stet::result<stet::native_handle> create(std::string_view path) {
    return run<stet::native_handle>([&] {
      auto done = system().create_exclusive(nullptr, path);
      if (done) add(name_of(path), *done);
      return done;
    });
  }
  stet::result<std::size_t> write(stet::native_handle handle, std::uint64_t offset, std::span<const std::byte> bytes) {
    if (fault_ == disk_fault::short_write && call_count_ == fault_at_ && !bytes.empty()) bytes = bytes.first(1);
    return run<std::size_t>([&] {
      auto done = system().write_at(nullptr, handle, offset, bytes);
      if (done && *done != 0) {
        grow(handle, offset + *done);
        std::memcpy(file_of(handle).bytes.data() + offset, bytes.data(), *done);
      }
      return done;
    });
  }

  /// A file that was opened under `name`; a new one unless it was there.
  void add(const std::string& name, stet::native_handle handle) {
    const auto found = names_.find(name);
    if (found != names_.end()) {
      handles_[handle] = found->second;
      return;
    }
    files_.emplace_back();
    handles_[handle] = files_.size() - 1;
    change({name, files_.size() - 1});
  }
  void rename(const std::string& from, const std::string& to) {
    const auto found = names_.find(from);
    if (found == names_.end()) return;
    const std::size_t file = found->second;
    change({to, file});
    change({from, none});
  }
  void change(name_change made) {
    apply(names_, made);
    pending_.push_back(std::move(made));
  }
  static void apply(std::map<std::string, std::size_t>& names, const name_change& made) {
    if (made.file == none)
      names.erase(made.name);
    else
      names[made.name] = made.file;
  }
  file_state& file_of(stet::native_handle handle) { return files_[handles_[handle]]; }
  void grow(stet::native_handle handle, std::uint64_t size) {
    std::vector<std::byte>& bytes = file_of(handle).bytes;
    if (bytes.size() < size) bytes.resize(static_cast<std::size_t>(size));
  }

  [[nodiscard]] bool has_unsynced(const std::map<std::string, std::size_t>& names) const {
    for (const auto& [name, file] : names) {
      if (files_[file].bytes != files_[file].durable) return true;
    }
    return false;
  }
  /// The folder with these names, and of bytes that were not synced the given share.
  [[nodiscard]] disk_image image_of(const std::map<std::string, std::size_t>& names, variant share) const {
    disk_image image;
    for (const auto& [name, number] : names) {
      const file_state& file = files_[number];
      std::vector<std::byte>& bytes = image[name];
      if (share == variant::all || file.bytes == file.durable) {
        bytes = file.bytes;
      } else {
        bytes = file.durable;
        if (share != variant::none) bytes.resize(file.bytes.size()); // the size may be there without the bytes
        if (share == variant::half) std::memcpy(bytes.data(), file.bytes.data(), file.bytes.size() / 2);
      }
    }
    return image;
  }

  stet::file_operations table_{};
  std::size_t call_count_ = 0, folder_sync_count_ = 0;
  disk_fault fault_ = disk_fault::none;
  std::size_t fault_at_ = none;
  std::vector<file_state> files_;
  std::map<stet::native_handle, std::size_t> handles_;
  std::map<std::string, std::size_t> names_, durable_names_;
  /// Where the files are, as soon as a lock tells; and the folder that was made and is not on the disk yet.
  std::string folder_, made_folder_;
  std::vector<name_change> pending_;
};

} // namespace stet_test

#endif
