// SPDX-License-Identifier: MIT
// The plan of one save: every offset before the first byte is written, then the bytes, then the table that they end in.
#ifndef STET_WRITER_PLAN_HPP
#define STET_WRITER_PLAN_HPP

#include "atomic_file.hpp"
#include "output.hpp"
#include "detail/list_folder.hpp"
#include "detail/parts.hpp"
#include "tensors.hpp"

#include "../index/detail/encode_header.hpp"
#include "../manifest/check.hpp"
#include "../manifest/print.hpp"
#include "../source/detail/path.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <unordered_map>
#include <unordered_set>

namespace stet::inline STET_NAMESPACE {

/// The files that a store is saved as. index/format.hpp and manifest/manifest.hpp describe them.
enum class store_form : std::uint8_t {
  /// One native file.
  single_file,
  /// A native file with the table, and parts with the tensors, each at most `max_part_size_bytes`, in the same folder.
  sharded,
  /// A JSON manifest, and raw files with only the tensors, in the same folder.
  loose,
};

/// The options of a save.
struct save_options {
  /// The form of the store.
  store_form form = store_form::single_file;
  /// Every tensor begins at a multiple of this: a power of two, 1 … 65536.
  std::uint32_t alignment_bytes = default_alignment_bytes;
  /// Whether large tensors have whole pages, as devices import memory.
  store_layout layout = store_layout::compact;
  /// The size of a page of `store_layout::accelerator`: a power of two, 1 … 65536. 16384 for Apple's processors.
  std::uint32_t page_size_bytes = default_page_size_bytes;
  /// The largest file of a sharded or loose store; a larger tensor gets a file of its own.
  std::uint64_t max_part_size_bytes = ~std::uint64_t{0};
  /// Store tensors with equal dtype, shape and bytes once, as aliases; only those added as elements or bytes in memory.
  bool deduplicate = false;
  /// Wait until the files and their names are on the disk. Without it, a power cut soon afterwards may lose the store.
  bool is_durable = true;
  /// The system calls to save with; nullptr: the operating system's.
  const file_operations* operations = nullptr;
  /// Where memory for the table of tensors and the 256 KiB through which little tensors go comes from; nullptr: from the heap.
  /// Names and JSON are in containers of the standard library, on the heap.
  memory_resource* memory = nullptr;
};

/// The report of a save.
struct save_report {
  /// All files together, and the tensors' bytes alone.
  std::uint64_t file_size_bytes = 0;
  /// The size of all tensors, without padding.
  std::uint64_t tensor_size_bytes = 0;
  /// The number of parts.
  std::uint32_t part_count = 0;
};

namespace detail {

/// True if a tensor of that size gets whole pages; the options are valid.
inline bool has_whole_pages(std::uint64_t tensor_size_bytes, const save_options& options) noexcept {
  return options.layout == store_layout::accelerator &&
         tensor_size_bytes >= std::uint64_t{whole_page_count} * options.page_size_bytes;
}

/// One save. `prepare` decides everything but checksums; one of the `write` calls carries it out.
class save_plan {
public:
  save_plan(const tensor_list& tensors, const std::vector<piece_source>& sources, const save_options& options)
      : tensors_(tensors), sources_(sources), options_(options), rows_(tensors.rows()),
        has_plain_names_(needs_no_escape(tensors.names())), buffer_(options.memory) {}

  /// @param has_index  false for a head of shards, which has a manifest alone
  result<void> prepare(std::string_view path, const free_form& json, bool has_index = true) {
    has_index_ = has_index && options_.form != store_form::loose;
    if (!is_valid_alignment(options_.alignment_bytes) || !is_valid_alignment(options_.page_size_bytes))
      return errc::bad_alignment;
    if (auto taken = take_texts(json); !taken) return taken;
    if (options_.deduplicate) find_equal_tensors();
    path_ = path;
    if (options_.form != store_form::single_file) {
      // Parts lie in the folder of the file that lists them, also if it is opened by a link.
      const auto target = follow_links(operations(), path_);
      if (!target) return target.error();
      if (folder_in(*target) != folder_in(path_)) return error(errc::unsupported, path_);
      path_ = *target;
    }
    if (auto placed = place_tensors(); !placed) return placed;
    if (auto named = name_parts(); !named) return named;
    return make_table();
  }

  result<std::vector<std::byte>> write_memory() {
    if (header_.file_size_bytes > static_cast<std::uint64_t>(PTRDIFF_MAX)) return errc::too_large;
    std::vector<std::byte> file(static_cast<std::size_t>(header_.file_size_bytes));
    memory_output output(file);
    if (auto written = write_to(output); !written) return written.error();
    return file;
  }

  result<save_report> write_to(byte_writer& output) {
    if (auto written = write_tensors(0, output); !written) return written.error();
    if (auto written = write_table(output); !written) return written.error();
    return report();
  }

  result<save_report> write_files() {
    const std::string_view folder = folder_in(path_), name = file_name_in(path_);
    if (name.empty() || name == "." || name == "..") return error(errc::bad_path, path_);
    std::vector<atomic_file> files;
    files.reserve(parts_.size());
    for (std::uint32_t part = 0; part < parts_.size(); ++part) {
      result<atomic_file> file = atomic_file::create(operations(), folder, name, *parts_[part].size_bytes, part);
      if (!file) return file.error();
      if (auto written = write_part(part, *file); !written) return written.error();
      if (auto finished = file->finish(options_.is_durable, true); !finished) return finished.error();
      file->set_name(parts_[part].path); // which ends in the content id
      files.push_back(std::move(*file));
    }
    if (!parts_.empty()) {
      if (auto made = make_table(); !made) return made.error();
    }
    result<atomic_file> head =
        atomic_file::create(operations(), folder, name, head_size_bytes(), static_cast<std::uint32_t>(parts_.size()));
    if (!head) return head.error();
    if (parts_.empty()) {
      if (auto written = write_tensors(0, *head); !written) return written.error();
    }
    if (auto written = write_table(*head); !written) return written.error();
    if (auto finished = head->finish(options_.is_durable); !finished) return finished.error();
    const std::vector<std::string> listed_before = listed_parts(path_);
    const result<std::vector<bool>> taken = find_taken_names();
    if (!taken) return taken.error();
    // A part whose name is taken has the same content: the content is in the name.
    const auto is_taken = [&](std::size_t part) { return (*taken)[part]; };
    if (auto published = publish_together(files, *head, options_.is_durable, is_taken); !published)
      return published.error();
    remove_parts(listed_before);
    return report();
  }

  // A single file whose tensors others write, at the places that `prepare` has decided.

  /// The size of the whole file.
  [[nodiscard]] std::uint64_t file_size_bytes() const noexcept { return header_.file_size_bytes; }
  /// Where the tensors lie, in the order in which they were added.
  [[nodiscard]] std::span<const index_row> rows() const noexcept { return rows_; }
  /// Notes the checksum of the bytes that were written of a tensor.
  void set_crc32c(std::size_t number, std::uint32_t crc) noexcept { rows_[number].crc32c = crc; }
  /// Writes everything but the tensors, whose checksums were noted.
  result<void> write_frame(byte_writer& to) {
    constexpr std::byte padding[tail_padding_bytes]{};
    if (header_.data_size_bytes != 0) {
      const auto written = to.write_at(header_.file_size_bytes - sizeof padding, padding);
      if (!written) return written;
    }
    return write_table(to);
  }

  [[nodiscard]] save_report report() const noexcept {
    save_report report;
    report.part_count = static_cast<std::uint32_t>(parts_.size());
    report.file_size_bytes = head_size_bytes();
    for (const manifest_part& part : parts_) report.file_size_bytes += *part.size_bytes;
    for (const index_row& row : rows_) {
      if (row.alias_of == index_row::not_an_alias) report.tensor_size_bytes += row.size_bytes;
    }
    return report;
  }

private:
  [[nodiscard]] const file_operations& operations() const noexcept {
    return options_.operations == nullptr ? system_file_operations() : *options_.operations;
  }

  // ---- deciding ----

  /// Takes the text of free-form JSON, after a check that it can be read again.
  result<void> take_texts(const free_form& json) {
    auto texts = texts_of(json);
    if (!texts) return texts.error();
    texts_.free_form = std::move(*texts);
    for (const auto& [number, fields] : tensors_.attributes()) {
      const index_row& row = rows_[number];
      std::string& text = texts_.attributes.emplace_back(attribute_text{number, {}}).text;
      if (const errc problem = append_attributes(text, fields); problem != errc{}) return error(problem, row.name);
      if (const field_problem problem = check_known_attributes(fields, row.layout.dtype, row.shape))
        return error_about(problem, row.name);
    }
    return {};
  }

  /// Makes an alias of each tensor that equals an earlier one.
  void find_equal_tensors() {
    std::unordered_multimap<std::uint64_t, std::uint32_t> seen;
    for (std::uint32_t number = 0; number < rows_.size(); ++number) {
      index_row& row = rows_[number];
      if (row.alias_of != index_row::not_an_alias || tensors_.from(number).bytes.empty()) continue;
      std::uint32_t crc = 0;
      visit_stored(number, [&crc](std::span<const std::byte> piece) { crc = crc32c(piece, crc); });
      const std::uint64_t key = row.size_bytes << 32 ^ crc;
      const auto [first, last] = seen.equal_range(key);
      auto equal = first;
      while (equal != last && !is_equal(number, equal->second)) ++equal;
      if (equal != last) {
        row.alias_of = equal->second;
      } else {
        seen.emplace(key, number);
      }
    }
    // An alias of a tensor that became one itself names the original.
    for (index_row& row : rows_) {
      if (row.alias_of != index_row::not_an_alias && rows_[row.alias_of].alias_of != index_row::not_an_alias) {
        row.alias_of = rows_[row.alias_of].alias_of;
      }
    }
  }
  [[nodiscard]] bool is_equal(std::uint32_t a, std::uint32_t b) const {
    const index_row &row = rows_[a], &other = rows_[b];
    if (row.layout.dtype != other.layout.dtype || row.layout.bits != other.layout.bits ||
        !(row.layout.block == other.layout.block) || row.size_bytes != other.size_bytes ||
        !std::equal(row.shape.begin(), row.shape.end(), other.shape.begin(), other.shape.end())) {
      return false;
    }
    const std::span<const std::byte> bytes = tensors_.from(a).bytes, others = tensors_.from(b).bytes;
    const bool is_encoded = tensors_.from(a).source != 0;
    if (is_encoded == (tensors_.from(b).source != 0))
      return std::memcmp(bytes.data(), others.data(), bytes.size()) == 0;
    // Elements, of which the bytes are to be made, and bytes.
    const std::byte* at = is_encoded ? others.data() : bytes.data();
    bool is_same = true;
    visit_stored(is_encoded ? a : b, [&](std::span<const std::byte> piece) {
      is_same = is_same && std::memcmp(piece.data(), at, piece.size()) == 0;
      at += piece.size();
    });
    return is_same;
  }
  /// Calls `take` with the bytes that will be stored of a tensor in memory, in pieces.
  template <class Take> void visit_stored(std::uint32_t number, Take take) const {
    const tensor_list::origin& from = tensors_.from(number);
    if (from.source == 0) return take(from.bytes);
    piece_visitor<Take> sink(take);
    (void)sources_[from.source - 1](sink); // which encodes memory, and so cannot fail
  }

  /// Gives each tensor its part and its offset: from the start of the part, or of the data in a single file.
  result<void> place_tensors() {
    const std::uint64_t alignment = options_.alignment_bytes;
    std::uint64_t part_begin = 0;
    if (options_.form == store_form::sharded)
      part_begin = (file_header::size_bytes + alignment - 1) / alignment * alignment;
    std::uint64_t end = part_begin;      // of the last tensor, with its padding
    std::uint64_t part_end = part_begin; // of the file that ends with it
    std::uint32_t part = 0;
    for (index_row& row : rows_) {
      if (row.alias_of != index_row::not_an_alias) {
        row.part = rows_[row.alias_of].part;
        row.offset_bytes = rows_[row.alias_of].offset_bytes;
        continue;
      }
      if (row.size_bytes == 0) continue;
      const bool has_pages = has_whole_pages(row.size_bytes, options_);
      const std::uint64_t page = has_pages ? options_.page_size_bytes : 1, step = (std::max)(alignment, page);
      if (has_pages) data_alignment_bytes_ = (std::max)(data_alignment_bytes_, page);
      std::uint64_t padded_end = 0, file_end = 0;
      const auto place_behind = [&](std::uint64_t last_end) noexcept {
        if (!checked_align_up(last_end, step, row.offset_bytes) ||
            !checked_add(row.offset_bytes, row.size_bytes, file_end) || !checked_align_up(file_end, page, padded_end) ||
            !checked_add(file_end, tail_padding_bytes, file_end)) {
          return false;
        }
        file_end = (std::max)(file_end, padded_end);
        return true;
      };
      bool fits = place_behind(end);
      if (fits && options_.form != store_form::single_file && file_end > options_.max_part_size_bytes &&
          end != part_begin) {
        part_ends_.push_back(part_end);
        ++part;
        fits = place_behind(part_begin);
      }
      if (!fits || file_end > max_tensor_size_bytes) return error(errc::too_large, row.name);
      row.part = part;
      end = padded_end;
      part_end = file_end;
    }
    part_ends_.push_back(part_end);
    return {};
  }

  /// Lists the parts, whose names and content ids are known only when their tensors are written; until then they are as
  /// long as they will be.
  result<void> name_parts() {
    if (options_.form == store_form::single_file) return {};
    parts_.resize(part_ends_.size());
    for (std::uint32_t part = 0; part < parts_.size(); ++part) {
      parts_[part].size_bytes = part_ends_[part];
      set_content_id(part, 0);
      if (!is_part_name(parts_[part].path)) return error(errc::bad_path, path_);
    }
    return {};
  }
  void set_content_id(std::uint32_t part, std::uint64_t content_id) {
    const bool is_sharded = options_.form == store_form::sharded;
    parts_[part].path = part_name(file_name_in(path_), part, parts_.size(), content_id, is_sharded ? ".stet" : ".bin");
    if (is_sharded) parts_[part].content_id = content_id;
  }

  /// Lays out header, manifest and index, and builds the index with the checksums that are known.
  result<void> make_table() {
    std::vector<index_part> parts;
    for (const manifest_part& part : parts_) {
      parts.push_back({part.path, *part.size_bytes, part.content_id.value_or(0), part.content_id.has_value()});
    }
    const result<std::uint64_t> index_size = index_size_bytes(rows_, parts);
    if (!index_size) return index_size.error();
    if (has_index_ && *index_size > max_index_size_bytes) return error(errc::too_large, "index", max_index_size_bytes);
    header_ = {};
    header_.alignment_bytes = options_.alignment_bytes;
    header_.index_size_bytes = has_index_ ? *index_size : 0;
    header_.data_size_bytes = parts_.empty() ? part_ends_.front() : 0;
    // The size of the manifest depends on the digits of the offsets, these on the size. More digits only ever move the data
    // further, so this comes to rest. It begins with a digit each, than which there cannot be fewer.
    const std::uint64_t data_alignment = parts_.empty() ? data_alignment_bytes_ : 64;
    const std::uint64_t fixed_size = size_without_offsets_bytes(lines(0));
    for (std::uint64_t size = fixed_size + rows_.size(); size != header_.manifest_size_bytes;) {
      // A store that no reader would open is not written.
      if (size > max_manifest_size_bytes) return error(errc::too_large, "manifest", max_manifest_size_bytes);
      header_.manifest_size_bytes = size;
      if (auto placed = place_sections(header_, data_alignment); !placed) return placed;
      size = fixed_size + offsets_size_bytes(lines(parts_.empty() ? header_.data_offset_bytes : 0));
    }
    if (parts_.empty()) {
      for (index_row& row : rows_) {
        if (row.size_bytes != 0) row.offset_bytes += header_.data_offset_bytes;
      }
    }
    // Also for the loose form, which has no index: this finds equal names.
    if (*index_size > static_cast<std::uint64_t>(PTRDIFF_MAX)) return errc::too_large;
    result<source> room = source::allocate(*index_size, options_.memory);
    if (!room) return room.error();
    index_bytes_ = std::move(*room);
    index_ = {index_bytes_.writable_data(), static_cast<std::size_t>(*index_size)};
    return build_index(rows_, parts, index_);
  }
  /// The content of the manifest, with `base_offset_bytes` added to every offset.
  [[nodiscard]] manifest_lines lines(std::uint64_t base_offset_bytes) const noexcept {
    return {format_version,    format_version, options_.alignment_bytes, parts_, rows_,
            base_offset_bytes, texts_,         has_plain_names_};
  }
  [[nodiscard]] std::uint64_t head_size_bytes() const noexcept {
    return options_.form == store_form::loose ? header_.manifest_size_bytes : header_.file_size_bytes;
  }

  // ---- writing ----

  /// Writes the tensors of a part to their offsets and the padding behind the last, and keeps their checksums.
  result<void> write_tensors(std::uint32_t part, byte_writer& to) {
    tensor_output output(to, buffer_, tensor_checksums::crc32c);
    const auto about = [](const error& failure, const index_row& row) {
      return failure.subject().empty() ? failure.about(row.name) : failure;
    };
    for (std::size_t number = 0; number < rows_.size(); ++number) {
      index_row& row = rows_[number];
      if (row.part != part) continue;
      if (row.alias_of != index_row::not_an_alias) {
        row.crc32c = rows_[row.alias_of].crc32c;
        continue;
      }
      const tensor_list::origin& from = tensors_.from(number);
      if (auto begun = output.begin(row.size_bytes == 0 ? output.end_bytes() : row.offset_bytes, row.size_bytes);
          !begun)
        return begun;
      const auto written = from.source == 0 ? output.write(from.bytes) : sources_[from.source - 1](output);
      if (!written) return about(written.error(), row);
      if (const auto ended = output.end(); !ended) return about(ended.error(), row);
      row.crc32c = output.crc32c_so_far();
    }
    // The last of it written, since some outputs end where the last written byte is.
    if (output.end_bytes() != 0) {
      constexpr std::byte padding[tail_padding_bytes]{};
      const std::uint64_t file_end = parts_.empty() ? header_.file_size_bytes : *parts_[part].size_bytes;
      auto written = output.begin(file_end - sizeof padding, sizeof padding);
      if (written) written = output.write(padding);
      if (!written) return written;
    }
    return output.flush();
  }

  /// Writes a part: its header, its tensors, and the content id that the checksums make.
  result<void> write_part(std::uint32_t part, byte_writer& to) {
    if (auto written = write_tensors(part, to); !written) return written;
    fnv1a hash = content_hash(*parts_[part].size_bytes);
    for (const index_row& row : rows_) {
      if (row.part != part || row.alias_of != index_row::not_an_alias || row.size_bytes == 0) continue;
      add_to_content(hash, row.offset_bytes, row.crc32c);
    }
    const std::uint64_t id = hash.value();
    set_content_id(part, id);
    if (options_.form == store_form::loose) return {};
    file_header header;
    header.kind = file_header::file_kind::part;
    header.part_number = part;
    header.part_count = static_cast<std::uint32_t>(parts_.size());
    header.content_id = id;
    header.alignment_bytes = options_.alignment_bytes;
    header.file_size_bytes = *parts_[part].size_bytes;
    header.data_offset_bytes =
        (file_header::size_bytes + header.alignment_bytes - 1) / header.alignment_bytes * header.alignment_bytes;
    header.data_size_bytes = header.file_size_bytes - header.data_offset_bytes;
    std::byte encoded[file_header::size_bytes];
    encode_header(header, encoded);
    return to.write_at(0, encoded);
  }

  /// Writes the sections in front of the data, which are complete now.
  result<void> write_table(byte_writer& to) {
    const bool is_loose = options_.form == store_form::loose;
    const auto room = buffer_.take_room();
    if (!room) return room.error();
    text_output text(to, is_loose ? 0 : header_.manifest_offset_bytes, *room);
    manifest_emitter(text).emit(lines(0));
    if (auto written = text.finish(); !written || is_loose) return written;
    header_.manifest_crc32c = text.crc32c_so_far();
    if (has_index_) {
      set_checksums(index_, rows_);
      if (auto written = to.write_at(header_.index_offset_bytes, index_); !written) return written;
      header_.index_crc32c = crc32c(index_);
    }
    std::byte encoded[file_header::size_bytes];
    encode_header(header_, encoded);
    return to.write_at(0, encoded);
  }

  /// Which parts' names are taken in the folder of the store.
  result<std::vector<bool>> find_taken_names() const {
    struct search {
      const std::vector<manifest_part>& parts;
      std::size_t number_at;
      std::vector<bool> taken;
    } found{parts_, part_stem(file_name_in(path_)).size() + 1, std::vector<bool>(parts_.size())};
    if (parts_.empty()) return std::move(found.taken);
    const auto visit = [](void* visitor, std::string_view name) noexcept {
      search& in = *static_cast<search*>(visitor);
      std::size_t part = in.parts.size();
      if (name.size() > in.number_at) std::from_chars(name.data() + in.number_at, name.data() + name.size(), part);
      if (part < in.parts.size() && in.parts[part].path == name) in.taken[part] = true;
      return true;
    };
    const auto listed =
        call_again(operations(), &file_operations::list_folder, folder_in(path_), visit, static_cast<void*>(&found));
    if (listed) return std::move(found.taken);
    // In a folder that cannot be read every name may be taken.
    if (listed.error().code() == errc::access_denied) return std::vector<bool>(parts_.size(), true);
    return listed.error().about(path_);
  }

  /// Removes those parts of the store before that this one does not list. The store is saved: errors are not its own.
  void remove_parts(const std::vector<std::string>& listed_before) const {
    std::unordered_set<std::string_view> listed;
    for (const manifest_part& part : parts_) listed.insert(part.path);
    std::vector<std::string> left;
    std::copy_if(listed_before.begin(), listed_before.end(), std::back_inserter(left),
                 [&](const std::string& part) { return !listed.contains(part); });
    const std::string folder(folder_in(path_));
    if (!left.empty() && is_store_file(folder + left.front()) && !keep_listed_shards(left)) return;
    for (const std::string& part : left) (void)call_again(operations(), &file_operations::remove, folder + part);
  }
  /// Takes out of `left` the shards that a file of the folder lists: several checkpoints may share one, and the new head, too.
  /// @return false if that is not known
  bool keep_listed_shards(std::vector<std::string>& left) const {
    const std::string folder(folder_in(path_));
    const result<std::vector<std::string>> names = list_folder(operations(), folder);
    if (!names) return false;
    for (const std::string& name : *names) {
      if (name == lock_name) continue;
      const result<std::vector<std::string>> shards = listed_shards(folder + name);
      const errc code = shards ? errc{} : shards.error().code();
      if (code == errc::file_not_found || code == errc::not_a_regular_file) continue;
      if (!shards) return false;
      std::erase_if(left, [&](const std::string& each) {
        return std::find(shards->begin(), shards->end(), each) != shards->end();
      });
    }
    return true;
  }

  const tensor_list& tensors_;
  const std::vector<piece_source>& sources_;
  const save_options& options_;
  std::vector<index_row> rows_;
  bool has_plain_names_, has_index_ = true;
  std::vector<std::uint64_t> part_ends_;
  std::uint64_t data_alignment_bytes_ = 64;
  std::vector<manifest_part> parts_;
  std::string path_;
  manifest_texts texts_;
  file_header header_;
  source index_bytes_;
  std::span<std::byte> index_;
  output_buffer buffer_;
};

} // namespace detail

} // namespace stet::inline STET_NAMESPACE

#endif
