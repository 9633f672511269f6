// SPDX-License-Identifier: MIT
// `stet patch`: new weights in a copy of a model's file.
#include "commands.hpp"
#include "model.hpp"
#include "progress.hpp"

#include <stet/formats/compiled.hpp>
#include <stet/formats/replace_options.hpp>
#include <stet/restore/report.hpp>
#include <stet/restore/rules.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace command {

namespace {

/// The axes in "1,0"; nothing if it is no list of numbers.
std::optional<std::vector<std::uint32_t>> axes_of(std::string_view text) {
  std::vector<std::uint32_t> axes;
  bool is_number = false;
  for (const char c : text) {
    if (c == ',') {
      if (!is_number) return std::nullopt;
      is_number = false;
      continue;
    }
    if (c < '0' || c > '9') return std::nullopt;
    if (!is_number) axes.push_back(0);
    is_number = true;
    axes.back() = axes.back() * 10 + static_cast<std::uint32_t>(c - '0');
    constexpr std::uint32_t largest = 1000;
    if (axes.back() > largest) return std::nullopt;
  }
  return is_number ? std::optional(std::move(axes)) : std::nullopt;
}

/// Finds the weights by the names that `renames`, from weights to the model, give them.
stet::rename_rule renamed(const stet::store& weights, const std::vector<stet::rename_rule>& renames) {
  std::map<std::string, std::string, std::less<>> names;
  for (const stet::tensor each : weights) {
    for (const stet::rename_rule& rule : renames) {
      if (auto name = rule.tensor_for(each.name())) {
        names.emplace(std::move(*name), each.name());
        break;
      }
    }
  }
  return stet::rename_rule::callback([names = std::move(names)](std::string_view name) -> std::optional<std::string> {
    const auto found = names.find(name);
    return found == names.end() ? std::nullopt : std::optional(found->second);
  });
}

} // namespace

status patch(const arguments& given, console& out) {
  const std::string_view path = given.operands[0], weights_path = given.operands[1], to = given.operands[2];
  stet::restore_rules rules = stet::patch_rules();
  stet::replace_options options;
  std::vector<stet::rename_rule> renames;
  for (const std::string_view rule : given.values_of("--rename")) {
    const std::size_t equals = rule.find('=');
    if (equals == std::string_view::npos || equals == 0) return out.misuse("--rename takes FROM=TO");
    renames.push_back(stet::rename_rule::matching(rule.substr(0, equals), std::string(rule.substr(equals + 1))));
  }
  for (const std::string_view rule : given.values_of("--axes")) {
    const std::size_t equals = rule.rfind('=');
    if (equals == std::string_view::npos || equals == 0) return out.misuse("--axes takes PATTERN=ORDER");
    auto axes = axes_of(rule.substr(equals + 1));
    if (!axes) return out.misuse("the ORDER of --axes is the numbers of axes: 1,0");
    options.axes.push_back({rule.substr(0, equals), std::move(*axes)});
  }
  for (const std::string_view pattern : given.values_of("--only")) rules.include.emplace_back(pattern);
  for (const std::string_view pattern : given.values_of("--skip")) rules.exclude.emplace_back(pattern);
  if (given.has("--strict")) rules.missing = rules.unexpected = stet::absence_policy::error;

  const stet::result<stet::model> model = open_model(path);
  if (!model) return fail_to_open(path, model.error(), out);
  const stet::result<stet::model> weights = open_model(weights_path);
  if (!weights) return fail_to_open(weights_path, weights.error(), out);
  if (!renames.empty()) rules.renames.push_back(renamed(weights->store, renames));

  progress shown(model->store.tensor_file(0).size_bytes(), [](std::uint64_t) {});
  options.operations = &shown.operations();
  stet::restore_report report;
  const auto done = stet::compiled::replace_weights(*model, weights->store, rules, to, options, &report);
  shown.finish();
  if (!done) {
    if (done.error() == stet::errc::unsupported)
      return out.fail(path, done.error().subject() == model->format->name
                                ? "weights of this format cannot be replaced in its file; stet convert makes a new one"
                                : "a model of several files; patch the file that has the tensors");
    if (done.error() == stet::errc::not_found)
      return out.fail(weights_path, "no tensor has the name of one in the model; --rename gives them other names");
    for (const stet::restore_entry& each : report.entries) {
      if (!each.is_error) continue;
      out.fail(each.variable.empty() ? each.tensor : each.variable,
               each.reason.empty() ? std::string(name_of(each.outcome)) : each.reason);
    }
    if (report.is_good()) return out.fail(to, done.error());
    return status::bad;
  }
  std::uint64_t unused = report.count(stet::restore_outcome::unexpected);
  for (const stet::restore_entry& each : report.entries) {
    const bool is_changed = each.copied_bytes != 0;
    if (is_changed) {
      out.write("  ").write_escaped(each.variable);
      if (each.variable != each.tensor) out.write(" <- ").write_escaped(each.tensor);
      if (!each.reason.empty()) out.write(": ").write_escaped(each.reason);
      out.write("\n");
    }
  }
  out.write_escaped(to).write(": ").write(std::to_string(done->tensor_count)).write(" tensors replaced");
  if (unused != 0) out.write(", ").write(std::to_string(unused)).write(" of the weights not used");
  if (done->out_of_range_count != 0)
    out.write(", ").write(std::to_string(done->out_of_range_count)).write(" numbers out of range");
  out.write("\n");
  return status::done;
}

} // namespace command
