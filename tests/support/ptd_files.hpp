// SPDX-License-Identifier: MIT
// Makes .ptd files of ExecuTorch.
#ifndef STET_TESTS_SUPPORT_PTD_FILES_HPP
#define STET_TESTS_SUPPORT_PTD_FILES_HPP

#include "flatbuffer_files.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet_test {

/// Data with a name. The layout is absent for a blob.
struct ptd_row {
  std::string_view key;
  std::uint32_t segment = 0;
  std::optional<std::int8_t> type{};
  std::vector<std::int32_t> sizes{};
  std::vector<std::uint8_t> order{};
  /// In an older file: the offset in the segment.
  std::uint64_t offset = 0;

  [[nodiscard]] flat_value value() const {
    flat_value layout;
    if (type) layout = flat_table({flat_number(*type), flat_numbers(sizes), flat_numbers(order)});
    return flat_table({flat_string(key), flat_number(segment), layout});
  }
  /// A row with a type, as files of the first schema have it.
  [[nodiscard]] flat_value older_value() const {
    return flat_table({flat_string(key), flat_number(*type), flat_numbers(sizes), flat_numbers(order),
                       flat_number(segment), flat_number(offset)});
  }
};

/// A .ptd file: each segment at a multiple of 16.
struct ptd_model_file {
  std::vector<ptd_row> rows;
  std::vector<std::string> segments;
  /// Added to the offsets and sizes that the file states.
  std::int64_t base_error = 0, offset_error = 0, size_error = 0;
  std::string_view magic = "FH01";
  std::uint32_t version = 1;
  /// Of the first schema of ExecuTorch.
  bool is_older = false;

  [[nodiscard]] std::string bytes() const {
    std::vector<flat_value> items, places, tensors;
    std::string data;
    for (const std::string& each : segments) {
      data.resize((data.size() + 15) / 16 * 16);
      places.push_back(flat_table({flat_number(data.size() + static_cast<std::uint64_t>(offset_error)),
                                   flat_number(each.size() + static_cast<std::uint64_t>(size_error))}));
      data += each;
    }
    for (const ptd_row& each : rows) {
      if (is_older && each.type) {
        tensors.push_back(each.older_value());
      } else {
        items.push_back(each.value());
      }
    }
    std::vector<flat_value> fields{flat_number(version)};
    if (is_older) {
      fields.push_back(flat_number(std::uint32_t{16}));
      fields.push_back(flat_list(std::move(tensors)));
    }
    fields.push_back(flat_list(std::move(places)));
    fields.push_back(flat_list(std::move(items)));
    // The writer's file begins with 8 bytes; the header is put behind them, where everything that refers lies before it.
    std::string file = flatbuffer_file("FT01", flat_table(std::move(fields)));
    const std::uint64_t size = file.size();
    std::uint32_t root = 0;
    for (std::size_t i = 4; i-- > 0;) root = root << 8 | static_cast<unsigned char>(file[i]);
    file.replace(0, 4, flat_bytes(root + 40));
    const std::uint64_t base = (size + 40 + 15) / 16 * 16;
    std::string header(magic);
    header += flat_bytes(std::uint32_t{40}) + flat_bytes(std::uint64_t{48}) + flat_bytes(size - 8);
    header += flat_bytes(base + static_cast<std::uint64_t>(base_error)) + flat_bytes(std::uint64_t{data.size()});
    file.insert(8, header);
    file.resize(static_cast<std::size_t>(base));
    return file + data;
  }
};

/// "w" [2, 3] of float32, "alias" of the same segment, "t" [2, 3] stored column by column, and the blob "blob".
inline ptd_model_file example_ptd_model() {
  std::string numbers, column;
  for (const float each : {1.F, 2.F, 3.F, 4.F, 5.F, 6.F}) numbers += flat_bytes(each);
  for (const float each : {1.F, 4.F, 2.F, 5.F, 3.F, 6.F}) column += flat_bytes(each);
  ptd_model_file made;
  made.rows = {{"w", 0, std::int8_t{6}, {2, 3}, {0, 1}},
               {"alias", 0, std::int8_t{6}, {2, 3}, {0, 1}},
               {"t", 1, std::int8_t{6}, {2, 3}, {1, 0}},
               {"blob", 2}};
  made.segments = {numbers, column, "opaque"};
  return made;
}

} // namespace stet_test

#endif
