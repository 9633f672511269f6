// SPDX-License-Identifier: MIT
// Opens what the command is asked about. The one file of the program that is compiled with every format.
#include "model.hpp"

#if STET_HAS_ZLIB
#include <zlib.h>

#include <stet/ext/zlib.hpp>
#endif

#include <stet/formats/any.hpp>

namespace command {

stet::result<stet::model> open_model(std::string_view path) {
  stet::open_options options;
#if STET_HAS_ZLIB
  options.inflate = stet::inflate_with_zlib;
#endif
  return stet::open_any(path, options);
}

stet::result<stet::model_description> describe_model(std::string_view path, const stet::model& of) {
  return stet::describe_any(path, of);
}

bool is_native(const stet::model& of) { return of.format == &stet::native_format; }

std::uint64_t file_size_bytes(const stet::model& of) {
  const stet::store& store = of.store;
  std::uint64_t size_bytes = store.data().size_bytes();
  for (std::uint32_t part = 0; part < store.index().part_count() && part < of.file_count; ++part) {
    if (store.part(part).data() != nullptr) // a file that is missing has none
      size_bytes += store.part(part).size_bytes();
  }
  return size_bytes;
}

bool is_in_place(const stet::model& in, const stet::tensor& of) {
  return in.is_in_file(of) && of.bytes().data() != nullptr &&
         !(of.entry().is_big_endian() && stet::describe(of.dtype()).word_size_bytes > 1);
}

bool is_second_name(const stet::model& in, const stet::tensor& of) {
  // A path that leads to a dataset of HDF5 by a hard link is the file's own; only paths begin so.
  return !is_native(in) && !of.name().starts_with('/') &&
         static_cast<bool>(in.store.index().original_of(of.entry()));
}

std::uint64_t tensor_count(const stet::model& of) {
  std::uint64_t count = 0;
  for (const stet::tensor each : of.store)
    count += !is_second_name(of, each);
  return count;
}

std::string_view file_name_of(std::string_view path) {
  return stet::detail::file_name_in(path);
}

std::string_view dtype_name_of(const stet::tensor& of) {
  return of.dtype() == stet::dtype::block ? of.layout().block.name : stet::name_of(of.dtype());
}

std::string shape_text_of(const stet::tensor& of) {
  std::string text(2 + of.shape().rank() * 22, '\0'); // 20 digits and a separator for each extent
  stet::text_writer out(text.data(), text.size());
  of.shape().print(out);
  text.resize(out.text().size());
  return text;
}

} // namespace command
