// SPDX-License-Identifier: MIT
// Opens what the command is asked about.
#include "model.hpp"

#include <stet/manifest.hpp>

namespace command {

namespace {

/// Whether the file at `path` could be meant as JSON: an object, by its first character.
bool begins_like_json(std::string_view path) {
  const stet::result<stet::source> file = stet::source::stream(path);
  std::byte start[64] = {};
  if (!file)
    return false;
  const std::size_t size =
      file->size_bytes() < sizeof start ? static_cast<std::size_t>(file->size_bytes()) : sizeof start;
  if (!file->read_at(0, std::span(start, size)))
    return false;
  const std::string_view text(reinterpret_cast<const char*>(start), size);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{';
}

} // namespace

std::uint32_t model::file_count() const noexcept { return 1 + store.index().part_count(); }

std::uint64_t model::file_size_bytes() const noexcept {
  std::uint64_t size_bytes = store.data().size_bytes();
  for (std::uint32_t part = 0; part < store.index().part_count(); ++part)
    size_bytes += store.part(part).size_bytes();
  return size_bytes;
}

stet::result<model> open_model(std::string_view path) {
  stet::result<stet::store> opened = stet::open_manifest(path);
  if (opened)
    return model{std::move(*opened), "stet"};
  // Of a file that is something else altogether, "not JSON" would say little.
  if (opened.error().code() == stet::errc::bad_json && !begins_like_json(path))
    return stet::error(stet::errc::bad_magic, path, 0);
  return opened.error();
}

std::string_view file_name_of(std::string_view path) {
#if defined(_WIN32)
  const std::size_t slash = path.find_last_of("/\\");
#else
  const std::size_t slash = path.rfind('/');
#endif
  return path.substr(slash == std::string_view::npos ? 0 : slash + 1);
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
