// SPDX-License-Identifier: MIT
// Opens any bytes as a GGUF file, in memory and on demand: an error, or a store all of whose tensors lie in the file, apart.
#include "require.hpp"
#include "support/exact_text.hpp"

#include <stet/formats/gguf.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace {

class bytes_reader final : public stet::byte_reader {
public:
  explicit bytes_reader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return bytes_.size(); }
  [[nodiscard]] stet::result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    require(stet::detail::range_fits(offset_bytes, into.size(), bytes_.size()));
    if (!into.empty()) std::memcpy(into.data(), bytes_.data() + offset_bytes, into.size());
    return {};
  }

private:
  std::span<const std::byte> bytes_;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const stet_test::exact_text block({reinterpret_cast<const char*>(data), size});
  const std::span<const std::byte> file = block.bytes();
  const auto store = stet::open_gguf(file);
  const bytes_reader reader(file);
  const auto streamed = stet::detail::open_gguf_source(stet::source::stream(reader), {}, {});
  require(static_cast<bool>(store) == static_cast<bool>(streamed));
  if (!store) {
    const stet::error& failure = store.error();
    require(failure.code() == streamed.error().code() && failure.offset_bytes() == streamed.error().offset_bytes());
    require(failure.offset_bytes() == stet::error::no_offset || failure.offset_bytes() <= size);
    return 0;
  }
  require(store->tensor_count() == streamed->tensor_count());
  std::vector<std::pair<const std::byte*, const std::byte*>> ranges;
  for (const stet::tensor each : *store) {
    const std::byte* const begin = each.bytes().data();
    require(each.bytes().size() == each.size_bytes());
    const auto found = streamed->find(each.name());
    require(found && found->entry().offset_bytes() == each.entry().offset_bytes() && found->shape() == each.shape());
    if (each.size_bytes() == 0) continue;
    require(begin >= file.data() && each.size_bytes() <= static_cast<std::uint64_t>(file.data() + size - begin));
    ranges.emplace_back(begin, begin + each.size_bytes());
  }
  std::sort(ranges.begin(), ranges.end());
  for (std::size_t i = 1; i < ranges.size(); ++i) require(ranges[i - 1].second <= ranges[i].first);
  return 0;
}
