// SPDX-License-Identifier: MIT
// Opens any text as model.json of TensorFlow.js, and any bytes as its weights; what opens is read to the end,
// described, and saved again.
//
// The first two bytes of the input are the size of the text, which follows; the rest is two files of weights,
// w and v, cut after as many bytes as the third byte says.
#include "require.hpp"
#include "support/temp_folder.hpp"

#include <stet/formats/add_model.hpp>
#include <stet/formats/tfjs/format.hpp>
#include <stet/formats/tfjs/save.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

/// Every tensor as it is stored, at once and in two pieces.
void read_all(const stet::store& store) {
  for (const stet::tensor each : store) {
    const std::size_t size = static_cast<std::size_t>(each.size_bytes()), half = size / 2;
    std::vector<std::byte> whole(size), pieces(size);
    require(static_cast<bool>(each.read(0, whole)));
    require(static_cast<bool>(each.read(0, std::span(pieces).first(half))));
    require(static_cast<bool>(each.read(half, std::span(pieces).subspan(half))));
    require(whole == pieces);
    if (each.dtype() == stet::dtype::string) require(static_cast<bool>(each.as_strings()));
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const stet_test::temp_folder folder(stet_test::temp_folder::in_memory());
  if (size < 3) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 3, size - 3);
  const std::size_t text_size = data[0] | std::size_t{data[1]} << 8;
  const std::string_view text = input.substr(0, text_size), weights = input.substr(text.size());
  const std::size_t cut = data[2] < weights.size() ? data[2] : weights.size();
  folder.write("w", weights.substr(0, cut));
  folder.write("v", weights.substr(cut));
  const std::string path = folder.write("model.json", text);

  const stet::result<stet::model> opened = stet::open_as(stet::tfjs_format, path, {});
  if (!opened) return 0;
  read_all(opened->store);
  const auto described = stet::describe(*opened);
  stet::tfjs_save_options options;
  options.shard_size_bytes = 5;
  options.is_durable = false;
  const std::string again = folder.path("again.json");
  stet::writer all;
  if (!stet::add_model(all, *opened) || !stet::save_tfjs(again, all, options)) {
    // What was opened has only dtypes that can be saved; but numbers of codes may not fit, and graphs may be
    // none.
    require(folder.names().size() == 3);
    return 0;
  }
  const auto reopened = stet::open_as(stet::tfjs_format, again, {});
  // Nodes may give two weights the name of one.
  require(reopened || reopened.error().code() == stet::errc::duplicate_name ||
          reopened.error().code() == stet::errc::bad_name);
  if (reopened) read_all(reopened->store);
  for (const std::string& name : folder.names())
    (void)stet::system_file_operations().remove(stet::system_file_operations().context, folder.path(name));
  return 0;
}
