// SPDX-License-Identifier: MIT
// Opens any bytes as an npy file and as an npz archive: an error, or a store whose tensors lie in the file, and can be read.
#include "require.hpp"
#include "support/exact_text.hpp"
#include "support/keras_files.hpp"

#include <stet/formats/numpy.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace {

void read_all(const stet::store& from, std::span<const std::byte> file, bool is_inflated) {
  for (const stet::tensor each : from) {
    if (!each.bytes().empty() && !is_inflated)
      require(each.bytes().data() >= file.data() &&
              each.bytes().data() + each.bytes().size() <= file.data() + file.size());
    require(is_inflated || each.size_bytes() <= file.size());
    std::vector<std::byte> bytes(static_cast<std::size_t>(each.size_bytes()));
    require(bool(each.read(0, bytes)));
    const auto found = from.find(each.name());
    require(found && found->entry().number() == each.entry().number());
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const stet_test::exact_text block({reinterpret_cast<const char*>(data), size});
  const std::span<const std::byte> file = block.bytes();
  if (const auto npy = stet::open_npy(file, {}, {.void1 = stet::dtype::int4, .void2 = stet::dtype::bfloat16})) {
    read_all(*npy, file, false);
  } else {
    require(npy.error().offset_bytes() == stet::error::no_offset || npy.error().offset_bytes() <= size);
  }
  stet::open_options options;
  options.inflate = stet_test::inflate_stored;
  if (const auto npz = stet::open_npz(file, options)) read_all(npz->store, file, true);
  return 0;
}
