// SPDX-License-Identifier: MIT
// `stet convert`, `stet pack` and `stet unpack`: a model of any format saved in another, or in another form.
#include "commands.hpp"
#include "model.hpp"

#include <stet/formats/add_model.hpp>
#include <stet/formats/keras/save.hpp>
#include <stet/formats/tfjs/save.hpp>
#include <stet/formats/select.hpp>
#include <stet/formats/tensorflow/save.hpp>
#include <stet/restore/glob.hpp>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace command {

namespace {

/// What was written.
struct outcome {
  std::uint64_t file_size_bytes = 0, file_count = 0;
  /// Variables of an optimizer that have no place there.
  std::uint64_t left_out_count = 0;
};

/// Saves the model `opened`, which is at `from`, to `to`.
using save_function = stet::result<outcome> (*)(std::string_view from, const stet::model& opened, std::string_view to);

/// A format that models can be saved in.
struct target {
  /// As `--to` names it.
  std::string_view name;
  /// What the name of the output ends in when it is meant without `--to`; empty: never.
  std::string_view ending;
  save_function save;
  /// Whether tensors of blocks of bytes that only TensorFlow's own code can read have a place there.
  bool takes_variants = false;
};

stet::result<outcome> outcome_of(const stet::result<stet::save_report>& saved) {
  if (!saved) return saved.error();
  return outcome{saved->file_size_bytes, saved->part_count + std::uint64_t{1}, 0};
}

template <stet::store_form Form>
stet::result<outcome> save_native(std::string_view from, const stet::model& opened, std::string_view to) {
  stet::writer all;
  if (const auto added = stet::add_model(all, from, opened); !added) return added.error();
  stet::save_options options;
  options.form = Form;
  if (is_native(opened)) options.alignment_bytes = opened.store.alignment_bytes();
  return outcome_of(all.save(to, options));
}

template <stet::tensorflow_naming Naming>
stet::result<outcome> save_for_tensorflow(std::string_view from, const stet::model& opened, std::string_view to) {
  stet::writer all;
  if (const auto added = stet::add_model(all, from, opened); !added) return added.error();
  stet::tensorflow_save_options options;
  options.naming = Naming;
  const std::string name(file_name_of(to));
  options.state = stet::tensorflow_state{name, {name}, {}, 0};
  return outcome_of(stet::save_tensorflow_checkpoint(all, to, options));
}

template <bool WeightsOnly>
stet::result<outcome> save_for_tfjs(std::string_view from, const stet::model& opened, std::string_view to) {
  stet::tfjs_save_options options;
  options.weights_only = WeightsOnly;
  const auto saved = stet::save_tfjs(to, from, opened, options);
  if (!saved) return saved.error();
  return outcome{saved->file_size_bytes, saved->shard_count + std::uint64_t{1}, 0};
}

/// With the state of the optimizer, unless the form to save in has no place for it.
template <stet::keras_form Form>
stet::result<outcome> save_for_keras(std::string_view from, const stet::model& opened, std::string_view to) {
  stet::keras_save_options options;
  options.form = Form;
  options.save_optimizer = true;
  auto saved = stet::save_keras(to, from, opened, options);
  const bool may_be_for_optimizer = !saved && (saved.error().code() == stet::errc::not_convertible ||
                                               saved.error().code() == stet::errc::not_expressible);
  if (may_be_for_optimizer) {
    options.save_optimizer = false;
    saved = stet::save_keras(to, from, opened, options);
  }
  if (!saved) return saved.error();
  return outcome{saved->file_size_bytes, 1, saved->left_out_count};
}

constexpr target targets[] = {
    {"stet", ".stet", save_native<stet::store_form::single_file>, true},
    {"tensorflow", "", save_for_tensorflow<stet::tensorflow_naming::by_name>},
    {"tensorflow-objects", "", save_for_tensorflow<stet::tensorflow_naming::by_object>},
    {"tfjs", "model.json", save_for_tfjs<false>},
    {"tfjs-weights", "", save_for_tfjs<true>},
    {"keras", ".keras", save_for_keras<stet::keras_form::keras>},
    {"keras-weights", ".weights.h5", save_for_keras<stet::keras_form::weights>},
    {"keras-legacy", ".h5", save_for_keras<stet::keras_form::legacy>},
};

const target* find_target(std::string_view name, std::string_view to) {
  for (const target& each : targets) {
    if (name.empty() ? !each.ending.empty() && to.ends_with(each.ending) : each.name == name) return &each;
  }
  return nullptr;
}

std::string target_names() {
  std::string names;
  for (const target& each : targets) names.append(names.empty() ? "" : ", ").append(each.name);
  return names;
}

/// Whether both paths lead to one file.
bool is_same_file(std::string_view a, std::string_view b) {
  const auto first = stet::file::open(a), second = stet::file::open(b);
  return first && second && first->same_file_as(*second);
}

/// What is left out of a copy.
struct selection {
  std::vector<stet::glob> skipped;
  bool takes_variants = true;
};

bool is_variant(const stet::tensor& of) {
  return of.dtype() == stet::dtype::block && of.layout().block.name == "variant";
}

/// Whether a pattern matches one of the tensors.
bool matches_any(const stet::glob& pattern, const stet::model& in) {
  return std::any_of(in.store.begin(), in.store.end(),
                     [&](const stet::tensor& each) { return pattern.matches(each.name()); });
}

/// The model without what the selection leaves out.
/// @param skipped_count  set to the number of tensors that match a pattern; variants are added to what the model omits
stet::result<stet::model> select(stet::model&& from, const selection& wanted, std::size_t& skipped_count) {
  stet::result<stet::model> made = std::move(from);
  if (!wanted.skipped.empty()) {
    std::vector<std::string> names;
    made = stet::without_tensors(
        std::move(*made),
        [&](const stet::tensor& each) {
          return std::any_of(wanted.skipped.begin(), wanted.skipped.end(),
                             [&](const stet::glob& pattern) { return pattern.matches(each.name()); });
        },
        &names);
    skipped_count = names.size();
  }
  if (made && !wanted.takes_variants && std::any_of(made->store.begin(), made->store.end(), is_variant)) {
    std::vector<std::string> names;
    made = stet::without_tensors(std::move(*made), is_variant, &names);
    for (std::string& name : names) {
      if (made) made->omitted.push_back({std::move(name), stet::error(stet::errc::not_expressible)});
    }
  }
  return made;
}

/// Says what was written, and what was not.
void print_outcome(std::string_view to, const stet::model& from, const outcome& saved, std::size_t skipped_count,
                   console& out) {
  out.write_escaped(to).write(": ").write(counted(tensor_count(from), "tensor")).write(", ");
  out.write(human_size(saved.file_size_bytes)).write(" in ").write(counted(saved.file_count, "file"));
  if (saved.left_out_count != 0)
    out.write(", without ").write(counted(saved.left_out_count, "variable")).write(" of the optimizer");
  if (skipped_count != 0) out.write(", without ").write(counted(skipped_count, "tensor")).write(" that --skip names");
  if (!from.omitted.empty())
    out.write(", without ").write(counted(from.omitted.size(), "item")).write(" that cannot be converted:");
  out.write("\n");
  print_omitted(from.omitted, out);
}

/// Saves the model at `from` to `to`, and says what was written.
status copy(std::string_view from, std::string_view to, save_function save, const selection& wanted, console& out) {
  if (is_same_file(from, to)) return out.fail(to, "input and output are the same file");
  stet::result<stet::model> opened = open_model(from);
  if (!opened) return out.fail(from, opened.error());
  for (const stet::glob& pattern : wanted.skipped) {
    if (!matches_any(pattern, *opened)) return out.fail(from, "no tensor matches a pattern of --skip");
  }
  std::size_t skipped_count = 0;
  opened = select(std::move(*opened), wanted, skipped_count);
  if (!opened) return out.fail(from, opened.error());
  const stet::result<outcome> saved = save(from, *opened, to);
  if (!saved) {
    const stet::error& problem = saved.error();
    // Of the operating system's complaints the subject is a temporary file beside the wanted one.
    const bool is_from_system = problem.category() == stet::error_category::system;
    return out.fail(is_from_system ? to : from, is_from_system ? problem.about({}) : problem);
  }
  print_outcome(to, *opened, *saved, skipped_count, out);
  return status::done;
}

} // namespace

status convert(const arguments& given, console& out) {
  const std::string_view from = given.operands[0], to = given.operands[1];
  const target* const wanted = find_target(given.value_of("--to"), to);
  if (wanted == nullptr) return out.misuse("which format? --to takes one of " + target_names());
  selection chosen;
  chosen.takes_variants = wanted->takes_variants;
  for (const std::string_view pattern : given.values_of("--skip")) chosen.skipped.emplace_back(pattern);
  return copy(from, to, wanted->save, chosen, out);
}

status pack(const arguments& given, console& out) {
  return copy(given.operands[0], given.operands[1], save_native<stet::store_form::single_file>, {}, out);
}

status compact(const arguments& given, console& out) {
  std::string from(given.operands[0]);
  const std::string_view to = given.operands[1];
  stet::save_options options;
  std::uint64_t count = 0;
  { // closed before it may be replaced
    const stet::result<stet::model> opened = open_model(from);
    if (!opened) return out.fail(from, opened.error());
    if (!is_native(*opened)) return out.fail(from, "not a native file; convert makes one");
    if (const auto checked = opened->store.verify_checksums(); !checked) return out.fail(from, checked.error());
    options.alignment_bytes = opened->store.alignment_bytes();
    count = tensor_count(*opened);
    if (opened->format == &stet::checkpoint_folder_format)
      from.append(stet::detail::separator_after(from)).append(files_of(*opened).front().name);
  }
  const stet::result<stet::save_report> saved = stet::compact(from, to, options);
  if (!saved && saved.error().code() == stet::errc::missing_base)
    return out.fail(saved.error().subject(), "a delta of the file that would be replaced; compact it first");
  if (!saved) return out.fail(to, saved.error());
  out.write_escaped(to).write(": ").write(counted(count, "tensor")).write(", ");
  out.write(human_size(saved->file_size_bytes)).write(" in 1 file\n");
  return status::done;
}

status unpack(const arguments& given, console& out) {
  const std::string_view from = given.operands[0];
  std::string to(given.operands[1]);
  const std::filesystem::path folder(std::u8string(to.begin(), to.end()));
  std::error_code failure;
  const bool is_new = std::filesystem::create_directories(folder, failure);
  if (failure) return out.fail(to, failure.message());
  const std::string_view name = file_name_of(from);
  to.append(stet::detail::separator_after(to)).append(name.substr(0, name.rfind('.'))).append(".json");
  const status outcome = copy(from, to, save_native<stet::store_form::loose>, {}, out);
  if (outcome != status::done && is_new) std::filesystem::remove(folder, failure);
  return outcome;
}

} // namespace command
