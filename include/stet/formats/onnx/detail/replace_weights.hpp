// SPDX-License-Identifier: MIT
// `replace_weights` of ONNX models.
#ifndef STET_FORMATS_ONNX_DETAIL_REPLACE_WEIGHTS_HPP
#define STET_FORMATS_ONNX_DETAIL_REPLACE_WEIGHTS_HPP

#include "../replace.hpp"

#include "../../replace/detail/in_place.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// `format::replace` of onnx_format. Errors and cost: those of `replace_weights` and `replace_onnx_values`.
inline result<replaced_weights> replace_onnx_weights(const model& of, const store& from, const restore_rules& rules,
                                                     std::string_view out_path_utf8, const replace_options& options,
                                                     restore_report& report) {
  if (of.whole != nullptr || of.files != nullptr) return error(errc::unsupported, of.format->name);
  const auto save = [&](const weight_plan& plan, weight_maker& maker) -> result<std::uint64_t> {
    std::vector<onnx_values> values;
    for (const weight_step& each : plan.steps()) {
      const auto write = [&report, &maker, &step = each](piece_sink& into) -> result<void> {
        const std::uint64_t before = maker.out_of_range_count();
        auto made = maker.make(step, [&](std::span<const std::byte> bytes) { return into.write(bytes); });
        if (made) note_out_of_range(report.entries[step.entry], maker.out_of_range_count() - before);
        return made;
      };
      values.push_back({std::string(each.to.name()), write});
    }
    onnx_replace_options how;
    how.files = of.options;
    how.is_durable = options.is_durable;
    how.operations = options.operations;
    const result<saved_files> saved = replace_onnx_values(of.path, values, out_path_utf8, how);
    return saved ? result<std::uint64_t>(saved->file_size_bytes) : saved.error();
  };
  const auto no_problem = [](const tensor&) -> std::optional<std::string> { return std::nullopt; };
  return replace_by_plan(of, from, rules, options, report, no_problem, save);
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
