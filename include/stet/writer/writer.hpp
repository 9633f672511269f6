// SPDX-License-Identifier: MIT
// Saves tensors as a store: plans where each lies, streams their bytes, and publishes the finished files at once.
#ifndef STET_WRITER_WRITER_HPP
#define STET_WRITER_WRITER_HPP

#include "detail/text.hpp"
#include "output.hpp"
#include "plan.hpp"
#include "tensors.hpp"

#include "../manifest/shards.hpp"
#include "../store/tensor.hpp"
#include "../vocabulary/detail/borrowed.hpp"
#include "../vocabulary/extents.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// What files of another format say of a model that a store has no place for. Savers of such formats read it; `writer::save` does
/// not. `add_model` of formats/add_model.hpp fills it.
struct foreign_notes {
  /// Graphs beside `writer::graph`, as that.
  std::vector<json_text> further_graphs;
  /// Whether tensors were added in the order that the model gives them, and not, say, in that of their names.
  bool is_order_known = true;
};

/// Collects tensors and saves them as a store. Ranges are borrowed, not copied: elements must live, unchanged, until the last
/// save; so a container that ends with the call does not compile. Single values are copied. A writer can save several times. Not
/// for use by several threads at once.
///
///     stet::writer out;
///     out.add("dense/kernel", kernel, {784, 10}).add("step", 1200).add("name", "digits");
///     out.metadata = stet::json_text(R"({"author": "me"})");
///     auto saved = out.save("model.stet");
///
/// Every `add` returns the writer. The first failure of one is kept: `added` tells it, and every save fails with it. Its subject
/// is the tensor's name:
/// @retval errc::bad_name       the name is empty, too long, not UTF-8, or holds a NUL
/// @retval errc::bad_shape      an extent is negative, rank or size overflows, or elements do not fill whole blocks
/// @retval errc::size_mismatch  the number of elements or bytes is not that of the shape
/// @retval errc::duplicate_name the name was added before: found by the save
class writer {
public:
  /// The graph, an object, or nothing, as the next two: text, or a `json_value` with stet/json.hpp.
  json_text graph;
  /// The state of the session.
  json_text state;
  /// Free-form fields of the model.
  json_text metadata;
  /// For savers of other formats.
  foreign_notes foreign;

  /// Adds a tensor of the elements in a range: a vector, an array, a span, a view. Its one extent is their number; those of a
  /// view are its own.
  template <class Range>
    requires detail::borrowed_elements<Range> || detail::borrowed_texts<Range>
  writer& add(std::string_view name, Range&& elements) {
    const std::span range(elements);
    return add_range(name, range, detail::own_extents(elements, range.size()), {});
  }

  /// Adds a tensor of the elements in a range, row-major. Types narrower than a byte are packed when saved. A range of strings
  /// (`std::string`, `std::string_view`, `const char*`) is a string tensor.
  /// @param attributes  an object of further fields (trainable, quantization, anything), or nothing
  template <class Range>
    requires detail::borrowed_elements<Range> || detail::borrowed_texts<Range>
  writer& add(std::string_view name, Range&& elements, const extents& shape, json_text attributes = {}) {
    return add_range(name, std::span(elements), shape, std::move(attributes));
  }

  /// Adds a tensor of one element, which is copied: `add("step", 1200)`. Its shape is that of a scalar unless given.
  template <element T>
  writer& add(std::string_view name, T value, const extents& shape = {}, json_text attributes = {}) {
    const element_layout layout = element_layout::of(dtype_of<T>::value);
    std::uint64_t size_bytes = 0;
    if (auto counted = check_count(name, shape, 1); !counted) return noted(std::move(counted));
    if (!detail::packed_size(1, layout.bits, size_bytes)) return noted(error(errc::bad_shape, name));
    return add_source(
        name, layout, shape, size_bytes,
        [value](piece_sink& sink) {
          const std::span<const T> elements(&value, 1);
          return is_stored_as_it_is<T> ? sink.write(std::as_bytes(elements)) : detail::write_encoded(elements, sink);
        },
        std::move(attributes));
  }

  /// Adds a tensor of one string, which is copied: `add("unit", "metre")`. Its shape is that of a scalar unless given.
  template <detail::text Text>
  writer& add(std::string_view name, const Text& value, const extents& shape = {}, json_text attributes = {}) {
    if (detail::is_null(value)) return noted(error(errc::invalid_argument, name));
    if (auto counted = check_count(name, shape, 1); !counted) return noted(std::move(counted));
    std::string copy{detail::text_of(value)};
    const std::uint64_t size_bytes = std::uint64_t{16} + copy.size();
    return add_source(
        name, element_layout::of(dtype::string), shape, size_bytes,
        [copy = std::move(copy)](piece_sink& sink) {
          const std::string_view strings[] = {copy};
          return detail::write_strings(strings, sink);
        },
        std::move(attributes));
  }

  /// Adds a tensor of an open store, which must stay open. Its bytes are not decoded.
  /// @retval errc::wrong_byte_order  the tensor is big-endian
  /// @retval errc::invalid_argument  the tensor is none: it was not found in a store
  template <class Tensor> // a template, so that `{}` is no tensor
    requires std::is_same_v<Tensor, tensor>
  writer& add(std::string_view name, const Tensor& from, json_text attributes = {}) {
    if (!from.entry()) return noted(error(errc::invalid_argument, name));
    if (from.entry().is_big_endian()) return noted(error(errc::wrong_byte_order, name));
    if (from.size_bytes() == from.bytes().size()) {
      return noted(tensors_.add(name, from.layout(), extents(from.shape()), from.size_bytes(), {from.bytes(), 0},
                                std::move(attributes)));
    }
    return add_opened(
        name, from, [from](piece_sink& sink) { return detail::write_fetched(from, sink); }, std::move(attributes));
  }

  /// A writer borrows elements, so they must outlive it: name the container, and add that.
  template <class Range>
    requires detail::temporary_elements<Range> || detail::temporary_texts<Range>
  writer& add(std::string_view, Range&& elements_must_outlive_the_writer, const extents& = {},
              const json_text& = {}) = delete;
  /// A std::vector<bool> has no elements of type bool to borrow: std::array<bool, N> and std::vector<std::uint8_t> have.
  template <class Bits>
    requires std::is_same_v<std::remove_cvref_t<Bits>, std::vector<bool>>
  writer& add(std::string_view, Bits&& has_no_array_of_bool, const extents& = {}, const json_text& = {}) = delete;
  /// A tensor needs a name.
  template <class... Arguments> writer& add(std::nullptr_t, Arguments&&...) = delete;

  /// Adds a tensor whose stored bytes are `bytes`, laid out as index/format.hpp says under "Data".
  template <class Bytes = std::span<const std::byte>>
    requires std::is_convertible_v<Bytes, std::span<const std::byte>> && detail::outlives_call<Bytes>
  writer& add_bytes(std::string_view name, const element_layout& layout, const extents& shape, Bytes&& bytes,
                    json_text attributes = {}) {
    const std::span<const std::byte> stored(bytes);
    return noted(tensors_.add(name, layout, shape, stored.size(), {stored, 0}, std::move(attributes)));
  }

  /// Adds a tensor whose stored bytes come in pieces when the store is saved: a model larger than memory.
  /// @param size_bytes  how many bytes the source gives; fewer or more make `save` fail
  /// @retval errc::invalid_argument  the source is empty
  writer& add_source(std::string_view name, const element_layout& layout, const extents& shape,
                     std::uint64_t size_bytes, piece_source source, json_text attributes = {}) {
    if (!source) return noted(error(errc::invalid_argument, name));
    return add_encoded(name, layout, shape, size_bytes, {}, std::move(source), std::move(attributes));
  }

  /// Adds a tensor of an open store, which must stay open, whose bytes `source` gives as a store is to have them: in
  /// little-endian order, say, or compared with a checksum. Savers of other formats read the tensor itself.
  /// @retval errc::invalid_argument  the source is empty, or the tensor is none
  writer& add_opened(std::string_view name, const tensor& from, piece_source source, json_text attributes = {}) {
    if (!source || !from.entry()) return noted(error(errc::invalid_argument, name));
    opened_.push_back(from);
    const std::size_t before = tensors_.size();
    add_encoded(name, from.layout(), extents(from.shape()), from.size_bytes(), {}, std::move(source),
                std::move(attributes), static_cast<std::uint32_t>(opened_.size()));
    if (tensors_.size() == before) opened_.pop_back();
    return *this;
  }

  /// Adds another name for a tensor added before: tied weights. The bytes are stored once.
  /// @retval errc::not_found  no tensor called `original` was added
  writer& add_alias(std::string_view name, std::string_view original, json_text attributes = {}) {
    const std::size_t number = tensors_.find(original);
    if (number == tensors_.size()) return noted(error(errc::not_found, original));
    return noted(tensors_.add_alias(name, number, std::move(attributes)));
  }

  /// What was added, for savers of other formats; views this writer.
  struct contents {
    /// The tensors.
    const detail::tensor_list& tensors;
    /// The functions that give the bytes of those tensors that are not in memory.
    std::span<const piece_source> sources;
    /// The tensors of open stores that were added by `add_opened`.
    std::span<const tensor> opened;
    /// The notes for savers of other formats.
    const foreign_notes& foreign;
  };
  /// What was added, or the error of the first `add` that failed: `if (auto added = out.added(); !added) …`.
  /// @retval errc::invalid_argument  it saves the head of a sharded checkpoint, which other formats do not have
  [[nodiscard]] result<contents> added() const noexcept {
    if (failure_) return *failure_;
    if (is_head()) return error(errc::invalid_argument, detail::shards_key);
    return contents{tensors_, sources_, opened_, foreign};
  }

  /// How many tensors were added.
  [[nodiscard]] std::size_t tensor_count() const noexcept { return tensors_.size(); }

  /// Saves to `path_utf8`; where a file is there already, it is replaced by the finished one. Space is reserved first. What
  /// a reader sees at the path is the old file or the new, whole one; after a failure it is the old one, and nothing else
  /// is left behind. The same tensors and options give the same bytes.
  ///
  /// The parts of a sharded or loose store are new files beside it; a part that only the replaced store listed is removed at
  /// the end, if it bears the name of a part of this path. Whoever opens the store at that very moment may miss it and is
  /// to open the store again. Two programs at once must not save sharded or loose stores to one path.
  /// @retval errc::duplicate_name    two tensors have the same name
  /// @retval errc::bad_alignment     the alignment or the page size is not a power of two from 1 to 65536
  /// @retval errc::source_too_short, source_too_long, or its own  the source of the tensor that is the subject
  /// @retval errc::wrong_type, duplicate_key, bad_json, bad_number, too_deep, bad_quantization  graph, state, metadata or
  ///                                 attributes cannot be a manifest's
  /// @retval errc::too_large, bad_hash_table  too many bytes, tensors or block types, or names made to collide
  /// @retval errc::bad_path          the path names no file, or one whose parts could not be called after it
  /// @retval errc::no_space, access_denied, file_not_found, not_a_regular_file, io_error  the operating system, its number
  ///                                 with it
  /// Cost: reads every byte once, with a second thread for the checksums of pieces of 4 MiB and more; memory for the table of
  /// tensors and 256 KiB. Durable (the default): waits for the disk.
  result<save_report> save(std::string_view path_utf8, const save_options& options = {}) const {
    if (is_head()) return save_as_one_file(path_utf8, options, [](auto& plan) { return plan.write_files(); });
    if (failure_) return *failure_;
    detail::save_plan plan(tensors_, sources_, options);
    if (auto made = plan.prepare(path_utf8, {graph, state, metadata, extra_}); !made) return made.error();
    return plan.write_files();
  }

  /// Saves to memory, as a single file. Options that concern files are ignored.
  /// Errors: those of `save` that do not concern the operating system.
  result<std::vector<std::byte>> save_to_memory(const save_options& options = {}) const {
    return save_as_one_file({}, options, [](auto& plan) { return plan.write_memory(); });
  }

  /// Saves through an output of the program, as a single file: to the files of an engine, say. Tensors come first, in ascending
  /// order, then what stands before them; the header comes last, and until then nothing can be taken for a store. To let readers
  /// see either the old file or the new one is the output's business. Options that concern files are ignored.
  /// @return how large the file is, and more
  /// Errors: those of `save_to_memory`, and those of the output.
  result<save_report> save_to(byte_writer& to, const save_options& options = {}) const {
    return save_as_one_file({}, options, [&](auto& plan) { return plan.write_to(to); });
  }

  /// Further fields of the manifest, as `parse_manifest` found them in another: an object, or nothing.
  void set_extra(json_text fields) { extra_ = std::move(fields); }

  /// Makes this the writer of the head of a sharded checkpoint (manifest/shards.hpp), whose tensors are in these shards: `save`
  /// then writes a file with a manifest and no index, whatever the form. The shards are to be in its folder before it is.
  /// A failure is kept as that of an `add` is:
  /// @retval errc::missing_part, too_large  there are no shards, or more than `max_shard_count`
  /// @retval errc::bad_path        a shard has no plain file name
  /// @retval errc::duplicate_part  two shards have the same name
  /// @retval errc::invalid_argument  (of the save) tensors were added, too
  writer& set_shards(std::span<const shard_reference> shards) {
    if (auto checked = detail::check_shards(shards); !checked) return noted(std::move(checked));
    shards_ = shards_field(shards).text();
    shards_.pop_back(); // the brace, behind further fields
    return *this;
  }

private:
  [[nodiscard]] bool is_head() const noexcept { return !shards_.empty(); }

  /// Whether a file has elements as memory does.
  template <class T>
  static constexpr bool is_stored_as_it_is =
      describe(dtype_of<T>::value).bits == sizeof(T) * 8 &&
      (detail::host_is_little_endian || describe(dtype_of<T>::value).word_size_bytes == 1);

  /// Calls `write` with a plan that is ready.
  template <class Write>
  auto save_as_one_file(std::string_view path_utf8, save_options options, Write write) const
      -> decltype(write(std::declval<detail::save_plan&>())) {
    options.form = store_form::single_file;
    if (failure_) return *failure_;
    if (is_head() && tensors_.size() != 0) return error(errc::invalid_argument, detail::shards_key);
    const json_text extra = is_head() ? detail::with_members_of(shards_, extra_) : extra_;
    detail::save_plan plan(tensors_, sources_, options);
    if (auto made = plan.prepare(path_utf8, {graph, state, metadata, extra}, !is_head()); !made) return made.error();
    return write(plan);
  }

  /// Whether there are as many elements as `shape` has. Bytes do not tell where several elements share one.
  static result<void> check_count(std::string_view name, std::span<const std::uint64_t> shape,
                                  std::uint64_t element_count) {
    detail::element_counter counter;
    for (const std::uint64_t extent : shape) {
      if (!counter.multiply(extent)) return error(errc::bad_shape, name);
    }
    if (counter.element_count() != element_count) return error(errc::size_mismatch, name);
    return {};
  }

  /// Adds a range of elements or of strings.
  template <class T, std::size_t Count>
  writer& add_range(std::string_view name, std::span<T, Count> range, const extents& shape, json_text&& attributes) {
    const std::span<const std::remove_const_t<T>> elements(range.data(), range.size());
    if (auto counted = check_count(name, shape, elements.size()); !counted) return noted(std::move(counted));
    if constexpr (element<T>) {
      return add_elements(name, elements, shape, std::move(attributes));
    } else {
      return add_texts(name, elements, shape, std::move(attributes));
    }
  }

  template <class T>
  writer& add_elements(std::string_view name, std::span<const T> elements, const extents& shape,
                       json_text&& attributes) {
    const element_layout layout = element_layout::of(dtype_of<T>::value);
    std::uint64_t size_bytes = 0;
    if (!detail::packed_size(elements.size(), layout.bits, size_bytes)) return noted(error(errc::bad_shape, name));
    if constexpr (is_stored_as_it_is<T>) {
      return noted(tensors_.add(name, layout, shape, size_bytes, {std::as_bytes(elements), 0}, std::move(attributes)));
    } else {
      return add_encoded(
          name, layout, shape, size_bytes, std::as_bytes(elements),
          [elements](piece_sink& sink) { return detail::write_encoded(elements, sink); }, std::move(attributes));
    }
  }

  template <class T>
  writer& add_texts(std::string_view name, std::span<const T> texts, const extents& shape, json_text&& attributes) {
    std::uint64_t size_bytes = (texts.size() + std::uint64_t{1}) * 8;
    for (const T& each : texts) {
      if (detail::is_null(each)) return noted(error(errc::invalid_argument, name));
      if (!detail::checked_add(size_bytes, detail::text_of(each).size(), size_bytes))
        return noted(error(errc::too_large, name));
    }
    return add_source(
        name, element_layout::of(dtype::string), shape, size_bytes,
        [texts](piece_sink& sink) { return detail::write_strings(texts, sink); }, std::move(attributes));
  }

  /// Adds a tensor whose stored bytes a source makes, of `elements` if they are in memory.
  /// @param opened  the number plus one of the open tensor that they are of
  writer& add_encoded(std::string_view name, const element_layout& layout, const extents& shape,
                      std::uint64_t size_bytes, std::span<const std::byte> elements, piece_source source,
                      json_text&& attributes, std::uint32_t opened = 0) {
    sources_.push_back(std::move(source));
    auto added = tensors_.add(name, layout, shape, size_bytes,
                              {elements, static_cast<std::uint32_t>(sources_.size()), opened}, std::move(attributes));
    if (!added) sources_.pop_back();
    return noted(std::move(added));
  }

  /// Remembers the first failure of an `add`.
  writer& noted(result<void>&& added) {
    if (!added && !failure_) failure_ = added.error();
    return *this;
  }

  detail::tensor_list tensors_;
  std::optional<error> failure_;
  std::vector<piece_source> sources_;
  std::vector<tensor> opened_;
  json_text extra_;
  std::string shards_; // the field of a head, an object that is not closed
};

} // namespace stet::inline STET_NAMESPACE

#endif
