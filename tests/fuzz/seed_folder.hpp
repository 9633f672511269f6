// SPDX-License-Identifier: MIT
// What the programs have in common that write the seeds of a target.
#ifndef STET_TESTS_FUZZ_SEED_FOLDER_HPP
#define STET_TESTS_FUZZ_SEED_FOLDER_HPP

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace stet_test {

/// The folder that such a program is given as its one argument. It is made.
class seed_folder {
public:
  seed_folder(int count, char** arguments) {
    if (count != 2) return;
    path_ = arguments[1];
    std::filesystem::create_directories(path_);
    is_good_ = true;
  }
  /// Adds a file.
  void add(const std::string& name, std::string_view bytes) {
    std::ofstream out(path_ / name, std::ios::binary);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    is_good_ = is_good_ && out.good();
  }
  /// Adds a file whose first byte says what the rest is.
  void add(const std::string& name, char kind, std::string_view bytes) {
    add(name, std::string(1, kind).append(bytes));
  }
  /// What the program ends with: 0 if there was a folder, and every file was written.
  [[nodiscard]] int status() const { return is_good_ ? 0 : 1; }

private:
  std::filesystem::path path_;
  bool is_good_ = false;
};

} // namespace stet_test

#endif
