// SPDX-License-Identifier: MIT
// The content of a writer as an open store and a description, for savers of other formats.
#ifndef STET_FORMATS_COMMON_WRITER_MODEL_HPP
#define STET_FORMATS_COMMON_WRITER_MODEL_HPP

#include "../description.hpp"
#include "../model.hpp"
#include "memory_sink.hpp"
#include "finish_model.hpp"
#include "second_name.hpp"
#include "store_builder.hpp"

#include "../../manifest/detail/caught.hpp"
#include "../../json.hpp"
#include "../../manifest/graph_json.hpp"
#include "../../source/source.hpp"
#include "../../writer/writer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// The content of a writer. It views the writer, which must outlive it.
struct writer_model {
  /// The tensors and aliases in the order in which they were added, then the second names (`model::is_second_name`).
  stet::store store;
  model_description described;
  /// The number of tensors and aliases that are not second names.
  std::size_t own_count = 0;
  /// True if the order of the tensors is that of the model.
  bool is_order_known = true;

  /// True if a tensor is a second name.
  [[nodiscard]] bool is_second_name(const tensor& of) const noexcept { return of.entry().number() >= own_count; }
};

/// The bytes that the sources of a writer give: those of one tensor at a time are kept.
struct given_tensor {
  const void* owner = nullptr;
  source bytes;
};

/// Reads a tensor whose bytes a source gives in pieces. The first read calls the source and keeps all bytes, until another tensor
/// is read. Not for several threads at once.
class given_bytes final : public byte_reader {
public:
  given_bytes(const piece_source& from, std::uint64_t size_bytes, std::shared_ptr<given_tensor> kept)
      : from_(from), size_bytes_(size_bytes), kept_(std::move(kept)) {}

  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return size_bytes_; }
  [[nodiscard]] result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    if (kept_->owner != &from_) {
      if (auto filled = fill(); !filled) return filled;
    }
    return kept_->bytes.read_at(offset_bytes, into);
  }

private:
  result<void> fill() const noexcept {
    kept_->owner = nullptr;
    kept_->bytes = source();
    result<source> made = source::allocate(size_bytes_);
    if (!made) return made.error();
    memory_sink sink({made->writable_data(), static_cast<std::size_t>(size_bytes_)});
    if (auto given = caught([&]() -> result<void> { return from_(sink); }); !given) return given;
    if (!sink.is_full()) return errc::source_too_short;
    kept_->bytes = std::move(*made);
    kept_->owner = &from_;
    return {};
  }

  const piece_source& from_;
  std::uint64_t size_bytes_;
  std::shared_ptr<given_tensor> kept_;
};

/// Reads a tensor of an open store that is not in memory, at the offset that it has there.
class opened_bytes final : public byte_reader {
public:
  explicit opened_bytes(const tensor& from) noexcept : from_(from) {}
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override {
    return from_.entry().offset_bytes() + from_.size_bytes();
  }
  [[nodiscard]] result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    return from_.read(offset_bytes - from_.entry().offset_bytes(), into);
  }

private:
  tensor from_;
};

/// Adds the tensors of a writer to a store that is being built.
class writer_store {
public:
  /// @param is_second_name  for each tensor
  writer_store(store_builder& into, const writer::contents& from, const std::vector<bool>& is_second_name)
      : into_(into), from_(from), is_second_name_(is_second_name) {}

  /// Returns the number of tensors and aliases that are not second names. Errors: those of `source::keep`.
  result<std::size_t> run() {
    std::vector<index_row> rows = from_.tensors.rows();
    std::vector<std::uint32_t> numbers(rows.size()); // in the store
    add_parts_of_opened();
    for (std::size_t number = 0; number < rows.size(); ++number) {
      if (is_second_name_[number]) continue;
      index_row& row = rows[number];
      row.has_crc32c = false; // which `save` computes
      if (row.alias_of == index_row::not_an_alias && row.size_bytes != 0) {
        if (auto placed = place(from_.tensors.from(number), row); !placed) return placed.error();
      }
      if (row.alias_of != index_row::not_an_alias) row.alias_of = numbers[row.alias_of];
      numbers[number] = static_cast<std::uint32_t>(into_.tensor_count());
      into_.add(row);
    }
    const std::size_t own_count = into_.tensor_count();
    for (std::size_t number = 0; number < rows.size(); ++number) {
      if (is_second_name_[number]) into_.add_alias(numbers[rows[number].alias_of], rows[number].name);
    }
    return own_count;
  }

private:
  [[nodiscard]] static bool is_in_memory(const tensor& of) noexcept {
    return of.size_bytes() != 0 && of.bytes().size() == of.size_bytes();
  }
  /// Where the file begins in memory that holds a tensor.
  [[nodiscard]] static const std::byte* begin_of_file(const tensor& of) noexcept {
    return of.bytes().data() - static_cast<std::size_t>(of.entry().offset_bytes());
  }

  /// Tensors of open stores keep their offsets, which errors name: the memory that holds several of them is one part.
  void add_parts_of_opened() {
    std::map<const std::byte*, std::uint64_t> sizes;
    for (const tensor& each : from_.opened) {
      if (!is_in_memory(each)) continue;
      std::uint64_t& size = sizes[begin_of_file(each)];
      size = (std::max)(size, each.entry().offset_bytes() + each.size_bytes());
    }
    for (const auto& [begin, size] : sizes)
      parts_[begin] = into_.add_decoded(source::borrow({begin, static_cast<std::size_t>(size)}));
  }

  result<void> place(const tensor_list::origin& from, index_row& row) {
    if (from.source == 0) {
      row.part = into_.add_decoded(source::borrow(from.bytes));
      return {};
    }
    if (from.opened == 0) {
      result<source> kept = source::keep(given_bytes(from_.sources[from.source - 1], row.size_bytes, kept_));
      if (!kept) return kept.error();
      row.part = into_.add_decoded(std::move(*kept));
      return {};
    }
    const tensor& opened = from_.opened[from.opened - 1];
    row.offset_bytes = opened.entry().offset_bytes();
    row.big_endian = opened.entry().is_big_endian();
    row.has_crc32c = opened.entry().has_crc32c();
    if (row.has_crc32c) row.crc32c = opened.entry().crc32c();
    if (is_in_memory(opened)) {
      row.part = parts_.at(begin_of_file(opened));
      return {};
    }
    result<source> kept = source::keep(opened_bytes(opened));
    if (!kept) return kept.error();
    row.part = into_.add_decoded(std::move(*kept));
    return {};
  }

  store_builder& into_;
  const writer::contents& from_;
  const std::vector<bool>& is_second_name_;
  std::map<const std::byte*, std::uint32_t> parts_; // by where they begin
  std::shared_ptr<given_tensor> kept_ = std::make_shared<given_tensor>();
};

/// The writer's graphs, state, metadata and attributes. An alias that is a second name does not have the field that makes it one.
/// Errors: those of `graph_from_json`.
inline result<model_description> description_of(const writer& from, const writer::contents& added,
                                                const std::vector<bool>& is_second_name) {
  model_description made;
  const auto add_graph = [&](const json_text& text) -> result<void> {
    result<graph> read = graph_from_json(to_json_value(text));
    if (!read) return read.error();
    made.graphs.push_back(std::move(*read));
    return {};
  };
  if (!from.graph.empty()) {
    if (auto read = add_graph(from.graph); !read) return read.error();
  }
  for (const json_text& each : from.foreign.further_graphs) {
    if (auto read = add_graph(each); !read) return read.error();
  }
  made.state = to_json_value(from.state);
  made.metadata = to_json_value(from.metadata);
  for (const tensor_list::attributes_of& each : added.tensors.attributes()) {
    const json_text fields = is_second_name[each.number] ? without_member(each.fields, second_name_field) : each.fields;
    if (!fields.empty()) made.tensors.push_back({std::string(added.tensors.name(each.number)), to_json_value(fields)});
  }
  return made;
}

/// Makes a store and a description of the content of a writer.
/// @retval errc::duplicate_name  two tensors have the same name
/// or the error of the first `add` that failed; those of `graph_from_json` and `store_builder::finish`.
/// Cost: an index of the tensors, whose bytes stay where they are. Of a tensor that a source gives, all bytes are in memory while
/// it is saved.
inline result<writer_model> model_of_writer(const writer& from) {
  const result<writer::contents> added = from.added();
  if (!added) return added.error();
  const std::vector<bool> is_second_name = find_second_names(added->tensors, added->tensors.rows());
  result<model_description> described = description_of(from, *added, is_second_name);
  if (!described) return described.error();
  store_builder builder;
  const result<std::size_t> own_count = writer_store(builder, *added, is_second_name).run();
  if (!own_count) return own_count.error();
  result<store> made = builder.finish();
  if (!made) return made.error();
  return writer_model{std::move(*made), std::move(*described), *own_count, from.foreign.is_order_known};
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
