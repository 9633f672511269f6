// SPDX-License-Identifier: MIT
// `stet verify`: reads everything and says what was checked and what is wrong.
#include "commands.hpp"
#include "model.hpp"

#include <stet/manifest.hpp>

#include <chrono>
#include <cstdio>
#include <string>

namespace command {

namespace {

/// The whole name of the tensor that a problem is about: the subject of an error may be cut.
std::string_view subject_of(const stet::error& problem, const stet::store& in) {
  if (problem.code() == stet::errc::checksum_mismatch) {
    for (const stet::tensor each : in) {
      if (each.entry().offset_bytes() == problem.offset_bytes() && each.name().starts_with(problem.subject()))
        return each.name();
    }
  }
  return problem.subject();
}

/// One line for what was checked, and one for each problem.
void print_check(std::string_view what, std::string_view found, const stet::verify_report& report,
                 const stet::store& in, console& out) {
  out.write(left_aligned(what, 11))
      .write(report.is_sound() ? colour::green : colour::red, report.is_sound() ? "ok   " : "BAD  ");
  out.write(found).write("\n");
  for (const stet::error& problem : report.problems) {
    char text[512];
    out.write("  ").write_escaped(subject_of(problem, in)).write(problem.subject().empty() ? "" : ": ");
    out.write(problem.about({}).print(text, sizeof text)).write("\n");
  }
}

/// How much was compared, and how fast.
std::string rate_text(std::uint64_t size_bytes, double seconds) {
  char text[64];
  const double gigabytes = static_cast<double>(size_bytes) / 1e9;
  const bool is_short = seconds < 1;
  std::snprintf(text, sizeof text, " in %.3g %s (%.3g GB/s)", is_short ? seconds * 1e3 : seconds,
                is_short ? "ms" : "s", seconds > 0 ? gigabytes / seconds : 0.0);
  return human_size(size_bytes) + text;
}

} // namespace

status verify(const arguments& given, console& out) {
  const std::string_view path = given.operands[0];
  const stet::result<stet::model> opened = open_model(path);
  if (!opened)
    return out.fail(path, opened.error());
  const stet::store& store = opened->store;
  print_check("structure",
              counted(tensor_count(*opened), "tensor") + " in " + counted(opened->file_count, "file"), {},
              store, out);

  stet::verify_options only_manifest, only_padding, only_checksums;
  only_manifest.padding = only_manifest.checksums = false;
  only_padding.manifest = only_padding.checksums = false;
  only_checksums.manifest = only_checksums.padding = false;

  const stet::verify_report manifest = stet::verify(store, only_manifest);
  print_check("manifest", !manifest.is_sound() ? "" : manifest.has_manifest ? "the index says the same" : "none to check",
              manifest, store, out);
  const stet::verify_report padding = stet::verify(store, only_padding);
  print_check("padding", padding.has_padding ? padding.is_sound() ? "all zero" : "" : "none to check",
              padding, store, out);

  const auto begin = std::chrono::steady_clock::now();
  const stet::verify_report checksums = stet::verify(store, only_checksums);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  std::string found = grouped(checksums.tensors_compared - checksums.problems.size()) + " of " +
                      counted(checksums.tensors_compared, "tensor") + ", " +
                      rate_text(checksums.compared_bytes, seconds.count());
  if (checksums.tensors_without_checksum != 0)
    found += "; " + counted(checksums.tensors_without_checksum, "tensor") + " without checksum";
  print_check("checksums", found, checksums, store, out);

  const std::size_t problem_count =
      manifest.problems.size() + padding.problems.size() + checksums.problems.size();
  if (problem_count == 0)
    return status::done;
  return out.fail(path, counted(problem_count, "problem"));
}

} // namespace command
