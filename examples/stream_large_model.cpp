// SPDX-License-Identifier: MIT
// Saves a tensor that never is in memory as a whole, and reads it again piece by piece.
#include "example.hpp"

#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <vector>

constexpr std::size_t row_count = 4096,
                      column_count = 1024; // 16 MiB here; in earnest, more than there is memory
constexpr std::size_t row_size_bytes = column_count * sizeof(float);

/// Row `number` of a table that is computed, downloaded or converted while it is saved.
static void make_row(std::size_t number, std::vector<float>& row) {
  for (std::size_t column = 0; column < column_count; ++column) {
    row[column] = static_cast<float>((number * 31 + column) % 1000);
  }
}

int main() {
  const scratch_file file("stream_large_model.stet");
  std::vector<float> row(column_count);

  // Called by `save`. Pieces may have any size; too few bytes or too many are an error, and no file appears.
  const stet::piece_source rows = [&row](stet::piece_sink& sink) -> stet::result<void> {
    for (std::size_t number = 0; number < row_count; ++number) {
      make_row(number, row);
      if (auto written = sink.write(std::as_bytes(std::span(row))); !written) return written;
    }
    return {};
  };
  stet::writer out;
  const auto layout = stet::element_layout::of(stet::dtype::float32);
  out.add_source("table", layout, {row_count, column_count}, row_count * row_size_bytes, rows);
  const auto saved = out.save(file.path());
  if (!saved) return failed(saved.error());

  // Opened for streaming, the file stays where it is: only the table of tensors is read.
  stet::open_options options;
  options.backing = stet::backing::stream;
  auto store = stet::open(file.path(), options);
  if (!store) return failed(store.error());
  auto table = store->find("table");
  if (!table) return failed(table.error());

  const std::size_t number = 2500;
  std::vector<float> read(column_count);
  if (auto done = table->read(number * row_size_bytes, std::as_writable_bytes(std::span(read))); !done)
    return failed(done.error());
  make_row(number, row);
  std::cout << "row " << number << " of " << table->shape()[0] << " begins with " << read[0] << '\n';

  // Reads all of it, a few KiB at a time.
  if (auto verified = table->verify_checksum(); !verified) return failed(verified.error());
  return read == row ? 0 : 1;
}
