// SPDX-License-Identifier: MIT
// A format as a row of the table of formats, and the probe by which its files are recognised and opened.
#ifndef STET_FORMATS_FORMAT_HPP
#define STET_FORMATS_FORMAT_HPP

#include "model.hpp"
#include "save_any_options.hpp"

#include "common/finish_model.hpp"

#include "../source/detail/path.hpp"
#include "../source/parallel_read.hpp"
#include "../wire/zip.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

class writer;
struct model_description;
struct replace_options;
struct replaced_weights;
struct restore_report;
struct restore_rules;

namespace detail {

/// Reads from another reader but for the first and last bytes, which are in memory already.
class sampled_reader final : public byte_reader {
public:
  /// @param start, end  the first and the last bytes of `from`, as many; they may overlap
  sampled_reader(const byte_reader& from, std::span<const std::byte> start, std::span<const std::byte> end) noexcept
      : from_(from), start_(start), end_(end) {}

  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return from_.size_bytes(); }
  [[nodiscard]] result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    if (!range_fits(offset_bytes, into.size(), size_bytes())) return error(errc::bad_range, {}, offset_bytes);
    const std::uint64_t end_begin = size_bytes() - end_.size();
    while (!into.empty()) {
      const std::byte* sample = nullptr;
      std::uint64_t left = end_begin - offset_bytes;
      if (offset_bytes < start_.size()) {
        sample = start_.data() + static_cast<std::size_t>(offset_bytes);
        left = start_.size() - offset_bytes;
      } else if (offset_bytes >= end_begin) {
        sample = end_.data() + static_cast<std::size_t>(offset_bytes - end_begin);
        left = size_bytes() - offset_bytes;
      }
      const std::size_t size = into.size() < left ? into.size() : static_cast<std::size_t>(left);
      if (sample != nullptr) {
        std::memcpy(into.data(), sample, size);
      } else if (auto fetched = from_.read(offset_bytes, into.first(size)); !fetched) {
        return fetched;
      }
      into = into.subspan(size);
      offset_bytes += size;
    }
    return {};
  }

private:
  const byte_reader& from_;
  std::span<const std::byte> start_, end_;
};

} // namespace detail

/// A path whose format is searched for, and which is then opened: a file, a folder, or a prefix of file names. The file is opened once.
/// Its first and last bytes are read at once; all bytes, and the directory of an archive, when a format first asks for them,
/// for all formats together. So no byte is read more than once, but for the end of a damaged archive on demand, and opening goes on with
/// what the probe has. A store whose bytes stay on demand fetches its own table, and its tensors.
/// Not for use by several threads at once. Errors about the file have its path as their subject.
class format_probe {
public:
  /// The size of `start` and of `end`, for a file that is as large.
  static constexpr std::size_t sample_size_bytes = 4096;
  /// Of an archive on demand whose members are smaller on average, all bytes are read: that takes fewer requests than members.
  static constexpr std::uint64_t least_member_size_bytes = 256 << 10;

  /// Looks at `path_utf8`, which must outlive the probe. That it cannot be opened is an answer, too: `failure`.
  /// Cost: opens the file and reads up to 8 KiB.
  /// @param options  how the model is to be opened; `range` counts for a native file alone
  explicit format_probe(std::string_view path_utf8, const open_options& options = {}) noexcept
      : path_(path_utf8), options_(options) {
#if STET_FILES
    if (options_.read == nullptr) options_.read = read_in_parallel;
#endif
    result<source> opened = detail::open_source(path_utf8, look_options());
    if (!opened) {
      failure_ = opened.error();
      return;
    }
    size_bytes_ = opened->size_bytes();
    sampled_ = size_bytes_ < sample_size_bytes ? static_cast<std::size_t>(size_bytes_) : sample_size_bytes;
    auto read = opened->read_at(0, std::span(start_, sampled_));
    if (read && size_bytes_ <= 2 * sample_size_bytes) {
      // The two samples overlap: only what the first does not have is read.
      const std::size_t rest = static_cast<std::size_t>(size_bytes_) - sampled_;
      std::copy(start_ + rest, start_ + sampled_, end_);
      read = opened->read_at(sampled_, std::span(end_ + sampled_ - rest, rest));
    } else if (read) {
      read = opened->read_at(size_bytes_ - sampled_, std::span(end_, sampled_));
    }
    if (!read) {
      failure_ = read.error();
      size_bytes_ = sampled_ = 0;
      return;
    }
    file_ = std::move(*opened);
    is_given_in_memory_ = file_.fetcher() == nullptr;
  }
  format_probe(const format_probe&) = delete;
  format_probe& operator=(const format_probe&) = delete;

  /// The path that is looked at.
  [[nodiscard]] std::string_view path() const noexcept { return path_; }
  /// The options to open the model with.
  [[nodiscard]] const open_options& options() const noexcept { return options_; }
  /// Why the path cannot be read as a file: errc::not_a_regular_file for folders. Nothing for a file.
  [[nodiscard]] const std::optional<error>& failure() const noexcept { return failure_; }
  /// True if the path is a folder.
  [[nodiscard]] bool is_folder() const noexcept { return failure_ && failure_->code() == errc::not_a_regular_file; }
  /// The size of the file.
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }
  /// The first bytes of the file, `sample_size_bytes` at most.
  [[nodiscard]] std::span<const std::byte> start() const noexcept { return {start_, sampled_}; }
  /// The last bytes of the file, `sample_size_bytes` at most.
  [[nodiscard]] std::span<const std::byte> end() const noexcept { return {end_, sampled_}; }

  /// True if the file begins with `magic`.
  [[nodiscard]] bool starts_with(std::string_view magic) const noexcept {
    return sampled_ >= magic.size() && std::memcmp(start_, magic.data(), magic.size()) == 0;
  }
  /// True if the file may be JSON of an object or array: its first character that is not a space tells.
  [[nodiscard]] bool starts_like_json() const noexcept {
    const std::string_view text(reinterpret_cast<const char*>(start_), sampled_);
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    return first != std::string_view::npos && (text[first] == '{' || text[first] == '[');
  }
  /// True if there is a file at the path followed by `suffix`: ".index", "/saved_model.pb". Cost: opens it.
  [[nodiscard]] bool has_file(std::string_view suffix) const {
    std::string path(path_);
    return detail::is_file(path.append(suffix), options_);
  }

  /// Copies bytes of the file. The first and last ones are there already, and up to 8 at one place are read once.
  /// @retval errc::bad_range  they do not lie within the file; or an error of reading
  [[nodiscard]] result<void> read_at(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept {
    if (failure_) return *failure_;
    const source& from = whole_ ? *whole_ : file_;
    if (from.fetcher() == nullptr) return from.read_at(offset_bytes, into);
    for (std::size_t number = 0; number < word_count_; ++number) {
      const word& each = words_[number];
      if (each.offset_bytes != offset_bytes || each.size_bytes != into.size()) continue;
      std::memcpy(into.data(), each.bytes, into.size());
      return {};
    }
    auto read = detail::sampled_reader(*from.fetcher(), start(), end()).read(offset_bytes, into);
    if (read && !into.empty() && into.size() <= sizeof(word::bytes) && word_count_ < std::size(words_)) {
      word& kept = words_[word_count_++];
      kept.offset_bytes = offset_bytes;
      kept.size_bytes = into.size();
      std::memcpy(kept.bytes, into.data(), into.size());
    }
    return read;
  }

  /// All bytes of the file in memory: mapped, or read where `options` ask for reading or streaming, or as the program's file
  /// system has them. Valid while the probe is, or what `take_bytes` gave.
  /// Errors: `failure`, or those of mapping or reading. Cost: maps or reads the file, the first time.
  [[nodiscard]] result<std::span<const std::byte>> bytes() {
    if (failure_) return *failure_;
    if (!whole_) {
      result<source> made = load();
      if (!made) return made.error().subject().empty() ? made.error().about(path_) : made.error();
      whole_ = std::move(*made);
    }
    return detail::bytes_in(*whole_);
  }
  /// The members of the archive that the file is, as its directory lists them. Errors: those of `bytes` and of read_zip
  /// (wire/zip.hpp). Cost: that of `bytes`; of a mapped file, the pages of the directory and of the headers of members; of one on demand
  /// with large members, a read for the directory and for each header.
  [[nodiscard]] const result<std::vector<detail::zip_member>>& zip() {
    if (!zip_ && is_on_demand()) {
      const detail::sampled_reader from(*file_.fetcher(), start(), end());
      detail::zip_reader reader(from, directory_, detail::zip_repeats::refused);
      reader.stop_below(least_member_size_bytes);
      auto read = reader.run();
      if (!reader.was_stopped()) zip_.emplace(std::move(read));
    }
    if (!zip_) {
      const auto all = bytes();
      zip_.emplace(all ? detail::read_zip(*all, detail::zip_repeats::refused, reader())
                       : result<std::vector<detail::zip_member>>(all.error()));
    }
    return *zip_;
  }

  /// True while the file is one on demand, of which not all bytes were read: `take` gives it so.
  [[nodiscard]] bool is_on_demand() const noexcept {
    const bool is_to_be_resident =
        options_.backing == backing::read || (options_.backing == backing::map && options_.files == nullptr);
    return !failure_ && !whole_ && !is_to_be_resident && file_.fetcher() != nullptr;
  }

  /// The file for the store that is made of it, as `options` ask for it: mapped, read, on demand, or as the program's file system
  /// has it. At most one call of this or `take_bytes`. Errors: those of `bytes`;
  /// @retval errc::unsupported  tensors are to be written to, and the program's file system gives no memory for that
  [[nodiscard]] result<source> take() {
    if (failure_) return *failure_;
    if (options_.backing == backing::read || (options_.backing == backing::map && options_.files == nullptr))
      return take_bytes();
    if (!is_access_possible()) return error(errc::unsupported, path_);
    return std::move(file_);
  }
  /// All bytes of the file in memory, for the store that is made of them: what `bytes` gave, and gives from now on, views them.
  [[nodiscard]] result<source> take_bytes() {
    const auto all = bytes();
    if (!all) return all.error();
    if (is_given_in_memory_) return std::move(file_);
    source taken = std::move(*whole_);
    whole_ = source::borrow(*all);
    return taken;
  }

private:
  /// Bytes that were read, and their offset.
  struct word {
    std::uint64_t offset_bytes = 0;
    std::size_t size_bytes = 0;
    std::byte bytes[8] = {};
  };

  /// The options to open a file with in order to recognise it.
  [[nodiscard]] open_options look_options() const noexcept {
    open_options only_look = options_;
    only_look.backing = backing::stream;
    only_look.range = {};
    return only_look;
  }

  /// False if `options` ask for writable tensors and the program's file system gives no writable memory.
  [[nodiscard]] bool is_access_possible() const noexcept {
    const bool must_be_writable = options_.backing == backing::map && options_.access != access::read_only;
    return !must_be_writable || (is_given_in_memory_ && file_.is_writable());
  }

  /// Reads the file without touching the pages of `bytes`, if it is mapped; else nullptr.
  [[nodiscard]] const byte_reader* reader() const noexcept {
    return options_.backing == backing::map && options_.files == nullptr ? file_.fetcher() : nullptr;
  }

  [[nodiscard]] result<source> load() noexcept {
    if (options_.backing == backing::map && options_.files == nullptr) {
      open_options whole = options_;
      whole.range = {};
      // A file for writing is opened anew: the probe's own file is for reading.
      if (options_.access != access::read_only) return detail::open_source(path_, whole);
      return detail::map_on_demand(file_, options_);
    }
    if (!is_access_possible()) return errc::unsupported;
    if (is_given_in_memory_) return source::borrow(detail::bytes_in(file_));
#if STET_FILES
    if (const source::streamed_file streamed = file_.streamed(); streamed.from != nullptr)
      return source::read(*streamed.from, {streamed.offset_bytes, file_.size_bytes()}, max_alignment_bytes,
                          options_.memory, options_.read);
#endif
    return source::read(detail::sampled_reader(*file_.fetcher(), start(), end()), {}, max_alignment_bytes,
                        options_.memory);
  }

  std::string_view path_;
  open_options options_;
  std::optional<error> failure_;
  std::uint64_t size_bytes_ = 0;
  std::size_t sampled_ = 0;
  std::byte start_[sample_size_bytes];
  std::byte end_[sample_size_bytes];
  mutable word words_[64]; // a place for each power of two, where formats look for signatures
  mutable std::size_t word_count_ = 0;
  source file_; // as it was opened to look at it
  bool is_given_in_memory_ = false;
  std::optional<source> whole_;      // all bytes, once they were asked for
  std::vector<std::byte> directory_; // of an archive on demand, which names of `zip_` view
  std::optional<result<std::vector<detail::zip_member>>> zip_;
};

namespace detail {

/// A file that was added to a store: its bytes, and the number of its part.
struct added_file {
  std::span<const std::byte> bytes;
  std::uint32_t part = 0;
};
/// Adds the file that the probe looks at, all of it in memory. Errors: those of `format_probe::take_bytes`.
inline result<added_file> add_whole_file(store_builder& to, format_probe& probe) {
  result<source> file = probe.take_bytes();
  if (!file) return file.error();
  const std::span<const std::byte> bytes = bytes_in(*file);
  return added_file{bytes, to.add_file(file_name_in(probe.path()), std::move(*file))};
}

/// The bytes of the file at `path_utf8`: those of the probe if it looks at that file, which they view, else as `open_resident`.
inline result<source> resident_bytes(std::string_view path_utf8, const open_options& options, format_probe* probe) {
  if (probe == nullptr || probe->failure() || probe->path() != path_utf8) return open_resident(path_utf8, options);
  const auto all = probe->bytes();
  return all ? source::borrow(*all) : result<source>(all.error());
}

} // namespace detail

/// The way in which `replace_weights` (replace_weights.hpp) puts new values into a copy of a model's file.
enum class weight_replacement : std::uint8_t {
  /// None: the tables of the format have checksums of its tensors, or a model is several files.
  none,
  /// Bytes of tensors are replaced where they are in the file. Checksums of a zip archive are made anew.
  in_place,
};

/// A format: a row of the table in any.hpp. A format that is only read has no `save`; a further form in which models of another
/// row are saved has nothing but that.
struct format {
  /// "stet", "tfjs" …: the name of the format of an open model.
  std::string_view name;
  /// A description for people: a few words.
  std::string_view about;
  /// True if the content is of this format. The file may still be damaged.
  bool (*recognises)(format_probe& probe) = nullptr;
  /// Opens the tensors of the probe's path, with its options.
  result<model> (*open)(format_probe& probe) = nullptr;
  /// Reads graphs, state, metadata and attributes of tensors. The model was opened by `open_any` or `open_as`.
  result<model_description> (*describe)(const model& of) = nullptr;
  /// The name by which the format is chosen for saving.
  std::string_view saved_as = {};
  /// The ending of file names that chooses this format for saving; empty: none.
  std::string_view ending = {};
  /// Saves what was added to a writer.
  result<saved_files> (*save)(std::string_view path_utf8, const writer& from,
                              const save_any_options& options) = nullptr;
  /// The options that `save` uses, of those that not all formats use.
  save_choice choices = save_choice::none;
  /// How its weights are replaced.
  weight_replacement replacement = weight_replacement::none;
  /// Replaces weights in a way of its own, instead of that of `replacement`.
  result<replaced_weights> (*replace)(const model& of, const store& from, const restore_rules& rules,
                                      std::string_view out_path_utf8, const replace_options& options,
                                      restore_report& report) = nullptr;
};

/// Opens the probe's path as a model of this format, without asking whether it is one.
/// @retval errc::invalid_argument  the format is only saved
/// or an error of the format's own `open`, whose cost it has.
[[nodiscard]] inline result<model> open_as(const format& as, format_probe& probe) {
  if (as.open == nullptr) return error(errc::invalid_argument, as.name);
  result<model> opened = as.open(probe);
  if (opened) {
    opened->format = &as;
    opened->path = probe.path();
  }
  return opened;
}
/// The same for a path.
[[nodiscard]] inline result<model> open_as(const format& as, std::string_view path_utf8,
                                           const open_options& options = {}) {
  format_probe probe(path_utf8, options);
  return open_as(as, probe);
}

/// Saves what was added to `from` in this format.
/// @retval errc::invalid_argument  the format is only read
/// or an error of the format's own saver, whose cost it has.
inline result<saved_files> save_as(const format& as, std::string_view path_utf8, const writer& from,
                                   const save_any_options& options = {}) {
  if (as.save == nullptr) return error(errc::invalid_argument, as.name);
  return as.save(path_utf8, from, options);
}

} // namespace stet::inline STET_NAMESPACE

#endif
