// SPDX-License-Identifier: MIT
// Writes the pickle of a state dict.
#ifndef STET_FORMATS_PYTORCH_DETAIL_SAVED_PICKLE_HPP
#define STET_FORMATS_PYTORCH_DETAIL_SAVED_PICKLE_HPP

#include "types.hpp"

#include "../../../store/tensor.hpp"
#include "../../../wire/little_writer.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// The attribute of an alias that is a tensor of its model, such as a tied weight, and no second name.
inline constexpr std::string_view pytorch_tied_field = "tied";

/// The type of PyTorch that has the elements of a tensor; nullptr: there is none. Quantized ones need scales, which no tensor has.
inline const pytorch_type* find_pytorch_type(const element_layout& of) noexcept {
  for (const pytorch_type& each : pytorch_types) {
    if (each.dtype != of.dtype || each.name.starts_with('q')) continue;
    if (of.dtype != dtype::block) return &each;
    if (each.name == of.block.name && of.block.element_count == 1 && each.size_bytes == of.block.size_bytes)
      return &each;
  }
  return nullptr;
}

/// Writes opcodes of protocol 2, which torch.load takes with weights_only=True.
class pickle_writer {
public:
  pickle_writer() { out_.text(std::string_view("\x80\x02", 2)); }

  pickle_writer& op(std::string_view opcode) {
    out_.text(opcode);
    return *this;
  }
  pickle_writer& text(std::string_view value) {
    out_.text("X").u32(static_cast<std::uint32_t>(value.size())).text(value);
    return *this;
  }
  /// Text or a global that occurs often: it is put into the memo the first time, and then taken from there.
  pickle_writer& often_text(std::string_view value) {
    return remembered(std::string("X").append(value), [&] { (void)text(value); });
  }
  pickle_writer& global(std::string_view module, std::string_view name) {
    const std::string line = std::string("c").append(module).append("\n").append(name).append("\n");
    return remembered(line, [&] { out_.text(line); });
  }
  pickle_writer& integer(std::uint64_t value) {
    if (value <= 0xFF) {
      out_.text("K").u8(static_cast<std::uint8_t>(value));
    } else if (value <= 0xFFFF) {
      out_.text("M").u16(static_cast<std::uint16_t>(value));
    } else if (value <= 0x7FFFFFFF) {
      out_.text("J").u32(static_cast<std::uint32_t>(value));
    } else {
      out_.text(std::string_view("\x8a\x08", 2)).u64(value); // below 2^63, as all sizes are
    }
    return *this;
  }
  pickle_writer& integers(std::span<const std::uint64_t> values) {
    (void)op("(");
    for (const std::uint64_t each : values) (void)integer(each);
    return op("t");
  }

  /// A contiguous tensor that is a whole storage.
  void tensor(const pytorch_type& type, std::uint64_t key, std::span<const std::uint64_t> shape,
              std::uint64_t size_bytes) {
    const bool is_typed = !type.storage.empty();
    std::vector<std::uint64_t> strides(shape.size(), 1);
    for (std::size_t axis = shape.size(); axis-- > 1;)
      strides[axis - 1] = strides[axis] * (shape[axis] == 0 ? 1 : shape[axis]);
    (void)global("torch._utils", is_typed ? "_rebuild_tensor_v2" : "_rebuild_tensor_v3").op("((").often_text("storage");
    (void)(is_typed ? global("torch", type.storage) : global("torch.storage", "UntypedStorage"));
    (void)text(std::to_string(key))
        .often_text("cpu")
        .integer(is_typed ? size_bytes / type.size_bytes : size_bytes)
        .op("tQ");
    (void)integer(0).integers(shape).integers(strides).op("\x89").global("collections", "OrderedDict").op(")R");
    if (!is_typed) (void)global("torch", type.name);
    (void)op("tR");
  }

  [[nodiscard]] std::string take() { return op(".").out_.take(); }

private:
  template <class Write> pickle_writer& remembered(const std::string& what, Write write) {
    const auto [found, is_new] = memo_.try_emplace(what, static_cast<std::uint8_t>(memo_.size()));
    if (is_new) write();
    out_.text(is_new ? "q" : "h").u8(found->second);
    return *this;
  }

  little_writer out_;
  std::map<std::string, std::uint8_t> memo_; // few: the functions, types, and two words
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
