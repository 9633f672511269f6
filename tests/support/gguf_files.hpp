// SPDX-License-Identifier: MIT
// Makes GGUF files byte by byte.
#ifndef STET_TESTS_SUPPORT_GGUF_FILES_HPP
#define STET_TESTS_SUPPORT_GGUF_FILES_HPP

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace stet_test {

/// Codes of the types of values.
enum gguf_code : std::uint32_t {
  gguf_u8,
  gguf_i8,
  gguf_u16,
  gguf_i16,
  gguf_u32,
  gguf_i32,
  gguf_f32,
  gguf_bool,
  gguf_string,
  gguf_array,
  gguf_u64,
  gguf_i64,
  gguf_f64
};

/// A GGUF file that is being made. Nothing is checked.
class gguf_file {
public:
  explicit gguf_file(std::uint32_t version = 3, bool is_big_endian = false)
      : version_(version), is_big_(is_big_endian) {}

  /// An integer of `size` bytes, in the byte order of the file.
  [[nodiscard]] std::string number(std::uint64_t value, std::size_t size) const {
    std::string made;
    for (std::size_t i = 0; i < size; ++i) made.push_back(static_cast<char>(value >> 8 * (is_big_ ? size - 1 - i : i)));
    return made;
  }
  /// A length, count or extent.
  [[nodiscard]] std::string length(std::uint64_t value) const { return number(value, version_ == 1 ? 4 : 8); }
  [[nodiscard]] std::string text(std::string_view value) const { return length(value.size()).append(value); }
  /// The head of an array and its elements.
  [[nodiscard]] std::string array(std::uint32_t type, std::uint64_t count, std::string_view elements) const {
    return number(type, 4).append(length(count)).append(elements);
  }

  gguf_file& key(std::string_view name, std::uint32_t type, std::string_view value) {
    keys_.append(text(name)).append(number(type, 4)).append(value);
    ++key_count;
    return *this;
  }
  gguf_file& u16(std::string_view name, std::uint64_t value) { return key(name, gguf_u16, number(value, 2)); }
  gguf_file& u32(std::string_view name, std::uint64_t value) { return key(name, gguf_u32, number(value, 4)); }
  gguf_file& string(std::string_view name, std::string_view value) { return key(name, gguf_string, text(value)); }
  gguf_file& alignment(std::uint32_t bytes) {
    alignment_ = bytes;
    return u32("general.alignment", bytes);
  }
  /// The keys of a part of a split model.
  gguf_file& split(std::uint64_t number, std::uint64_t count, std::uint64_t tensors) {
    return u16("split.no", number)
        .u16("split.count", count)
        .key("split.tensors.count", gguf_i32, this->number(tensors, 4));
  }

  /// The row of a tensor. @param dims  the innermost extent first
  gguf_file& row(std::string_view name, std::initializer_list<std::uint64_t> dims, std::uint32_t type,
                 std::uint64_t offset) {
    infos_.append(text(name)).append(number(dims.size(), 4));
    for (const std::uint64_t each : dims) infos_.append(length(each));
    infos_.append(number(type, 4)).append(number(offset, 8));
    ++tensor_count;
    return *this;
  }
  /// A tensor behind the others.
  gguf_file& tensor(std::string_view name, std::initializer_list<std::uint64_t> dims, std::uint32_t type,
                    std::string_view bytes) {
    row(name, dims, type, data_.size());
    data_.append(bytes);
    data_.append((alignment_ - data_.size() % alignment_) % alignment_, '\0');
    return *this;
  }
  gguf_file& data(std::string_view bytes) {
    data_.append(bytes);
    return *this;
  }

  /// Everything in front of the padding.
  [[nodiscard]] std::string head() const {
    std::string made = "GGUF";
    made.append(number(version_, 4)).append(length(tensor_count)).append(length(key_count));
    return made.append(keys_).append(infos_);
  }
  [[nodiscard]] std::string bytes() const {
    std::string made = head();
    made.append((alignment_ - made.size() % alignment_) % alignment_, '\0');
    return made.append(data_);
  }

  /// The counts that the file states.
  std::uint64_t key_count = 0, tensor_count = 0;

private:
  std::uint32_t version_;
  bool is_big_;
  std::uint32_t alignment_ = 32;
  std::string keys_, infos_, data_;
};

/// The example of formats/gguf of the samples' facts: keys of several types; w = F32 [2,3], q = Q8_0 [32].
inline std::string example_gguf_file() {
  gguf_file made;
  made.string("general.architecture", "test").u32("k.u32", 7);
  made.key("k.sa", gguf_array, made.array(gguf_string, 2, made.text("ab") + made.text("c")));
  made.key("k.b", gguf_bool, "\1");
  std::string floats;
  for (const std::uint32_t bits : {0x3f800000u, 0x40000000u, 0x40400000u, 0x40800000u, 0x40a00000u, 0x40c00000u})
    floats.append(made.number(bits, 4));
  std::string block("\0\x3c", 2);
  for (int i = 0; i < 32; ++i) block.push_back(static_cast<char>(i));
  return made.tensor("w", {3, 2}, 0, floats).tensor("q", {32}, 8, block).bytes();
}

} // namespace stet_test

#endif
