// SPDX-License-Identifier: MIT
// The members of a zip archive as a program's files: an uncompressed .zip or .pak, whose stores are opened in place.
#ifndef STET_FORMATS_ZIP_FILE_SYSTEM_HPP
#define STET_FORMATS_ZIP_FILE_SYSTEM_HPP

#include "../store/open.hpp"
#include "../wire/zip.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// The stored members of a zip archive as files:
///
///     const auto pak = stet::zip_file_system::open("pak.zip");
///     if (!pak) …
///     auto brain = stet::open("pak.zip!ai/brain.stet", {.files = &*pak});
///
/// A file is a member by its name, behind the path that the archive was opened with and '!', or alone ("ai/brain.stet"); a '/'
/// may follow the '!', which parts of a store at the top of an archive need. Their bytes are those of the archive:
/// nothing is copied, and tensors can be viewed if the archive aligns its members ("zipalign 64", say); else `copy_to` and the
/// fallback of `bind_model` take them. Deflated members are errc::compressed. Checksums of members are not compared; stores have
/// their own. Move-only; stores that were opened through it must not outlive it, nor may it be moved while one is opened.
class zip_file_system final : public file_system {
public:
  /// A `result` of this type gives no access to its value where it is a temporary.
  using owns_views = void;

  /// Opens the archive at `path_utf8`. Of `options`: `files` and `range` say where it is, `memory` where it is read to if it is
  /// read; streamed, it cannot be opened.
  /// @retval errc::not_resident  its bytes are not in memory
  /// @retval errc::truncated, bad_archive, bad_path, unsupported  it is no archive, or one that contradicts itself or holds
  ///                             encrypted members
  /// or an error of opening the file. Cost: mapped, reads the directory and the header of each member; allocates their list.
  [[nodiscard]] static result<zip_file_system> open(std::string_view path_utf8, const open_options& options = {}) {
    result<source> bytes = detail::open_source(path_utf8, options);
    if (!bytes) return bytes.error();
    return open(std::move(*bytes), path_utf8);
  }
  /// Opens an archive whose bytes are `archive`. `path_utf8` is what may stand before '!'. Errors: those of above.
  [[nodiscard]] static result<zip_file_system> open(source&& archive, std::string_view path_utf8 = {}) {
    if (archive.data() == nullptr) return error(errc::not_resident, path_utf8);
    auto members = detail::read_zip({archive.data(), static_cast<std::size_t>(archive.size_bytes())});
    if (!members) return members.error().subject().empty() ? members.error().about(path_utf8) : members.error();
    std::sort(members->begin(), members->end(),
              [](const detail::zip_member& a, const detail::zip_member& b) { return a.name < b.name; });
    return zip_file_system(std::move(archive), std::move(*members), std::string(path_utf8) + '!');
  }

  /// The bytes of a member, in place.
  /// @retval errc::file_not_found      no member has this name
  /// @retval errc::not_a_regular_file  members lie in a folder of this name
  /// @retval errc::compressed          the member is not stored but deflated, or compressed in another way
  /// Cost: a binary search; allocates nothing.
  [[nodiscard]] result<source> open_file(std::string_view path_utf8) const noexcept override {
    const std::string_view name = name_in(path_utf8);
    const auto found = first_from(name);
    if (found != members_.end() && found->name == name && !name.ends_with('/')) {
      if (found->method != detail::zip_member::is_stored)
        return error(errc::compressed, path_utf8, found->offset_bytes);
      const auto begin = static_cast<std::size_t>(found->offset_bytes);
      return source::borrow({archive_.data() + begin, static_cast<std::size_t>(found->stored_size_bytes)});
    }
    // Names that begin with a name and '/' need not follow it: "a-b" is between "a" and "a/b".
    const bool is_folder = std::any_of(found, members_.end(), [&](const detail::zip_member& each) {
      return each.name.starts_with(name) &&
             (name.empty() || name.back() == '/' || (each.name.size() > name.size() && each.name[name.size()] == '/'));
    });
    return error(is_folder ? errc::not_a_regular_file : errc::file_not_found, path_utf8);
  }

  /// Lists the members of a folder; those of folders in it are none of its own. Cost: a walk over the members behind it.
  [[nodiscard]] result<void> list_folder(std::string_view path_utf8,
                                         bool (*visit)(void* visitor, std::string_view name) noexcept,
                                         void* visitor) const noexcept override {
    const std::string_view folder = name_in(path_utf8);
    for (auto each = first_from(folder); each != members_.end() && each->name.starts_with(folder); ++each) {
      const std::string_view name = each->name.substr(folder.size());
      if (name.empty() || name.find('/') != std::string_view::npos) continue;
      if (!visit(visitor, name)) break;
    }
    return {};
  }

  /// The number of members, folders included.
  [[nodiscard]] std::size_t member_count() const noexcept { return members_.size(); }

private:
  zip_file_system(source&& archive, std::vector<detail::zip_member>&& members, std::string&& prefix) noexcept
      : archive_(std::move(archive)), members_(std::move(members)), prefix_(std::move(prefix)) {}

  /// The name of a member: what follows "pak.zip!" or "pak.zip!/", or all of the path.
  [[nodiscard]] std::string_view name_in(std::string_view path_utf8) const noexcept {
    if (!path_utf8.starts_with(prefix_)) return path_utf8;
    path_utf8.remove_prefix(prefix_.size());
    if (path_utf8.starts_with('/')) path_utf8.remove_prefix(1);
    return path_utf8;
  }
  /// The first member whose name is not less.
  [[nodiscard]] std::vector<detail::zip_member>::const_iterator first_from(std::string_view name) const noexcept {
    return std::lower_bound(
        members_.begin(), members_.end(), name,
        [](const detail::zip_member& member, std::string_view wanted) { return member.name < wanted; });
  }

  source archive_;
  std::vector<detail::zip_member> members_; // by name; the names view the archive
  std::string prefix_;
};

} // namespace stet::inline STET_NAMESPACE

#endif
