// SPDX-License-Identifier: MIT
// The functions of formats/any.hpp without their code, for programs that link the CMake target stet::formats.
//
// The headers of the formats take a compiler seconds in each file that includes them. The target compiles them once, in
// compiled.cpp; this header includes little more than stet.hpp does. Both may be used in one program, and in one file.
#ifndef STET_FORMATS_COMPILED_HPP
#define STET_FORMATS_COMPILED_HPP

#include "model.hpp"
#include "save_any_options.hpp"

#include <span>
#include <string>
#include <string_view>

namespace stet::inline STET_NAMESPACE {

struct diagnosis;
struct format;
struct model_description;
class rename_rule;
struct replace_options;
struct replaced_weights;
struct restore_report;
struct restore_rules;
class writer;

/// The compiled functions. Errors and cost are those of the function of the same name in `stet`.
namespace compiled {

/// Opens a model of any format: `stet::open_any` (any.hpp).
[[nodiscard]] result<model> open_any(std::string_view path_utf8, const open_options& options = {});

/// Reads what the files of a model say beside its tensors: `stet::describe` (format.hpp). A caller includes description.hpp.
[[nodiscard]] result<model_description> describe(const model& of);

/// Adds everything that an open model holds to a writer: `stet::add_model` (add_model.hpp). A caller includes stet/writer.hpp.
result<void> add_model(writer& to, const model& of, tensor_names names = tensor_names::both);
/// The same under new names. A caller includes restore/rules.hpp, too.
result<void> add_model(writer& to, const model& of, tensor_names names, std::span<const rename_rule> renames);

/// Saves what was added to a writer in any format: `stet::save_any` (any.hpp). A caller includes stet/writer.hpp.
result<saved_files> save_any(std::string_view path_utf8, const writer& from, const save_any_options& options = {});

/// Says what a file is and why it does not open: `stet::diagnose` (doctor.hpp). A caller includes diagnosis.hpp.
[[nodiscard]] diagnosis diagnose(std::string_view path_utf8, const open_options& options = {});

/// Repairs what `diagnose` found: `stet::repair` (doctor.hpp). A caller includes diagnosis.hpp.
result<void> repair(const diagnosis& found, std::string_view path_utf8, std::string_view to_utf8);

/// The table of formats: `stet::known_formats` (any.hpp). A caller includes format.hpp.
[[nodiscard]] std::span<const format* const> known_formats() noexcept;

/// The names of the formats that are opened, for messages: `stet::names_of_known_formats` (any.hpp).
[[nodiscard]] std::string names_of_known_formats();

/// The format that a model is saved in at `path_utf8`: `stet::find_format_to_save` (any.hpp). A caller includes format.hpp.
[[nodiscard]] const format* find_format_to_save(std::string_view path_utf8, std::string_view saved_as = {}) noexcept;

/// Saves an open model in any format: `add_model` to a writer of its own, then `save_any`.
result<saved_files> save_any(std::string_view path_utf8, const model& from, const save_any_options& options = {});

/// `stet::replace_weights` of an open model (replace_weights.hpp). Include replace_options.hpp and the headers of the restore room for
/// its arguments.
result<replaced_weights> replace_weights(const model& of, const store& from, const restore_rules& rules,
                                         std::string_view out_path_utf8, const replace_options& options,
                                         restore_report* report = nullptr);
/// The same for the model at a path, which is opened.
result<replaced_weights> replace_weights(std::string_view model_path_utf8, const store& from,
                                         const restore_rules& rules, std::string_view out_path_utf8,
                                         const replace_options& options, restore_report* report = nullptr);

} // namespace compiled

} // namespace stet::inline STET_NAMESPACE

#endif
