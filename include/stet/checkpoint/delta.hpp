// SPDX-License-Identifier: MIT
// Checkpoints that hold only what changed since another file, and one store over both.
#ifndef STET_CHECKPOINT_DELTA_HPP
#define STET_CHECKPOINT_DELTA_HPP

#include "add_variables.hpp"
#include "layered.hpp"

#include "../bytes/sha256.hpp"
#include "../manifest.hpp"
#include "../manifest/open.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

// A delta is a native store of its own that lacks the tensors it shares with its base. Its manifest has one field more:
//
//   "base": {"file": "ckpt-1200.stet", "sha256": "64 lower-case hexadecimal digits", "removed": ["name" …]}
//
//   file     the base, in the folder of the delta; it may itself be a delta
//   sha256   the content digest of the base: SHA-256 of its manifest's text followed by its index. Every save with other
//            names, shapes, places or checksums has another
//   removed  tensors of the base that the delta does not have; absent: none

namespace stet::inline v0_1 {

/// A file that a delta builds on.
struct delta_base {
  /// A plain file name in the folder of the delta.
  std::string file_name;
  sha256_digest digest;
  std::vector<std::string> removed;
};

/// The content digest of a native store: SHA-256 of its manifest and index, which hold every name, shape, place and checksum.
/// Cost: reads both once.
[[nodiscard]] inline sha256_digest content_digest(const store& of) noexcept {
  sha256 hash;
  hash.update(std::as_bytes(std::span(of.manifest_text().data(), of.manifest_text().size())));
  hash.update(of.index().bytes());
  return hash.finish();
}

namespace detail {

/// More files than this in a chain of deltas are refused; `compact` shortens a chain.
inline constexpr std::size_t max_delta_depth = 64;

inline std::string hex_of(const sha256_digest& digest) {
  std::string text;
  for (const std::byte b : digest.bytes) {
    text += "0123456789abcdef"[static_cast<unsigned>(b) >> 4];
    text += "0123456789abcdef"[static_cast<unsigned>(b) & 15u];
  }
  return text;
}

inline std::optional<sha256_digest> digest_of_hex(std::string_view text) {
  sha256_digest digest;
  if (text.size() != 2 * sizeof digest.bytes) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t value = std::string_view("0123456789abcdef").find(text[i]);
    if (value == std::string_view::npos) return std::nullopt;
    digest.bytes[i / 2] = static_cast<std::byte>(static_cast<unsigned>(digest.bytes[i / 2]) << 4 | static_cast<unsigned>(value));
  }
  return digest;
}

inline std::string_view folder_of_path(std::string_view path) noexcept {
  std::size_t end = path.size();
  while (end > 0 && path[end - 1] != '/' && path[end - 1] != '\\') --end;
  return path.substr(0, end);
}

/// Whether the tensor's elements are the variable's: the same dtype, shape and bytes, compared byte for byte.
inline bool is_unchanged(const tensor& before, const variable& now, std::vector<std::byte>& scratch) {
  if (before.dtype() != now.layout().dtype || !before.shape().equals(now.shape())) return false;
  std::span<const std::byte> bytes = before.bytes();
  if (before.layout().bits != now.layout().bits || !before.is_in_place()) {
    scratch.resize(now.size_bytes());
    bool copied = false;
    visit_dtype(now.layout().dtype, [&]<class T>(std::type_identity<T>) {
      copied = static_cast<bool>(before.copy_to(std::span<T>(reinterpret_cast<T*>(scratch.data()), scratch.size() / sizeof(T))));
    });
    if (!copied) return false;
    bytes = scratch;
  }
  return bytes.size() == now.size_bytes() && (bytes.empty() || std::memcmp(bytes.data(), now.bytes().data(), bytes.size()) == 0);
}

} // namespace detail

/// What the manifest of a store says of its base; nothing if it is whole.
/// @retval errc::wrong_type, missing_field, bad_checksum_field, bad_path  the field "base" is not as it must be
/// or an error of `parse_manifest`. Cost: parses the manifest.
[[nodiscard]] inline result<std::optional<delta_base>> base_of(const store& of) {
  std::optional<delta_base> base;
  if (of.manifest_text().find("\"base\"") == std::string_view::npos) return base; // most are whole, and this is cheap
  result<manifest> parsed = parse_manifest(of.manifest_text());
  if (!parsed) return parsed.error();
  if (!parsed->extra.is_object() || !parsed->extra.contains("base")) return base;
  const json_value& field = parsed->extra["base"];
  if (!field.is_object()) return error(errc::wrong_type, "base");
  const auto file = field.find("file"), digest = field.find("sha256"), removed = field.find("removed");
  if (file == field.end() || digest == field.end()) return error(errc::missing_field, "base");
  const std::string* const file_text = file->get_ptr<const std::string*>();
  const std::string* const digest_text = digest->get_ptr<const std::string*>();
  if (file_text == nullptr || digest_text == nullptr) return error(errc::wrong_type, "base");
  const std::optional<sha256_digest> expected = detail::digest_of_hex(*digest_text);
  if (!expected) return error(errc::bad_checksum_field, "base");
  if (!detail::is_part_name(*file_text)) return error(errc::bad_path, *file_text);
  base = delta_base{*file_text, *expected, {}};
  if (removed != field.end()) {
    if (!removed->is_array()) return error(errc::wrong_type, "base");
    for (const json_value& name : *removed) {
      const std::string* const text = name.get_ptr<const std::string*>();
      if (text == nullptr) return error(errc::wrong_type, "base");
      base->removed.push_back(*text);
    }
  }
  return base;
}

/// What `add_changed` found.
struct delta_report {
  std::size_t changed_count = 0, unchanged_count = 0;
  std::uint64_t changed_bytes = 0, unchanged_bytes = 0;
};

/// Adds to `to` the variables that `base` does not have just so, compared byte for byte, and names the base in the manifest:
/// what `to` then saves in the folder of the base is a delta.
/// @param base       an open store: a whole checkpoint, or what `open_checkpoint` gives of a delta
/// @param base_file  the store in the file called `base_file_name`, whose digest the delta will ask for
/// @retval errc::bad_path  `base_file_name` is not a plain file name; or an error of `writer::add`
/// Cost: reads every variable and its tensor in the base once.
[[nodiscard]] inline result<delta_report> add_changed(writer& to, const variable_list& from, const store& base, const store& base_file,
                                                      std::string_view base_file_name) {
  if (!detail::is_part_name(base_file_name)) return error(errc::bad_path, base_file_name);
  delta_report report;
  std::vector<std::byte> scratch;
  for (const variable& each : from) {
    const auto before = base.find(each.name());
    if (before && detail::is_unchanged(*before, each, scratch)) {
      ++report.unchanged_count;
      report.unchanged_bytes += each.size_bytes();
      continue;
    }
    if (auto added = add_variable(to, each, each.name()); !added) return added.error();
    ++report.changed_count;
    report.changed_bytes += each.size_bytes();
  }
  json_value field = {{"file", base_file_name}, {"sha256", detail::hex_of(content_digest(base_file))}};
  for (const tensor each : base) {
    if (from.find(each.name()) == nullptr) field["removed"].push_back(std::string(each.name()));
  }
  to.set_extra({{"base", std::move(field)}});
  return report;
}

/// An open checkpoint: one store over its file and, for a delta, over every file it builds on. Move-only.
class checkpoint_store {
public:
  /// The tensors of all files; valid while this object is, also after it was moved.
  [[nodiscard]] const store& operator*() const noexcept { return files_.size() == 1 ? *files_.front() : *all_; }
  [[nodiscard]] const store* operator->() const noexcept { return &**this; }

  /// How many files there are: 1 for a whole checkpoint. The first is the checkpoint's own, each other the base of the one
  /// before it.
  [[nodiscard]] std::size_t file_count() const noexcept { return files_.size(); }
  [[nodiscard]] const store& file(std::size_t number) const noexcept { return *files_[number]; }
  [[nodiscard]] const std::string& file_name(std::size_t number) const noexcept { return names_[number]; }

private:
  friend result<checkpoint_store> open_checkpoint(std::string_view, const open_options&);
  std::vector<std::unique_ptr<store>> files_; // on the heap, since the layered store keeps their addresses
  std::vector<std::string> names_;
  std::unique_ptr<store> all_;
};

/// Opens a checkpoint with all it builds on. Every file is mapped (or what `options` say) once; nothing is copied.
/// @retval errc::missing_part   a base is missing; its name is the subject
/// @retval errc::part_mismatch  a base is not the file that the delta was made from, or a chain comes back to its start
/// @retval errc::too_deep       more than 64 files build on each other
/// or an error of `open`, `base_of` and `layer_stores`. Cost: `open` for each file; for a delta, also an index over all and
/// the digests of the bases' tables.
[[nodiscard]] inline result<checkpoint_store> open_checkpoint(std::string_view path_utf8, const open_options& options = {}) {
  checkpoint_store made;
  const std::string folder(detail::folder_of_path(path_utf8));
  std::string name(path_utf8.substr(folder.size()));
  std::vector<std::string> removed;
  std::optional<sha256_digest> expected;
  std::vector<std::vector<std::string>> hidden; // by file: what the files above it have removed
  for (;;) {
    if (made.files_.size() == detail::max_delta_depth) return error(errc::too_deep, name);
    const std::string path = folder + name;
    result<store> opened = open(std::string_view(path), options);
    if (!opened) {
      const bool is_missing = expected && opened.error().code() == errc::file_not_found;
      return is_missing ? error(errc::missing_part, name) : opened.error();
    }
    if (expected && content_digest(*opened) != *expected) return error(errc::part_mismatch, name);
    result<std::optional<delta_base>> base = base_of(*opened);
    if (!base) return base.error().subject().empty() ? base.error().about(name) : base.error();
    made.files_.push_back(std::make_unique<store>(std::move(*opened)));
    made.names_.push_back(name);
    hidden.push_back(removed);
    if (!*base) break;
    expected = (*base)->digest;
    name = (*base)->file_name;
    removed.insert(removed.end(), (*base)->removed.begin(), (*base)->removed.end());
  }
  if (made.files_.size() > 1) {
    std::vector<store_layer> layers;
    for (std::size_t i = 0; i < made.files_.size(); ++i) layers.push_back({made.names_[i], made.files_[i].get(), hidden[i]});
    result<store> all = layer_stores(layers);
    if (!all) return all.error();
    made.all_ = std::make_unique<store>(std::move(*all));
  }
  return made;
}

/// Saves a checkpoint, delta or not, as a whole one: its tensors in manifest order with their attributes, its graph, state
/// and metadata. `to_path_utf8` may be the checkpoint itself.
/// Errors: those of `open_checkpoint`, `parse_manifest` and `writer::save`.
[[nodiscard]] inline result<save_report> compact(std::string_view from_path_utf8, std::string_view to_path_utf8, const save_options& options = {}) {
  result<checkpoint_store> from = open_checkpoint(from_path_utf8);
  if (!from) return from.error();
  std::unordered_map<std::string, json_value> attributes;
  writer to;
  for (std::size_t i = 0; i < from->file_count(); ++i) {
    result<manifest> parsed = parse_manifest(from->file(i).manifest_text());
    if (!parsed) return parsed.error();
    for (manifest_tensor& each : parsed->tensors) attributes.emplace(each.name, std::move(each.attributes));
    if (i != 0) continue; // what is not a tensor is the newest file's
    to.graph = std::move(parsed->graph);
    to.state = std::move(parsed->state);
    to.metadata = std::move(parsed->metadata);
    if (parsed->extra.is_object()) {
      parsed->extra.erase("base");
      if (!parsed->extra.empty()) to.set_extra(std::move(parsed->extra));
    }
  }
  const store& all = **from;
  for (const tensor each : all) {
    const auto original = all.original_of(each);
    json_value& fields = attributes[std::string(each.name())];
    auto added = original ? to.add_alias(each.name(), original->name(), std::move(fields)) : to.add(each.name(), each, std::move(fields));
    if (!added) return added.error();
  }
  return to.save(to_path_utf8, options);
}

} // namespace stet::inline v0_1

#endif
