// SPDX-License-Identifier: MIT
// The names, dtypes and bytes of tensors that are saved for TensorFlow.js.
#ifndef STET_FORMATS_TFJS_DETAIL_WEIGHTS_HPP
#define STET_FORMATS_TFJS_DETAIL_WEIGHTS_HPP

#include "../../common/json_members.hpp"
#include "../../common/write_elements.hpp"
#include "../../common/writer_model.hpp"

#include "../../../manifest/quantization.hpp"
#include "../../../store/copy_elements.hpp"
#include "../../../writer/tensors.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// How the bytes of a weight are made of its tensor.
enum class tfjs_conversion : std::uint8_t { none, strings, convert, dequantize };

/// One weight to be saved: what model.json says of it, and its bytes.
struct saved_weight {
  tensor from;
  json_value specification;
  std::uint64_t size_bytes = 0;
  tfjs_conversion conversion = tfjs_conversion::none;
  stet::dtype written = dtype::float32;
  std::optional<quantization> how;

  result<void> write(piece_sink& sink) const {
    switch (conversion) {
    case tfjs_conversion::none:
      return write_checked(from, sink);
    case tfjs_conversion::strings:
      return write_strings(sink);
    default:
      break;
    }
    result<void> outcome = errc::not_convertible;
    const auto as = [&]<class T>(std::type_identity<T>) {
      if (written != dtype_of<T>::value) return;
      outcome = write_windows<T>(from, sink, [&](std::span<T> numbers, std::uint64_t first) {
        if constexpr (!std::is_same_v<T, complex64>) {
          if (how) return dequantize(from, *how, numbers, first);
        }
        return copy_elements(from, written, std::as_writable_bytes(numbers), first);
      });
    };
    as(std::type_identity<float>());
    as(std::type_identity<std::int32_t>());
    as(std::type_identity<complex64>());
    return outcome;
  }

private:
  result<void> write_strings(piece_sink& sink) const {
    std::vector<std::byte> memory;
    const result<string_span> strings = strings_of(from, memory);
    if (!strings) return strings.error();
    for (std::size_t number = 0; number < strings->size(); ++number) {
      const std::string_view each = (*strings)[number];
      std::byte size[4];
      store_little(size, static_cast<std::uint32_t>(each.size()));
      if (auto done = sink.write(size); !done) return done;
      if (auto done = sink.write(std::as_bytes(std::span(each))); !done) return done;
    }
    return {};
  }
};

/// The bytes that a string tensor takes in a file of weights.
/// @retval errc::too_large  a string is longer than its size can say
inline result<std::uint64_t> size_of_tfjs_strings(const tensor& of) {
  std::vector<std::byte> memory;
  const result<string_span> strings = strings_of(of, memory);
  if (!strings) return strings.error();
  std::uint64_t size_bytes = 0;
  for (std::size_t number = 0; number < strings->size(); ++number) {
    const std::uint64_t size = (*strings)[number].size();
    if (size > 0xFFFFFFFFu) return error(errc::too_large, of.name());
    size_bytes += 4 + size;
  }
  return size_bytes;
}

/// Whether every integer of a tensor fits int32.
/// @retval errc::bad_value  one does not; or an error of reading
inline result<void> check_fits_int32(const tensor& of) {
  const bool is_signed = describe(of.dtype()).kind == dtype_kind::signed_integer;
  std::int64_t numbers[512];
  for (std::uint64_t first = 0; first < of.element_count(); first += std::size(numbers)) {
    const auto some = std::span(numbers).first(
        static_cast<std::size_t>((std::min<std::uint64_t>)(std::size(numbers), of.element_count() - first)));
    // Larger ones become the largest int64.
    if (auto copied = copy_elements(of, dtype::int64, std::as_writable_bytes(some), first); !copied) return copied;
    for (const std::int64_t each : some) {
      if (each > INT32_MAX || (is_signed && each < INT32_MIN)) return error(errc::bad_value, of.name());
    }
  }
  return {};
}

/// Decides what becomes of a tensor.
/// @param said  its quantization; nullptr: none
inline result<saved_weight> plan_tfjs_weight(const tensor& from, const json_value* said, const store& where,
                                             bool allow_rounding) {
  saved_weight made;
  made.from = from;
  made.written = from.dtype();
  const dtype_description& row = describe(from.dtype());
  json_value codes; // the quantization as model.json has it
  const error refused(errc::not_convertible, from.name());
  if (said != nullptr) {
    result<quantization> how = read_quantization(*said, from, where);
    if (!how) return how.error();
    const bool is_plain = how->scales.size() == 1 && how->zero_points.empty();
    const bool is_code = from.dtype() == dtype::uint8 || from.dtype() == dtype::uint16;
    const bool is_half = from.dtype() == dtype::float16 && how->scales[0] == 1 && how->min == 0;
    made.written = how->dtype == dtype::int32 ? dtype::int32 : dtype::float32;
    if (is_plain && is_code) {
      codes = json_value{{"dtype", row.name}, {"scale", how->scales[0]}, {"min", how->min}};
    } else if (!(is_plain && is_half && made.written == dtype::float32)) {
      made.conversion = tfjs_conversion::dequantize;
      made.how = std::move(*how);
    }
  }
  if (from.dtype() == dtype::float16 && made.conversion == tfjs_conversion::none)
    codes = json_value{{"dtype", row.name}};
  if (!codes.is_null()) {
    if (from.dtype() == dtype::float16) made.written = dtype::float32;
    append_member(codes, "original_dtype", name_of(made.written));
  } else if (made.conversion == tfjs_conversion::none) {
    const dtype* const end = tfjs_dtypes + tfjs_own_dtype_count;
    const bool is_own = std::find(tfjs_dtypes, end, from.dtype()) != end;
    if (from.dtype() == dtype::string) {
      made.conversion = tfjs_conversion::strings;
    } else if (!is_own || from.layout().bits != row.bits) {
      made.conversion = tfjs_conversion::convert;
      const bool is_integer = row.kind == dtype_kind::signed_integer || row.kind == dtype_kind::unsigned_integer;
      if (row.kind == dtype_kind::block) return refused;
      made.written = is_integer ? dtype::int32 : row.kind == dtype_kind::complex ? dtype::complex64 : dtype::float32;
      const bool is_rounded = !is_integer && (from.dtype() == dtype::float64 || from.dtype() == dtype::complex128);
      if (is_rounded && !allow_rounding) return refused;
      if (is_integer && row.bits >= 32) {
        if (auto fits = check_fits_int32(from); !fits) return fits.error();
      }
    }
  }
  if (made.conversion == tfjs_conversion::strings) {
    const result<std::uint64_t> size_bytes = size_of_tfjs_strings(from);
    if (!size_bytes) return size_bytes.error();
    made.size_bytes = *size_bytes;
  } else if (made.conversion == tfjs_conversion::none) {
    made.size_bytes = from.size_bytes();
  } else {
    made.size_bytes = from.element_count() * (describe(made.written).bits / 8u);
  }
  json_value::array_t shape;
  for (const std::uint64_t extent : from.shape()) shape.push_back(extent);
  append_member(made.specification, "name", std::string(from.name()));
  append_member(made.specification, "shape", std::move(shape));
  append_member(made.specification, "dtype", name_of(made.written));
  append_if_any(made.specification, "quantization", std::move(codes));
  return made;
}

/// The names that the weights of a model are to have, by those of the tensors: what the nodes that use them
/// ask for.
/// @retval errc::too_large  the names alone are more than a reader accepts as model.json; the subject is a node
inline result<std::multimap<std::string_view, std::string>> tfjs_names(const model_description& described,
                                                                       std::string_view kind) {
  std::multimap<std::string_view, std::string> names;
  std::uint64_t size_bytes = 0;
  const auto add = [&](const graph_body& body) -> result<void> {
    for (const graph_node& node : body.nodes) {
      for (const graph_variable& variable : node.variables) {
        // A long name of a node comes again for each of its weights.
        if ((size_bytes += node.name.size() + variable.role.size()) > manifest_limits().size_bytes)
          return error(errc::too_large, node.name);
        std::string name = kind == "graph-model" ? node.name : node.name + "/" + variable.role;
        // A second call of a layer has the weights of the first.
        const auto [first, last] = names.equal_range(variable.tensor);
        const bool is_there = std::any_of(first, last, [&](const auto& each) { return each.second == name; });
        if (!is_there && (kind == "graph-model" || first == last)) names.emplace(variable.tensor, std::move(name));
      }
    }
    return {};
  };
  if (kind.empty()) return names;
  for (const graph& each : described.graphs) {
    auto added = add(each);
    for (std::size_t i = 0; added && i < each.functions.size(); ++i) added = add(each.functions[i]);
    if (!added) return added.error();
    if (kind == "layers-model") break;
  }
  return names;
}

/// The weights of a model, in the order of its store.
inline result<std::vector<saved_weight>> plan_tfjs_weights(const writer_model& from, std::string_view kind,
                                                           bool allow_rounding) {
  const model_description& described = from.described;
  const result<std::multimap<std::string_view, std::string>> found_names = tfjs_names(described, kind);
  if (!found_names) return found_names.error();
  const std::multimap<std::string_view, std::string>& names = *found_names;
  std::map<std::string_view, const json_value*> attributes;
  for (const tensor_note& note : described.tensors) attributes.emplace(note.name, &note.attributes);
  std::vector<saved_weight> made;
  for (const tensor each : from.store) {
    if (from.is_second_name(each)) continue;
    const auto noted = attributes.find(each.name());
    const json_value* const said = noted == attributes.end() ? nullptr : find_member(*noted->second, "quantization");
    result<saved_weight> weight = plan_tfjs_weight(each, said, from.store, allow_rounding);
    if (!weight) return weight.error();
    const auto [first, last] = names.equal_range(each.name());
    if (first == last) {
      if (kind == "layers-model") append_member(weight->specification, "group", "optimizer");
      made.push_back(std::move(*weight));
    }
    for (auto name = first; name != last; ++name) {
      saved_weight named = *weight;
      *find_member(named.specification, "name") = name->second;
      made.push_back(std::move(named));
    }
  }
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
