// SPDX-License-Identifier: MIT
// Opens any bytes as a file of PyTorch: an error, or a model each of whose tensors is in the file, or is read or refused.
#include "require.hpp"
#include "support/exact_text.hpp"
#include "support/keras_files.hpp"

#include <stet/formats/pytorch.hpp>

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const stet_test::exact_text block({reinterpret_cast<const char*>(data), size});
  const std::span<const std::byte> file = block.bytes();
  stet::open_options options;
  options.inflate = stet_test::inflate_stored;
  const auto model = stet::open_pytorch(file, options);
  if (!model) {
    require(model.error().offset_bytes() == stet::error::no_offset || model.error().offset_bytes() <= size);
    return 0;
  }
  for (const stet::tensor each : model->store) {
    std::byte ends[16];
    const std::uint64_t some = each.size_bytes() < sizeof ends ? each.size_bytes() : sizeof ends;
    const auto into = std::span(ends, static_cast<std::size_t>(some));
    (void)each.read(0, into);
    (void)each.read(each.size_bytes() - some, into);
    if (model->is_in_file(each) && each.size_bytes() != 0) {
      require(each.bytes().data() >= file.data() &&
              each.bytes().data() + each.bytes().size() <= file.data() + file.size());
    }
    require(static_cast<bool>(model->store.find(each.name())));
  }
  return 0;
}
