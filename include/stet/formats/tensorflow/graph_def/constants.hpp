// SPDX-License-Identifier: MIT
// The constants of TensorFlow's graphs as tensors, in place where the file has their bytes.
#ifndef STET_FORMATS_TENSORFLOW_GRAPH_DEF_CONSTANTS_HPP
#define STET_FORMATS_TENSORFLOW_GRAPH_DEF_CONSTANTS_HPP

#include "../../common/json_members.hpp"
#include "../../common/store_builder.hpp"
#include "../../common/string_table.hpp"
#include "../detail/data_type.hpp"
#include "../detail/tensor_proto.hpp"
#include "../../common/readers.hpp"

#include "../../../wire/protobuf.hpp"
#include "../../../wire/varint.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// A TensorProto, read: the values where they lie or, unpacked, each as it is stored in a file.
struct constant_value {
  std::int32_t data_type = 0; // TensorFlow's
  stet::dtype dtype = no_dtype;
  bool has_shape = false, has_content = false;
  std::vector<std::uint64_t> shape;
  std::span<const std::byte> content;
  /// Values one by one, little-endian, `element_size` bytes each; strings where they lie.
  std::vector<std::byte> values;
  std::vector<std::string_view> strings;
};

/// Bytes of which the last element is repeated to the end: a constant may be given by fewer values than it
/// has.
class repeating_bytes final : public byte_reader {
public:
  /// @param values  at least one element; all before the last stand as they are
  repeating_bytes(std::vector<std::byte>&& values, std::size_t element_size_bytes, std::uint64_t size_bytes) noexcept
      : values_(std::move(values)), element_size_bytes_(element_size_bytes), size_bytes_(size_bytes) {}

  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return size_bytes_; }
  [[nodiscard]] result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    if (!range_fits(offset_bytes, into.size(), size_bytes_)) return error(errc::bad_range, {}, offset_bytes);
    const std::byte* const last = values_.data() + (values_.size() - element_size_bytes_);
    for (std::byte& each : into) {
      each = offset_bytes < values_.size() ? values_[static_cast<std::size_t>(offset_bytes)]
                                           : last[offset_bytes % element_size_bytes_];
      ++offset_bytes;
    }
    return {};
  }

private:
  std::vector<std::byte> values_;
  std::size_t element_size_bytes_;
  std::uint64_t size_bytes_;
};

/// Reads messages of one graph file and adds their constants to a store.
class constant_adder {
public:
  /// @param file   what the messages lie in; all of it in memory
  /// @param part   its number in `into`
  constant_adder(std::span<const std::byte> file, std::uint32_t part, store_builder& into) noexcept
      : file_(file), part_(part), into_(into), names_left_((std::uint64_t{1} << 16) + 16 * std::uint64_t{file.size()}),
        decoded_left_((std::uint64_t{1} << 20) + 32 * std::uint64_t{file.size()}) {}

  /// The names that are taken: tensors of a store differ.
  distinct_names names;

  /// Adds the constants of the GraphDef that fills `bytes`, a piece of the file: those of functions as
  /// FUNCTION/NODE, all behind `prefix` and `tags`. A constant of a dtype that stet does not have, or with no valid
  /// name, is omitted with its reason.
  /// @retval errc::bad_protobuf   a message is malformed; the offset is in the file
  /// @retval errc::bad_shape, bad_size, bad_string_table  the values of a constant, the subject, do not fit it
  /// @retval errc::too_large      the names with their prefixes are more than 64 KiB and 16 times the file
  result<void> add_graph(std::span<const std::byte> bytes, std::string_view prefix = {}, std::string_view tags = {}) {
    prefix_ = prefix;
    tags_ = tags;
    return for_each(bytes, [&](const protobuf_message& field) -> result<void> {
      if (field.tag() == bytes_field(1)) return add_node(field.bytes(), {});
      if (field.tag() == bytes_field(2)) return add_library(field.bytes());
      return {};
    });
  }

private:
  /// Calls `take` for each field of a message.
  template <class Take> result<void> for_each(std::span<const std::byte> bytes, Take take) const {
    protobuf_message message(bytes);
    while (message.next()) {
      if (result<void> taken = take(message); !taken) return taken;
    }
    if (!message.is_whole()) return error(errc::bad_protobuf, {}, place_of(bytes.data()) + message.offset_bytes());
    return {};
  }
  [[nodiscard]] std::uint64_t place_of(const std::byte* at) const noexcept {
    return static_cast<std::uint64_t>(at - file_.data());
  }

  result<void> add_library(std::span<const std::byte> bytes) {
    return for_each(bytes, [&](const protobuf_message& field) -> result<void> {
      if (field.tag() != bytes_field(1)) return {};
      std::string_view name;
      auto named = for_each(field.bytes(), [&](const protobuf_message& of_function) -> result<void> {
        if (of_function.tag() != bytes_field(1)) // its signature, which has its name
          return {};
        return for_each(of_function.bytes(), [&](const protobuf_message& of_signature) -> result<void> {
          if (of_signature.tag() == bytes_field(1)) name = of_signature.text();
          return {};
        });
      });
      if (!named) return named;
      return for_each(field.bytes(), [&](const protobuf_message& of_function) -> result<void> {
        return of_function.tag() == bytes_field(3) ? add_node(of_function.bytes(), name) : result<void>();
      });
    });
  }

  /// Adds the constant that a NodeDef is. @param function  the function it is in; nothing: in none
  result<void> add_node(std::span<const std::byte> bytes, std::optional<std::string_view> function) {
    std::string_view name, op;
    std::span<const std::byte> value;
    auto read = for_each(bytes, [&](const protobuf_message& field) -> result<void> {
      if (field.tag() == bytes_field(1))
        name = field.text();
      else if (field.tag() == bytes_field(2))
        op = field.text();
      else if (field.tag() == bytes_field(5))
        return find_value(field.bytes(), value);
      return {};
    });
    if (!read || op != "Const" || value.data() == nullptr) return read;
    // One long prefix may stand before any number of names.
    const std::uint64_t size =
        std::uint64_t{prefix_.size()} + tags_.size() + name.size() + (function ? function->size() + 1 : 0);
    if (size > names_left_) return error(errc::too_large, "names of constants");
    names_left_ -= size;
    std::string full_name;
    full_name.reserve(static_cast<std::size_t>(size));
    full_name.append(prefix_).append(tags_);
    if (function) full_name.append(*function).append("/");
    full_name = names.unique_name(std::move(full_name.append(name)));
    if (!is_valid_name(full_name)) {
      into_.omit(full_name, error(errc::bad_name, full_name));
      return {};
    }
    auto added = add_tensor(full_name, value);
    if (!added && added.error().subject().empty()) return added.error().about(full_name);
    return added;
  }

  /// Sets `value` to the TensorProto of an attribute that is called "value".
  result<void> find_value(std::span<const std::byte> entry, std::span<const std::byte>& value) const {
    std::string_view key;
    std::span<const std::byte> attribute;
    auto read = for_each(entry, [&](const protobuf_message& field) -> result<void> {
      if (field.tag() == bytes_field(1))
        key = field.text();
      else if (field.tag() == bytes_field(2))
        attribute = field.bytes();
      return {};
    });
    if (!read || key != "value") return read;
    return for_each(attribute, [&](const protobuf_message& field) -> result<void> {
      if (field.tag() == bytes_field(8)) value = field.bytes();
      return {};
    });
  }

  result<void> read_shape(std::span<const std::byte> bytes, constant_value& into) const {
    into.shape.clear();
    return for_each(bytes, [&](const protobuf_message& field) -> result<void> {
      if (field.tag() == varint_field(3) && field.boolean()) return errc::bad_shape;
      if (field.tag() != bytes_field(2)) return {};
      std::int64_t extent = 0;
      auto read = for_each(field.bytes(), [&](const protobuf_message& dim) -> result<void> {
        if (dim.tag() == varint_field(1)) extent = dim.int64();
        return {};
      });
      if (!read) return read;
      if (extent < 0 || into.shape.size() == max_rank) return errc::bad_shape;
      into.shape.push_back(static_cast<std::uint64_t>(extent));
      return {};
    });
  }

  /// Appends the lowest bytes of `bits`, as many as an element, or half a complex one, has.
  static void append_value(std::uint64_t bits, std::size_t size, std::vector<std::byte>& into) {
    for (; size != 0; --size, bits >>= 8) into.push_back(static_cast<std::byte>(bits & 0xFFu));
  }

  /// Whether values of a dtype stand in a field of a TensorProto. Narrow integers and floats stand where int32 does.
  static bool is_list_of(std::uint32_t number, stet::dtype d) noexcept {
    const tensor_proto_list* const list = find_tensor_proto_list(d);
    return number == (list == nullptr ? 7 : list->field);
  }

  result<void> read_tensor(std::span<const std::byte> bytes, constant_value& into) const {
    std::int32_t& data_type = into.data_type;
    auto typed = for_each(bytes, [&](const protobuf_message& field) -> result<void> {
      if (field.tag() == varint_field(1)) data_type = field.int32();
      return {};
    });
    if (!typed) return typed;
    into.dtype = dtype_of_tensorflow(data_type);
    const bool is_text = into.dtype == dtype::string;
    // Complex numbers are lists of their parts.
    const std::size_t word = into.dtype == no_dtype ? 1u : tensorflow_layout(into.dtype).bits / 8u;
    const bool is_complex = into.dtype == dtype::complex64 || into.dtype == dtype::complex128;
    const std::size_t size = is_complex ? word / 2 : word;
    return for_each(bytes, [&](const protobuf_message& field) -> result<void> {
      if (field.tag() == bytes_field(2)) {
        into.has_shape = true;
        return read_shape(field.bytes(), into);
      }
      if (field.tag() == bytes_field(4)) {
        into.has_content = !field.bytes().empty();
        into.content = field.bytes();
      } else if (field.tag() == bytes_field(8) && is_text) {
        into.strings.push_back(field.text());
      } else if (field.tag() == bytes_field(18) && !is_text && size == 1) {
        into.values.insert(into.values.end(), field.bytes().begin(), field.bytes().end());
      } else if (!is_text && is_list_of(field.number(), into.dtype)) {
        const auto append = [&](std::uint64_t bits) { append_value(bits, size, into.values); };
        const bool is_fixed = field.number() == 5 || field.number() == 6 || is_complex;
        const bool is_whole = !is_fixed   ? for_each_varint(field, append)
                              : size == 4 ? for_each_fixed<std::uint32_t>(field, append)
                                          : for_each_fixed<std::uint64_t>(field, append);
        if (!is_whole) return error(errc::bad_protobuf, {}, place_of(field.bytes().data()));
      }
      return {};
    });
  }

  result<void> add_tensor(std::string_view name, std::span<const std::byte> bytes) {
    constant_value value;
    if (auto read = read_tensor(bytes, value); !read) return read;
    if (value.dtype == no_dtype) {
      into_.omit(name, omitted_data_type(value.data_type));
      return {};
    }
    index_row row;
    row.name = name;
    row.shape = value.shape;
    element_counter counter;
    for (const std::uint64_t extent : value.shape) {
      if (!counter.multiply(extent)) return errc::bad_shape;
    }
    row.layout = value.dtype == dtype::string ? element_layout::of(dtype::string) : tensorflow_layout(value.dtype);
    if (!checked_size_bytes(counter, row.layout, row.size_bytes)) return errc::bad_shape;
    row.part = part_;
    if (value.dtype == dtype::string) return add_strings(row, value, counter.element_count());
    if (row.size_bytes == 0) { // TensorFlow does not look at the values
      into_.add(row);
      return {};
    }
    if (value.has_content) {
      if (value.content.size() != row.size_bytes) return errc::bad_size;
      row.offset_bytes = place_of(value.content.data());
    } else {
      if (auto made = decode_values(row, value); !made) return made;
    }
    into_.add(row);
    return {};
  }

  /// Values that were given one by one: the last is repeated, and surplus ones are ignored, as TensorFlow does.
  result<void> decode_values(index_row& row, constant_value& value) {
    const std::size_t element_size = row.layout.bits / 8u;
    if (value.values.empty()) value.values.resize(element_size);
    if (value.values.size() % element_size != 0) return errc::bad_size;
    if (value.values.size() > row.size_bytes) value.values.resize(static_cast<std::size_t>(row.size_bytes));
    // Bytes in memory can be viewed. No more of them than a few for each that the file has, and a page.
    if (row.size_bytes <= 4096 + 4 * value.values.size() && row.size_bytes <= decoded_left_) {
      decoded_left_ -= row.size_bytes;
      result<source> made = source::allocate(row.size_bytes, into_.memory());
      if (!made) return made.error();
      const std::uint64_t size_bytes = row.size_bytes;
      const repeating_bytes all(std::move(value.values), element_size, size_bytes);
      if (auto read = all.read(0, {made->writable_data(), static_cast<std::size_t>(size_bytes)}); !read) return read;
      row.part = into_.add_decoded(std::move(*made));
      return {};
    }
    result<source> made =
        source::keep(repeating_bytes(std::move(value.values), element_size, row.size_bytes), into_.memory());
    if (!made) return made.error();
    row.part = into_.add_decoded(std::move(*made));
    return {};
  }

  /// Sets `into` to the `count` strings in a `tensor_content`: the length of each as a varint, then the bytes of each.
  /// TensorFlow's C API writes them so. Source: tensorflow/core/platform/default/tensor_coding.cc, DecodeStringList.
  /// @return  whether these fill `content`
  static bool split_content(std::span<const std::byte> content, std::uint64_t count,
                            std::vector<std::string_view>& into) {
    into.clear();
    if (count > content.size()) // each has a length of at least a byte
      return false;
    into.reserve(static_cast<std::size_t>(count));
    const std::byte* const end = content.data() + content.size();
    const std::byte* at = content.data();
    std::uint64_t text_size = 0;
    const char* const first = reinterpret_cast<const char*>(content.data());
    for (std::uint64_t number = 0; number < count; ++number) {
      std::uint32_t length = 0;
      at = read_varint(at, end, length);
      if (at == nullptr || length > content.size() - text_size) return false;
      into.emplace_back(first + static_cast<std::size_t>(text_size),
                        length); // from where the texts begin, so far unknown
      text_size += length;
    }
    const std::size_t begin = static_cast<std::size_t>(at - content.data());
    if (content.size() - begin != text_size) return false;
    for (std::string_view& each : into) each = {each.data() + begin, each.size()};
    return true;
  }

  result<void> add_strings(index_row& row, constant_value& value, std::uint64_t count) {
    std::vector<std::string_view>& strings = value.strings;
    if (value.has_content && count != 0 && !split_content(value.content, count, strings)) return errc::bad_string_table;
    if (strings.size() > count) strings.resize(static_cast<std::size_t>(count));
    // The last repeats, as with numbers; but not into more memory than the file accounts for.
    std::uint64_t text_size = 0;
    for (const std::string_view each : strings) text_size += each.size();
    const std::uint64_t missing = count - strings.size();
    const std::string_view last = strings.empty() ? std::string_view() : strings.back();
    std::uint64_t table_size = 0, repeated = 0;
    if (!checked_multiply(count + 1, 8, table_size) || !checked_multiply(missing, last.size(), repeated) ||
        repeated > max_tensor_size_bytes || table_size > max_tensor_size_bytes - repeated - text_size)
      return errc::bad_shape;
    row.size_bytes = table_size + text_size + repeated;
    if (row.size_bytes > decoded_left_) {
      result<source> made =
          source::keep(unreadable_bytes(error(errc::too_large, row.name), row.size_bytes), into_.memory());
      if (!made) return made.error();
      row.part = into_.add_decoded(std::move(*made));
      into_.add(row);
      return {};
    }
    decoded_left_ -= row.size_bytes;
    result<string_table> made = string_table::allocate(count, text_size + repeated, into_.memory());
    if (!made) return made.error();
    for (std::uint64_t number = 0; number < count; ++number)
      made->append(number < strings.size() ? strings[static_cast<std::size_t>(number)] : last);
    row.part = into_.add_decoded(made->finish());
    into_.add(row);
    return {};
  }

  std::span<const std::byte> file_;
  std::uint32_t part_;
  store_builder& into_;
  /// What the names in the file have before them.
  std::string_view prefix_, tags_;
  /// How many bytes of names, and of values that do not lie in the file as they are, may still be made.
  std::uint64_t names_left_, decoded_left_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
