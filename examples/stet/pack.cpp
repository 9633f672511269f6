// SPDX-License-Identifier: MIT
// `stet pack` and `stet unpack`: one file or a manifest with raw data, the same store.
#include "commands.hpp"
#include "model.hpp"

#include <stet/formats/add_model.hpp>

#include <filesystem>
#include <string>
#include <system_error>

namespace command {

namespace {

/// Whether both paths lead to one file.
bool is_same_file(std::string_view a, std::string_view b) {
  const auto first = stet::file::open(a), second = stet::file::open(b);
  return first && second && first->same_file_as(*second);
}

/// Saves the model at `from` to `to` in the form that is asked for.
status copy(std::string_view from, std::string_view to, stet::store_form form, console& out) {
  if (is_same_file(from, to))
    return out.fail(to, "input and output are the same file");
  const stet::result<stet::model> opened = open_model(from);
  if (!opened)
    return out.fail(from, opened.error());
  stet::writer all;
  if (const auto added = stet::add_model(all, from, *opened); !added)
    return out.fail(from, added.error());
  stet::save_options options;
  options.form = form;
  options.alignment_bytes = opened->store.alignment_bytes();
  const auto saved = all.save(to, options);
  if (!saved) {
    const stet::error& problem = saved.error();
    // Of the operating system's complaints the subject is a temporary file beside the wanted one.
    const bool is_from_system = static_cast<int>(problem.code()) / 100 == 2;
    return out.fail(opened->store.contains(problem.subject()) ? from : to,
                    is_from_system ? problem.about({}) : problem);
  }
  out.write_escaped(to).write(": ").write(counted(opened->store.tensor_count(), "tensor")).write(", ");
  out.write(human_size(saved->file_size_bytes))
      .write(" in ")
      .write(counted(saved->part_count + std::uint64_t{1}, "file"))
      .write("\n");
  return status::done;
}

} // namespace

status pack(const arguments& given, console& out) {
  return copy(given.operands[0], given.operands[1], stet::store_form::single_file, out);
}

status unpack(const arguments& given, console& out) {
  const std::string_view from = given.operands[0];
  std::string to(given.operands[1]);
  const std::filesystem::path folder(std::u8string(to.begin(), to.end()));
  std::error_code failure;
  const bool is_new = std::filesystem::create_directories(folder, failure);
  if (failure)
    return out.fail(to, failure.message());
  const std::string_view name = file_name_of(from);
  if (!to.ends_with('/'))
    to += '/';
  to.append(name.substr(0, name.rfind('.'))).append(".json");
  const status outcome = copy(from, to, stet::store_form::loose, out);
  if (outcome != status::done && is_new)
    std::filesystem::remove(folder, failure);
  return outcome;
}

} // namespace command
