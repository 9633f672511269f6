// SPDX-License-Identifier: MIT
// Saves a program into a folder of checkpoints, and decides which of them stay.
#ifndef STET_CHECKPOINT_MANAGER_HPP
#define STET_CHECKPOINT_MANAGER_HPP

#include "delta.hpp"
#include "folder.hpp"
#include "folder_lock.hpp"
#include "snapshot.hpp"

#include "../writer/parts.hpp"
#include "../writer/writer.hpp"

#include <functional>
#include <set>

namespace stet::inline v0_1 {

/// How a manager saves and what it keeps.
struct checkpoint_options {
  /// What the names of checkpoints begin with: a plain file name.
  std::string prefix = "ckpt";
  retention_rules keep;
  /// Each save of this number is whole, the first of a manager included; those between are deltas (delta.hpp), which hold
  /// only the variables that changed since the last whole one. It stays as long as one of them does. 0, 1: every save is
  /// whole.
  std::uint64_t full_every = 1;
  /// How each checkpoint is saved; not in the loose form. `save.operations` serves for everything the manager does. If not
  /// durable, a loss of power may take checkpoints after older ones were removed.
  save_options save;
  /// The time of a save; none: the system's clock. Times stand in the state file only.
  std::function<std::chrono::system_clock::time_point()> clock;
};

/// What a save did.
struct saved_checkpoint {
  std::string path;
  save_report report;
  /// The file, in the same folder, that it is a delta of; empty: it is whole.
  std::string base;
  /// Whether the state file could be written and what is not to be kept be removed. A failure of these loses nothing, and
  /// the next save tries again.
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
  /// Takes the lock of a folder, which is made if there is none, and removes what a writer that died left unfinished.
  /// @retval errc::locked            another manager, of this process or another, saves into the folder
  /// @retval errc::bad_path          the prefix is not a plain file name
  /// @retval errc::invalid_argument  `options.save.form` is loose
  /// or what the operating system reports of the folder
  [[nodiscard]] static result<checkpoint_manager> open_for_saving(std::string_view folder_utf8, checkpoint_options options = {}) {
    if (!detail::is_part_name(options.prefix)) return error(errc::bad_path, options.prefix);
    if (options.save.form == store_form::loose) return error(errc::invalid_argument, "options.save.form");
    const checkpoint_folder where(folder_utf8, options.prefix, options.save.operations != nullptr ? *options.save.operations : system_file_operations());
    result<detail::folder_lock> lock = detail::lockable_folder(where).make_and_lock();
    if (!lock) return lock.error();
    checkpoint_manager made(where, std::move(*lock), std::move(options));
    if (auto swept = made.sweep(); !swept) return swept.error();
    made.details_ = detail::read_state_file(made.folder(), false).all;
    return made;
  }

  /// Saves the program as the checkpoint of `session.global_step`, in place of one that has this step. When this returns
  /// without an error the checkpoint is complete and, if saves are durable, on the disk; only then others are removed: those
  /// that the rules do not keep and that no kept one needs. The same variables, session, graph and base give the same bytes.
  /// Deltas of a checkpoint that is about to be replaced are made whole first. A base that cannot be opened any more is
  /// passed over: the save is whole then, and so is one of which nothing is as it was in the base.
  /// @param graph  a JSON object, or null
  /// @retval errc::locked, file_not_found  the folder's lock is this manager's no more (the subject is its path): the folder was
  ///                                       removed, or this is a forked child, whose parent still holds it
  /// or an error of `writer::add`, `writer::save` and `compact`; the checkpoints that were there still are.
  /// Cost: that of `writer::save`, a small file, and lists the folder; opens the others once if some are to be removed. A
  /// delta also that of `open_checkpoint` and `add_changed`.
  result<saved_checkpoint> save(const session_state& session, const variable_list& variables, const json_value& graph = nullptr) {
    return save_any(session, variables, graph);
  }
  /// The same for variables as they were when a snapshot was taken.
  result<saved_checkpoint> save(const session_state& session, const snapshot& variables, const json_value& graph = nullptr) {
    return save_any(session, variables, graph);
  }

  /// Removes the checkpoints of steps after `step`: for a program that went back to an earlier one, since the newest is the
  /// one with the highest step. When this returns without an error they are gone from the disk, too.
  /// Errors: what the operating system reports; the rest may be removed all the same.
  result<void> remove_after(std::uint64_t step) {
    if (auto locked = lock_.check(); !locked) return locked;
    const result<std::vector<std::uint64_t>> steps = list_steps();
    if (!steps) return steps.error();
    std::vector<std::uint64_t> kept, removed;
    for (const std::uint64_t each : *steps) (each > step ? removed : kept).push_back(each);
    result<std::set<std::string>> needed = needed_by(kept);
    if (!needed) return needed.error();
    if (auto done = remove_all(removed, *needed); !done) return done;
    if (auto synced = call(&file_operations::sync_folder, folder()); !synced) return synced;
    return write_state();
  }

private:
  /// What of a checkpoint cannot change while its file is there.
  struct facts {
    bool is_sound = false;
    /// The files it needs besides its own: its parts and, of a delta, the base.
    std::vector<std::string> parts;
    /// The base, of a delta.
    std::string base;
    std::optional<double> metric;
  };

  checkpoint_manager(const checkpoint_folder& where, detail::folder_lock&& lock, checkpoint_options&& options)
      : checkpoint_folder(where), lock_(std::move(lock)), options_(std::move(options)) {}

  // ---- saving ----

  template <class Variables>
  result<saved_checkpoint> save_any(const session_state& session, const Variables& variables, const json_value& graph) {
    const std::uint64_t step = session.global_step;
    if (auto locked = lock_.check(); !locked) return locked.error();
    if (auto sound = detail::check_saved(session, graph); !sound) return sound.error();
    if (auto released = release(step); !released) return released.error();
    const std::optional<opened_checkpoint> base = base_for(step); // mapped until everything is written
    writer out;
    out.graph = graph;
    out.state = to_json(session);
    bool is_delta = false;
    if (base) {
      const result<delta_report> found = add_changed(out, variables, base->opened);
      if (!found) return found.error();
      is_delta = found->unchanged_count != 0;
      if (!is_delta) out.set_extra(nullptr);
    } else if (auto added = add_variables(out, variables); !added) {
      return added.error();
    }
    saved_checkpoint made{path_of(step), {}, is_delta ? base->opened.file_name(0) : std::string(), {}};
    const result<save_report> report = out.save(made.path, options_.save);
    if (!report) return report.error();
    made.report = *report;
    last_whole_ = is_delta ? last_whole_ : step;
    deltas_since_whole_ = is_delta ? deltas_since_whole_ + 1 : 0;
    const std::optional<double> metric = session.metric && std::isfinite(*session.metric) ? session.metric : std::nullopt;
    details_[step] = {options_.clock ? options_.clock() : std::chrono::system_clock::now(), metric};
    facts_.erase(step);
    const auto retained = retain(step);
    const auto written = write_state();
    made.upkeep = retained ? written : retained;
    return made;
  }

  /// The whole checkpoint that one of `step` is to be a delta of, if it is to be one.
  std::optional<opened_checkpoint> base_for(std::uint64_t step) const {
    // The base is an earlier one, so that a program which goes back takes no base away from what it keeps.
    if (!last_whole_ || *last_whole_ >= step || deltas_since_whole_ + 1 >= options_.full_every) return std::nullopt;
    result<opened_checkpoint> opened = open(*last_whole_);
    if (!opened || opened->opened.file_count() != 1) return std::nullopt;
    return std::move(*opened);
  }

  /// Makes every delta of the checkpoint of `step` whole, so that this can be replaced.
  result<void> release(std::uint64_t step) {
    const result<std::vector<std::uint64_t>> steps = list_steps();
    if (!steps) return steps.error();
    if (!std::binary_search(steps->begin(), steps->end(), step)) return {};
    for (const std::uint64_t each : *steps) {
      const result<const facts*> known = look_at(each);
      if (!known) return known.error();
      if ((*known)->base != name_of(step) || !(*known)->is_sound) continue; // a circle is never sound
      if (auto released = release(each); !released) return released;
      if (auto whole = compact(path_of(each), path_of(each), options_.save); !whole && !is_about_bytes(whole.error())) return whole.error();
      facts_.erase(each);
    }
    return {};
  }

  result<void> write_state() {
    const result<std::vector<std::uint64_t>> steps = list_steps();
    if (!steps) return steps.error();
    detail::state_file state;
    for (const std::uint64_t step : *steps) state.all[step] = details_[step];
    if (!steps->empty()) state.latest = name_of(steps->back());
    details_ = state.all;
    return detail::write_state_file(operations(), folder(), state, options_.save.is_durable);
  }

  // ---- removing ----

  /// Removes what the rules do not keep.
  result<void> retain(std::uint64_t just_saved) {
    const result<std::vector<std::uint64_t>> steps = list_steps();
    if (!steps) return steps.error();
    if (is_everything_kept(*steps)) return {};
    // Damaged ones are not counted, so that they keep no sound one out, and not removed: someone may repair them.
    std::vector<std::uint64_t> sound;
    for (const std::uint64_t step : *steps) {
      const result<const facts*> known = look_at(step);
      if (!known) return known.error();
      if ((*known)->is_sound) sound.push_back(step);
      if (!details_[step].metric) details_[step].metric = (*known)->metric;
    }
    const std::vector<bool> is_kept = select_kept(describe_all(sound, details_), options_.keep);
    std::vector<std::uint64_t> kept, removed;
    for (std::size_t i = 0; i < sound.size(); ++i) (is_kept[i] || sound[i] == just_saved ? kept : removed).push_back(sound[i]);
    for (const std::uint64_t step : *steps) {
      if (!std::binary_search(sound.begin(), sound.end(), step)) kept.push_back(step);
    }
    const result<std::set<std::string>> needed = needed_by(kept);
    if (!needed) return needed.error();
    return remove_all(removed, *needed);
  }

  /// Whether the rules keep every step without a look at any.
  [[nodiscard]] bool is_everything_kept(const std::vector<std::uint64_t>& steps) const {
    return options_.keep.max_to_keep == 0 || steps.size() <= options_.keep.max_to_keep;
  }

  /// The files that checkpoints need besides their own, those of the checkpoints they build on included.
  result<std::set<std::string>> needed_by(std::vector<std::uint64_t> steps) {
    std::set<std::string> names;
    while (!steps.empty()) {
      const std::uint64_t step = steps.back();
      steps.pop_back();
      const result<const facts*> known = look_at(step);
      if (!known && known.error().code() == errc::file_not_found) continue;
      if (!known) return known.error();
      for (const std::string& name : (*known)->parts) {
        const auto base = step_of(name);
        if (names.insert(name).second && base) steps.push_back(*base);
      }
    }
    return names;
  }

  /// Whether an error says that files are not as they must be, and not that the system failed.
  static bool is_about_bytes(const error& why) noexcept {
    return static_cast<int>(why.code()) >= 300 || why.code() == errc::not_a_regular_file || why.code() == errc::bad_path;
  }

  /// What a checkpoint consists of. An error means that this could not be found out, and so nothing may be removed.
  result<const facts*> look_at(std::uint64_t step) {
    if (const auto known = facts_.find(step); known != facts_.end()) return &known->second;
    facts found;
    const result<store> own = stet::open(path_of(step));
    const result<std::optional<delta_base>> base = own ? base_of(*own) : own.error();
    if (own) {
      const tensor_index& index = own->index();
      for (std::uint32_t part = 0; part < index.part_count(); ++part) found.parts.emplace_back(index.part(part).path);
    } else {
      found.parts = detail::listed_parts(path_of(step));
    }
    if (base && *base) found.parts.push_back(found.base = (*base)->file_name);
    // Whether a delta is sound the files it builds on decide, too.
    result<void> sound = base ? result<void>() : base.error();
    if (!found.base.empty()) {
      if (const auto opened = open(step); !opened) sound = opened.error();
    }
    found.is_sound = static_cast<bool>(sound);
    if (!sound) {
      if (!is_about_bytes(sound.error())) return sound.error();
    } else if (options_.keep.keep_best != 0 && !details_[step].metric) {
      const result<manifest> parsed = parse_manifest(own->manifest_text());
      const result<session_state> session = parsed ? to_session(parsed->state) : result<session_state>(parsed.error());
      if (session) found.metric = session->metric;
    }
    return &(facts_[step] = std::move(found));
  }

  /// Removes checkpoints, the oldest first, but for files that others need. In rounds, with the folder on the disk between
  /// them, since a checkpoint must not come back without its parts or its base: these go once it is gone.
  result<void> remove_all(std::vector<std::uint64_t> steps, std::set<std::string> needed) {
    result<void> done;
    const auto remove_file = [&](const std::string& name) {
      const auto removed = call(&file_operations::remove, folder() + name);
      const bool is_gone = removed || removed.error().code() == errc::file_not_found;
      if (!is_gone && done) done = removed;
      return is_gone;
    };
    std::vector<std::string> parts; // of checkpoints that are gone
    for (;;) {
      for (const std::string& part : std::exchange(parts, {})) {
        if (!needed.contains(part)) remove_file(part);
      }
      const result<std::set<std::string>> bases = needed_by(steps);
      if (!bases) return bases.error();
      std::vector<std::uint64_t> left;
      for (const std::uint64_t step : steps) {
        const std::string name = name_of(step);
        if (needed.contains(name)) continue;
        if (bases->contains(name)) {
          left.push_back(step);
          continue;
        }
        const result<const facts*> known = look_at(step);
        const std::vector<std::string> needs = known ? (*known)->parts : std::vector<std::string>();
        if (!remove_file(name)) {
          needed.insert(needs.begin(), needs.end());
          continue;
        }
        std::copy_if(needs.begin(), needs.end(), std::back_inserter(parts), [&](const std::string& each) { return detail::is_like_part_name(each, name); });
        facts_.erase(step);
        details_.erase(step);
      }
      const bool is_stuck = left.size() == steps.size(); // damaged ones that build on each other
      if (is_stuck || (left.empty() && parts.empty())) return done;
      steps = std::move(left);
      if (auto synced = call(&file_operations::sync_folder, folder()); !synced) return synced; // the rest stays until a sweep
    }
  }

  // ---- what a dead writer left ----

  /// Removes unfinished files, and parts whose checkpoint was never finished. Only what a manager makes: other stores may be
  /// saved into the same folder.
  result<void> sweep() {
    const result<std::vector<std::string>> names = list_names();
    if (!names) return names.error();
    std::vector<std::uint64_t> steps;
    std::vector<std::string> litter, parts;
    for (const std::string& name : *names) {
      if (const auto step = step_of(name)) steps.push_back(*step);
      else if (is_unfinished(name)) litter.push_back(name);
      else if (is_own_part(name)) parts.push_back(name);
    }
    if (!parts.empty()) {
      const result<std::set<std::string>> needed = needed_by(steps);
      if (!needed) return needed.error();
      for (const std::string& part : parts) {
        if (!needed->contains(part) && !belongs_to_damaged(part)) litter.push_back(part);
      }
    }
    for (const std::string& name : litter) {
      const auto removed = call(&file_operations::remove, folder() + name);
      if (!removed && removed.error().code() != errc::file_not_found) return removed;
    }
    return {};
  }

  [[nodiscard]] bool is_own_part(std::string_view name) const {
    const auto step = leading_step_of(name);
    return step && detail::is_like_part_name(name, name_of(*step));
  }
  [[nodiscard]] bool belongs_to_damaged(std::string_view part) const {
    const auto found = facts_.find(*leading_step_of(part));
    return found != facts_.end() && !found->second.is_sound;
  }
  /// Whether `name` is that of an unfinished file, ".NAME.0.stet-tmp", or of a replaced one that was mapped,
  /// "NAME.stet-old-0" (see `file_operations::rename_over`), where NAME is one that a manager gives.
  [[nodiscard]] bool is_unfinished(std::string_view name) const {
    constexpr std::string_view old_suffix = ".stet-old-";
    if (name.starts_with('.') && name.ends_with(atomic_file::temporary_suffix)) {
      name.remove_prefix(1);
      name.remove_suffix(atomic_file::temporary_suffix.size());
      name = name.substr(0, name.rfind('.'));
    } else if (const std::size_t old = name.rfind(old_suffix); old != std::string_view::npos && name.size() == old + old_suffix.size() + 1) {
      name = name.substr(0, old);
    } else {
      return false;
    }
    return name == detail::state_file_name || step_of(name) || is_own_part(name);
  }

  detail::folder_lock lock_;
  checkpoint_options options_;
  /// The last save that was whole, and how many were made since.
  std::optional<std::uint64_t> last_whole_;
  std::uint64_t deltas_since_whole_ = 0;
  std::map<std::uint64_t, detail::checkpoint_details> details_;
  std::map<std::uint64_t, facts> facts_;
};

} // namespace stet::inline v0_1

#endif
