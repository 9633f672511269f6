// SPDX-License-Identifier: MIT
// npy and npz files as formats.
#ifndef STET_FORMATS_NUMPY_FORMAT_HPP
#define STET_FORMATS_NUMPY_FORMAT_HPP

#include "describe.hpp"
#include "npz.hpp"
#include "open.hpp"
#include "save.hpp"

#include "../format.hpp"

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE {

namespace detail {

inline bool is_npy(format_probe& probe) noexcept { return probe.starts_with(npy_magic); }

/// `format::open` of npy_format. Arrays that the store cannot give are omitted.
inline result<model> open_npy_model(format_probe& probe) {
  result<source> file = probe.take();
  if (!file) return file.error();
  error left_out(errc{});
  result<store> opened =
      npy_store_maker({}, probe.options().memory).run(std::move(*file), file_name_in(probe.path()), &left_out);
  if (!opened) return opened.error().subject().empty() ? opened.error().about(probe.path()) : opened.error();
  model made{std::move(*opened), nullptr, 1, probe.options()};
  if (left_out.code() != errc{}) made.omitted.push_back({std::to_string(made.store.tensor_count()), left_out});
  return made;
}

/// An archive without members, or one with an array: its first member, or any.
inline bool is_npz(format_probe& probe) {
  if (is_empty_zip(probe.start(), probe.size_bytes())) return true;
  if (!is_zip(probe.start())) return false;
  byte_cursor header(probe.start());
  header.skip(26);
  const std::uint16_t name_size = header.take_u16(), extra_size = header.take_u16();
  const std::string_view first = header.take_text(name_size);
  header.skip(extra_size);
  if (header.is_good() && (first.ends_with(npy_ending) || header.take_mark(npy_magic))) return true;
  const auto all = probe.bytes();
  if (!all) return false;
  const result<std::vector<zip_member>> arrays = npz_arrays(*all);
  return arrays && !arrays->empty();
}

/// `format::open` of npz_format.
inline result<model> open_npz_model(format_probe& probe) {
  const std::vector<zip_member>* members = nullptr;
  if (probe.is_on_demand() && is_zip(probe.start())) {
    // What is wrong with an archive, or names that occur twice, is for the reader of all bytes.
    if (const auto& read = probe.zip(); read && probe.is_on_demand()) members = &*read;
  }
  result<source> file = members != nullptr ? probe.take() : probe.take_bytes();
  if (!file) return file.error();
  result<model> opened = open_npz_source(std::move(*file), probe.path(), probe.options(), {}, members);
  if (!opened && opened.error().subject().empty()) return opened.error().about(probe.path());
  return opened;
}

template <result<numpy_save_report> (*Save)(std::string_view, const writer&, const numpy_save_options&)>
result<saved_files> save_for_numpy(std::string_view path_utf8, const writer& from, const save_any_options& options) {
  numpy_save_options how;
  how.is_durable = options.is_durable;
  how.operations = options.operations;
  how.deflate = options.deflate;
  const result<numpy_save_report> saved = Save(path_utf8, from, how);
  if (!saved) return saved.error();
  return saved_files{saved->file_size_bytes, 1, 0};
}

} // namespace detail

/// An npy file. `open_npy` (open.hpp) opens it without the JSON library, and says what is taken; `save_npy` (save.hpp) saves one.
/// Arrays of Python objects and of unknown types are omitted, with what follows them.
inline constexpr format npy_format{"npy",
                                   "NumPy arrays: .npy",
                                   detail::is_npy,
                                   detail::open_npy_model,
                                   detail::describe_npy,
                                   "npy",
                                   ".npy",
                                   detail::save_for_numpy<save_npy>,
                                   save_choice::none,
                                   weight_replacement::in_place};

/// An npz archive. `open_npz` (npz.hpp) opens it without the JSON library, and says what is taken; `save_npz` (save.hpp) saves
/// one.
inline constexpr format npz_format{"npz",
                                   "NumPy archives: .npz, stored or deflated",
                                   detail::is_npz,
                                   detail::open_npz_model,
                                   detail::describe_npz,
                                   "npz",
                                   ".npz",
                                   detail::save_for_numpy<save_npz>,
                                   save_choice::deflate,
                                   weight_replacement::in_place};

} // namespace stet::inline STET_NAMESPACE

#endif
