// SPDX-License-Identifier: MIT
// Saves a program into a folder of checkpoints, and removes old ones by rules.
#ifndef STET_CHECKPOINT_MANAGER_HPP
#define STET_CHECKPOINT_MANAGER_HPP

#include "compact.hpp"
#include "delta.hpp"
#include "folder.hpp"
#include "detail/folder_lock.hpp"
#include "detail/known_stores.hpp"
#include "snapshot.hpp"

#include "../writer/detail/parts.hpp"
#include "../writer/writer.hpp"

#include <functional>
#include <set>

namespace stet::inline STET_NAMESPACE {

/// The options of a manager: how it saves, and which checkpoints it keeps.
struct checkpoint_options {
  /// The beginning of the names of checkpoints: a plain file name.
  std::string prefix = "ckpt";
  /// The rules by which checkpoints are kept.
  retention_rules keep;
  /// One save in this number is whole, beginning with the first of a manager. The saves between are deltas (delta.hpp), which
  /// hold only the variables that changed since the last whole one. That one is kept as long as one of its deltas. 0, 1:
  /// every save is whole.
  std::uint64_t full_every = 1;
  /// How each checkpoint is saved; not in the loose form. `save.operations` serves for everything the manager does. If not
  /// durable, a loss of power may take checkpoints after older ones were removed.
  save_options save;
  /// The time of a save; empty: the system's clock. Only the state file has times.
  std::function<std::chrono::system_clock::time_point()> clock;
};

/// The report of a save.
struct saved_checkpoint {
  /// The path of the checkpoint, UTF-8.
  std::string path;
  /// The size of the file and more.
  save_report report;
  /// The file, in the same folder, that it is a delta of; empty: it is whole.
  std::string base;
  /// The error of writing the state file, or of removing old checkpoints, if any. Such a failure loses nothing, and the next
  /// save tries again.
  result<void> upkeep;
};

/// The one writer of a folder of checkpoints, and a reader of it. Holds the folder's lock from `open_for_saving` on until it
/// is destroyed; a child that the process forks has no part in it and cannot save. Move-only. Not for use by several threads
/// at once.
///
///     auto manager = stet::checkpoint_manager::open_for_saving("checkpoints");
///     if (auto restored = manager->restore_latest(variables)) step = restored->session.global_step;
///     …
///     auto saved = manager->save({step}, variables);
class checkpoint_manager : public checkpoint_folder {
public:
  /// Takes the lock of a folder, which is created if it does not exist, and cleans up after a writer that was killed: removes
  /// its unfinished files, and restores the name of a checkpoint that it was replacing. Files that cannot be removed stay.
  /// @retval errc::locked            another manager, of this process or another, saves into the folder
  /// @retval errc::bad_path          the prefix is not a plain file name
  /// @retval errc::invalid_argument  `options.save.form` is loose
  /// @retval errc::out_of_memory
  /// or an error of the operating system
  [[nodiscard]] static result<checkpoint_manager> open_for_saving(std::string_view folder_utf8,
                                                                  checkpoint_options options = {}) {
    return detail::caught([&]() -> result<checkpoint_manager> {
      if (!detail::is_part_name(options.prefix)) return error(errc::bad_path, options.prefix);
      if (options.save.form == store_form::loose) return error(errc::invalid_argument, "options.save.form");
      const checkpoint_folder where(folder_utf8, options.prefix,
                                    options.save.operations != nullptr ? *options.save.operations
                                                                       : system_file_operations());
      result<detail::folder_lock> lock = detail::lockable_folder(where).create_and_lock();
      if (!lock) return lock.error();
      checkpoint_manager made(where, std::move(*lock), std::move(options));
      if (auto swept = made.sweep(); !swept) return swept.error();
      made.details_ = detail::read_state_file(made.folder(), false).all;
      return made;
    });
  }

  /// Saves the program as the checkpoint of `session.global_step`, in place of one that has this step. When this returns
  /// without an error the checkpoint is complete and, if saves are durable, on the disk; only then others are removed: those
  /// that the rules do not keep and that no kept one needs, nor any other store in the folder. The same variables, session,
  /// graph and base give the same bytes. Deltas of a checkpoint that is about to be replaced, whatever their names are, are made
  /// whole first. The save is whole if its base cannot be opened, and if every variable differs from the base.
  /// @param graph  a JSON object, or nothing
  /// @retval errc::not_durable    the checkpoint is in the folder, complete, and a loss of power may take it back; nothing was
  ///                              removed on its account. The next save is whole
  /// @retval errc::out_of_memory
  /// @retval errc::locked, file_not_found  the folder's lock is this manager's no more (the subject is its path): the folder was
  ///                                       removed, or this is a forked child, whose parent still holds it
  /// or an error of `writer::add`, `writer::save` and `compact`; the checkpoints that were there still are.
  /// Cost: that of `writer::save`, a small file, and lists the folder; opens the others once if some are to be removed. A
  /// delta also that of `open_checkpoint` and `add_changed`.
  result<saved_checkpoint> save(const session_state& session, const variable_list& variables,
                                const json_text& graph = {}) {
    return save_any(session, variables, graph);
  }
  /// The same for variables as they were when a snapshot was taken.
  result<saved_checkpoint> save(const session_state& session, const snapshot& variables, const json_text& graph = {}) {
    return save_any(session, variables, graph);
  }

  /// Saves the head of a sharded checkpoint (manifest/shards.hpp), as `save` does a store, once its shards are in the folder and,
  /// if saves are durable, on the disk. Their names are those of parts of the checkpoint, `ckpt-100-00000-of-00002-89abcdef.stet`,
  /// or of an earlier one, whose shards it shares: a shard is kept as long as a checkpoint of the folder lists it, and those that
  /// none lists are removed. The checkpoint is no delta; the next save may be one of it.
  /// @param graph  a JSON object, or nothing
  /// @return `report` is that of the head alone
  /// @retval errc::missing_part  there are no shards, or one is not in the folder; nothing has changed
  /// or an error of `save` or of `writer::set_shards`.
  /// Cost: that of saving a small file, a look at each shard's file, and lists the folder; as `save`, where some are to be removed.
  result<saved_checkpoint> save_shards(const session_state& session, std::span<const shard_reference> shards,
                                       const json_text& graph = {}) {
    return save_filled(session, graph, false, [&](writer& out, const opened_checkpoint*) -> result<bool> {
      for (const shard_reference& each : shards) {
        if (!detail::is_part_name(each.file_name)) return error(errc::bad_path, each.file_name);
        const auto identity = detail::identity_of(folder() + each.file_name);
        if (!identity) return identity.error();
        if (!*identity) return error(errc::missing_part, each.file_name);
      }
      out.set_shards(shards);
      return false;
    });
  }

  /// Removes the checkpoints of steps after `step`: for a program that went back to an earlier one, since the newest is the
  /// one with the highest step. When this returns without an error they are gone from the disk, too.
  /// A checkpoint that another store of the folder needs stays.
  /// Errors: those of the operating system; other checkpoints may be removed nevertheless.
  result<void> remove_after(std::uint64_t step) {
    return detail::caught([&]() -> result<void> {
      if (auto locked = lock_.confirm(); !locked) return locked;
      const result<std::vector<std::string>> names = list_names();
      if (!names) return names.error();
      std::vector<std::uint64_t> removed = steps_among(*names);
      removed.erase(removed.begin(), std::upper_bound(removed.begin(), removed.end(), step));
      if (auto done = remove_unneeded(*names, std::move(removed)); !done) return done;
      if (auto synced = call(&file_operations::sync_folder, folder()); !synced) return synced;
      return write_state(std::nullopt);
    });
  }

private:
  checkpoint_manager(const checkpoint_folder& where, detail::folder_lock&& lock, checkpoint_options&& options)
      : checkpoint_folder(where), lock_(std::move(lock)), options_(std::move(options)), known_(folder()) {}

  // ---- saving ----

  template <class Variables>
  result<saved_checkpoint> save_any(const session_state& session, const Variables& variables, const json_text& graph) {
    return save_filled(session, graph, true, [&](writer& out, const opened_checkpoint* base) -> result<bool> {
      if (base == nullptr) {
        if (auto added = add_variables(out, variables); !added) return added.error();
        return false;
      }
      const result<delta_report> found = add_changed(out, variables, base->opened);
      if (!found) return found.error();
      const bool is_delta = found->unchanged_count != 0;
      if (!is_delta) out.set_extra(nullptr);
      return is_delta;
    });
  }

  /// Saves what `fill(writer&, const opened_checkpoint* base)` gives the writer. It returns whether that is a delta of the base,
  /// which is nullptr where the save is to be whole.
  template <class Fill>
  result<saved_checkpoint> save_filled(const session_state& session, const json_text& graph, bool may_be_delta,
                                       Fill fill) {
    return detail::caught([&]() -> result<saved_checkpoint> {
      if (auto locked = lock_.confirm(); !locked) return locked.error();
      if (auto sound = detail::check_saved(session, graph); !sound) return sound.error();
      const std::uint64_t step = session.global_step;
      const auto now = options_.clock ? options_.clock() : std::chrono::system_clock::now();
      if (auto released = release(name_of(step)); !released) return released.error();
      std::optional<opened_checkpoint> base; // mapped until everything is written
      if (may_be_delta) base = base_for(step);
      writer out;
      out.graph = graph;
      out.state = to_json(session);
      const result<bool> filled = fill(out, base ? &*base : nullptr);
      if (!filled) return filled.error();
      const bool is_delta = *filled;
      saved_checkpoint made{path_of(step), {}, is_delta ? base->opened.file_name(0) : std::string(), {}};
      const result<save_report> report = out.save(made.path, options_.save);
      const bool is_published = report || report.error().code() == errc::not_durable;
      if (!is_published) return report.error();
      if (!report) { // it is there, and yet nothing is to build on it
        last_whole_.reset();
        note(session, now);
        return report.error();
      }
      made.report = *report;
      if (!is_delta) last_whole_ = step;
      deltas_since_whole_ = is_delta ? deltas_since_whole_ + 1 : 0;
      // A failure from here on does not undo the save.
      made.upkeep = detail::caught([&]() -> result<void> {
        note(session, now);
        const auto retained = retain(step);
        const auto written = write_state(step);
        return retained ? written : retained;
      });
      return made;
    });
  }

  /// Records the saved checkpoint for the state file.
  void note(const session_state& session, std::chrono::system_clock::time_point now) {
    const auto file = detail::identity_of(path_of(session.global_step));
    const std::optional<double> metric =
        session.metric && std::isfinite(*session.metric) ? session.metric : std::nullopt;
    details_[session.global_step] = {now, metric, file && *file ? detail::file_text(**file) : std::string()};
  }

  /// The whole checkpoint that one of `step` is to be a delta of, if it is to be one.
  std::optional<opened_checkpoint> base_for(std::uint64_t step) const {
    // The base is an earlier one, so that a program which goes back takes no base away from what it keeps.
    if (!last_whole_ || *last_whole_ >= step || deltas_since_whole_ + 1 >= options_.full_every) return std::nullopt;
    result<opened_checkpoint> opened = open(*last_whole_);
    if (!opened || opened->opened.file_count() != 1) return std::nullopt;
    return std::move(*opened);
  }

  /// Makes every delta of the store called `name` whole, so that it can be replaced.
  result<void> release(const std::string& name) {
    const result<std::vector<std::string>> names = list_names();
    if (!names) return names.error();
    if (std::find(names->begin(), names->end(), name) == names->end()) return {};
    for (const std::string& each : *names) {
      if (!may_need_others(each)) continue;
      const result<const detail::known_store*> known = known_.look_at(each);
      if (!known && known.error().code() == errc::file_not_found) continue;
      if (!known) return known.error();
      if ((*known)->base != name || !(*known)->is_sound) continue; // a circle is never sound
      save_options options = options_.save;
      if (!step_of(each)) { // a program's own keeps its form
        const bool is_loose = (*known)->kind == detail::store_kind::loose;
        options.form = is_loose                     ? store_form::loose
                       : (*known)->needs.size() > 1 ? store_form::sharded
                                                    : store_form::single_file;
      }
      if (auto released = release(each); !released) return released;
      const auto whole = detail::compact_alone(folder() + each, folder() + each, options);
      // That this file is not durable does not mean that the save, which was not made, is there.
      if (!whole && whole.error().code() == errc::not_durable)
        return error(errc::io_error, folder() + each).with_system_code(whole.error().system_code());
      if (!whole) return whole.error();
    }
    return {};
  }

  /// @param synced  a checkpoint whose name is on the disk
  result<void> write_state(std::optional<std::uint64_t> synced) {
    const result<std::vector<std::uint64_t>> steps = list_steps();
    if (!steps) return steps.error();
    detail::state_file state;
    for (const std::uint64_t step : *steps) state.all[step] = details_[step];
    details_ = state.all;
    if (!steps->empty()) {
      state.latest = name_of(steps->back());
      const auto file = detail::identity_of(folder() + state.latest);
      const bool is_known = options_.save.is_durable && file && *file;
      if (is_known && (synced == steps->back() || call(&file_operations::sync_folder, folder())))
        state.latest_file = detail::file_text(**file);
    }
    return detail::write_state_file(operations(), folder(), state, options_.save.is_durable);
  }

  // ---- removing ----

  /// Removes the checkpoints that the rules do not keep.
  result<void> retain(std::uint64_t just_saved) {
    result<std::vector<std::string>> names = list_names();
    if (!names) return names.error();
    std::sort(names->begin(), names->end());
    known_.keep_only(*names);
    const std::vector<std::uint64_t> steps = steps_among(*names);
    if (is_everything_kept(steps)) return {};
    // Damaged checkpoints do not count, so that they displace no valid one. They are not removed: they may be repaired.
    std::vector<std::uint64_t> sound;
    for (const std::uint64_t step : steps) {
      const result<const detail::known_store*> known = known_.look_at(name_of(step));
      if (!known && known.error().code() == errc::file_not_found) continue;
      if (!known) return known.error();
      if (!(*known)->is_sound) continue;
      sound.push_back(step);
      if (options_.keep.keep_best != 0) {
        if (auto found = find_metric(step, **known); !found) return found;
      }
    }
    const std::vector<bool> is_kept = select_kept(describe_all(sound, details_), options_.keep);
    std::vector<std::uint64_t> removed;
    for (std::size_t i = 0; i < sound.size(); ++i) {
      if (!is_kept[i] && sound[i] != just_saved) removed.push_back(sound[i]);
    }
    return remove_unneeded(*names, std::move(removed));
  }

  /// True if the rules keep every step, so that none need be examined.
  [[nodiscard]] bool is_everything_kept(const std::vector<std::uint64_t>& steps) const {
    return options_.keep.max_to_keep == 0 || steps.size() <= options_.keep.max_to_keep;
  }

  /// Reads the metric of a valid checkpoint, unless that of this file is known.
  result<void> find_metric(std::uint64_t step, const detail::known_store& known) {
    const auto identity = known.identity();
    detail::checkpoint_details& details = details_[step];
    std::string file = identity ? detail::file_text(*identity) : std::string();
    if (!file.empty() && details.file == file) return {};
    const result<store> own = stet::open(path_of(step), {.read_manifest = read_manifest});
    if (!own) return detail::is_of_contents(own.error()) ? result<void>() : own.error();
    const result<manifest> parsed = parse_manifest(own->manifest_text());
    const result<session_state> session = parsed ? to_session(parsed->state) : result<session_state>(parsed.error());
    details.metric = session ? session->metric : std::nullopt;
    details.file = std::move(file);
    return {};
  }

  /// True if a file with this name may be a store that needs other files. Parts and the files of the manager are not.
  [[nodiscard]] bool may_need_others(std::string_view name) const {
    return name != detail::lock_name && name != detail::state_file_name &&
           !name.ends_with(atomic_file::temporary_suffix) && !is_own_part(name);
  }

  /// Removes checkpoints that none of the other files named needs.
  result<void> remove_unneeded(const std::vector<std::string>& names, std::vector<std::uint64_t> steps) {
    if (steps.empty()) return {};
    const auto is_removed = [&](std::string_view name) {
      const auto step = step_of(name);
      return step && std::binary_search(steps.begin(), steps.end(), *step);
    };
    std::vector<std::string> others, leftovers;
    for (const std::string& name : names) {
      if (is_removed(replaced_name(name)))
        leftovers.push_back(name);
      else if (may_need_others(name) && !is_removed(name))
        others.push_back(name);
    }
    result<std::set<std::string>> needed = known_.needed_by(std::move(others));
    if (!needed) return needed.error();
    result<void> done;
    // First the files whose names a sweep would restore, or a removed checkpoint would come back.
    for (const std::string& name : leftovers) {
      if (!remove_file(name, done)) needed->insert(std::string(replaced_name(name)));
    }
    if (!leftovers.empty()) {
      if (auto synced = call(&file_operations::sync_folder, folder()); !synced) return synced;
    }
    const auto removed = remove_all(std::move(steps), std::move(*needed));
    return done ? removed : done;
  }

  /// Removes a file. @return true if it is gone; otherwise `done` becomes the error, unless it is one already
  bool remove_file(const std::string& name, result<void>& done) const {
    const auto removed = call(&file_operations::remove, folder() + name);
    const bool is_gone = removed || removed.error().code() == errc::file_not_found;
    if (!is_gone && done) done = removed;
    return is_gone;
  }

  /// Removes checkpoints, the oldest first, but for files that others need. In rounds, with the folder on the disk between
  /// them, since a checkpoint must not come back without its parts or its base: these go once it is gone.
  result<void> remove_all(std::vector<std::uint64_t> steps, std::set<std::string> needed) {
    result<void> done;
    std::vector<std::string> parts; // of checkpoints that are gone
    for (;;) {
      for (const std::string& part : std::exchange(parts, {})) {
        if (!needed.contains(part)) remove_file(part, done);
      }
      std::vector<std::string> names;
      for (const std::uint64_t step : steps) names.push_back(name_of(step));
      const result<std::set<std::string>> bases = known_.needed_by(std::move(names));
      if (!bases) return bases.error();
      std::vector<std::uint64_t> left;
      for (const std::uint64_t step : steps) {
        const std::string name = name_of(step);
        if (needed.contains(name)) continue;
        if (bases->contains(name)) {
          left.push_back(step);
          continue;
        }
        const result<const detail::known_store*> known = known_.look_at(name);
        const std::vector<std::string> needs = known ? (*known)->needs : std::vector<std::string>();
        if (!remove_file(name, done)) {
          needed.insert(needs.begin(), needs.end());
          continue;
        }
        // Shards may be called after another checkpoint.
        std::copy_if(needs.begin(), needs.end(), std::back_inserter(parts),
                     [&](const std::string& each) { return is_own_part(each); });
        details_.erase(step);
      }
      const bool is_stuck = left.size() == steps.size(); // damaged ones that build on each other
      if (is_stuck || (left.empty() && parts.empty())) return done;
      // What is shared with one that is still there goes when that has gone.
      std::vector<std::string> left_names;
      for (const std::uint64_t step : left) left_names.push_back(name_of(step));
      const result<std::set<std::string>> still = known_.needed_by(std::move(left_names));
      if (!still) return still.error();
      std::erase_if(parts, [&](const std::string& each) { return still->contains(each); });
      steps = std::move(left);
      if (auto synced = call(&file_operations::sync_folder, folder()); !synced)
        return synced; // the rest stays until a sweep
    }
  }

  // ---- files of a writer that was killed ----

  /// Removes unfinished files, and parts whose checkpoint was never finished. Only files of a manager: other stores may be
  /// saved into the same folder. Files that cannot be removed, or may still be needed, stay until the next sweep.
  result<void> sweep() {
    result<std::vector<std::string>> names = list_names();
    if (!names) return names.error();
    const result<bool> are_others = give_names_back(*names);
    if (!are_others) return {};
    if (*are_others) names = list_names();
    if (!names) return names.error();
    std::sort(names->begin(), names->end());
    std::vector<std::string> litter, parts, others;
    for (const std::string& name : *names) {
      const std::string_view replaced = replaced_name(name);
      if (is_unfinished(name))
        litter.push_back(name);
      else if (!replaced.empty() && !is_only_copy(name, *names))
        litter.push_back(name);
      else if (is_own_part(name))
        parts.push_back(name);
      else if (may_need_others(name))
        others.push_back(name);
    }
    if (!parts.empty()) {
      const result<std::set<std::string>> needed = known_.needed_by(std::move(others));
      if (!needed && needed.error().code() == errc::out_of_memory) return needed.error();
      for (const std::string& part : parts) {
        if (needed && !needed->contains(part) && !belongs_to_damaged(part)) litter.push_back(part);
      }
    }
    result<void> ignored;
    for (const std::string& name : litter) remove_file(name, ignored);
    return {};
  }

  /// Restores the names of files that were being replaced, where no file has the name. Of several it takes the one that was
  /// written last; its digit does not tell, since the first free digit is used.
  /// @return true if a file may have another name now
  /// Errors: the names are not on the disk, and so nothing may be removed.
  result<bool> give_names_back(const std::vector<std::string>& names) {
    std::map<std::string, std::pair<std::pair<bool, std::uint64_t>, std::string>> best;
    for (const std::string& name : names) {
      if (!is_only_copy(name, names)) continue;
      const result<const detail::known_store*> known = known_.look_at(name);
      const auto identity = known ? (*known)->identity() : std::nullopt;
      if (!identity) continue;
      auto& chosen = best[std::string(replaced_name(name))];
      const std::pair<bool, std::uint64_t> rank((*known)->is_sound, identity->changed_ns);
      if (chosen.second.empty() || chosen.first < rank) chosen = {rank, name};
    }
    for (const auto& [to, from] : best)
      (void)call(&file_operations::rename_over, folder() + from.second, folder() + to);
    if (best.empty()) return false;
    if (auto synced = call(&file_operations::sync_folder, folder()); !synced) return synced.error();
    return true;
  }

  /// True if a file is a store that was being replaced, and no file has its former name.
  [[nodiscard]] bool is_only_copy(const std::string& name, const std::vector<std::string>& names) const {
    const std::string_view replaced = replaced_name(name);
    if (replaced.empty() || std::find(names.begin(), names.end(), replaced) != names.end()) return false;
    const auto stated = detail::read_stated_base(folder() + name);
    return !stated || stated->kind == detail::store_kind::native;
  }

  [[nodiscard]] bool is_own_part(std::string_view name) const {
    const auto step = leading_step_of(name);
    return step && detail::is_like_part_name(name, name_of(*step));
  }
  /// True if a part may belong to a checkpoint that is too damaged to list its parts.
  [[nodiscard]] bool belongs_to_damaged(std::string_view part) {
    const result<const detail::known_store*> known = known_.look_at(name_of(*leading_step_of(part)));
    return known ? !(*known)->is_sound : known.error().code() != errc::file_not_found;
  }
  /// True if `name` is a name that a manager gives.
  [[nodiscard]] bool is_own_name(std::string_view name) const {
    return name == detail::state_file_name || step_of(name) || is_own_part(name);
  }
  /// True if `name` is that of an unfinished file, ".NAME.0.stet-tmp", where NAME is a name that a manager gives.
  [[nodiscard]] bool is_unfinished(std::string_view name) const {
    if (!name.starts_with('.') || !name.ends_with(atomic_file::temporary_suffix)) return false;
    name.remove_prefix(1);
    name.remove_suffix(atomic_file::temporary_suffix.size());
    return is_own_name(name.substr(0, name.rfind('.')));
  }
  /// The NAME in "NAME.stet-old-0", that of a replaced file which was mapped (see `file_operations::rename_over`), where a manager
  /// gives NAME. Empty: it is no such name.
  [[nodiscard]] std::string_view replaced_name(std::string_view name) const {
    constexpr std::string_view suffix = ".stet-old-";
    const std::size_t at = name.rfind(suffix);
    if (at == std::string_view::npos || name.size() != at + suffix.size() + 1 || !is_own_name(name.substr(0, at)))
      return {};
    return name.substr(0, at);
  }

  detail::folder_lock lock_;
  checkpoint_options options_;
  /// The last whole save, and the number of saves since.
  std::optional<std::uint64_t> last_whole_;
  std::uint64_t deltas_since_whole_ = 0;
  std::map<std::uint64_t, detail::checkpoint_details> details_;
  detail::known_stores known_;
};

} // namespace stet::inline STET_NAMESPACE

#endif
