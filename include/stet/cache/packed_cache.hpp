// SPDX-License-Identifier: MIT
// Weights as a runtime has packed them, kept in a file beside the model and mapped.
#ifndef STET_CACHE_PACKED_CACHE_HPP
#define STET_CACHE_PACKED_CACHE_HPP

#include "../bytes/sha256.hpp"
#include "../manifest/detail/digest_text.hpp"
#include "../manifest/detail/json_output.hpp"
#include "../manifest/parse.hpp"
#include "../manifest/verify.hpp"
#include "../store/open.hpp"
#include "../writer/writer.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

// A cache is a native store of its own, of tensors of dtype uint8 with one extent. Its manifest has one field more, the key:
//
//   "packed": {"packer": "oneDNN", "version": "2.6.3", "cpu_features": "avx512_core", "sources": "64 hexadecimal digits"}
//
//   packer, version, cpu_features  the strings of the program
//   sources  SHA-256 of the tensors that were packed, in the order of the program or of the store. Of each: name, dtype, bits of an
//            element, block type (name, elements and bytes of a block), rank, extents, size, and the CRC-32C of its bytes. Strings are
//            preceded by their size; all numbers have 8 bytes, the lowest first.

#if STET_FILES

namespace stet::inline STET_NAMESPACE {

/// Who packs weights, and for what: with the content of the weights the key of a cache.
struct packer {
  /// The name of the runtime: "oneDNN".
  std::string_view name;
  /// Its version, and that of the program's own code that packs, if its result changes.
  std::string_view version;
  /// Whatever else decides how weights are packed: the instructions of the processor as the runtime names them, which tell its
  /// architecture, too.
  std::string_view cpu_features;
};

/// The options of a cache.
struct packed_cache_options {
  /// The names of the tensors that are packed; empty: all of the model.
  std::span<const std::string_view> sources = {};
  /// True to compare every byte of the file with its checksums before it is used. Without it damage goes unnoticed that leaves the
  /// tables of the file intact.
  bool is_verified = true;
  /// The options of saving; the form is ignored.
  save_options save;
};

/// Where the packed weights of a cache are, and where from.
enum class packed_state : std::uint8_t {
  found,     ///< in the mapped file, as it was: nothing was packed
  saved,     ///< in the mapped file, packed and saved now
  in_memory, ///< packed now, in memory of this process: the file cannot be had
};

/// Takes what is to be packed.
class packed_weights {
public:
  /// Packs weights into memory of as many bytes, aligned to 64, which are zero before.
  using pack_function = std::function<result<void>(std::span<std::byte>)>;

  /// Adds weights. `pack` is called when they are stored, one after the other, so that no more than one is in memory at a time; where
  /// saving fails, it may be called once more. What it refers to must live until `packed_cache::open` returns.
  /// @param name        what `packed_cache::bytes` finds them by; any names that tensors may have
  /// @param size_bytes  the size of the packed weights
  void add(std::string_view name, std::uint64_t size_bytes, pack_function pack) {
    all_.push_back({std::string(name), size_bytes, std::move(pack)});
  }

private:
  friend class packed_cache;
  struct item {
    std::string name;
    std::uint64_t size_bytes;
    pack_function pack;
  };
  /// The checks that a writer makes, for weights that come to no store.
  [[nodiscard]] result<void> check_names() const {
    std::unordered_set<std::string_view> names;
    for (const item& each : all_) {
      if (!each.pack) return error(errc::invalid_argument, each.name);
      if (!detail::is_valid_name(each.name)) return error(errc::bad_name, each.name);
      if (!names.insert(each.name).second) return error(errc::duplicate_name, each.name);
    }
    return {};
  }

  std::vector<item> all_;
};

namespace detail {

/// The digest of tensors, of which each is told apart by what its bytes are, and not by where they are.
class sources_digest {
public:
  result<void> add(const tensor& each) noexcept {
    const element_layout& layout = each.layout();
    text(each.name());
    number(static_cast<std::uint64_t>(each.dtype()));
    number(layout.bits);
    text(layout.block.name);
    number(layout.block.element_count);
    number(layout.block.size_bytes);
    const shape extents = each.shape();
    number(extents.rank());
    for (std::size_t axis = 0; axis < extents.rank(); ++axis) number(extents[axis]);
    number(each.size_bytes());
    const result<std::uint32_t> crc =
        each.entry().has_crc32c() ? result<std::uint32_t>(each.entry().crc32c()) : each.compute_crc32c();
    if (!crc) return crc.error().about(each.name());
    number(*crc);
    return {};
  }
  [[nodiscard]] sha256_digest finish() noexcept { return hash_.finish(); }

private:
  void number(std::uint64_t value) noexcept {
    std::byte bytes[8];
    store_little(bytes, value);
    hash_.update(bytes);
  }
  void text(std::string_view value) noexcept {
    number(value.size());
    hash_.update(bytes_at(reinterpret_cast<const std::byte*>(value.data()), value.size()));
  }

  sha256 hash_;
};

/// Calls `visit(tensor)` for the tensors called `names`, or all where there are none, until one fails.
template <class Visit>
result<void> visit_sources(const store& of, std::span<const std::string_view> names, Visit visit) {
  for (const std::string_view name : names) {
    const result<tensor> found = of.find(name);
    if (!found) return found.error();
    if (auto visited = visit(*found); !visited) return visited;
  }
  if (!names.empty()) return {};
  for (const tensor each : of) {
    if (auto visited = visit(each); !visited) return visited;
  }
  return {};
}

/// The key of a cache: the members of its field.
class packed_key {
public:
  static constexpr std::string_view field = "packed";

  static result<packed_key> make(const store& model, const packer& by, std::span<const std::string_view> names) {
    sources_digest digest;
    if (auto added = visit_sources(model, names, [&](const tensor& each) { return digest.add(each); }); !added)
      return added.error();
    return packed_key({{{"packer", std::string(by.name)},
                        {"version", std::string(by.version)},
                        {"cpu_features", std::string(by.cpu_features)},
                        {"sources", hex_of(digest.finish())}}});
  }

  /// An object with the field.
  [[nodiscard]] json_text extra() const {
    std::string text, object;
    for (const auto& [name, value] : members_) {
      append_json_key(text, name);
      append_json_string(text, std::string_view(value));
    }
    append_json_key(object, field);
    return json_text(object.append(text).append("}}"));
  }

  /// @retval errc::outdated  a member, the subject, is another in the text of a field
  [[nodiscard]] result<void> compare(std::string_view text) const {
    for (const auto& [name, value] : members_) {
      if (string_in(member_of(text, name)) != value) return error(errc::outdated, name);
    }
    return {};
  }

private:
  using members = std::array<std::pair<std::string_view, std::string>, 4>;
  explicit packed_key(members&& all) noexcept : members_(std::move(all)) {}

  members members_;
};

/// True if a file is neither empty, nor begins as a native file or with zeros, as after a loss of power: it is another program's.
inline bool is_of_others(std::string_view path) noexcept {
  const result<file> opened = file::open(path);
  if (!opened || opened->size_bytes() == 0) return false;
  constexpr std::byte zeros[sizeof file_header::magic]{};
  const std::uint64_t size = (std::min)(opened->size_bytes(), std::uint64_t{sizeof zeros});
  const result<source> start = source::read(*opened, {0, size});
  return start && std::memcmp(start->data(), file_header::magic, static_cast<std::size_t>(size)) != 0 &&
         std::memcmp(start->data(), zeros, static_cast<std::size_t>(size)) != 0;
}

/// True if a file that does not open may be a cache that was damaged, or there is none.
inline bool is_replaceable(const error& why, std::string_view path) noexcept {
  switch (why.category()) {
  case error_category::frame:
    if (why == errc::bad_magic) return !is_of_others(path);
    return why != errc::newer_format && why != errc::no_index;
  case error_category::index:
  case error_category::manifest:
    return true;
  default: // of the system, or of the parts of a model: a cache has none
    return why == errc::file_not_found;
  }
}

} // namespace detail

/// Weights as a runtime has packed them, kept in a file beside the model: the first start of a program packs them, the others map the
/// file, whose pages all processes share. The file is used only if its key is that of the model and the packer, and is made again
/// otherwise, or where it is damaged. It appears under its name when it is complete; of programs that start together each makes it, and
/// the last one stays. A folder that cannot be written to or a full disk is no error: the weights are in memory then.
///
///     const stet::packer by{"oneDNN", "2.6.3", "avx512_core"};
///     auto cache = stet::packed_cache::open("model.onednn.stet", model, by, [&](stet::packed_weights& to) -> stet::result<void> {
///       to.add("dense", packed_size, [&](std::span<std::byte> into) { return reorder(model, "dense/kernel", into); });
///       return {};
///     });
///     auto weights = cache->bytes("dense", packed_size);
///
/// Move-only. Threads: const members may be called from several at once.
class packed_cache {
public:
  /// A `result` of this type gives no access to its value where it is a temporary.
  using owns_views = void;
  /// Tells what is to be packed; called only where it has to be.
  using fill_function = std::function<result<void>(packed_weights&)>;

  /// Opens the cache at `path_utf8`, and makes it where it has to be made: then the sources are compared with their checksums first, so
  /// that a damaged model does not outlive its repair. What lies at the path and is no cache stays, and the weights are in memory: a
  /// model, or a file of a later version or another program.
  /// @param model  need not live longer than the call
  /// @retval errc::not_found          the model has no tensor of a name in `options.sources`
  /// @retval errc::checksum_mismatch  a source, the subject, is damaged, and had to be packed
  /// @retval errc::duplicate_name, bad_name, bad_json  two packed weights have the same name, or one has none that a tensor may have;
  ///                                  a string of `by` is not UTF-8
  /// @retval errc::invalid_argument   weights have no function that packs them
  /// @retval errc::bad_alignment      `options.save` has no valid alignment
  /// or an error of `fill`, of a `pack`, of a reader of the model, or errc::out_of_memory.
  /// Cost: opening the file and reading it once (`is_verified`), in parallel; a digest over the table of the model, and its bytes where
  /// it has no checksums. Where it has to be made: packing, and saving.
  [[nodiscard]] static result<packed_cache> open(std::string_view path_utf8, const store& model, const packer& by,
                                                 const fill_function& fill, const packed_cache_options& options = {}) {
    const result<detail::packed_key> key = detail::packed_key::make(model, by, options.sources);
    if (!key) return key.error();
    packed_cache made;
    bool is_kept = false;
    if (auto found = made.find(path_utf8, *key, options, is_kept); !found)
      made.reason_ = found.error();
    else
      return made;

    const auto compare = [](const tensor& each) {
      return each.entry().has_crc32c() ? each.verify_checksum() : result<void>();
    };
    if (auto sound = detail::visit_sources(model, options.sources, compare); !sound) return sound.error();
    packed_weights weights;
    if (auto filled = fill(weights); !filled) return filled.error();
    if (auto named = weights.check_names(); !named) return named.error();
    result<void> saved = *made.reason_;
    if (!is_kept) {
      std::optional<error> pack_failure;
      saved = save(path_utf8, *key, weights, options, pack_failure);
      if (pack_failure) return *pack_failure;
      // Whether the name is on the disk does not matter to this process.
      if (saved || saved.error() == errc::not_durable)
        saved = made.find(path_utf8, *key, options, is_kept);
      else if (saved.error().category() != error_category::system && saved.error() != errc::unsupported)
        return saved.error();
    }
    if (saved) {
      made.state_ = packed_state::saved;
      return made;
    }
    made.failure_ = saved.error();
    if (auto packed = made.pack_into_memory(weights, options.save.memory); !packed) return packed.error();
    return made;
  }

  /// Where the packed weights are, and where from.
  [[nodiscard]] packed_state state() const noexcept { return state_; }
  /// The reason for which they were packed: that the file does not open (errc::file_not_found: there is none), is damaged, or has
  /// another key or layout (errc::outdated, misaligned; of the former the subject is `packer`, `version`, `cpu_features` or `sources`). Nothing if they were found.
  [[nodiscard]] const std::optional<error>& reason() const noexcept { return reason_; }
  /// The reason for which they are not in the file: what saving or opening it failed with; errc::file_exists: a file at the path is no
  /// cache, and stays. Nothing if they are.
  [[nodiscard]] const std::optional<error>& failure() const noexcept { return failure_; }

  /// Packed weights, aligned as `options.save` says in the file and to 64 in memory; at least `tail_padding_bytes` behind them are
  /// readable. They may not be written to.
  /// @param size_bytes  the size that the runtime expects, which reads as many bytes
  /// @retval errc::not_found      none have this name
  /// @retval errc::size_mismatch  they have another size: they are not those that the runtime would pack
  /// Lifetime: that of the cache, also after it was moved.
  [[nodiscard]] result<std::span<const std::byte>> bytes(std::string_view name,
                                                         std::uint64_t size_bytes) const noexcept {
    std::span<const std::byte> found;
    if (state_ == packed_state::in_memory) {
      const auto each =
          std::find_if(in_memory_.begin(), in_memory_.end(), [name](const auto& own) { return own.name == name; });
      if (each == in_memory_.end()) return error(errc::not_found, name);
      found = {each->bytes.data(), static_cast<std::size_t>(each->size_bytes)};
    } else {
      const result<tensor> stored = file_->find(name);
      if (!stored) return stored.error();
      found = stored->bytes();
    }
    if (found.size() != size_bytes) return error(errc::size_mismatch, name);
    return found;
  }

private:
  struct memory_item {
    std::string name;
    std::uint64_t size_bytes;
    source bytes;
  };

  packed_cache() noexcept = default;

  /// Opens and checks the file.
  /// @param is_kept  set to whether what is there is no cache
  result<void> find(std::string_view path, const detail::packed_key& key, const packed_cache_options& options,
                    bool& is_kept) {
    result<store> opened = stet::open(path, {.memory = options.save.memory});
    if (!opened) {
      is_kept = !detail::is_replaceable(opened.error(), path);
      return is_kept && opened.error() == errc::bad_magic ? error(errc::file_exists, path) : opened.error();
    }
    const result<manifest> parsed = parse_manifest(opened->manifest_text());
    if (!parsed) {
      is_kept = parsed.error() == errc::newer_format;
      return parsed.error();
    }
    const std::string_view field = detail::member_of(parsed->extra.text(), detail::packed_key::field);
    is_kept = field.empty();
    if (is_kept) return error(errc::file_exists, path);
    if (auto compared = key.compare(field); !compared) return compared;
    if (auto placed = check_places(*opened, options.save); !placed) return placed;
    if (options.is_verified) {
      const verify_report report = verify_store(*opened);
      if (!report.is_sound()) return report.problems.front();
      if (report.tensors_without_checksum != 0) return error(errc::no_checksum, path);
    }
    file_.emplace(std::move(*opened));
    return {};
  }

  /// Checks that weights lie as they would have been saved, and as runtimes read them.
  static result<void> check_places(const store& of, const save_options& wanted) noexcept {
    for (const tensor each : of) {
      if (each.size_bytes() == 0) continue;
      const bool has_pages = detail::has_whole_pages(each.size_bytes(), wanted);
      const std::uint64_t step = (std::max)(wanted.alignment_bytes, has_pages ? wanted.page_size_bytes : 1);
      if (step == 0 || each.entry().offset_bytes() % step != 0) return error(errc::misaligned, each.name());
      if (of.readable_bytes_behind(each) < tail_padding_bytes) return error(errc::unpadded, each.name());
    }
    return {};
  }

  /// @param pack_failure  set to the error of the program that packs, which is not one of the disk, whatever its number is
  static result<void> save(std::string_view path, const detail::packed_key& key, const packed_weights& weights,
                           const packed_cache_options& options, std::optional<error>& pack_failure) {
    writer out;
    for (const packed_weights::item& each : weights.all_) {
      out.add_source(each.name, element_layout::of(dtype::uint8), {each.size_bytes}, each.size_bytes,
                     [&each, &options, &pack_failure](piece_sink& sink) -> result<void> {
                       const result<source> packed = pack(each, options.save.memory);
                       if (packed) return sink.write({packed->data(), static_cast<std::size_t>(each.size_bytes)});
                       pack_failure = packed.error();
                       return packed.error();
                     });
    }
    out.set_extra(key.extra());
    save_options how = options.save;
    how.form = store_form::single_file;
    const result<save_report> saved = out.save(path, how);
    if (saved) return {};
    return saved.error();
  }

  /// The packed weights, and zeros behind them.
  static result<source> pack(const packed_weights::item& of, memory_resource* memory) {
    std::uint64_t padded_size = 0;
    if (!detail::checked_add(of.size_bytes, tail_padding_bytes, padded_size)) return error(errc::too_large, of.name);
    result<source> made = source::allocate(padded_size, memory);
    if (!made) return made.error().about(of.name);
    std::byte* const at = made->writable_data();
    const std::size_t size = static_cast<std::size_t>(of.size_bytes);
    std::memset(at, 0, size + tail_padding_bytes);
    if (auto packed = of.pack(std::span(at, size)); !packed) return packed.error();
    return made;
  }

  result<void> pack_into_memory(const packed_weights& weights, memory_resource* memory) {
    state_ = packed_state::in_memory;
    for (const packed_weights::item& each : weights.all_) {
      result<source> packed = pack(each, memory);
      if (!packed) return packed.error();
      in_memory_.push_back({each.name, each.size_bytes, std::move(*packed)});
    }
    return {};
  }

  std::optional<store> file_;
  std::vector<memory_item> in_memory_;
  packed_state state_ = packed_state::found;
  std::optional<error> reason_, failure_;
};

} // namespace stet::inline STET_NAMESPACE

#endif

#endif
