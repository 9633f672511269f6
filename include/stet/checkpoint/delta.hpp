// SPDX-License-Identifier: MIT
// Deltas: checkpoints that hold only the changes to another file; and stores that include their bases.
#ifndef STET_CHECKPOINT_DELTA_HPP
#define STET_CHECKPOINT_DELTA_HPP

#include "add_variables.hpp"
#include "layered.hpp"
#include "snapshot.hpp"

#include "../bytes/sha256.hpp"
#include "../manifest/content_digest.hpp"
#include "../manifest/detail/digest_text.hpp"
#include "../manifest/detail/json_output.hpp"
#include "../manifest/open.hpp"
#include "../manifest/parse.hpp"
#include "../manifest/shards.hpp"
#include "../source/detail/helper_thread.hpp"
#include "../store/copy_elements.hpp"
#include "../store/open.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// A delta is a native store of its own that lacks the tensors it shares with its base. Its manifest has one field more:
//
//   "base": {"file": "ckpt-1200.stet", "sha256": "64 lower-case hexadecimal digits",
//            "removed": ["name" …], "order": ["name" …], "attributes": {"name": {…} …}}
//
//   file        the base, in the folder of the delta; it may itself be a delta, or the head of a sharded checkpoint
//   sha256      the content digest of the base: SHA-256 of its manifest's text followed by its index, which a head has not. Every
//               save with other names, shapes, places or checksums has another
//   removed     tensors of the base that the delta does not have; absent: none
//   order       all tensors of both; absent: those of the base in their order, then new ones
//   attributes  of tensors of the base whose elements are the same and whose further fields are not; absent: none

namespace stet::inline STET_NAMESPACE {

/// A file that a delta builds on.
struct delta_base {
  /// A plain file name in the folder of the delta.
  std::string file_name;
  /// The SHA-256 of that file.
  sha256_digest digest;
  /// The tensors of the base that the delta does not have.
  std::vector<std::string> removed;
  /// The names of all tensors in their order; empty: those of the base, then new ones.
  std::vector<std::string> order;
  /// An object of objects, or nothing.
  json_text attributes;
};

namespace detail {

/// True if the error is about the content of files, and not a failure of the system.
inline bool is_of_contents(const error& why) noexcept {
  return why.category() > error_category::system || why == errc::not_a_regular_file || why == errc::bad_path;
}

/// The largest number of files in a chain of deltas; `compact` shortens a chain.
inline constexpr std::size_t max_delta_depth = 64;

/// Finds the variables whose tensor in a base has their dtype, shape and bytes. Bytes in memory are compared by several threads.
class comparison {
public:
  /// Adds the next variable, and its tensor in the base, nullptr if there is none. The bytes of both must stay until `run`. A tensor
  /// whose elements must be copied to be compared is compared now.
  void add(const tensor* before, const variable& now) {
    unchanged_.push_back(before != nullptr && may_be_unchanged(*before, now));
  }

  /// Compares the bytes. @param thread_count  0: as many as the machine has processors
  void run(unsigned thread_count) {
    if (thread_count == 0) thread_count = processor_count();
    // Few bytes are compared sooner than a thread is started.
    const std::size_t wanted = (std::min<std::size_t>)(thread_count, pieces_.size() / least_pieces_of_thread);
    auto work = [this]() noexcept { take_pieces(); };
    run_on_threads(static_cast<unsigned>(wanted), work);
    for (const piece& each : pieces_) {
      if (!each.is_equal) unchanged_[each.variable] = false;
    }
  }

  /// Whether variable `number`, in the order of the calls of `add`, is unchanged; after `run`.
  [[nodiscard]] bool is_unchanged(std::size_t number) const noexcept { return unchanged_[number]; }

private:
  static constexpr std::size_t piece_size = std::size_t{1} << 20, least_pieces_of_thread = 2;
  struct piece {
    std::size_t variable;
    const std::byte *before, *now;
    std::size_t size_bytes;
    bool is_equal;
  };

  /// False if the variable is known to be changed. Adds the pieces that are still to be compared.
  bool may_be_unchanged(const tensor& before, const variable& now) {
    const std::span<const std::byte> elements = now.bytes();
    if (before.dtype() != now.layout().dtype || !before.shape().equals(now.shape())) return false;
    if (elements.size() != now.size_bytes()) return false;
    if (elements.empty()) return true;
    const std::span<const std::byte> bytes = before.bytes();
    // A variable that is bound to the base is equal without a comparison, unless the base is writable: its old bytes are lost
    // after a write.
    if (bytes.data() == elements.data()) return !before.is_writable() && bytes.size() == elements.size();
    if (before.layout().bits != now.layout().bits || !before.is_in_place()) {
      scratch_.resize(now.size_bytes());
      return copy_elements(before, now.layout().dtype, scratch_) &&
             std::memcmp(scratch_.data(), elements.data(), elements.size()) == 0;
    }
    if (bytes.size() != elements.size()) return false;
    for (std::size_t at = 0; at < bytes.size(); at += piece_size) {
      pieces_.push_back({unchanged_.size(), bytes.data() + at, elements.data() + at,
                         (std::min)(piece_size, bytes.size() - at), false});
    }
    return true;
  }

  void take_pieces() noexcept {
    for (;;) {
      const std::size_t number = next_.fetch_add(1, std::memory_order_relaxed);
      if (number >= pieces_.size()) return;
      piece& each = pieces_[number];
      each.is_equal = std::memcmp(each.before, each.now, each.size_bytes) == 0;
    }
  }

  std::vector<bool> unchanged_;
  std::vector<piece> pieces_;
  std::vector<std::byte> scratch_;
  std::atomic<std::size_t> next_{0}; // the number of the piece that is compared next
};

/// Reads an array of strings, if there is one.
inline result<std::vector<std::string>> strings_of(std::string_view array) {
  std::vector<std::string> all;
  if (array.empty()) return all;
  json_reader in(array);
  if (in.next() != json_token::begin_array) return error(errc::wrong_type, "base");
  while (in.next() == json_token::string) assign_string(in.string(), all.emplace_back());
  if (in.token() != json_token::end_array) return error(errc::wrong_type, "base");
  return all;
}

/// The base of the store with this manifest.
inline result<std::optional<delta_base>> base_in(const manifest& of) {
  std::optional<delta_base> base;
  const std::string_view field = member_of(of.extra.text(), "base");
  if (field.empty()) return base;
  if (field.front() != '{') return error(errc::wrong_type, "base");
  const std::string_view file = member_of(field, "file"), digest = member_of(field, "sha256");
  if (file.empty() || digest.empty()) return error(errc::missing_field, "base");
  std::optional<std::string> file_text = string_in(file), digest_text = string_in(digest);
  if (!file_text || !digest_text) return error(errc::wrong_type, "base");
  const std::optional<sha256_digest> expected = digest_of_hex(*digest_text);
  if (!expected) return error(errc::bad_checksum_field, "base");
  if (!is_part_name(*file_text)) return error(errc::bad_path, *file_text);
  result<std::vector<std::string>> removed = strings_of(member_of(field, "removed")),
                                   order = strings_of(member_of(field, "order"));
  if (!removed) return removed.error();
  if (!order) return order.error();
  base = delta_base{std::move(*file_text), *expected, std::move(*removed), std::move(*order), nullptr};
  if (const std::string_view attributes = member_of(field, "attributes"); !attributes.empty()) {
    bool are_objects = true;
    const bool is_object = visit_members(attributes, [&](const json_string&, std::string_view each) {
      are_objects = are_objects && each.front() == '{';
    });
    if (!is_object || !are_objects) return error(errc::wrong_type, "base");
    base->attributes = json_text(attributes);
  }
  return base;
}

/// The base of the store with this text of a manifest.
inline result<std::optional<delta_base>> base_in(std::string_view text) {
  // Most stores are whole, and a search shows it.
  if (!may_have_member(text, "base")) return std::optional<delta_base>();
  const result<manifest> parsed = parse_manifest(text);
  if (!parsed) return parsed.error();
  return base_in(*parsed);
}

} // namespace detail

/// The base that the manifest of a store states; nothing if the store is whole.
/// @retval errc::wrong_type, missing_field, bad_checksum_field, bad_path  the field "base" is not as it must be
/// or an error of `parse_manifest`. Cost: parses the manifest.
[[nodiscard]] inline result<std::optional<delta_base>> base_of(const store& of) {
  return detail::base_in(of.manifest_text());
}

/// An open checkpoint: one store over its file and, for a delta, over every file it builds on. Move-only.
class checkpoint_store {
public:
  /// A `result` of this type gives no access to its value where it is a temporary.
  using owns_views = void;
  /// The tensors of all files; they and the store stay where they are when this object is moved.
  [[nodiscard]] const store& operator*() const noexcept { return all_ == nullptr ? *files_.front() : *all_; }
  /// The same, for `->`.
  [[nodiscard]] const store* operator->() const noexcept { return &**this; }

  /// The number of files: 1 for a whole checkpoint. The first is the checkpoint's own; each other is the base of the one
  /// before it.
  [[nodiscard]] std::size_t file_count() const noexcept { return files_.size(); }
  /// The store of file `number` < file_count(), without the files that it builds on.
  [[nodiscard]] const store& file(std::size_t number) const noexcept { return *files_[number]; }
  /// The name of file `number` in the folder.
  [[nodiscard]] const std::string& file_name(std::size_t number) const noexcept { return names_[number]; }

private:
  friend result<checkpoint_store> open_checkpoint(std::string_view, const open_options&);
  checkpoint_store() = default;
  std::vector<std::unique_ptr<store>> files_; // on the heap, since the layered store keeps their addresses
  std::vector<std::string> names_;
  std::unique_ptr<store> all_;
};

/// Opens a checkpoint with all files that it builds on. Every file is mapped once, or opened as `options` say; nothing is
/// copied. Bases must be in the folder of the checkpoint, as parts; links are errors unless `options` allow them.
/// @retval errc::missing_base   a base is missing; its name is the subject
/// @retval errc::part_mismatch  a base is not the file that the delta was made from; so is every base of a circle of them
/// @retval errc::bad_path       a base is a link
/// @retval errc::too_deep       more than 64 files build on each other
/// or an error of `open`, `base_of` and `layer_stores`. Cost: `open` for each file; for a delta, also an index over all and
/// the digests of the bases' tables.
[[nodiscard]] inline result<checkpoint_store> open_checkpoint(std::string_view path_utf8,
                                                              const open_options& options = {}) {
  checkpoint_store made;
  const detail::parts_in_folder beside(path_utf8, options);
  made.names_.emplace_back(path_utf8.substr(beside.folder().size()));
  std::vector<std::string> removed, order;
  std::vector<std::size_t> removed_counts; // by file: how many of `removed` the files above it have removed
  std::optional<delta_base> base;
  for (;;) {
    const std::string& name = made.names_.back();
    if (made.files_.size() == detail::max_delta_depth) return error(errc::too_deep, name);
    result<store> opened = errc::missing_base;
    if (!base) {
      opened = open(path_utf8, options);
      // A delta may be loose; a delta, or the head of shards, without an index.
      const errc code = opened ? errc{} : opened.error().code();
      if (code == errc::bad_magic || code == errc::no_index) {
        open_options loose = options;
        loose.read_manifest = read_manifest;
        result<store> found = open(path_utf8, loose);
        if (found || code == errc::no_index) opened = std::move(found);
      }
    } else if (result<source> bytes = beside.open_part(name)) {
      const store_reader reader = detail::is_without_index(*bytes) ? read_manifest : detail::open_store;
      opened = reader(std::move(*bytes), beside, options.memory);
    } else if (bytes.error().code() != errc::file_not_found) {
      opened = bytes.error().about(name);
    }
    if (!opened) return base && opened.error().subject().empty() ? opened.error().about(name) : opened.error();
    if (base && content_digest(*opened) != base->digest) return error(errc::part_mismatch, name);
    result<std::optional<delta_base>> next = base_of(*opened);
    if (!next) return next.error().subject().empty() ? next.error().about(name) : next.error();
    made.files_.push_back(std::make_unique<store>(std::move(*opened)));
    removed_counts.push_back(removed.size());
    base = std::move(*next);
    if (!base) break;
    // The first file that states an order states it for all files below. Those above only add and remove names.
    if (order.empty() && !base->order.empty()) {
      std::vector<std::string_view> gone(removed.begin(), removed.end());
      std::sort(gone.begin(), gone.end());
      for (std::string& each : base->order) {
        if (!std::binary_search(gone.begin(), gone.end(), each)) order.push_back(std::move(each));
      }
    }
    removed.insert(removed.end(), std::make_move_iterator(base->removed.begin()),
                   std::make_move_iterator(base->removed.end()));
    made.names_.push_back(base->file_name);
  }
  if (made.files_.size() > 1) {
    std::vector<store_layer> layers;
    for (std::size_t i = 0; i < made.files_.size(); ++i) {
      layers.push_back({made.names_[i], made.files_[i].get(), std::span(removed).first(removed_counts[i])});
    }
    result<store> all = layer_stores(layers, order, options.memory);
    if (!all) return all.error();
    made.all_ = std::make_unique<store>(std::move(*all));
  }
  return made;
}

namespace detail {

/// The fields of a checkpoint without its tensors' elements.
struct checkpoint_fields {
  /// Of the newest file; its tensors were taken out of it.
  manifest newest;
  /// The further fields of each tensor.
  std::map<std::string, json_text, std::less<>> attributes;
};

/// Parses the manifests of all files of a checkpoint.
inline result<checkpoint_fields> fields_of(const checkpoint_store& of) {
  checkpoint_fields made;
  for (std::size_t i = 0; i < of.file_count(); ++i) {
    result<manifest> parsed = parse_with_shards(of.file(i));
    if (!parsed) return parsed.error();
    result<std::optional<delta_base>> base = base_in(*parsed);
    if (!base) return base.error();
    // The newest file that lists a tensor has its attributes.
    for (manifest_tensor& each : parsed->tensors)
      made.attributes.emplace(std::move(each.name), std::move(each.attributes));
    if (*base) {
      (void)visit_members((*base)->attributes.text(), [&made](const json_string& key, std::string_view attributes) {
        std::string name;
        assign_string(key, name);
        made.attributes.try_emplace(std::move(name), json_text(attributes));
      });
    }
    parsed->tensors.clear();
    if (i == 0) made.newest = std::move(*parsed);
  }
  return made;
}

} // namespace detail

/// The result of `add_changed`.
struct delta_report {
  /// The number of variables that were added.
  std::size_t changed_count = 0;
  /// The number of variables that are in the base already.
  std::size_t unchanged_count = 0;
  /// The size of the variables that were added.
  std::uint64_t changed_bytes = 0;
  /// The size of the variables that are in the base already.
  std::uint64_t unchanged_bytes = 0;
};

/// Adds to `to` the variables that differ from `base`, compared byte for byte, and states the base in the manifest: `to` then
/// saves a delta, which must be in the folder of the base. The caller must not add anything else, or call `set_extra`.
/// @param base  an open checkpoint, delta or not, whose tensors were not written to; the variables may be bound to it
/// @param thread_count  how many threads compare the bytes; 0: as many as the machine has processors
/// @retval errc::bad_path  a delta may not state the base's name
/// @retval errc::too_deep  the base is 64 files already, which is as many as `open_checkpoint` takes (the subject is its name)
/// or an error of `add_variable` and `parse_manifest`.
/// Cost: reads every variable and its tensor in the base once, and parses the manifests of the base.
[[nodiscard]] inline result<delta_report> add_changed(writer& to, const variable_list& from,
                                                      const checkpoint_store& base, unsigned thread_count = 0) {
  if (!detail::is_part_name(base.file_name(0))) return error(errc::bad_path, base.file_name(0));
  if (base.file_count() == detail::max_delta_depth) return error(errc::too_deep, base.file_name(0));
  const result<detail::checkpoint_fields> fields = detail::fields_of(base);
  if (!fields) return fields.error();
  // Texts of objects and arrays, without what closes them.
  std::string field, removed, attributes;
  detail::append_json_key(field, std::string_view("file"));
  detail::append_json_string(field, std::string_view(base.file_name(0)));
  detail::append_json_key(field, std::string_view("sha256"));
  detail::append_json_string(field, std::string_view(detail::hex_of(content_digest(base.file(0)))));
  const auto append_name = [](std::string& array, std::string_view name) {
    array += array.empty() ? '[' : ',';
    detail::append_json_string(array, name);
  };
  delta_report report;
  std::vector<std::string_view> order, opened_order; // the latter as `open_checkpoint` will make it
  for (const tensor each : *base) {
    const variable* const now = from.find(each.name());
    if (now != nullptr && now->has_storage())
      opened_order.push_back(each.name());
    else
      append_name(removed, each.name());
  }
  detail::comparison compared;
  for (const variable& each : from) {
    if (!each.has_storage()) continue;
    const auto before = base->find(each.name());
    if (!before) opened_order.push_back(each.name());
    order.push_back(each.name());
    compared.add(before ? &*before : nullptr, each);
  }
  compared.run(thread_count);
  std::size_t number = 0;
  for (const variable& each : from) {
    if (!each.has_storage()) continue;
    if (compared.is_unchanged(number++)) {
      ++report.unchanged_count;
      report.unchanged_bytes += each.size_bytes();
      const json_text now = detail::attributes_of(each);
      if (const auto then = fields->attributes.find(each.name());
          then == fields->attributes.end() || then->second != now) {
        detail::append_json_key(attributes, each.name());
        attributes += now.text();
      }
      continue;
    }
    if (auto added = add_variable(to, each, each.name()); !added) return added.error();
    ++report.changed_count;
    report.changed_bytes += each.size_bytes();
  }
  const auto append_field = [&field](std::string_view name, const std::string& value, char closing) {
    if (value.empty()) return;
    detail::append_json_key(field, name);
    (field += value) += closing;
  };
  append_field("removed", removed, ']');
  if (opened_order != order) {
    std::string names;
    for (const std::string_view each : order) append_name(names, each);
    append_field("order", names, ']');
  }
  append_field("attributes", attributes, '}');
  std::string extra;
  detail::append_json_key(extra, std::string_view("base"));
  to.set_extra(json_text(extra.append(field).append("}}")));
  return report;
}
/// The same for variables as they were when a snapshot was taken, which must stay until the last save.
/// @retval errc::invalid_argument  nothing was taken
[[nodiscard]] inline result<delta_report> add_changed(writer& to, const snapshot& from, const checkpoint_store& base,
                                                      unsigned thread_count = 0) {
  if (from.variables() == nullptr) return errc::invalid_argument;
  return add_changed(to, *from.variables(), base, thread_count);
}

} // namespace stet::inline STET_NAMESPACE

#endif
