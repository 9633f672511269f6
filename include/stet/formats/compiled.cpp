// SPDX-License-Identifier: MIT
// The code behind compiled.hpp. The CMake target stet::formats compiles it as a part of what links the target.
#include "compiled.hpp"

#include "add_model.hpp"
#include "any.hpp"
#include "doctor.hpp"
#include "replace_weights.hpp"

namespace stet::inline STET_NAMESPACE::compiled {

result<model> open_any(std::string_view path_utf8, const open_options& options) {
  return stet::open_any(path_utf8, options);
}

result<model_description> describe(const model& of) { return stet::describe(of); }

result<void> add_model(writer& to, const model& of, tensor_names names) { return stet::add_model(to, of, names); }

result<void> add_model(writer& to, const model& of, tensor_names names, std::span<const rename_rule> renames) {
  return stet::add_model(to, of, names, renames);
}

diagnosis diagnose(std::string_view path_utf8, const open_options& options) {
  return stet::diagnose(path_utf8, options);
}

result<void> repair(const diagnosis& found, std::string_view path_utf8, std::string_view to_utf8) {
  return stet::repair(found, path_utf8, to_utf8);
}

std::span<const format* const> known_formats() noexcept { return stet::known_formats; }

std::string names_of_known_formats() { return stet::names_of_known_formats(); }

const format* find_format_to_save(std::string_view path_utf8, std::string_view saved_as) noexcept {
  return stet::find_format_to_save(path_utf8, saved_as);
}

result<saved_files> save_any(std::string_view path_utf8, const writer& from, const save_any_options& options) {
  return stet::save_any(path_utf8, from, options);
}

result<saved_files> save_any(std::string_view path_utf8, const model& from, const save_any_options& options) {
  writer out;
  if (auto added = stet::add_model(out, from); !added) return added.error();
  return stet::save_any(path_utf8, out, options);
}

result<replaced_weights> replace_weights(const model& of, const store& from, const restore_rules& rules,
                                         std::string_view out_path_utf8, const replace_options& options,
                                         restore_report* report) {
  return stet::replace_weights(of, from, rules, out_path_utf8, options, report);
}

result<replaced_weights> replace_weights(std::string_view model_path_utf8, const store& from,
                                         const restore_rules& rules, std::string_view out_path_utf8,
                                         const replace_options& options, restore_report* report) {
  return stet::replace_weights(model_path_utf8, from, rules, out_path_utf8, options, report);
}

} // namespace stet::inline STET_NAMESPACE::compiled
