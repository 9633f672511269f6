// SPDX-License-Identifier: MIT
// Saves tensors as a TensorFlow V2 checkpoint, for its Saver (by names) or its Checkpoint (by objects).
#ifndef STET_FORMATS_TENSORFLOW_SAVE_HPP
#define STET_FORMATS_TENSORFLOW_SAVE_HPP

#include "detail/build_object_graph.hpp"
#include "detail/bundle.hpp"
#include "detail/data_type.hpp"
#include "state_file.hpp"
#include "detail/strings.hpp"
#include "../common/second_name.hpp"

#include "../../source/detail/path.hpp"
#include "../../wire/masked_crc32c.hpp"
#include "../../wire/sorted_table_writer.hpp"
#include "../../writer/atomic_file.hpp"
#include "../../manifest/detail/json_output.hpp"
#include "../../writer/writer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// What the tensors of a TensorFlow checkpoint are found by.
enum class tensorflow_naming : std::uint8_t {
  /// Their names are the keys, as `tf.train.Saver` has them. Tensors that an object-based checkpoint held, its object graph among
  /// them, are an object-based one again.
  by_name,
  /// Their names are paths through the objects of a program, and an object graph says so, as `tf.train.Checkpoint` wants:
  /// "model/dense/kernel" is what `Checkpoint(model=…)` restores to `model.dense.kernel`. Full names are the names, or
  /// `"tensorflow": {"full_name": …}` of a tensor's attributes.
  by_object,
};

/// How to save a TensorFlow checkpoint.
struct tensorflow_save_options {
  /// The names that the checkpoint gives its tensors.
  tensorflow_naming naming = tensorflow_naming::by_name;
  /// The largest shard; a larger tensor gets a shard of its own.
  std::uint64_t max_shard_size_bytes = ~std::uint64_t{0};
  /// Every tensor begins at a multiple of this, a power of two up to 65536, so that it can be used in place. TensorFlow's own
  /// writer has 1.
  std::uint32_t alignment_bytes = 64;
  /// Written to the file `checkpoint` of the folder when the checkpoint is there.
  std::optional<tensorflow_state> state = std::nullopt;
  /// Of an object-based checkpoint: what `save_counter` says, if no tensor is called so. `tf.train.Checkpoint` counts its saves.
  std::int64_t save_counter = 1;
  /// Wait until the files and their names are on the disk.
  bool is_durable = true;
  /// The system calls to save with; nullptr: the operating system's.
  const file_operations* operations = nullptr;
};

namespace detail {

/// Spreads packed elements of 2 or 4 bits to one a byte.
class unpacking_sink final : public piece_sink {
public:
  unpacking_sink(piece_sink& to, std::uint64_t element_count, std::uint32_t bits) noexcept
      : to_(to), left_(element_count), bits_(bits) {}

  result<void> write(std::span<const std::byte> piece) override {
    std::byte codes[4096];
    std::size_t count = 0;
    for (const std::byte packed : piece) {
      if (left_ == 0) return errc::source_too_long;
      for (std::uint32_t shift = 0; shift < 8 && left_ != 0; shift += bits_, --left_) {
        codes[count++] = (packed >> shift) & static_cast<std::byte>((1u << bits_) - 1);
      }
      if (count + 4 <= sizeof codes) continue;
      if (auto written = to_.write({codes, count}); !written) return written;
      count = 0;
    }
    return to_.write({codes, count});
  }

private:
  piece_sink& to_;
  std::uint64_t left_;
  std::uint32_t bits_;
};

/// Turns a string tensor of stet's layout, as it comes in pieces, into TensorFlow's.
class string_sink final : public piece_sink {
public:
  /// @param size_bytes  of the tensor in stet's layout; its strings will stand at `offset_bytes`
  string_sink(tensor_output& to, std::uint64_t offset_bytes, std::uint64_t element_count, std::uint64_t size_bytes)
      : to_(to), offset_(offset_bytes), table_size_(static_cast<std::size_t>(element_count + 1) * 8),
        text_size_(size_bytes - table_size_) {}

  result<void> write(std::span<const std::byte> piece) override {
    if (table_.size() < table_size_) {
      const std::size_t taken = (std::min)(piece.size(), table_size_ - table_.size());
      table_.insert(table_.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(taken));
      piece = piece.subspan(taken);
      if (table_.size() < table_size_) return {};
      if (auto begun = begin(); !begun) return begun;
    }
    crc_ = crc32c(piece, crc_);
    return to_.write(piece);
  }

  /// Where the tensor ends in the shard, and its checksum; requires that all of it was written.
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_; }
  [[nodiscard]] std::uint32_t crc32c_so_far() const noexcept { return crc_; }
  [[nodiscard]] bool has_begun() const noexcept { return size_ != 0; }

private:
  result<void> begin() {
    const bool is_sound = load_little<std::uint64_t>(table_.data()) == 0 &&
                          load_little<std::uint64_t>(table_.data() + table_size_ - 8) == text_size_;
    if (!is_sound) return errc::bad_string_table;
    const result<encoded_lengths> lengths = encode_string_lengths(table_);
    if (!lengths) return lengths.error();
    size_ = lengths->bytes.size() + text_size_;
    crc_ = lengths->crc32c;
    if (auto begun = to_.begin(offset_, size_); !begun) return begun;
    return to_.write(std::as_bytes(std::span(lengths->bytes)));
  }

  tensor_output& to_;
  std::uint64_t offset_;
  std::size_t table_size_;
  std::uint64_t text_size_, size_ = 0;
  std::uint32_t crc_ = 0;
  std::vector<std::byte> table_;
};

/// One save of a checkpoint.
class checkpoint_save {
public:
  checkpoint_save(const writer::contents& from, std::string_view prefix, const tensorflow_save_options& options)
      : from_(from), rows_(from.tensors.rows()), options_(options),
        operations_(options.operations != nullptr ? *options.operations : system_file_operations()) {
    folder_ = folder_in(prefix);
    name_ = file_name_in(prefix);
  }

  result<save_report> run() {
    if (!is_valid_alignment(options_.alignment_bytes)) return errc::bad_alignment;
    if (name_.empty()) return error(errc::bad_path, folder_);
    if (auto named = name_tensors(); !named) return named.error();
    if (auto checked = check_names_and_state(); !checked) return checked.error();
    for (std::size_t first = 0; first < rows_.size() || shards_.empty();) {
      if (auto written = write_shard(first); !written) return written.error();
    }
    if (auto checked = check_strings(); !checked) return checked.error();
    result<atomic_file> index = write_whole(name_ + ".index", print_index());
    if (!index) return index.error();
    if (auto published = publish(*index); !published) return published.error();
    report_.part_count = static_cast<std::uint32_t>(shards_.size());
    return report_;
  }

private:
  /// What will be an entry of the index.
  struct entry {
    /// Empty for a second name, which is not saved.
    std::string key;
    std::int32_t data_type = 0;
    std::uint32_t shard = 0;
    std::uint64_t offset_bytes = 0, size_bytes = 0;
    std::uint32_t crc32c = 0;
  };

  /// Decides the key of each tensor; an object-based checkpoint gets the tensors that make it one.
  result<void> name_tensors() {
    entries_.resize(rows_.size());
    const std::vector<bool> is_second_name = find_second_names(from_.tensors, rows_);
    bool has_graph = false, has_counter = false;
    for (std::size_t number = 0; number < rows_.size(); ++number) {
      if (is_second_name[number]) continue;
      const index_row& row = rows_[number];
      entries_[number].data_type = tensorflow_of_dtype(row.layout.dtype);
      if (entries_[number].data_type == 0) return error(errc::unsupported, row.name);
      entries_[number].key = row.name;
      has_graph |= row.name == object_graph_key;
      has_counter |= without_variable_suffix(row.name) == "save_counter";
    }
    if (options_.naming == tensorflow_naming::by_name || has_graph) return {};
    object_graph_builder graph;
    auto attributes = from_.tensors.attributes().begin();
    for (std::size_t number = 0; number < rows_.size(); ++number) {
      std::string_view full_name = without_variable_suffix(rows_[number].name);
      std::optional<std::string> given;
      if (attributes != from_.tensors.attributes().end() && attributes->number == number) {
        given = full_name_in(attributes->fields);
        if (given) full_name = *given;
        ++attributes;
      }
      if (!is_second_name[number]) entries_[number].key = graph.add(rows_[number].name, full_name);
    }
    if (!has_counter) add_own(graph.add("save_counter", "save_counter"), dtype::int64, 8);
    store_little(counter_, static_cast<std::uint64_t>(options_.save_counter));
    graph_ = std::string(16, '\0') + graph.finish();
    store_little(reinterpret_cast<std::byte*>(graph_.data()) + 8, std::uint64_t{graph_.size() - 16});
    add_own(std::string(object_graph_key), dtype::string, graph_.size());
    return {};
  }
  /// Checks the limits that readers have for names and the state file, before anything is written.
  [[nodiscard]] result<void> check_names_and_state() const {
    for (const entry& each : entries_) {
      // A path in an object graph becomes a longer key.
      if (!each.key.empty() && !is_valid_name(each.key)) return error(errc::bad_name, each.key);
    }
    if (!options_.state) return {};
    const std::string text = print_tensorflow_state(*options_.state);
    if (text.size() > max_tensorflow_state_size_bytes) return error(errc::too_large, "checkpoint");
    if (const auto parsed = parse_tensorflow_state(text); !parsed) return parsed.error();
    return {};
  }
  /// Checks the limit that the reader has for strings; aliases share bytes in the file, and not in memory.
  [[nodiscard]] result<void> check_strings() const {
    std::uint64_t string_size = 0;
    for (const entry& each : entries_) {
      if (each.key.empty() || each.data_type != tensorflow_of_dtype(dtype::string)) continue;
      string_size += each.size_bytes;
      if (!are_strings_in_proportion(string_size, report_.file_size_bytes)) return error(errc::too_large, each.key);
    }
    return {};
  }
  /// Adds a scalar that is no tensor of the program's.
  void add_own(std::string key, dtype type, std::uint64_t size_bytes) {
    index_row row;
    row.layout = element_layout::of(type);
    row.size_bytes = size_bytes;
    rows_.push_back(row);
    entries_.push_back({std::move(key), tensorflow_of_dtype(type), 0, 0, 0, 0});
  }
  static std::optional<std::string> full_name_in(const json_text& attributes) {
    const std::string_view said = member_of(attributes.text(), "tensorflow");
    return string_in(member_of(said, "full_name"));
  }

  /// Gives the bytes of tensor `number`, in stet's layout, to a sink.
  result<void> feed(std::size_t number, piece_sink& sink) const {
    if (number >= from_.tensors.size()) {
      const bool is_graph = rows_[number].layout.dtype == dtype::string;
      return sink.write(is_graph ? std::as_bytes(std::span(graph_)) : std::span<const std::byte>(counter_));
    }
    const tensor_list::origin& origin = from_.tensors.from(number);
    return origin.source == 0 ? sink.write(origin.bytes) : from_.sources[origin.source - 1](sink);
  }

  /// Writes tensors from `first` on until a shard is full; sets `first` to the next.
  result<void> write_shard(std::size_t& first) {
    // What is known to be needed: strings take fewer bytes than in stet's layout.
    std::uint64_t least = 0, most = 0;
    std::size_t end = first;
    for (; end < rows_.size(); ++end) {
      if (rows_[end].alias_of != index_row::not_an_alias) continue;
      const std::uint64_t size = unpacked_size(rows_[end]) + options_.alignment_bytes - 1;
      if (most != 0 && size > options_.max_shard_size_bytes - (std::min)(most, options_.max_shard_size_bytes)) break;
      most += size;
      if (rows_[end].layout.dtype != dtype::string) least += unpacked_size(rows_[end]);
    }
    result<atomic_file> file = atomic_file::create(operations_, folder_, name_ + ".data", least);
    if (!file) return file.error();
    tensor_output out(*file, buffer_, tensor_checksums::crc32c);
    for (; first < end; ++first) {
      entry& made = entries_[first];
      const std::uint32_t original = rows_[first].alias_of;
      if (original != index_row::not_an_alias) {
        const std::string key = std::move(made.key);
        made = entries_[original];
        made.key = key;
        continue;
      }
      made.shard = static_cast<std::uint32_t>(shards_.size());
      if (auto written = write_tensor(first, out); !written) {
        const std::string_view name = rows_[first].name;
        return written.error().subject().empty() ? written.error().about(name) : written.error();
      }
      report_.tensor_size_bytes += made.size_bytes;
    }
    if (auto flushed = out.flush(); !flushed) return flushed;
    report_.file_size_bytes += out.end_bytes();
    shards_.push_back(std::move(*file));
    return {};
  }

  /// The bytes of a tensor in a shard; of strings no fewer.
  static std::uint64_t unpacked_size(const index_row& row) noexcept {
    return row.layout.bits < 8 && row.layout.bits != 0 ? element_count(row) : row.size_bytes;
  }
  static std::uint64_t element_count(const index_row& row) noexcept {
    std::uint64_t count = 1;
    for (const std::uint64_t extent : row.shape) count *= extent;
    return count;
  }

  result<void> write_tensor(std::size_t number, tensor_output& out) {
    const index_row& row = rows_[number];
    entry& made = entries_[number];
    if (!checked_align_up(out.end_bytes(), options_.alignment_bytes, made.offset_bytes)) return errc::too_large;
    if (row.layout.dtype == dtype::string) {
      string_sink strings(out, made.offset_bytes, element_count(row), row.size_bytes);
      if (auto fed = feed(number, strings); !fed) return fed;
      if (!strings.has_begun()) return errc::source_too_short;
      made.size_bytes = strings.size_bytes();
      made.crc32c = strings.crc32c_so_far();
      return out.end();
    }
    made.size_bytes = unpacked_size(row);
    if (auto begun = out.begin(made.offset_bytes, made.size_bytes); !begun) return begun;
    unpacking_sink unpacked(out, made.size_bytes, row.layout.bits);
    if (auto fed = feed(number, row.layout.bits < 8 ? static_cast<piece_sink&>(unpacked) : out); !fed) return fed;
    made.crc32c = out.crc32c_so_far();
    return out.end();
  }

  /// The bytes of the index.
  [[nodiscard]] result<std::string> print_index() const {
    std::vector<std::uint32_t> order;
    order.reserve(entries_.size());
    for (std::uint32_t number = 0; number < entries_.size(); ++number) {
      if (!entries_[number].key.empty()) order.push_back(number);
    }
    std::sort(order.begin(), order.end(),
              [&](std::uint32_t a, std::uint32_t b) { return entries_[a].key < entries_[b].key; });
    sorted_table_writer table;
    protobuf_writer message;
    message.varint(1, shards_.size()).message(3, [](protobuf_writer& version) { version.varint(1, bundle_version); });
    table.add("", message.view());
    for (std::size_t i = 0; i < order.size(); ++i) {
      const entry& each = entries_[order[i]];
      if (i != 0 && each.key == entries_[order[i - 1]].key) return error(errc::duplicate_name, each.key);
      message.clear();
      message.varint(1, static_cast<std::uint32_t>(each.data_type)).message(2, [&](protobuf_writer& shape) {
        for (const std::uint64_t extent : rows_[order[i]].shape) {
          shape.message(2, [&](protobuf_writer& dim) { append_unless_zero(dim, 1, extent); });
        }
      });
      append_unless_zero(message, 3, each.shard);
      append_unless_zero(message, 4, each.offset_bytes);
      append_unless_zero(message, 5, each.size_bytes);
      message.fixed32(6, mask_crc32c(each.crc32c));
      table.add(each.key, message.view());
    }
    return table.finish();
  }
  static void append_unless_zero(protobuf_writer& out, std::uint32_t number, std::uint64_t value) {
    if (value != 0) out.varint(number, value);
  }

  /// An unfinished file of these bytes.
  result<atomic_file> write_whole(const std::string& name, result<std::string> text) {
    if (!text) return text.error();
    result<atomic_file> file = atomic_file::create(operations_, folder_, name, text->size());
    if (!file) return file;
    if (auto written = file->write_at(0, std::as_bytes(std::span(*text))); !written) return written.error();
    if (auto finished = file->finish(options_.is_durable); !finished) return finished.error();
    report_.file_size_bytes += text->size();
    return file;
  }

  /// Gives the files their names: shards, then the index, then the state file, each only when those before it are there.
  result<void> publish(atomic_file& index) {
    const std::uint32_t count = static_cast<std::uint32_t>(shards_.size());
    std::vector<bool> taken(count);
    for (std::uint32_t shard = 0; shard < count; ++shard) {
      const std::string name = name_ + shard_suffix(shard, count);
      shards_[shard].set_name(name);
      if (auto finished = shards_[shard].finish(options_.is_durable, true); !finished) return finished;
      taken[shard] = static_cast<bool>(file::open(folder_ + name));
    }
    const auto is_taken = [&](std::size_t shard) { return taken[shard]; };
    auto published = publish_together(shards_, index, options_.is_durable, is_taken);
    const bool is_published = published || published.error().code() == errc::not_durable;
    if (!is_published || !options_.state) return published;
    result<atomic_file> state = write_whole("checkpoint", print_tensorflow_state(*options_.state));
    if (!state) return state.error();
    const auto named = publish_together({}, *state, options_.is_durable, is_taken);
    return named ? published : named;
  }

  const writer::contents& from_;
  std::vector<index_row> rows_; // of the program's tensors, and then of those that `add_own` added
  const tensorflow_save_options& options_;
  const file_operations& operations_;
  std::string folder_, name_;
  std::vector<entry> entries_; // one a row
  std::vector<atomic_file> shards_;
  output_buffer buffer_;
  std::string graph_; // in stet's layout
  std::byte counter_[8] = {};
  save_report report_;
};

} // namespace detail

/// Saves what was added to `from` as a TensorFlow V2 checkpoint. The same tensors and options give the same bytes.
///
/// Files appear under their names when they are finished: shards, then the index, then the state file. A prefix that is new is
/// there whole or not at all. Over a prefix that is in use TensorFlow's names leave no such choice: until the new index is there,
/// and after a failure, new shards may stand beside the old index; so give each save a prefix of its own, as its Saver does.
/// @param prefix_utf8  what the names of the files begin with, in a folder that is there
/// @retval errc::unsupported      TensorFlow has no such dtype (the tensor is the subject): blocks, 6-bit floats, float8_e8m0fnu
/// @retval errc::duplicate_name   two tensors would have the same key
/// @retval errc::bad_string_table  the offsets of a string tensor are not valid
/// @retval errc::bad_name        a key, the subject, would be longer than `max_name_size_bytes`
/// @retval errc::bad_state_file  `options.state` names no checkpoint, or has a time that is not finite
/// @retval errc::bad_path, bad_alignment  the prefix, or the alignment, is not valid
/// @retval errc::too_large       there are too many bytes; or the state file, or aliases of string tensors (one is the subject),
///                               exceed what the reader accepts
/// @retval errc::source_too_short, source_too_long, or its own  the source of the tensor that is the subject
/// @retval errc::no_space, access_denied, file_not_found, io_error  the operating system
/// or the error of the first `add` that failed. Cost: reads every byte once; memory for the table of tensors, the offsets of the
/// largest string tensor, and 256 KiB. Durable (the default): waits for the disk.
inline result<save_report> save_tensorflow_checkpoint(std::string_view prefix_utf8, const writer& from,
                                                      const tensorflow_save_options& options = {}) {
  const result<writer::contents> contents = from.added();
  if (!contents) return contents.error();
  return detail::checkpoint_save(*contents, prefix_utf8, options).run();
}

} // namespace stet::inline STET_NAMESPACE

#endif
