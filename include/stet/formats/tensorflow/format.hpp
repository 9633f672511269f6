// SPDX-License-Identifier: MIT
// TensorFlow checkpoints as formats: found by prefix, by one of their files, or by the folder with the state file.
#ifndef STET_FORMATS_TENSORFLOW_FORMAT_HPP
#define STET_FORMATS_TENSORFLOW_FORMAT_HPP

#include "../format.hpp"

#include "open.hpp"
#include "open_v1.hpp"
#include "describe.hpp"
#include "detail/locate.hpp"
#include "save.hpp"
#include "state_file.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// Whether the probe is at a checkpoint of this version. A folder whose state file leads to none, or that has several checkpoints
/// and no state file, and a shard without its index count as version 2, so that opening them says what is wrong.
template <checkpoint_version Version> bool is_tensorflow_checkpoint(format_probe& probe) {
  // A file is one if it is a table, or has an index beside it; other paths may be prefixes or folders.
  const bool is_shard = prefix_of_data_file(probe.path()).has_value();
  if (!probe.failure() && !is_shard && !is_sorted_table(probe.end()) && !probe.has_file(".index")) return false;
  const result<located_checkpoint> found = locate_tensorflow_checkpoint(probe.path(), probe.options(), &probe);
  if (found) return found->version == Version;
  return Version == checkpoint_version::v2 && (is_shard || found.error().code() != errc::file_not_found ||
                                               read_tensorflow_state(probe.path(), probe.options()).has_value());
}

/// @param probe  if given: what may look at one of the files already
inline result<model> open_located(const located_checkpoint& found, const open_options& options,
                                  format_probe* probe = nullptr) {
  if (found.version == checkpoint_version::v2) return open_checkpoint_v2(found.prefix, options, found.subfolder, probe);
  return open_checkpoint_v1(found.files, options, found.subfolder, probe);
}

inline result<model> open_tensorflow(format_probe& probe) {
  const result<located_checkpoint> found = locate_tensorflow_checkpoint(probe.path(), probe.options(), &probe);
  if (!found) return found.error();
  return open_located(*found, probe.options(), &probe);
}

/// With the state file of the folder, which names this checkpoint.
template <tensorflow_naming Naming>
result<saved_files> save_tensorflow(std::string_view prefix_utf8, const writer& from, const save_any_options& options) {
  tensorflow_save_options how;
  how.naming = Naming;
  how.alignment_bytes = options.alignment_bytes;
  how.is_durable = options.is_durable;
  how.operations = options.operations;
  if (options.max_shard_size_bytes != 0) how.max_shard_size_bytes = options.max_shard_size_bytes;
  const std::string name(file_name_in(prefix_utf8));
  how.state = tensorflow_state{name, {name}, {}, 0};
  const result<save_report> saved = save_tensorflow_checkpoint(prefix_utf8, from, how);
  if (!saved) return saved.error();
  return saved_files{saved->file_size_bytes, saved->part_count + std::uint64_t{1}, 0};
}

} // namespace detail

/// A checkpoint of an index and shards, as every TensorFlow since 1.0 writes; name-based or object-based. Saved by names, as
/// tf.train.Saver has it.
inline constexpr format tensorflow_checkpoint_format{
    "tf-ckpt-v2",
    "TensorFlow checkpoints, by prefix, file or folder; saved by names, for tf.train.Saver",
    detail::is_tensorflow_checkpoint<detail::checkpoint_version::v2>,
    detail::open_tensorflow,
    detail::describe_tensorflow_checkpoint,
    "tensorflow",
    {},
    detail::save_tensorflow<tensorflow_naming::by_name>,
    save_choice::shards};

/// The same, saved by paths through objects, as tf.train.Checkpoint has it.
inline constexpr format tensorflow_objects_format{"tensorflow-objects",
                                                  "the same saved by paths of objects, for tf.train.Checkpoint",
                                                  nullptr,
                                                  nullptr,
                                                  nullptr,
                                                  "tensorflow-objects",
                                                  {},
                                                  detail::save_tensorflow<tensorflow_naming::by_object>,
                                                  save_choice::shards};

/// A checkpoint of the first version, a single table or several.
inline constexpr format tensorflow_checkpoint_v1_format{
    "tf-ckpt-v1", "TensorFlow checkpoints of the first version",
    detail::is_tensorflow_checkpoint<detail::checkpoint_version::v1>, detail::open_tensorflow,
    detail::describe_tensorflow_checkpoint};

} // namespace stet::inline STET_NAMESPACE

#endif
