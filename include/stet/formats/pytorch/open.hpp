// SPDX-License-Identifier: MIT
// Opens the files of PyTorch: storages in place, the pickle as data. Needs the standard library only.
#ifndef STET_FORMATS_PYTORCH_OPEN_HPP
#define STET_FORMATS_PYTORCH_OPEN_HPP

#include "detail/export.hpp"
#include "detail/importer.hpp"

#include "../common/finish_model.hpp"
#include "../common/store_builder.hpp"
#include "../common/thin_archive.hpp"
#include "../model.hpp"

#include "../../source/detail/path.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// Adds all tensors of a file. Errors: as `open_pytorch` documents them.
/// @param notes  gets a note for each tensor; nullptr: none are wanted
inline result<void> add_pytorch_tensors(store_builder& into, pytorch_content& from, const open_options& options,
                                        pytorch_notes* notes = nullptr) {
  return from.is_export() ? pytorch_export_reader(into, from, options, notes).run()
                          : pytorch_importer(into, from, options, notes).run();
}

/// The members of an archive on demand that are needed to open it: all but the stored bytes of storages.
/// Errors: those of read_some_members.
inline result<source> read_pytorch_members(const byte_reader& file, std::vector<zip_member>& members,
                                           memory_resource* memory) {
  const std::string_view root = root_of(members);
  const auto is_wanted = [root](const zip_member& each) {
    constexpr std::string_view data = "data/";
    const bool is_storage = each.name.size() > root.size() + data.size() && each.name.starts_with(root) &&
                            each.name.substr(root.size()).starts_with(data);
    return !is_storage || each.method != zip_member::is_stored;
  };
  return read_some_members(file, members, is_wanted, memory);
}

/// Opens the file that `file` holds: in memory; or on demand, an archive of torch.save with its members.
/// @param members  those of an archive, which were read
inline result<model> open_pytorch_source(source&& file, std::string_view path, const open_options& options,
                                         std::optional<std::vector<zip_member>> members = std::nullopt) {
  store_builder builder(options.memory);
  source some;
  if (file.data() == nullptr) {
    result<source> read = read_pytorch_members(*file.fetcher(), *members, options.memory);
    if (!read) return read.error();
    some = std::move(*read);
  }
  const std::span<const std::byte> bytes = bytes_in(file.data() == nullptr ? some : file);
  const std::uint32_t part = builder.add_file(file_name_in(path), std::move(file));
  pytorch_content content(options.memory);
  if (auto read = pytorch_content_reader(content, bytes, part, 0, options, std::move(members)).run(); !read)
    return read.error();
  if (auto added = add_pytorch_tensors(builder, content, options); !added) return added.error();
  return finish_model(builder, options);
}

} // namespace detail

/// Opens the file of PyTorch at `path_utf8`: `.pt`, `.pth`, `.bin` or `.ckpt` of `torch.save`, the archive of `torch.jit.save`, or
/// the `.pt2` of `torch.export.save`. The pickle is read as data (wire/pickle.hpp): nothing that it names is looked up or called.
///
/// Tensors are those in dicts, lists, tuples, and objects that are dicts or lists, within each other, by their keys and positions
/// joined with dots: "model.layers.0.weight", "optimizer.state.0.exp_avg". A tensor that is the whole object is "<root>". A module
/// that was saved as a whole gives the names of its `state_dict()`; its class need not exist. Of TorchScript these are the parameters
/// and buffers of modules, of torch.export the weights, also those in files of torch.save within the archive; of an archive with several
/// models they begin with the model: "encoder.layers.0.weight". Views of a storage that are the same are aliases of the first: tied
/// weights.
///
/// A contiguous tensor is in place. `copy_to` gives the elements of others, row-major: transposed, expanded and channels-last views;
/// `get` says errc::not_resident. `describe` tells their strides. Of a view that is conjugated or negated lazily the tensor has the
/// stored elements, and `describe` says so. Elements of a file with big-endian ones are swapped by `copy_to`. Types without a dtype
/// are blocks by the name of torch: "complex32", "float4_e2m1fn_x2", "bits8", ….
///
/// A storage that is missing, or longer or shorter than the pickle says, costs its tensors only: they are listed, and reading them is
/// errc::missing_part or errc::bad_size; one that leaves its storage is errc::bad_offset, and one that repeats its elements more than
/// 1,024 times to more than 64 MiB errc::too_large. Deflated storages are decompressed, with `open_options::inflate`, and compared
/// with their checksums; without one, reading them is errc::compressed. Checksums of others are `model::checks`.
///
/// `model::omitted` has, by name,
///   errc::unsupported  quantized, sparse, nested and meta tensors, with their function; storages without a tensor; and objects of
///                      classes that have tensors of their own, with the class
///   errc::bad_name     a key that cannot be a name: NUL, no UTF-8
///   errc::missing_part, duplicate_part  a pickled weight of torch.export whose file is missing, or that of another weight
/// Everything else in the file is `model_description::state`.
///
/// Opening fails with the errors of `stet::open` for paths and options, those of read_zip (wire/zip.hpp), those of the pickle
/// (wire/pickle.hpp), and
/// @retval errc::unknown_format  a zip archive without data.pkl and without weights of torch.export, or a pickle that torch.save did not
///                               write
/// @retval errc::bad_json, wrong_type  the list of weights of torch.export is damaged
/// @retval errc::malformed       a tensor's arguments are not those of its function; or the pickle names a function that runs code or
///                               reads files, such as os.system, the subject
/// @retval errc::newer_format    another protocol than 1001 in a file of before 1.6
/// @retval errc::unknown_dtype   the class of a storage, or a dtype, the subject, is not known
/// @retval errc::bad_shape       an extent or stride of a tensor is negative, there is not one of each, or the size overflows
/// @retval errc::bad_path        the key of a storage is no word
/// @retval errc::too_deep        containers are within each other more than 200 times
/// @retval errc::too_large       the names of all tensors are much longer than the pickle; or it has 4 GiB
/// @retval errc::truncated, bad_size, bad_offset  in files of before 1.6: the file ends within a storage, its count is not that of the
///                               pickle, or a view of it leaves it
/// @retval errc::duplicate_name  two tensors have the same name
/// @retval errc::compressed      the pickle is deflated, and there is no `inflate`
/// Cost: two passes over the values of the pickle; memory for them of a few times its size. Reads no storage. Streamed, the whole
/// file is read; `open_any` reads an archive's directory and headers, its pickle, and the storages of views that are not contiguous, if
/// its members have 256 KiB or more on average. Source: github.com/pytorch/pytorch, torch/serialization.py, torch/_utils.py.
[[nodiscard]] inline result<model> open_pytorch(std::string_view path_utf8, const open_options& options = {}) {
  if (auto possible = detail::check_writing(options); !possible) return possible.error().about(path_utf8);
  result<detail::resident_file> file = detail::open_resident_file(path_utf8, options);
  if (!file) return file.error();
  std::optional<std::vector<detail::zip_member>> members;
  if (const auto bytes = detail::bytes_in(file->bytes); detail::is_zip(bytes)) {
    auto read = detail::read_zip(bytes, detail::zip_repeats::refused, file->reader());
    if (!read) return read.error().subject().empty() ? read.error().about(path_utf8) : read.error();
    members = std::move(*read);
  }
  result<model> made = detail::open_pytorch_source(std::move(file->bytes), path_utf8, options, std::move(members));
  if (!made && made.error().subject().empty()) return made.error().about(path_utf8);
  if (made) made->path = path_utf8;
  return made;
}
/// The same for a string literal.
[[nodiscard]] inline result<model> open_pytorch(const char* path_utf8, const open_options& options = {}) {
  return open_pytorch(std::string_view(path_utf8), options);
}
/// Opens a file in memory, which must outlive the model. Errors and cost: those of above, for its content.
[[nodiscard]] inline result<model> open_pytorch(std::span<const std::byte> bytes, const open_options& options = {}) {
  return detail::open_pytorch_source(source::borrow(bytes), "pytorch", options);
}

} // namespace stet::inline STET_NAMESPACE

#endif
