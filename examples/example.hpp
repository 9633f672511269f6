// SPDX-License-Identifier: MIT
// What the single-file examples share: a file that goes away, and what to do when a call of stet fails.
#ifndef EXAMPLES_EXAMPLE_HPP
#define EXAMPLES_EXAMPLE_HPP

#include <stet/vocabulary/error.hpp>

#include <cstdio>
#include <iostream>

/// The path of a file that is removed in the end.
class scratch_file {
public:
  explicit scratch_file(const char* path) noexcept : path_(path) {}
  scratch_file(const scratch_file&) = delete;
  scratch_file& operator=(const scratch_file&) = delete;
  ~scratch_file() noexcept { std::remove(path_); }
  const char* path() const noexcept { return path_; }

private:
  const char* path_;
};

/// Prints one line about `error`; returns what main is to return.
inline int failed(const stet::error& error) {
  char line[256];
  std::cerr << error.print(line, sizeof line) << '\n';
  return 1;
}

#endif
