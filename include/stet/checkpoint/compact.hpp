// SPDX-License-Identifier: MIT
// Saves a delta together with the files it builds on as one whole checkpoint.
#ifndef STET_CHECKPOINT_COMPACT_HPP
#define STET_CHECKPOINT_COMPACT_HPP

#include "delta.hpp"
#include "detail/stated_base.hpp"

#include "../source/file_operations.hpp"
#include "../writer/writer.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// `compact` without the check for deltas of the file that it replaces.
inline result<save_report> compact_alone(std::string_view from_path_utf8, std::string_view to_path_utf8,
                                         const save_options& options) {
  const result<checkpoint_store> from = open_checkpoint(from_path_utf8);
  if (!from) return from.error();
  result<detail::checkpoint_fields> fields = detail::fields_of(*from);
  if (!fields) return fields.error();
  writer to;
  to.graph = std::move(fields->newest.graph);
  to.state = std::move(fields->newest.state);
  to.metadata = std::move(fields->newest.metadata);
  to.set_extra(without_member(fields->newest.extra, "base"));
  const store& all = **from;
  for (const tensor each : all) {
    const auto original = all.original_of(each);
    const auto found = fields->attributes.find(each.name());
    json_text attributes = found == fields->attributes.end() ? json_text() : std::move(found->second);
    if (original) {
      to.add_alias(each.name(), original->name(), std::move(attributes));
    } else {
      to.add(each.name(), each, std::move(attributes));
    }
  }
  return to.save(to_path_utf8, options);
}

} // namespace detail

/// Saves a checkpoint, delta or not, as a whole one: its tensors in manifest order with their attributes, its graph, state
/// and metadata; byte for byte what saving all variables at once would have made. `to_path_utf8` may be the checkpoint itself.
/// @retval errc::missing_base  a delta in the same folder, the subject, is one of the file that would be replaced, and would
///                             lose its base: compact that delta first. Nothing has changed
/// Errors: those of `open_checkpoint`, `parse_manifest` and `writer::save`. Cost: that of saving; where it replaces a file, also
/// a look at each file of the folder.
[[nodiscard]] inline result<save_report> compact(std::string_view from_path_utf8, std::string_view to_path_utf8,
                                                 const save_options& options = {}) {
  const file_operations& operations = options.operations == nullptr ? system_file_operations() : *options.operations;
  const auto target = detail::follow_links(operations, std::string(to_path_utf8));
  if (!target) return target.error();
  const auto replaced = detail::read_stated_base(*target);
  if (replaced && replaced->kind != detail::store_kind::none) {
    const auto delta = detail::find_delta_of(operations, *target);
    if (!delta) return delta.error();
    if (!delta->empty()) return error(errc::missing_base, std::string(detail::folder_in(*target)) + *delta);
  }
  return detail::compact_alone(from_path_utf8, to_path_utf8, options);
}

} // namespace stet::inline STET_NAMESPACE

#endif
