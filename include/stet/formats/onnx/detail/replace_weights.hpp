// SPDX-License-Identifier: MIT
// Puts new weights into an ONNX model: matched by the rules of a restore, embedded or in other files.
#ifndef STET_FORMATS_ONNX_DETAIL_REPLACE_WEIGHTS_HPP
#define STET_FORMATS_ONNX_DETAIL_REPLACE_WEIGHTS_HPP

#include "../replace.hpp"

#include "../../replace/detail/in_place.hpp"
#include "../../replace/detail/weight_maker.hpp"
#include "../../replace/detail/weight_plan.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// `format::replace` of onnx_format. Values in lists of Protocol Buffers and in other files are replaced, too; other files are written
/// anew beside the new model. Errors: those of `replace_weights` and of `replace_onnx_values`.
inline result<replaced_weights> replace_onnx_weights(const model& of, const store& from, const restore_rules& rules,
                                                     std::string_view out_path_utf8, const replace_options& options,
                                                     restore_report& report) {
  if (of.whole != nullptr) return error(errc::unsupported, of.format->name);
  weight_plan plan(of, from, rules, options);
  auto planned = plan.run(report, [](const tensor&) { return std::optional<std::string>(); });
  if (!planned) return planned.error();
  if (!report.is_good()) return error_of_report(report);
  if (plan.steps().empty()) return error(errc::not_found, of.path);

  const auto maker = std::make_unique<weight_maker>(options.memory);
  std::vector<onnx_values> values;
  for (const weight_step& each : plan.steps()) {
    values.push_back({std::string(each.to.name()), [&maker, &report, &each](piece_sink& into) {
                        const std::uint64_t before = maker->out_of_range_count();
                        auto made =
                            maker->make(each, [&](std::span<const std::byte> bytes) { return into.write(bytes); });
                        note_out_of_range(report.entries[each.entry], maker->out_of_range_count() - before);
                        return made;
                      }});
  }
  onnx_replace_options how;
  how.files = of.options;
  how.is_durable = options.is_durable;
  how.operations = options.operations;
  const result<saved_files> saved = replace_onnx_values(of.path, values, out_path_utf8, how);
  if (!saved) {
    note_failure(report, saved.error());
    return saved.error();
  }
  return replaced_weights{saved->file_size_bytes, plan.steps().size(), maker->out_of_range_count()};
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
