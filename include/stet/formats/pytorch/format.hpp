// SPDX-License-Identifier: MIT
// Files of PyTorch as a format.
#ifndef STET_FORMATS_PYTORCH_FORMAT_HPP
#define STET_FORMATS_PYTORCH_FORMAT_HPP

#include "describe.hpp"
#include "open.hpp"
#include "save.hpp"

#include "../format.hpp"

#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// An archive that has the pickle of torch.save or the weights of torch.export in its first folder; or the beginning of a file of
/// before 1.6. An archive that is damaged counts, too, if its first member is the pickle, or the program of torch.export: opening it says
/// what is wrong.
inline bool is_pytorch(format_probe& probe) {
  if (probe.failure()) return false;
  if (!is_zip(probe.start())) return is_legacy_pytorch(probe.start()) || is_tar_pytorch(probe.start());
  const auto& members = probe.zip();
  if (members) {
    return find_in_root(*members, pytorch_pickle_member) != nullptr || !find_exported(*members).empty();
  }
  constexpr std::size_t name_at = 30; // in the header of a member (wire/zip.hpp)
  byte_cursor header(probe.start());
  header.skip(name_at - 4);
  const std::uint16_t size = header.take_u16();
  header.skip(2);
  const std::string_view first = header.take_text(size);
  return first.ends_with("/data.pkl") || first == pytorch_program_member;
}

/// `format::open` of pytorch_format.
inline result<model> open_pytorch_model(format_probe& probe) {
  std::optional<std::vector<zip_member>> members;
  if (is_zip(probe.start())) {
    const auto& read = probe.zip();
    if (!read) return read.error().subject().empty() ? read.error().about(probe.path()) : read.error();
    members = *read;
  }
  const bool is_on_demand = members && probe.is_on_demand() && find_in_root(*members, pytorch_pickle_member) != nullptr;
  result<source> file = is_on_demand ? probe.take() : probe.take_bytes();
  if (!file) return file.error();
  result<model> opened = open_pytorch_source(std::move(*file), probe.path(), probe.options(), std::move(members));
  if (!opened && opened.error().subject().empty()) return opened.error().about(probe.path());
  return opened;
}

/// `format::save` of pytorch_format.
inline result<saved_files> save_as_pytorch(std::string_view path_utf8, const writer& from,
                                           const save_any_options& options) {
  pytorch_save_options how;
  how.is_durable = options.is_durable;
  how.operations = options.operations;
  const result<pytorch_save_report> saved = save_pytorch(path_utf8, from, how);
  if (!saved) return saved.error();
  return saved_files{saved->file_size_bytes, 1, 0};
}

} // namespace detail

/// A file of PyTorch: what `torch.save`, `torch.jit.save` or `torch.export.save` wrote. `open_pytorch` (open.hpp) opens it without
/// the JSON library, and says what is taken.
inline constexpr format pytorch_format{"pytorch",
                                       "files of PyTorch: torch.save, TorchScript, torch.export",
                                       detail::is_pytorch,
                                       detail::open_pytorch_model,
                                       detail::describe_pytorch,
                                       "pytorch",
                                       ".pt",
                                       detail::save_as_pytorch,
                                       save_choice::none,
                                       weight_replacement::in_place};

} // namespace stet::inline STET_NAMESPACE

#endif
