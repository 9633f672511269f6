// SPDX-License-Identifier: MIT
// Lists the names in a folder.
#ifndef STET_WRITER_DETAIL_LIST_FOLDER_HPP
#define STET_WRITER_DETAIL_LIST_FOLDER_HPP

#include "../../source/file_operations.hpp"
#include "../../source/file_system.hpp"

#include <new>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// The names of which `is_wanted(name)` among those that `list(visit, visitor)` visits in `folder`, as the functions called
/// list_folder do, in no particular order.
/// @retval errc::out_of_memory
/// or an error of `list`
template <class List, class IsWanted>
result<std::vector<std::string>> collect_names(std::string_view folder, List list, IsWanted is_wanted) {
  struct search {
    IsWanted& is_wanted;
    std::vector<std::string> found;
    bool has_memory = true;
  };
  // The system calls this between calls of its own, which nothing may be thrown through.
  const auto visit = [](void* visitor, std::string_view name) noexcept {
    search& in = *static_cast<search*>(visitor);
#if defined(__cpp_exceptions)
    try {
      if (in.is_wanted(name)) in.found.emplace_back(name);
    } catch (const std::bad_alloc&) {
      in.has_memory = false;
    }
#else
    if (in.is_wanted(name)) in.found.emplace_back(name);
#endif
    return in.has_memory;
  };
  for (int again = 0;; ++again) {
    search seen{is_wanted, {}};
    const auto listed = list(+visit, static_cast<void*>(&seen));
    if (!seen.has_memory) return error(errc::out_of_memory, folder);
    if (listed) return std::move(seen.found);
    if (!was_interrupted(listed.error()) || again == most_interruptions) return listed.error().about(folder);
  }
}
/// The names in a folder ("" or ending in a separator) of which `is_wanted(name)`, in no particular order.
/// @retval errc::out_of_memory
/// or an error of `file_operations::list_folder`
template <class IsWanted>
result<std::vector<std::string>> list_folder(const file_operations& operations, std::string_view folder,
                                             IsWanted is_wanted) {
  const auto list = [&](bool (*visit)(void*, std::string_view) noexcept, void* visitor) {
    return operations.list_folder(operations.context, folder, visit, visitor);
  };
  return collect_names(folder, list, is_wanted);
}
/// The same in a program's file system; nullptr: that of the operating system.
template <class IsWanted>
result<std::vector<std::string>> list_folder(const file_system* files, std::string_view folder, IsWanted is_wanted) {
  if (files == nullptr) return list_folder(system_file_operations(), folder, is_wanted);
  const auto list = [&](bool (*visit)(void*, std::string_view) noexcept, void* visitor) {
    return files->list_folder(folder, visit, visitor);
  };
  return collect_names(folder, list, is_wanted);
}
inline result<std::vector<std::string>> list_folder(const file_operations& operations, std::string_view folder) {
  return list_folder(operations, folder, [](std::string_view) { return true; });
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
