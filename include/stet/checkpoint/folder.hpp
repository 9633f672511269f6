// SPDX-License-Identifier: MIT
// A folder of checkpoints for readers: lists them, opens the newest, restores a program.
#ifndef STET_CHECKPOINT_FOLDER_HPP
#define STET_CHECKPOINT_FOLDER_HPP

#include "../manifest/detail/caught.hpp"
#include "delta.hpp"
#include "detail/known_stores.hpp"
#include "retention.hpp"
#include "session.hpp"
#include "detail/state_file.hpp"

#include "../manifest/parse.hpp"
#include "../restore/restore.hpp"
#include "../source/file_operations.hpp"
#include "../source/detail/path.hpp"
#include "../store/open.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

// A folder of checkpoints
// =======================
//
//   ckpt-1200.stet   a checkpoint: an ordinary store with the variables, whose manifest has `state` (session.hpp) and `graph`.
//                    "ckpt" is the prefix, 1200 the global step in decimal without leading zeros. Or a delta (delta.hpp), which
//                    needs its base beside it
//   ckpt-1200-00000-of-00002-89abcdef.stet   a part of it, where it is in parts, or a shard (manifest/shards.hpp), which later
//                    checkpoints may list, too
//   checkpoint.json  a cache (state_file.hpp)
//   .stet-lock       whoever saves into the folder holds its lock; it stays
//   .*.stet-tmp      unfinished files of a writer that is at work or that died; no one else looks at them
//   *.stet-old-0     on Windows, a file that another was just being given the name of; a writer gives it its name back if that
//                    did not come to an end
//
// The files themselves are the truth: they can be copied, renamed to another step, and removed by hand at any time. A store of
// any name may lie beside them; what it needs of a checkpoint (as a delta does, its base) stays.

namespace stet::inline STET_NAMESPACE {

/// A checkpoint that is open, and which one it is.
struct opened_checkpoint {
  /// A `result` of this type gives no access to its value where it is a temporary.
  using owns_views = void;
  /// The properties of the checkpoint.
  checkpoint_info info;
  /// The store over its file and the files that it builds on.
  checkpoint_store opened;
};

/// The part of a checkpoint that is restored besides the variables.
struct restored_checkpoint {
  /// The properties of the checkpoint.
  checkpoint_info info;
  /// The state of the session as it was saved.
  session_state session;
  /// The graph that was saved, or nothing.
  json_text graph;
  /// The checkpoint, still open: variables that were bound view its bytes, and it must outlive them.
  checkpoint_store opened;
};

/// A folder of checkpoints, for reading. Needs no lock: it may be used while another process saves into the folder, or this
/// one. A value that holds names only. Threads: const members may be called from several at once.
class checkpoint_folder {
public:
  /// Looks at nothing yet.
  /// @param path_utf8   the folder; "" is the current one
  /// @param prefix      the beginning of the names of checkpoints, a plain file name
  /// @param operations  must outlive the folder
  explicit checkpoint_folder(std::string_view path_utf8, std::string_view prefix = "ckpt",
                             const file_operations& operations = system_file_operations())
      : folder_(path_utf8), prefix_(prefix), operations_(&operations) {
    folder_ += detail::separator_after(folder_);
  }

  /// The path of the checkpoint of a step. The file need not exist.
  [[nodiscard]] std::string path_of(std::uint64_t step) const { return folder_ + name_of(step); }

  /// Every checkpoint by its name, in ascending order of steps, with what the state file knows. Opens none of them.
  /// @retval errc::file_not_found, access_denied, io_error  the folder cannot be listed
  [[nodiscard]] result<std::vector<checkpoint_info>> all() const {
    return detail::caught([&]() -> result<std::vector<checkpoint_info>> {
      const result<std::vector<std::uint64_t>> steps = list_steps();
      if (!steps) return steps.error();
      return describe_all(*steps, detail::read_state_file(folder_, false).all);
    });
  }

  /// The newest complete and durable checkpoint, which no loss of power can remove. The newest has the highest step. Skips
  /// damaged checkpoints, and deltas that were made from another base. Does not set time and metric; `all` does.
  /// @param skipped  if given, set to the errors of newer checkpoints; the path is the subject
  /// @retval errc::file_not_found  there is no checkpoint (or no folder)
  /// or, if none can be opened, the error of the newest; errc::out_of_memory at once.
  /// Cost: lists the folder, once more if some were skipped, and opens the newest with the files that it builds on, whose
  /// tables are checked and whose tensors are not read. A file that the state file does not know yet waits for the folder to be
  /// on the disk.
  [[nodiscard]] result<checkpoint_info> latest(std::vector<error>* skipped = nullptr) const {
    result<opened_checkpoint> found = open_latest({}, skipped);
    if (!found) return found.error();
    return std::move(found->info);
  }

  /// Opens the checkpoint that `latest` returns. Errors and cost: those of `latest`.
  [[nodiscard]] result<opened_checkpoint> open_latest(const open_options& how = {},
                                                      std::vector<error>* skipped = nullptr) const {
    std::vector<error> failures;
    result<opened_checkpoint> found = detail::caught([&] { return find_latest(how, failures); });
    if (skipped != nullptr) *skipped = std::move(failures);
    return found;
  }

  /// Opens the checkpoint of a step, and the files it builds on if it is a delta.
  /// Errors: those of `open_checkpoint`; errc::file_not_found if there is none.
  [[nodiscard]] result<opened_checkpoint> open(std::uint64_t step, const open_options& how = {}) const {
    return detail::caught([&]() -> result<opened_checkpoint> {
      std::string path = path_of(step);
      result<checkpoint_store> opened = open_checkpoint(path, how);
      if (!opened) return opened.error();
      return opened_checkpoint{{step, std::move(path), {}, {}}, std::move(*opened)};
    });
  }

  /// Restores variables from the newest complete checkpoint, and returns its other contents. After an error the variables are
  /// unchanged.
  /// Errors: those of `latest`, of `parse_manifest`, of `to_session`, and of `stet::restore`.
  [[nodiscard]] result<restored_checkpoint> restore_latest(const variable_list& to, const restore_rules& rules = {},
                                                           restore_report* report = nullptr,
                                                           const open_options& how = {}) const {
    return restore_from(open_latest(how), to, rules, report);
  }
  /// The same for the checkpoint of a step.
  [[nodiscard]] result<restored_checkpoint> restore(std::uint64_t step, const variable_list& to,
                                                    const restore_rules& rules = {}, restore_report* report = nullptr,
                                                    const open_options& how = {}) const {
    return restore_from(open(step, how), to, rules, report);
  }

protected:
  /// The path of the folder, UTF-8.
  [[nodiscard]] const std::string& folder() const noexcept { return folder_; }
  /// The names of checkpoints begin with it.
  [[nodiscard]] const std::string& prefix() const noexcept { return prefix_; }
  /// The system calls that are made.
  [[nodiscard]] const file_operations& operations() const noexcept { return *operations_; }
  /// The file name of the checkpoint of a step.
  [[nodiscard]] std::string name_of(std::uint64_t step) const {
    return prefix_ + "-" + std::to_string(step) + std::string(extension);
  }

  /// Makes a system call, again for as long as a signal cuts it short.
  template <class Result, class... Arguments>
  Result call(Result (*file_operations::*entry)(void*, Arguments...) noexcept,
              std::type_identity_t<Arguments>... arguments) const {
    return detail::call_again(*operations_, entry, arguments...);
  }

  /// Every name in the folder.
  [[nodiscard]] result<std::vector<std::string>> list_names() const {
    return detail::list_folder(*operations_, folder_);
  }

  /// The step of the checkpoint called `name`; nothing if no checkpoint is called so.
  [[nodiscard]] std::optional<std::uint64_t> step_of(std::string_view name) const {
    const std::optional<std::uint64_t> step = leading_step_of(name);
    return step && name == name_of(*step) ? step : std::nullopt;
  }
  /// The step in a name that begins as that of a checkpoint does.
  [[nodiscard]] std::optional<std::uint64_t> leading_step_of(std::string_view name) const {
    if (name.size() < prefix_.size() + 2 || !name.starts_with(prefix_) || name[prefix_.size()] != '-')
      return std::nullopt;
    name.remove_prefix(prefix_.size() + 1);
    std::uint64_t step = 0;
    std::size_t digits = 0;
    for (; digits < name.size() && name[digits] >= '0' && name[digits] <= '9'; ++digits) {
      if (!detail::checked_multiply(step, std::uint64_t{10}, step) ||
          !detail::checked_add(step, static_cast<std::uint64_t>(name[digits] - '0'), step))
        return std::nullopt;
    }
    if (digits == 0) return std::nullopt;
    return step;
  }

  /// The steps of all checkpoints, ascending.
  [[nodiscard]] result<std::vector<std::uint64_t>> list_steps() const {
    const result<std::vector<std::string>> names = list_names();
    if (!names) return names.error();
    return steps_among(*names);
  }
  /// The steps of the checkpoints among some names, ascending.
  [[nodiscard]] std::vector<std::uint64_t> steps_among(const std::vector<std::string>& names) const {
    std::vector<std::uint64_t> steps;
    for (const std::string& name : names) {
      if (const auto step = step_of(name)) steps.push_back(*step);
    }
    std::sort(steps.begin(), steps.end());
    return steps;
  }

  /// Describes the checkpoints of `steps`; `known` is the content of the state file.
  [[nodiscard]] std::vector<checkpoint_info>
  describe_all(const std::vector<std::uint64_t>& steps,
               const std::map<std::uint64_t, detail::checkpoint_details>& known) const {
    std::vector<checkpoint_info> made;
    made.reserve(steps.size());
    for (const std::uint64_t step : steps) {
      const auto found = known.find(step);
      const detail::checkpoint_details details = found == known.end() ? detail::checkpoint_details{} : found->second;
      made.push_back({step, path_of(step), details.saved_at, details.metric});
    }
    return made;
  }

private:
  static constexpr std::string_view extension = ".stet";

  [[nodiscard]] result<opened_checkpoint> find_latest(const open_options& how, std::vector<error>& failures) const {
    std::unordered_set<std::uint64_t> failed;
    std::optional<opened_checkpoint> found;
    for (;;) {
      const result<std::vector<std::uint64_t>> steps = list_steps();
      if (!steps) return steps.error();
      const std::size_t known_count = failed.size();
      for (auto step = steps->rbegin(); step != steps->rend() && !(found && *step <= found->info.step); ++step) {
        if (failed.contains(*step)) continue;
        result<opened_checkpoint> opened = open(*step, how);
        if (opened) {
          found.emplace(std::move(*opened));
          break;
        }
        if (opened.error().code() == errc::out_of_memory) return opened.error();
        failures.push_back(opened.error());
        failed.insert(*step);
      }
      // Those that failed are damaged, or were removed meanwhile because there is a newer one: hence the folder is listed again.
      if (failed.size() == known_count) break;
    }
    if (!found) return failures.empty() ? error(errc::file_not_found, folder_) : failures.front();
    if (auto durable = make_durable(*found); !durable) return durable.error();
    return std::move(*found);
  }

  /// A writer tells the state file of the newest checkpoint once its name is on the disk. Until then, and for any other file of
  /// this name, that takes a wait.
  [[nodiscard]] result<void> make_durable(const opened_checkpoint& of) const {
    const detail::state_file state = detail::read_state_file(folder_, true);
    if (!state.latest_file.empty() && state.latest == name_of(of.info.step)) {
      const auto identity = detail::identity_of(of.info.path);
      if (identity && *identity && detail::file_text(**identity) == state.latest_file) return {};
    }
    return call(&file_operations::sync_folder, folder_);
  }

  static result<restored_checkpoint> restore_from(result<opened_checkpoint>&& from, const variable_list& to,
                                                  const restore_rules& rules, restore_report* report) {
    return detail::caught([&]() -> result<restored_checkpoint> {
      if (!from) return from.error();
      result<manifest> parsed = parse_manifest(from->opened.file(0).manifest_text());
      if (!parsed) return parsed.error();
      result<session_state> session = to_session(parsed->state);
      if (!session) return session.error();
      if (auto restored = stet::restore(*from->opened, to, rules, report); !restored) return restored.error();
      from->info.metric = session->metric;
      return restored_checkpoint{std::move(from->info), std::move(*session), std::move(parsed->graph),
                                 std::move(from->opened)};
    });
  }

  std::string folder_, prefix_;
  const file_operations* operations_;
};

} // namespace stet::inline STET_NAMESPACE

#endif
