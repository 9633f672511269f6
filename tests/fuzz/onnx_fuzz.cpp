// SPDX-License-Identifier: MIT
// Opens any bytes as an ONNX file, in memory and on demand: the same error or the same tensors, which can be read, and a graph.
#include "require.hpp"
#include "support/exact_text.hpp"

#include <stet/formats/onnx/format.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace {

class copied_file final : public stet::byte_reader {
public:
  explicit copied_file(std::span<const std::byte> bytes) : bytes_(bytes) {}
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return bytes_.size(); }
  [[nodiscard]] stet::result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    require(offset_bytes <= bytes_.size() && into.size() <= bytes_.size() - offset_bytes);
    if (!into.empty()) std::memcpy(into.data(), bytes_.data() + offset_bytes, into.size());
    return {};
  }

private:
  std::span<const std::byte> bytes_;
};

class one_file final : public stet::file_system {
public:
  explicit one_file(std::span<const std::byte> bytes) : bytes_(bytes) {}
  [[nodiscard]] stet::result<stet::source> open_file(std::string_view path_utf8) const noexcept override {
    if (path_utf8 == "m.onnx") return stet::source::borrow(bytes_);
    if (path_utf8 == "w.bin") return stet::source::borrow(std::as_bytes(std::span("0123456789abcdef", 16)));
    return stet::errc::file_not_found;
  }

private:
  std::span<const std::byte> bytes_;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const stet_test::exact_text block({reinterpret_cast<const char*>(data), size});
  const one_file files(block.bytes());
  const auto opened = stet::open_as(stet::onnx_format, "m.onnx", {.files = &files});
  const copied_file on_demand(block.bytes());
  const auto streamed = stet::detail::open_onnx_source(stet::source::stream(on_demand), "m.onnx", {.files = &files});
  require(bool(opened) == bool(streamed));
  if (!opened) {
    require(opened.error().code() == streamed.error().code());
    return 0;
  }
  require(opened->store.tensor_count() == streamed->store.tensor_count());
  for (const stet::tensor each : opened->store) {
    require(each.size_bytes() <= 16 + 16 * std::uint64_t{size});
    std::vector<std::byte> bytes(static_cast<std::size_t>(each.size_bytes())), others(bytes.size());
    require(bool(each.read(0, bytes)));
    const auto other = streamed->store.find(each.name());
    require(other && other->read(0, others) && bytes == others);
  }
  (void)stet::describe(*opened);
  return 0;
}
