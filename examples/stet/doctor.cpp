// SPDX-License-Identifier: MIT
// `stet doctor`: says what a file is, why it does not open, and what to do; repairs what can be repaired without a guess.
#include "commands.hpp"
#include "model.hpp"

#include <stet/formats/compiled.hpp>
#include <stet/formats/diagnosis.hpp>

#include <string>

namespace command {

std::string reason_of(std::string_view path, const stet::error& problem) {
  const stet::diagnosis found = stet::compiled::diagnose(path);
  // The error about a stale index names more of its files.
  if (!found.says_more || found.repair == stet::diagnosis::repair_kind::reindex) return {};
  const std::string_view lead = problem == stet::errc::unknown_format ? "not a format that is known here: " : "";
  return std::string(lead).append(found.what).append("; ").append(found.advice);
}

status doctor(const arguments& given, console& out) {
  const std::string_view path = given.operands[0];
  const stet::diagnosis found = stet::compiled::diagnose(path);
  out.write_escaped(path).write(": ");
  if (!found.problem) {
    out.write(found.what).write("; it opens, and `stet verify` reads every byte of it\n");
    return given.has("--repair") ? out.fail(path, "there is nothing to repair") : status::done;
  }
  // The subject of an error about the file itself is its path, which is said already.
  const bool is_about_path = found.problem->about(path).subject() == found.problem->subject();
  const stet::error_text plain = stet::to_text(is_about_path ? found.problem->about({}) : *found.problem);
  out.write_escaped(found.says_more ? std::string_view(found.what) : std::string_view(plain)).write("\n");
  out.write("  ").write_escaped(found.advice).write("\n");
  if (!given.has("--repair")) return status::bad;
  const std::string_view to = given.value_of("--repair");
  if (found.repair == stet::diagnosis::repair_kind::none) return out.fail(path, "this cannot be repaired");
  if (const auto repaired = stet::compiled::repair(found, path, to); !repaired) return out.fail(to, repaired.error());
  out.write_escaped(to).write(": repaired\n");
  return status::done;
}

} // namespace command
