// SPDX-License-Identifier: MIT
// `stet cat`: a tensor's bytes, as they are or converted, to standard output.
#include "chunk.hpp"
#include "commands.hpp"
#include "model.hpp"

#include <stet/formats/check_model.hpp>
#include <stet/formats/gguf/dequantize.hpp>
#include <stet/manifest/quantization.hpp>
#include <stet/store/copy_elements.hpp>

#include <algorithm>
#include <bit>
#include <memory>
#include <string>

namespace command {

namespace {

/// Each string: its size, then its bytes.
stet::result<void> write_strings(const stet::tensor& of, console& out) {
  const stet::result<stet::string_span> strings = of.as_strings();
  if (!strings) return strings.error();
  for (std::size_t i = 0; i < strings->size() && out.is_open(); ++i) {
    const std::string_view each = (*strings)[i];
    char size[8];
    for (std::size_t byte = 0; byte < sizeof size; ++byte)
      size[byte] = static_cast<char>(std::uint64_t{each.size()} >> 8 * byte & 0xFFu);
    out.write(std::string_view(size, sizeof size)).write(each);
  }
  return {};
}

/// Turns elements into their bytes in a file, where they stand: little-endian, and packed if they are
/// narrower than a byte.
template <class T> std::span<const std::byte> encode(std::span<T> elements) {
  constexpr stet::dtype_description description = stet::describe(stet::dtype_of<T>::value);
  const std::span<std::byte> bytes = std::as_writable_bytes(elements);
  if constexpr (description.bits < 8) {
    const std::size_t size = (elements.size() * description.bits + 7) / 8;
    for (std::size_t i = 0, at = 0, filled = 0, bits = 0; i < elements.size(); ++i) {
      // What is overwritten has been read: packed bytes are never ahead of the elements.
      bits |= static_cast<std::size_t>(elements[i].bits()) << filled;
      filled += description.bits;
      if (filled < 8 && i + 1 < elements.size()) continue;
      bytes[at++] = static_cast<std::byte>(bits & 0xFFu);
      bits >>= 8;
      filled = filled < 8 ? 0 : filled - 8;
      if (i + 1 == elements.size() && filled != 0) bytes[at] = static_cast<std::byte>(bits);
    }
    return bytes.first(size);
  } else {
    if constexpr (std::endian::native == std::endian::big) reverse_words(bytes, description.word_size_bytes);
    return bytes;
  }
}

stet::result<void> write_converted(const stet::tensor& of, stet::dtype wanted, console& out) {
  constexpr std::uint64_t step = 4096;
  stet::result<void> outcome = stet::error(stet::errc::not_convertible, of.name());
  stet::visit_dtype(wanted, [&]<class T>(std::type_identity<T>) {
    outcome = {};
    const auto elements = std::make_unique<T[]>(step);
    for (std::uint64_t first = 0; first < of.element_count() && out.is_open(); first += step) {
      const std::span<T> some(elements.get(), static_cast<std::size_t>((std::min)(step, of.element_count() - first)));
      outcome = stet::copy_elements(of, wanted, std::as_writable_bytes(some), first);
      if (!outcome) return;
      out.write(encode(some));
    }
  });
  return outcome;
}

/// The numbers that the codes of a quantized tensor stand for, in the dtype that the file says they have.
stet::result<void> write_dequantized(const stet::tensor& of, const stet::quantization& how, console& out) {
  constexpr std::uint64_t step = 4096;
  stet::result<void> outcome = stet::error(stet::errc::not_convertible, of.name());
  stet::visit_dtype(how.dtype, [&]<class T>(std::type_identity<T>) {
    using number = typename stet::detail::value_of<T>::type;
    const auto numbers = std::make_unique<number[]>(step);
    outcome = {};
    for (std::uint64_t first = 0; first < of.element_count() && out.is_open(); first += step) {
      const std::span<number> some(numbers.get(),
                                   static_cast<std::size_t>((std::min)(step, of.element_count() - first)));
      outcome = stet::dequantize(of, how, some, first);
      if (!outcome) return;
      out.write(encode(some));
    }
  });
  return outcome;
}

/// The numbers that the blocks of a tensor stand for.
stet::result<void> write_dequantized(const stet::tensor& of, console& out) {
  constexpr std::uint64_t step = 4096; // whole blocks of any type
  const auto numbers = std::make_unique<float[]>(step);
  for (std::uint64_t first = 0; first < of.element_count() && out.is_open(); first += step) {
    const std::span<float> some(numbers.get(), static_cast<std::size_t>((std::min)(step, of.element_count() - first)));
    if (auto made = stet::dequantize(of, some, first); !made) return made;
    out.write(encode(some));
  }
  return {};
}

stet::result<void> write_stored(const stet::tensor& of, console& out) {
  return for_each_piece(of,
                        [&](std::uint64_t, std::span<const std::byte> piece) { return out.write(piece).is_open(); });
}

/// The quantization in the attributes of a tensor; nullptr if there is none.
const stet::json_value* quantization_of(const stet::model_description& described, std::string_view tensor) {
  for (const stet::tensor_note& note : described.tensors) {
    if (note.name == tensor && note.attributes.contains("quantization")) return &note.attributes["quantization"];
  }
  return nullptr;
}

} // namespace

status cat(const arguments& given, console& out) {
  const std::string_view path = given.operands[0];
  const stet::dtype_description* wanted = nullptr;
  if (given.has("--as")) {
    wanted = stet::find_dtype(given.value_of("--as"));
    if (wanted == nullptr) return out.misuse("there is no dtype " + std::string(given.value_of("--as")));
  }
  const stet::result<stet::model> opened = open_model(path);
  if (!opened) return fail_to_open(path, opened.error(), out);
  const stet::result<stet::tensor> found = opened->store.find(given.operands[1]);
  if (!found) {
    for (const stet::omitted_item& each : opened->omitted) {
      if (each.name == given.operands[1]) return out.fail(path, each.reason);
    }
    return out.fail(path, found.error());
  }
  // Damage is an error before anything is written.
  if (const stet::result<void> checked = stet::check_tensor(*opened, *found); !checked)
    return out.fail(path, checked.error());
  if (given.has("--dequantize")) {
    if (wanted != nullptr) return out.misuse("--as and --dequantize are two ways to convert");
    const stet::result<stet::model_description> described = describe_model(*opened);
    if (!described) return out.fail(path, described.error());
    if (const stet::json_value* const said = quantization_of(*described, found->name())) {
      const stet::result<stet::quantization> how = stet::read_quantization(*said, *found, opened->store);
      if (!how) return out.fail(path, how.error());
      const stet::result<void> written = write_dequantized(*found, *how, out);
      return written ? status::done : out.fail(path, written.error().about(found->name()));
    }
    if (found->dtype() == stet::dtype::block) {
      const stet::result<void> written = write_dequantized(*found, out);
      return written ? status::done : out.fail(path, written.error());
    }
  }

  const bool is_normal = found->layout().bits == stet::describe(found->dtype()).bits;
  const bool is_converted = wanted != nullptr && !(wanted->dtype == found->dtype() && is_normal);
  const stet::result<void> written = is_converted ? write_converted(*found, wanted->dtype, out)
                                     : found->dtype() == stet::dtype::string ? write_strings(*found, out)
                                                                             : write_stored(*found, out);
  if (!written) return out.fail(path, written.error().about(found->name()));
  return status::done;
}

} // namespace command
