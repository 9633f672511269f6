// SPDX-License-Identifier: MIT
// `stet verify`: reads everything, and prints what was checked and what is damaged.
#include "commands.hpp"
#include "model.hpp"

#include <stet/formats/check_model.hpp>
#include <stet/manifest.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace command {

namespace {

/// The whole name of the tensor that a problem is about: the subject of an error may be cut.
std::string_view subject_of(const stet::error& problem, const stet::store& in) {
  if (problem.code() == stet::errc::checksum_mismatch) {
    for (const stet::tensor each : in) {
      if (each.entry().offset_bytes() == problem.offset_bytes() &&
          problem.about(each.name()).subject() == problem.subject())
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

/// The size of the compared bytes, and the rate.
std::string rate_text(std::uint64_t size_bytes, double seconds) {
  char text[64];
  const double gigabytes = static_cast<double>(size_bytes) / 1e9;
  const bool is_short = seconds < 1;
  std::snprintf(text, sizeof text, " in %.3g %s (%.3g GB/s)", is_short ? seconds * 1e3 : seconds, is_short ? "ms" : "s",
                seconds > 0 ? gigabytes / seconds : 0.0);
  return human_size(size_bytes) + text;
}

/// True if the index is one of the file, not made of its manifest.
bool has_index_of_file(const stet::store& of) {
  const auto index = reinterpret_cast<std::uintptr_t>(of.index().bytes().data());
  const auto file = reinterpret_cast<std::uintptr_t>(of.data().data());
  return index >= file && index - file < of.data().size_bytes();
}

/// Verifies one file of a model, or a model of one file. @return  the number of problems
/// @param has_tensors  false for the head of a sharded checkpoint, whose tensors are those of other files
std::size_t verify_store(const stet::store& store, bool has_tensors, console& out) {
  stet::verify_options only_manifest, only_padding, only_checksums;
  only_manifest.shards = only_padding.shards = only_checksums.shards = false;
  only_manifest.padding = only_manifest.checksums = false;
  only_padding.manifest = only_padding.checksums = false;
  only_checksums.manifest = only_checksums.padding = false;

  const stet::verify_report manifest = stet::verify_store(store, only_manifest);
  print_check("manifest",
              !manifest.is_sound()       ? ""
              : !manifest.has_manifest   ? "none to check"
              : has_index_of_file(store) ? "the index says the same"
                                         : "valid; the file has no index to compare it with",
              manifest, store, out);
  const stet::verify_report padding = stet::verify_store(store, only_padding);
  print_check("padding", padding.has_padding ? padding.is_sound() ? "all zero" : "" : "none to check", padding, store,
              out);
  if (!has_tensors) return manifest.problems.size() + padding.problems.size();

  const auto begin = std::chrono::steady_clock::now();
  const stet::verify_report checksums = stet::verify_store(store, only_checksums);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  std::string found = grouped(checksums.tensors_sound) + " of " + counted(checksums.tensors_compared, "tensor") + ", " +
                      rate_text(checksums.compared_bytes, seconds.count());
  if (checksums.tensors_without_checksum != 0)
    found += "; " + counted(checksums.tensors_without_checksum, "tensor") + " without checksum";
  print_check("checksums", found, checksums, store, out);
  return manifest.problems.size() + padding.problems.size() + checksums.problems.size();
}

/// Verifies one file of a model, and its shards if it is the head of some. @return  the number of problems
std::size_t verify_file(const stet::store& store, console& out) {
  const std::vector<std::string> shards = shard_files_of(store);
  std::size_t problem_count = verify_store(store, shards.empty(), out);
  for (std::size_t number = 0; number < shards.size(); ++number) {
    out.write_escaped(shards[number]).write(":\n");
    if (const stet::result<stet::store> shard = stet::open_shard(store, number)) {
      problem_count += verify_store(*shard, true, out);
    } else {
      stet::verify_report report;
      report.problems.push_back(shard.error());
      print_check("structure", "", report, {}, out);
      ++problem_count;
    }
  }
  return problem_count;
}

/// Compares the checksums of ranges of the files. @return  the number of problems
std::size_t verify_ranges(const stet::model& of, console& out) {
  if (of.checks.empty()) return 0;
  stet::verify_report report;
  for (const stet::range_check& each : of.checks) {
    if (const stet::result<void> checked = stet::check_range(of, each); !checked)
      report.problems.push_back(checked.error());
  }
  const std::size_t sound_count = of.checks.size() - report.problems.size();
  const bool are_files = of.checks.front().sha1.has_value();
  print_check(are_files ? "files" : "archive",
              grouped(sound_count) + " of " + counted(of.checks.size(), are_files ? "file" : "member"), report,
              of.store, out);
  return report.problems.size();
}

/// Verifies an open model. @return  the number of problems
std::size_t verify_model(const stet::model& of, bool with_bases, console& out) {
  std::string structure = counted(tensor_count(of), "tensor") + " in " + counted(of.file_count, "file");
  if (!of.omitted.empty())
    structure += "; " + counted(of.omitted.size(), "item") + " of the file not listed as tensors";
  print_check("structure", structure, {}, of.store, out);
  if (const std::string_view base = base_file_of(of); !base.empty())
    print_check("base", escaped(base) + " is the file that the delta was made from", {}, of.store, out);
  std::size_t problem_count = verify_ranges(of, out);
  const std::vector<model_file> files = files_of(of);
  for (const model_file& each : files) {
    if (files.size() > 1 && with_bases) out.write_escaped(each.name).write(":\n");
    problem_count += verify_file(*each.store, out);
    if (!with_bases) break;
  }
  return problem_count;
}

/// Verifies each checkpoint of a folder. @return  the number of problems
std::size_t verify_checkpoints(std::string_view folder, const std::vector<checkpoint_row>& checkpoints, console& out) {
  std::size_t problem_count = 0;
  for (const checkpoint_row& each : checkpoints) {
    out.write_escaped(each.file_name).write(":\n");
    const stet::result<stet::model> opened =
        open_model(std::string(folder).append(stet::detail::separator_after(folder)).append(each.file_name));
    if (opened) {
      problem_count += verify_model(*opened, false, out);
      continue;
    }
    stet::verify_report report;
    const bool is_about_itself = opened.error().subject().ends_with(each.file_name);
    report.problems.push_back(is_about_itself ? opened.error().about({}) : opened.error());
    print_check("structure", "", report, {}, out);
    ++problem_count;
  }
  return problem_count;
}

} // namespace

status verify(const arguments& given, console& out) {
  const std::string_view path = given.operands[0];
  const stet::result<listed_model> opened = open_listed(path);
  if (!opened) return fail_to_open(path, opened.error(), out);
  const std::size_t problem_count = opened->checkpoints.empty() ? verify_model(opened->model, true, out)
                                                                : verify_checkpoints(path, opened->checkpoints, out);
  if (problem_count == 0) return status::done;
  return out.fail(path, counted(problem_count, "problem"));
}

} // namespace command
