// SPDX-License-Identifier: MIT
// The state file of a folder of checkpoints: a cache for facts that no checkpoint holds.
#ifndef STET_CHECKPOINT_DETAIL_STATE_FILE_HPP
#define STET_CHECKPOINT_DETAIL_STATE_FILE_HPP

#include "../retention.hpp"

#include "../../manifest/detail/json_output.hpp"
#include "../../manifest/detail/names.hpp"
#include "../../source/file.hpp"
#include "../../source/source.hpp"
#include "../../writer/atomic_file.hpp"

#include <charconv>
#include <cmath>
#include <map>
#include <string>
#include <string_view>
#include <utility>

// checkpoint.json
// ===============
//
//   {"latest": "ckpt-1200.stet", "file": "1a2b-3c4d-17a0…", "all": [{"step": 1100, "saved_ms": 1700000000000, "metric": 0.93,
//    "file": "…"}, …]}
//
//   latest    the newest checkpoint when the file was written
//   file      which file had this name and was on the disk under it; absent: that is not known
//   all       the checkpoints there were, in ascending order of steps:
//     step      required
//     saved_ms  when it was saved, in milliseconds since 1970-01-01 UTC without leap seconds
//     metric    the metric of the program; the checkpoint also has it under `state`
//     file      which file has this metric, or none
//
// A file is given by its number in the file system, its size, and the time of its last change (`file_identity`), in hexadecimal
// digits: a checkpoint that was saved again, or copied over, is another file.
//
// It can be removed at any time. Its entries count only for files that are in the folder. Times are here because a checkpoint
// has none: the same training gives the same files.

namespace stet::inline STET_NAMESPACE::detail {

inline constexpr std::string_view state_file_name = "checkpoint.json";

/// The entry of one checkpoint in the state file.
struct checkpoint_details {
  std::optional<std::chrono::system_clock::time_point> saved_at;
  std::optional<double> metric;
  /// The file that has this metric, or none, as `file_text` gives it; empty: not known.
  std::string file{};
};

/// The content of the state file: empty if the file is missing, and up to the damage if it is damaged.
struct state_file {
  std::string latest;
  /// The file that `latest` named when that name was on the disk, as `file_text` gives it; empty: not known.
  std::string latest_file;
  std::map<std::uint64_t, checkpoint_details> all;
};

/// A larger state file is neither read nor written.
inline constexpr std::uint64_t max_state_file_size_bytes = std::uint64_t{64} << 20;

/// Which file this is, among those of a folder, as text.
inline std::string file_text(const file_identity& of) {
  std::string text;
  for (const std::uint64_t number : {of.index, of.size_bytes, of.changed_ns}) {
    char digits[16];
    if (!text.empty()) text += '-';
    text.append(digits, std::to_chars(digits, digits + sizeof digits, number, 16).ptr);
  }
  return text;
}

/// The latest time of a save that is read and written. The clock may count in nanoseconds, of which 63 bits hold 292 years.
inline constexpr std::uint64_t max_saved_ms = (std::uint64_t{1} << 63) / 1'000'000 - 1;

/// Parses the text of a state file, which may be anything.
class state_file_parser {
public:
  /// With `only_latest`, the rest is not read.
  state_file_parser(state_file& into, bool only_latest) : into_(into), only_latest_(only_latest) {}

  void run(std::string_view text) {
    json_reader in(text, max_depth);
    for (bool goes_on = true; goes_on;) {
      switch (in.next()) {
      case json_token::begin_object:
        item_ = {};
        step_.reset();
        break;
      case json_token::end_object:
        if (in.depth() + 1 == item_depth && is_in_all_ && step_ && !only_latest_) into_.all[*step_] = std::move(item_);
        break;
      case json_token::key:
        assign_string(in.string(), key_);
        if (in.depth() == 1) is_in_all_ = key_ == "all";
        break;
      case json_token::number:
        if (in.depth() == item_depth) take_number(in.number());
        break;
      case json_token::string:
        goes_on = take_string(in);
        break;
      case json_token::end:
      case json_token::error:
        goes_on = false;
        break;
      default:
        break;
      }
    }
  }

private:
  static constexpr std::size_t item_depth = 3, max_depth = 16;

  void take_number(const json_number& number) {
    if (key_ == "step" && number.is_unsigned()) step_ = number.magnitude;
    if (key_ == "saved_ms" && number.is_unsigned() && number.magnitude <= max_saved_ms) {
      item_.saved_at =
          std::chrono::system_clock::time_point(std::chrono::milliseconds(static_cast<std::int64_t>(number.magnitude)));
    }
    if (key_ == "metric") item_.metric = number.to_double();
  }
  /// @return false where nothing else is wanted
  bool take_string(const json_reader& in) {
    if (in.depth() == item_depth && key_ == "file") assign_string(in.string(), item_.file);
    if (in.depth() != 1) return true;
    if (key_ == "latest")
      assign_string(in.string(), into_.latest);
    else if (key_ == "file")
      assign_string(in.string(), into_.latest_file);
    return !only_latest_ || into_.latest.empty() || into_.latest_file.empty();
  }

  state_file& into_;
  bool only_latest_, is_in_all_ = false;
  std::string key_;
  std::optional<std::uint64_t> step_;
  checkpoint_details item_;
};

/// Reads the state file of a folder ("" or ending in a separator).
inline state_file read_state_file(const std::string& folder, bool only_latest) {
  state_file made;
  const result<file> opened = file::open(folder + std::string(state_file_name), open_for::read, links::no_follow);
  if (!opened || opened->size_bytes() > max_state_file_size_bytes) return made;
  const result<source> bytes = source::read(*opened, {0, opened->size_bytes()});
  if (!bytes) return made;
  state_file_parser(made, only_latest)
      .run({reinterpret_cast<const char*>(bytes->data()), static_cast<std::size_t>(bytes->size_bytes())});
  return made;
}

/// Appends a string; U+FFFD for each byte that is not UTF-8.
inline void append_name(std::string& out, std::string_view name) {
  std::string sound;
  while (!name.empty()) {
    std::size_t size = 1;
    while (size <= 4 && !is_utf8(name.substr(0, size))) ++size;
    const bool is_sound = size <= 4;
    sound += is_sound ? name.substr(0, size) : "\xEF\xBF\xBD";
    name.remove_prefix(is_sound ? size : 1);
  }
  append_json_string(out, std::string_view(sound));
}

/// The text of a state file.
inline std::string text_of(const state_file& of) {
  std::string text = "{\"latest\":";
  append_name(text, of.latest);
  if (!of.latest_file.empty()) append_name(text += ",\"file\":", of.latest_file);
  text += ",\"all\":[";
  for (const auto& [step, details] : of.all) {
    if (text.back() != '[') text += ',';
    text += "{\"step\":" + std::to_string(step);
    if (details.saved_at) {
      const auto since =
          std::chrono::duration_cast<std::chrono::milliseconds>(details.saved_at->time_since_epoch()).count();
      if (since >= 0 && static_cast<std::uint64_t>(since) <= max_saved_ms)
        text += ",\"saved_ms\":" + std::to_string(since);
    }
    if (details.metric && std::isfinite(*details.metric)) append_json_number(text += ",\"metric\":", *details.metric);
    if (!details.file.empty()) append_name(text += ",\"file\":", details.file);
    text += '}';
  }
  return text += "]}\n";
}

/// Writes the state file of a folder, in place of the one there was.
/// @retval errc::too_large  it would be larger than a reader takes; nothing was written
inline result<void> write_state_file(const file_operations& operations, const std::string& folder, const state_file& of,
                                     bool is_durable) {
  const std::string text = text_of(of);
  if (text.size() > max_state_file_size_bytes)
    return error(errc::too_large, folder + std::string(state_file_name), max_state_file_size_bytes);
  result<atomic_file> made = atomic_file::create(operations, folder, state_file_name, text.size());
  if (!made) return made.error();
  if (auto written = made->write_at(0, std::as_bytes(std::span(text.data(), text.size()))); !written) return written;
  if (auto finished = made->finish(is_durable); !finished) return finished;
  return made->publish();
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
