// SPDX-License-Identifier: MIT
// ONNX models and tensors as a format.
#ifndef STET_FORMATS_ONNX_FORMAT_HPP
#define STET_FORMATS_ONNX_FORMAT_HPP

#include "describe.hpp"
#include "open.hpp"

#include "detail/replace_weights.hpp"

#include "../format.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// Reads the file that a probe looks at.
class probed_bytes final : public byte_reader {
public:
  explicit probed_bytes(const format_probe& probe) noexcept : probe_(probe) {}
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return probe_.size_bytes(); }
  [[nodiscard]] result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    return probe_.read_at(offset_bytes, into);
  }

private:
  const format_probe& probe_;
};

inline bool is_onnx(format_probe& probe) {
  if (probe.failure()) return false;
  const probed_bytes bytes(probe);
  return kind_of_onnx(onnx_input(bytes)) != onnx_kind::none;
}

/// `format::open` of onnx_format.
inline result<model> open_onnx_model(format_probe& probe) {
  result<source> file = probe.take();
  if (!file) return file.error();
  return open_onnx_at(std::move(*file), probe.path(), probe.options());
}

} // namespace detail

/// An ONNX model with its external data, or a tensor. `open_onnx` (open.hpp) opens it without the JSON library, and documents what
/// is accepted. `replace_weights` puts new weights into a model as `replace_onnx_values` (replace.hpp) does.
inline constexpr format onnx_format{"onnx",
                                    "ONNX models: .onnx with its external data, and tensors: .pb",
                                    detail::is_onnx,
                                    detail::open_onnx_model,
                                    detail::describe_onnx,
                                    {},
                                    {},
                                    nullptr,
                                    save_choice::none,
                                    weight_replacement::none,
                                    detail::replace_onnx_weights};

} // namespace stet::inline STET_NAMESPACE

#endif
