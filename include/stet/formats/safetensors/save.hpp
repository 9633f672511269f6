// SPDX-License-Identifier: MIT
// Saves safetensors files: one, or shards with their index.
#ifndef STET_FORMATS_SAFETENSORS_SAVE_HPP
#define STET_FORMATS_SAFETENSORS_SAVE_HPP

#include "detail/folder.hpp"
#include "detail/index_text.hpp"
#include "detail/save_plan.hpp"
#include "open.hpp"

#include "../../source/detail/path.hpp"
#include "../../writer/atomic_file.hpp"
#include "../../writer/output.hpp"
#include "../../writer/writer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// The options of `save_safetensors`.
struct safetensors_save_options {
  /// The largest size of the tensors of a file. A model that is larger is saved in shards, with an index; a larger tensor has a
  /// shard of its own. huggingface_hub uses 5,000,000,000.
  std::uint64_t max_shard_size_bytes = ~std::uint64_t{0};
  /// Saves a tensor with several names (tied weights) under its first name, and notes each other name in the metadata as
  /// safetensors.torch.save_model does: {"DROPPED": "SAVED"}. Otherwise such a tensor is an error.
  bool notes_dropped_names = false;
  /// Wait until the files and their names are on the disk.
  bool is_durable = true;
  /// The system calls to save with; nullptr: the operating system's.
  const file_operations* operations = nullptr;
};

/// The files that `save_safetensors` saved.
struct safetensors_save_report {
  /// All files together.
  std::uint64_t file_size_bytes = 0;
  /// The number of files with tensors.
  std::uint32_t shard_count = 0;
  /// True if there is an index beside them.
  bool has_index = false;
  /// The number of names that are only noted in the metadata.
  std::uint64_t dropped_count = 0;
};

namespace detail {

/// The size of shards where none is chosen: that of huggingface_hub.
inline constexpr std::uint64_t default_safetensors_shard_size_bytes = 5'000'000'000;
/// The end of the name of an index, and of a file.
inline constexpr std::string_view safetensors_index_ending = ".safetensors.index.json",
                                  safetensors_ending = ".safetensors";

/// One save. The plan was made.
class safetensors_save {
public:
  safetensors_save(std::string_view path, const writer::contents& from, const safetensors_plan& plan,
                   const safetensors_save_options& options)
      : folder_(folder_in(path)), name_(file_name_in(path)), from_(from), plan_(plan), options_(options),
        system_(options.operations == nullptr ? system_file_operations() : *options.operations) {
    for (const std::string_view ending : {safetensors_index_ending, safetensors_ending}) {
      if (!name_.ends_with(ending) || !stem_.empty()) continue;
      stem_ = name_.substr(0, name_.size() - ending.size());
      is_index_ = ending == safetensors_index_ending;
    }
    if (stem_.empty()) stem_ = name_;
  }

  result<safetensors_save_report> run() {
    const std::vector<saved_safetensors_file>& files = plan_.files();
    safetensors_save_report made{0, static_cast<std::uint32_t>(files.size()), is_index_ || files.size() > 1,
                                 plan_.dropped_count()};
    for (const saved_safetensors_file& each : files) made.file_size_bytes += each.size_bytes();
    const auto saved = made.has_index ? save_shards(made) : save_one(files.front());
    return saved ? result<safetensors_save_report>(made) : saved.error();
  }

private:
  result<void> save_one(const saved_safetensors_file& file) {
    result<atomic_file> to = write_file(file, name_, 0, false);
    if (!to) return to.error();
    return publish_together({}, *to, options_.is_durable, [](std::size_t) { return false; });
  }

  result<void> save_shards(safetensors_save_report& report) {
    const std::vector<saved_safetensors_file>& files = plan_.files();
    const std::string index_name = std::string(stem_).append(safetensors_index_ending);
    const std::vector<std::string> before = listed_shards(index_name);
    const result<std::vector<std::string>> free_names = free_shard_names(files.size());
    if (!free_names) return free_names.error();
    const std::vector<std::string>& names = *free_names;
    std::vector<atomic_file> shards;
    for (std::uint32_t number = 0; number < files.size(); ++number) {
      result<atomic_file> written = write_file(files[number], names[number], number, true);
      if (!written) return written.error();
      shards.push_back(std::move(*written));
    }
    const std::string text = index_text(names);
    report.file_size_bytes += text.size();
    result<atomic_file> index = atomic_file::create(system_, folder_, index_name, text.size());
    if (!index) return index.error();
    if (auto written = index->write_at(0, std::as_bytes(std::span(text.data(), text.size()))); !written) return written;
    if (auto finished = index->finish(options_.is_durable); !finished) return finished;
    const auto is_taken = [](std::size_t) { return false; };
    if (auto published = publish_together(shards, *index, options_.is_durable, is_taken); !published) return published;
    for (const std::string& old : before) {
      if (std::find(names.begin(), names.end(), old) == names.end())
        (void)system_.remove(system_.context, folder_ + old);
    }
    return {};
  }

  /// The names of the shards: of the first of the stems MODEL, MODEL-2, MODEL-3 … for which no file has one of the names. The
  /// shards of the model that is replaced stay whole until the new index has its name.
  /// @retval errc::file_exists  a thousand stems are taken
  [[nodiscard]] result<std::vector<std::string>> free_shard_names(std::size_t count) const {
    constexpr int most_stems = 1000;
    std::vector<std::string> names(count);
    for (int variant = 1; variant <= most_stems; ++variant) {
      bool are_free = true;
      for (std::size_t number = 0; number < count && are_free; ++number) {
        char digits[64];
        std::snprintf(digits, sizeof digits, "-%05u-of-%05u", static_cast<unsigned>(number + 1),
                      static_cast<unsigned>(count));
        names[number] = stem_;
        if (variant > 1) names[number].append("-").append(std::to_string(variant));
        names[number].append(digits).append(safetensors_ending);
        const result<file> there = file::open(folder_ + names[number], open_for::read, links::no_follow);
        are_free = !there && there.error().code() == errc::file_not_found;
      }
      if (are_free) return names;
    }
    return error(errc::file_exists, names.front());
  }

  /// The shards that the index which is replaced lists, by names that a save to this path gives them.
  [[nodiscard]] std::vector<std::string> listed_shards(std::string_view index_name) const {
    std::vector<std::string> names;
    const result<source> index = source::read(folder_ + std::string(index_name));
    safetensors_weight_map map(nullptr);
    if (!index || !read_safetensors_map(*index, map, nullptr)) return names;
    for (std::uint32_t number = 0; number < map.index().part_count(); ++number) {
      const std::string_view name = map.index().part(number).path;
      if (const auto parsed = safetensors_shard_name::parse(name); parsed && is_own_stem(parsed->stem))
        names.emplace_back(name);
    }
    return names;
  }

  /// True for the stems of `free_shard_names`.
  [[nodiscard]] bool is_own_stem(std::string_view stem) const noexcept {
    if (!stem.starts_with(stem_)) return false;
    stem.remove_prefix(stem_.size());
    return stem.empty() || (stem.size() > 1 && stem.front() == '-' &&
                            stem.find_first_not_of("0123456789", 1) == std::string_view::npos);
  }

  [[nodiscard]] std::string index_text(const std::vector<std::string>& names) const {
    std::vector<std::pair<std::string_view, std::string_view>> tensors;
    for (std::size_t file = 0; file < names.size(); ++file) {
      for (const saved_safetensor& each : plan_.files()[file].tensors)
        tensors.emplace_back(plan_.row(each.number).name, names[file]);
    }
    return safetensors_index_text(std::move(tensors), plan_.total_size_bytes());
  }

  result<atomic_file> write_file(const saved_safetensors_file& file, std::string_view name, std::uint32_t number,
                                 bool is_part) {
    result<atomic_file> to = atomic_file::create(system_, folder_, name, file.size_bytes(), number);
    if (!to) return to;
    if (auto written = write_tensors(file, *to); !written) return written.error();
    if (auto finished = to->finish(options_.is_durable, is_part); !finished) return finished.error();
    return to;
  }

  result<void> write_tensors(const saved_safetensors_file& file, byte_writer& to) {
    tensor_output out(to, buffer_, tensor_checksums::none);
    const auto head = std::as_bytes(std::span(file.head.data(), file.head.size()));
    if (auto begun = out.begin(0, head.size()); !begun) return begun;
    if (auto written = out.write(head); !written) return written;
    for (const saved_safetensor& each : file.tensors) {
      const index_row& row = plan_.row(each.number);
      if (auto begun = out.begin(head.size() + each.begin_bytes, row.size_bytes); !begun) return begun;
      const tensor_list::origin& from = from_.tensors.from(each.number);
      const result<void> given = from.source == 0 ? out.write(from.bytes) : from_.sources[from.source - 1](out);
      const result<void> written = given ? out.end() : given;
      if (!written) return written.error().subject().empty() ? written.error().about(row.name) : written;
    }
    return out.flush();
  }

  std::string folder_;
  std::string_view name_, stem_;
  const writer::contents& from_;
  const safetensors_plan& plan_;
  const safetensors_save_options& options_;
  const file_operations& system_;
  output_buffer buffer_;
  bool is_index_ = false;
};

} // namespace detail

/// Saves what was added to `from` as the safetensors file `path_utf8`, in place of what is there: a reader finds the old file or the
/// new one, whole. The same model and options give the same bytes.
///
/// The tensors of a file begin at a multiple of 64, and each at a multiple of the size of its elements: they are sorted by dtype,
/// as the reference does, and then by name, since the format allows no space between them. Values of `metadata` that are strings
/// become `__metadata__`. All others become the member "stet" of it, the text of a JSON object; stet reads them back as they were, other
/// readers see a string. Graphs, state and the attributes of tensors have no place in the format and are left out.
///
/// If the tensors are larger than `options.max_shard_size_bytes`, or the path ends in ".safetensors.index.json", they are saved as
/// shards in the order in which they were added: MODEL-00001-of-00003.safetensors … beside MODEL.safetensors.index.json. The index
/// is published last, so that a reader of it finds the old model or the new one. Where a file has the name of a shard already,
/// MODEL-2 (MODEL-3, …) takes the place of MODEL in the names of all shards. At the end, the shards with such names that the
/// replaced index lists are removed.
/// @retval errc::not_expressible  the format cannot have a tensor, the subject: strings, blocks, a dtype that it does not know,
///                                elements that do not fill whole bytes, the name "__metadata__", or a second name for the same
///                                bytes where `options.notes_dropped_names` is not set or the metadata have a member of that name
/// @retval errc::duplicate_name   two tensors have the same name
/// @retval errc::too_large        a header would be larger than 100,000,000 bytes
/// @retval errc::checksum_mismatch  a tensor, the subject, is damaged
/// @retval errc::source_too_short, source_too_long  the source of a tensor, the subject, gave fewer or more bytes than it has
/// @retval errc::bad_path, invalid_argument  the path names no file, or the size of shards is 0
/// or the error of the first `add` that failed, of reading, or of the operating system. Cost: reads every byte once; memory for the
/// headers and 256 KiB.
/// Source: github.com/huggingface/safetensors, README, "Format"; huggingface_hub, serialization/_torch.py.
inline result<safetensors_save_report> save_safetensors(std::string_view path_utf8, const writer& from,
                                                        const safetensors_save_options& options = {}) {
  if (!detail::is_part_name(detail::file_name_in(path_utf8))) return error(errc::bad_path, path_utf8);
  if (options.max_shard_size_bytes == 0) return error(errc::invalid_argument, path_utf8);
  const result<writer::contents> added = from.added();
  if (!added) return added.error();
  detail::safetensors_plan plan;
  if (auto made = plan.make(from, options.max_shard_size_bytes, options.notes_dropped_names); !made)
    return made.error();
  return detail::safetensors_save(path_utf8, *added, plan, options).run();
}

} // namespace stet::inline STET_NAMESPACE

#endif
