// SPDX-License-Identifier: MIT
// Saves a program into a folder of TensorFlow checkpoints, as its Saver and CheckpointManager do, and restores it.
#ifndef STET_FORMATS_TENSORFLOW_SAVER_HPP
#define STET_FORMATS_TENSORFLOW_SAVER_HPP

#include "save.hpp"

#include "format.hpp"

#include "../../checkpoint/add_variables.hpp"
#include "../../checkpoint/detail/folder_lock.hpp"
#include "../../checkpoint/retention.hpp"
#include "../../checkpoint/session.hpp"
#include "../../json.hpp"
#include "../../restore/restore.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// A folder of TensorFlow checkpoints
// ==================================
//
//   ckpt-1200.index, ckpt-1200.data-00000-of-00001   a checkpoint (save.hpp); 1200 is the step
//   checkpoint     the state file (state_file.hpp): the newest, and those that are kept, with their times
//   .stet-lock     whoever saves into the folder holds its lock
//
// Besides the variables a checkpoint holds the scalar int64 "global_step", as TensorFlow's older Saver names it, and the string
// "stet/session", JSON with the rest of the session (checkpoint/session.hpp). TensorFlow reads past what it does not know.

namespace stet::inline STET_NAMESPACE {

/// How a `tensorflow_saver` saves and what it keeps.
struct tensorflow_saver_options {
  /// What the names of checkpoints begin with: a plain file name.
  std::string prefix = "ckpt";
  /// `keep_best` must be 0: TensorFlow's state file knows no metrics.
  retention_rules keep;
  /// How each checkpoint is saved; `state` is the saver's own business. `save.operations` serves for all it does.
  tensorflow_save_options save;
  /// The time of a save; none: the system's clock.
  std::function<std::chrono::system_clock::time_point()> clock;
};

/// What a save did.
struct saved_tensorflow_checkpoint {
  /// The prefix of the checkpoint's files.
  std::string path;
  /// The sizes of the files and more.
  save_report report;
  /// Whether what is not to be kept could be removed. A failure of this loses nothing, and the next save tries again.
  result<void> upkeep;
};

/// What a program gets back besides its variables.
struct restored_tensorflow_checkpoint {
  /// `info.path` is the prefix of the checkpoint's files.
  checkpoint_info info;
  /// What a `tensorflow_saver` saved; of TensorFlow's own checkpoints only the step: "global_step", or the number in the name.
  session_state session;
  /// The checkpoint, still open: variables that were bound view its bytes, and it must outlive them.
  store opened;
};

namespace detail {

inline constexpr std::string_view session_tensor_name = "stet/session", step_tensor_name = "global_step";

/// A TensorFlow checkpoint and the step in its name.
inline checkpoint_info info_of_prefix(std::string path) {
  std::uint64_t step = 0, place = 1;
  for (std::size_t i = path.size();
       i > 0 && path[i - 1] >= '0' && path[i - 1] <= '9' && place < 1'000'000'000'000'000'000u; --i) {
    step += place * static_cast<std::uint64_t>(path[i - 1] - '0');
    place *= 10;
  }
  return {step, std::move(path), {}, {}};
}

/// The session that a checkpoint holds.
inline result<session_state> session_in(const store& of, std::uint64_t step_in_name) {
  if (const auto found = of.find(session_tensor_name)) {
    const auto strings = found->as_strings();
    if (!strings) return strings.error();
    if (strings->size() != 1) return error(errc::shape_mismatch, session_tensor_name);
    const result<json_value> parsed = parse_json((*strings)[0]);
    if (!parsed) return parsed.error().about(session_tensor_name);
    return to_session(*parsed);
  }
  session_state made;
  made.global_step = step_in_name;
  std::int64_t step = 0;
  const auto found = of.find(step_tensor_name);
  if (found && found->element_count() == 1 && found->copy_to(std::span<std::int64_t>(&step, 1)) && step >= 0) {
    made.global_step = static_cast<std::uint64_t>(step);
  }
  return made;
}

/// Brings variables to the values of the open checkpoint at `path`, from which its step is known if it does not say so itself.
inline result<restored_tensorflow_checkpoint> restore_opened(result<model>&& opened, std::string path,
                                                             const variable_list& to, const restore_rules& rules,
                                                             restore_report* report) {
  if (!opened) return opened.error();
  checkpoint_info info = info_of_prefix(std::move(path));
  result<session_state> session = session_in(opened->store, info.step);
  if (!session) return session.error();
  restore_rules with_own = rules;
  for (const std::string_view own :
       {object_graph_key, std::string_view("save_counter"), step_tensor_name, session_tensor_name}) {
    with_own.ignore.push_back(glob(std::string(own)));
    with_own.ignore.push_back(glob(std::string(own) + "/**"));
  }
  if (auto restored = stet::restore(opened->store, to, with_own, report); !restored) return restored.error();
  info.metric = session->metric;
  return restored_tensorflow_checkpoint{std::move(info), std::move(*session), std::move(opened->store)};
}

/// The same for the checkpoint that was found where `path_utf8` says.
inline result<restored_tensorflow_checkpoint> restore_located(const located_checkpoint& found,
                                                              std::string_view path_utf8, const variable_list& to,
                                                              const restore_rules& rules, restore_report* report,
                                                              const open_options& how) {
  std::string path = found.version == checkpoint_version::v2 ? found.prefix : std::string(path_utf8);
  return restore_opened(open_located(found, how), std::move(path), to, rules, report);
}

} // namespace detail

/// Brings variables to the values of a TensorFlow checkpoint: one that a `tensorflow_saver` or TensorFlow itself saved, found by
/// its prefix, one of its files, or the folder with the state file. Names are keys of the checkpoint, or what its object graph
/// calls a variable. What a checkpoint holds beside variables (object graph, counters, session) is no surprise to the rules.
/// Errors: those of `open_tensorflow_checkpoint`, of `stet::restore`, and of `to_session`. Nothing has changed after an error.
[[nodiscard]] inline result<restored_tensorflow_checkpoint>
restore_tensorflow_checkpoint(std::string_view path_utf8, const variable_list& to, const restore_rules& rules = {},
                              restore_report* report = nullptr, const open_options& how = {}) {
  const result<detail::located_checkpoint> found = detail::locate_tensorflow_checkpoint(path_utf8, how);
  if (!found) return found.error();
  return detail::restore_located(*found, path_utf8, to, rules, report, how);
}

/// The one writer of a folder of TensorFlow checkpoints, on which `tf.train.latest_checkpoint`, `tf.train.load_checkpoint` and
/// `tf.train.CheckpointManager` work. Holds the folder's lock until it is destroyed. Move-only. Not for several threads at once.
class tensorflow_saver : checkpoint_folder {
public:
  /// Takes the lock of a folder, which is made if there is none, and removes what a writer that died left unfinished.
  /// @retval errc::locked            another saver, of this process or another, saves into the folder
  /// @retval errc::bad_path          the prefix is not a plain file name
  /// @retval errc::invalid_argument  `options.keep.keep_best` is not 0
  /// or what the operating system reports of the folder
  [[nodiscard]] static result<tensorflow_saver> open_for_saving(std::string_view folder_utf8,
                                                                tensorflow_saver_options options = {}) {
    if (!detail::is_part_name(options.prefix)) return error(errc::bad_path, options.prefix);
    if (options.keep.keep_best != 0) return error(errc::invalid_argument, "options.keep.keep_best");
    const file_operations& operations =
        options.save.operations != nullptr ? *options.save.operations : system_file_operations();
    const checkpoint_folder where(folder_utf8, options.prefix, operations);
    result<detail::folder_lock> lock = detail::lockable_folder(where).create_and_lock();
    if (!lock) return lock.error();
    tensorflow_saver made(where, std::move(*lock), std::move(options));
    if (auto swept = made.sweep(); !swept) return swept.error();
    return made;
  }

  /// The prefix of the checkpoint of a step, whether or not it is there.
  [[nodiscard]] std::string path_of(std::uint64_t step) const { return folder() + name_of(step); }

  /// Every checkpoint of the folder that has an index, by step, with its time as far as the state file knows.
  /// @retval errc::file_not_found, access_denied, io_error  the folder cannot be listed
  [[nodiscard]] result<std::vector<checkpoint_info>> all() const {
    const result<std::vector<std::string>> names = list_names();
    if (!names) return names.error();
    return describe(*names);
  }

  /// Saves the program as the checkpoint of `session.global_step`, notes it in the state file as the newest, and removes those
  /// that the rules do not keep. When this returns without an error the checkpoint is complete and, if saves are durable, on the
  /// disk. Save each step once: over files of the same step see `save_tensorflow_checkpoint`.
  /// @return what was written; its path is the prefix. Errors: those of `writer::add` and `save_tensorflow_checkpoint`; the
  ///         checkpoints that were there still are
  /// Cost: that of `save_tensorflow_checkpoint`, and lists the folder.
  result<saved_tensorflow_checkpoint> save(const session_state& session, const variable_list& variables) {
    const std::uint64_t step = session.global_step;
    result<std::vector<checkpoint_info>> there = all();
    if (!there) return there.error();
    std::erase_if(*there, [&](const checkpoint_info& each) { return each.step == step; });
    there->push_back({step, path_of(step), options_.clock ? options_.clock() : std::chrono::system_clock::now(), {}});
    std::sort(there->begin(), there->end(), [](const auto& a, const auto& b) { return a.step < b.step; });
    std::vector<bool> is_kept = select_kept(*there, options_.keep);

    if (auto sound = detail::check_saved(session, {}); !sound) return sound.error();
    const std::string text = to_json(session).text();
    writer out;
    if (auto added = add_variables(out, variables); !added) return added.error();
    const bool has_own_step = std::any_of(variables.begin(), variables.end(),
                                          [](const variable& each) { return each.name() == detail::step_tensor_name; });
    if (!has_own_step) out.add(detail::step_tensor_name, static_cast<std::int64_t>(step));
    out.add(detail::session_tensor_name, text); // a failure is that of the save

    tensorflow_save_options how = options_.save;
    how.state.emplace();
    how.state->model_checkpoint_path = name_of(step);
    how.save_counter = static_cast<std::int64_t>(step);
    std::vector<std::uint64_t> removed;
    for (std::size_t i = 0; i < there->size(); ++i) {
      const checkpoint_info& each = (*there)[i];
      if (!is_kept[i] && each.step != step) {
        removed.push_back(each.step);
        continue;
      }
      // TensorFlow takes the last of these for the newest, also when a program went back to an earlier step.
      if (each.step != step) note(*how.state, each);
    }
    note(*how.state, *std::find_if(there->begin(), there->end(), [&](const auto& each) { return each.step == step; }));

    const result<save_report> report = save_tensorflow_checkpoint(path_of(step), out, how);
    if (!report) return report.error();
    return saved_tensorflow_checkpoint{path_of(step), *report, remove(removed)};
  }

  /// Brings variables to the values of the newest checkpoint: the one that the state file names, as for TensorFlow; without one
  /// that can be used, the one of the highest step that can be opened. Errors: those of `restore_tensorflow_checkpoint`;
  /// errc::file_not_found if there is no checkpoint.
  [[nodiscard]] result<restored_tensorflow_checkpoint> restore_latest(const variable_list& to,
                                                                      const restore_rules& rules = {},
                                                                      restore_report* report = nullptr,
                                                                      const open_options& how = {}) const {
    if (const auto noted = detail::locate_tensorflow_checkpoint(folder(), how)) {
      auto restored = detail::restore_located(*noted, folder(), to, rules, report, how);
      if (restored || restored.error().category() <= error_category::system) return restored;
    }
    const result<std::vector<checkpoint_info>> there = all();
    if (!there) return there.error();
    for (auto each = there->rbegin(); each != there->rend(); ++each) {
      format_probe probe(each->path, how);
      result<model> opened = detail::open_tensorflow(probe);
      if (!opened && each + 1 != there->rend()) continue; // damaged: an older one serves
      return detail::restore_opened(std::move(opened), each->path, to, rules, report);
    }
    return error(errc::file_not_found, folder());
  }
  /// The same for the checkpoint of a step.
  [[nodiscard]] result<restored_tensorflow_checkpoint> restore(std::uint64_t step, const variable_list& to,
                                                               const restore_rules& rules = {},
                                                               restore_report* report = nullptr,
                                                               const open_options& how = {}) const {
    return restore_tensorflow_checkpoint(path_of(step), to, rules, report, how);
  }

private:
  static constexpr std::string_view index_suffix = ".index";

  tensorflow_saver(const checkpoint_folder& where, detail::folder_lock&& lock, tensorflow_saver_options&& options)
      : checkpoint_folder(where), lock_(std::move(lock)), options_(std::move(options)) {}

  [[nodiscard]] std::string name_of(std::uint64_t step) const { return prefix() + "-" + std::to_string(step); }

  /// The step of the checkpoint that a file called `name` is of, and what follows the prefix: ".index", ".data-00000-of-00001".
  [[nodiscard]] std::optional<std::pair<std::uint64_t, std::string_view>>
  file_of_checkpoint(std::string_view name) const {
    const std::optional<std::uint64_t> step = leading_step_of(name);
    if (!step) return std::nullopt;
    const std::string expected = name_of(*step);
    if (!name.starts_with(expected)) return std::nullopt;
    const std::string_view rest = name.substr(expected.size());
    const bool is_own = rest == index_suffix || rest == ".meta" || rest.starts_with(".data-");
    return is_own ? std::optional(std::pair(*step, rest)) : std::nullopt;
  }

  [[nodiscard]] std::vector<checkpoint_info> describe(const std::vector<std::string>& names) const {
    std::map<std::string, std::chrono::system_clock::time_point> times;
    if (const auto text = detail::read_tensorflow_state(folder())) {
      if (const auto state = parse_tensorflow_state(*text)) {
        const auto& paths = state->all_model_checkpoint_paths;
        const auto& seconds = state->all_model_checkpoint_timestamps;
        for (std::size_t i = 0; i < paths.size() && i < seconds.size(); ++i) {
          if (seconds[i] < 0 || seconds[i] > 4e9) continue; // a time that no clock of ours can hold
          const auto since = std::chrono::duration_cast<std::chrono::system_clock::duration>(
              std::chrono::duration<double>(seconds[i]));
          times[paths[i].substr(detail::folder_size(paths[i]))] = std::chrono::system_clock::time_point(since);
        }
      }
    }
    std::vector<checkpoint_info> found;
    for (const std::string& name : names) {
      const auto file = file_of_checkpoint(name);
      if (!file || file->second != index_suffix) continue;
      const auto time = times.find(name_of(file->first));
      found.push_back(
          {file->first, path_of(file->first), time == times.end() ? std::nullopt : std::optional(time->second), {}});
    }
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.step < b.step; });
    return found;
  }

  void note(tensorflow_state& state, const checkpoint_info& of) const {
    state.all_model_checkpoint_paths.push_back(name_of(of.step));
    const auto since = of.saved_at ? of.saved_at->time_since_epoch() : std::chrono::system_clock::duration(0);
    state.all_model_checkpoint_timestamps.push_back(std::chrono::duration<double>(since).count());
  }

  /// Removes checkpoints: first each index, so that none is ever there in part.
  result<void> remove(const std::vector<std::uint64_t>& steps) const {
    if (steps.empty()) return {};
    const result<std::vector<std::string>> names = list_names();
    if (!names) return names.error();
    for (const bool is_index : {true, false}) {
      for (const std::string& name : *names) {
        const auto file = file_of_checkpoint(name);
        if (!file || (file->second == index_suffix) != is_index ||
            !std::binary_search(steps.begin(), steps.end(), file->first))
          continue;
        if (auto done = remove_file(name); !done) return done;
      }
      if (auto synced = call(&file_operations::sync_folder, folder()); !synced) return synced;
    }
    return {};
  }
  result<void> remove_file(const std::string& name) const {
    const auto removed = call(&file_operations::remove, folder() + name);
    return removed || removed.error().code() == errc::file_not_found ? result<void>() : removed;
  }

  /// Removes unfinished files, and shards whose index was never written or is gone.
  result<void> sweep() const {
    const result<std::vector<std::string>> names = list_names();
    if (!names) return names.error();
    const std::vector<checkpoint_info> there = describe(*names);
    for (const std::string& name : *names) {
      const bool is_unfinished =
          name.starts_with("." + prefix() + "-") && name.ends_with(atomic_file::temporary_suffix);
      const auto file = file_of_checkpoint(name);
      const bool is_lost =
          file && std::none_of(there.begin(), there.end(), [&](const auto& each) { return each.step == file->first; });
      if (!is_unfinished && !is_lost) continue;
      if (auto done = remove_file(name); !done) return done;
    }
    return {};
  }

  detail::folder_lock lock_;
  tensorflow_saver_options options_;
};

} // namespace stet::inline STET_NAMESPACE

#endif
