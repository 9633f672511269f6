// SPDX-License-Identifier: MIT
// Saves tensors of several kinds, with tied weights and what the model is, as one file.
#include "example.hpp"

#include <stet/json.hpp>
#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <string_view>
#include <vector>

/// Adds everything; the writer borrows the bytes, which have to live until it has saved.
static stet::result<stet::save_report> save(const char* path) {
  const std::vector<float> table = {0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f};
  const std::vector<stet::bfloat16> kernel = {stet::bfloat16(1.5f), stet::bfloat16(-2.0f)};
  const std::vector<stet::uint4> codes = {stet::uint4(1), stet::uint4(2), stet::uint4(15)}; // two to a byte in the file
  const std::vector<std::string_view> words = {"let", "it", "stand"};

  stet::writer out;
  out.add("embedding/table", table, {3, 2});
  out.add("dense/kernel", kernel, {2, 1}, stet::json_value{{"trainable", true}});
  out.add("dense/codes", codes, {3});
  out.add("vocabulary", words, {3});
  out.add_alias("output/table", "embedding/table"); // stored once

  out.state = stet::json_value{{"global_step", 1200}, {"optimizer", {{"name", "SGD"}, {"learning_rate", 0.01}}}};
  out.metadata = stet::json_value{{"author", "the example"}, {"language", "en"}};

  // The same tensors and options give the same bytes. The file appears under its name when it is whole, and
  // not before.
  stet::save_options options;
  options.alignment_bytes = 256;
  return out.save(path, options);
}

int main() {
  const scratch_file file("write_store.stet");
  const auto saved = save(file.path());
  if (!saved) return failed(saved.error());
  std::cout << saved->file_size_bytes << " bytes, " << saved->tensor_size_bytes << " of them tensors\n";

  auto store = stet::open(file.path());
  if (!store) return failed(store.error());
  std::cout << store->manifest_text() << '\n';
  auto words = store->find("vocabulary");
  if (!words) return failed(words.error());
  auto strings = words->as_strings();
  if (!strings) return failed(strings.error());
  for (std::size_t i = 0; i < strings->size(); ++i)
    std::cout << (*strings)[i] << (i + 1 < strings->size() ? ' ' : '\n');
}
