// SPDX-License-Identifier: MIT
#include <stet/source/detail/path.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>

namespace {

using stet::detail::path_rules;

struct path_row {
  std::string_view path, folder, name;
  /// Without its last separators.
  std::string_view bare;
  /// The path of a file "x" in the folder `path`.
  std::string_view joined;
};

constexpr path_row posix_paths[] = {
    {"", "", "", "", "x"},
    {"a", "", "a", "a", "a/x"},
    {"/", "/", "", "/", "/x"},
    {"//", "//", "", "/", "//x"},
    {"/a", "/", "a", "/a", "/a/x"},
    {"a/", "a/", "", "a", "a/x"},
    {"a//", "a//", "", "a", "a//x"},
    {"a/b", "a/", "b", "a/b", "a/b/x"},
    {"a/b.c/d", "a/b.c/", "d", "a/b.c/d", "a/b.c/d/x"},
    {"a\\b", "", "a\\b", "a\\b", "a\\b/x"},
    {"a\\", "", "a\\", "a\\", "a\\/x"},
    {"a/b\\c", "a/", "b\\c", "a/b\\c", "a/b\\c/x"},
    {"\\a/b", "\\a/", "b", "\\a/b", "\\a/b/x"},
    {"C:", "", "C:", "C:", "C:/x"},
    {"C:a", "", "C:a", "C:a", "C:a/x"},
};

constexpr path_row windows_paths[] = {
    {"", "", "", "", "x"},
    {"a", "", "a", "a", "a/x"},
    {"/", "/", "", "/", "/x"},
    {"\\", "\\", "", "\\", "\\x"},
    {"a/", "a/", "", "a", "a/x"},
    {"a\\", "a\\", "", "a", "a\\x"},
    {"a\\/", "a\\/", "", "a", "a\\/x"},
    {"a/b", "a/", "b", "a/b", "a/b/x"},
    {"a\\b", "a\\", "b", "a\\b", "a\\b/x"},
    {"a/b\\c", "a/b\\", "c", "a/b\\c", "a/b\\c/x"},
    {"a\\b/c", "a\\b/", "c", "a\\b/c", "a\\b/c/x"},
    {"C:", "C:", "", "C:", "C:x"},
    {"C:a", "C:", "a", "C:a", "C:a/x"},
    {"C:\\", "C:\\", "", "C:\\", "C:\\x"},
    {"C:\\a", "C:\\", "a", "C:\\a", "C:\\a/x"},
    {"\\\\server\\share\\a", "\\\\server\\share\\", "a", "\\\\server\\share\\a", "\\\\server\\share\\a/x"},
};

template <std::size_t Count> void check_paths(const path_row (&rows)[Count], path_rules rules) {
  for (const path_row& row : rows) {
    CAPTURE(row.path);
    CHECK(stet::detail::folder_in(row.path, rules) == row.folder);
    CHECK(stet::detail::file_name_in(row.path, rules) == row.name);
    CHECK(stet::detail::folder_size(row.path, rules) == row.folder.size());
    CHECK(stet::detail::without_last_separators(row.path, rules) == row.bare);
    CHECK(std::string(row.path).append(stet::detail::separator_after(row.path, rules)).append("x") == row.joined);
  }
}

} // namespace

TEST_CASE("paths are split and joined by the rules of POSIX") { check_paths(posix_paths, path_rules::posix); }

TEST_CASE("paths are split and joined by the rules of Windows") { check_paths(windows_paths, path_rules::windows); }

TEST_CASE("the rules for paths are those of the system") {
#if defined(_WIN32)
  CHECK(stet::detail::file_name_in("a\\b") == "b");
#else
  CHECK(stet::detail::file_name_in("a\\b") == "a\\b");
#endif
}
