// SPDX-License-Identifier: MIT
// Opens what the command is asked about.
#include "model.hpp"

#if STET_HAS_ZLIB
#include <zlib.h>

#include <stet/ext/zlib.hpp>
#endif

#if STET_HAS_CURL
#include <curl/curl.h>

#include <stet/ext/curl.hpp>
#endif

#include <stet/formats/compiled.hpp>
#include <stet/formats/native/checkpoint_folder.hpp>

#include <cerrno>
#include <utility>

namespace command {

bool follows_links = false;
std::string ca_file;

bool is_url(std::string_view path) { return path.starts_with("https://") || path.starts_with("http://"); }

namespace {

#if STET_HAS_CURL
/// The files of servers, until the program ends.
const stet::http_files& servers() {
  static const stet::http_files all([] {
    stet::http_options options;
    if (!ca_file.empty()) options.ca_file = ca_file.c_str();
    return options;
  }());
  return all;
}
#endif

} // namespace

stet::result<stet::model> open_model(std::string_view path) {
  stet::open_options options;
  options.follow_links = follows_links;
#if STET_HAS_ZLIB
  options.inflate = stet::inflate_with_zlib;
#endif
  if (is_url(path)) {
#if STET_HAS_CURL
    options.files = &servers();
#else
    return stet::error(stet::errc::unsupported, path);
#endif
  }
  return stet::compiled::open_any(path, options);
}

stet::deflate_function deflate_function_of_command() {
#if STET_HAS_ZLIB
  return stet::deflate_with_zlib;
#else
  return nullptr;
#endif
}

status fail_to_open(std::string_view path, const stet::error& problem, console& out) {
  const bool is_about_path = problem.about(path).subject() == problem.subject();
#if !STET_HAS_CURL
  if (is_url(path)) return out.fail(path, "this stet was built without libcurl, which opens URLs; download the file");
#endif
  if (is_about_path && problem == stet::errc::not_a_regular_file)
    return out.fail(path, "a folder, but neither a SavedModel nor one of checkpoints; give a file in it");
  const bool is_link = !is_about_path && problem == stet::errc::bad_path && !follows_links;
  if (is_link && problem.system_code() == ELOOP)
    return out.fail(
        path,
        std::string(problem.subject()).append(": a link, which may lead out of the folder; --follow-links opens it"));
  // What is wrong with a file is looked for in files of this machine alone.
  if (const std::string reason = is_url(path) ? std::string() : reason_of(path, problem); !reason.empty())
    return out.fail(path, reason);
  if (!is_about_path || problem != stet::errc::unknown_format) return out.fail(path, problem);
  return out.fail(path, "not a format that is known here; known are " + stet::compiled::names_of_known_formats());
}

stet::result<stet::model_description> describe_model(const stet::model& of) { return stet::describe(of); }

bool is_native(const stet::model& of) { return stet::is_native_model(of); }

std::string_view manifest_text_of(const stet::model& of) { return stet::own_store_of(of).manifest_text(); }

std::vector<std::string> shard_files_of(const stet::store& of) {
  std::vector<std::string> files;
  if (stet::result<std::vector<stet::shard_reference>> shards = stet::shards_of(of)) {
    for (stet::shard_reference& each : *shards) files.push_back(std::move(each.file_name));
  }
  return files;
}

stet::result<std::vector<shard_row>> shard_rows_of(const stet::model& of) {
  std::vector<shard_row> rows;
  for (const model_file& file : files_of(of)) {
    const std::vector<std::string> shards = shard_files_of(*file.store);
    for (std::size_t number = 0; number < shards.size(); ++number) {
      const stet::result<stet::store> shard = stet::open_shard(*file.store, number);
      if (!shard) return shard.error();
      stet::result<std::vector<stet::shard_piece>> pieces = stet::pieces_of(*shard);
      if (!pieces) return pieces.error();
      auto piece = pieces->begin();
      for (const stet::tensor each : *shard) {
        shard_row& row = rows.emplace_back();
        row.tensor = std::move(piece->tensor);
        row.extents.assign(each.shape().begin(), each.shape().end());
        row.start = piece->place ? std::move(piece->place->start) : std::vector<std::uint64_t>(row.extents.size());
        row.dtype = dtype_name_of(each);
        row.file = shards[number];
        row.offset_bytes = each.entry().offset_bytes();
        row.size_bytes = each.size_bytes();
        ++piece;
      }
    }
  }
  return rows;
}

std::string_view base_file_of(const stet::model& of) { return stet::base_name_of(of); }

std::vector<model_file> files_of(const stet::model& of) {
  if (of.files == nullptr) return {{{}, &of.store}};
  std::vector<model_file> all;
  for (std::size_t number = 0; number < of.files->file_count(); ++number)
    all.push_back({of.files->file_name(number), &of.files->file(number)});
  return all;
}

namespace {

std::uint64_t file_size_bytes(const stet::store& of, std::uint32_t file_count) {
  std::uint64_t size_bytes = of.data().size_bytes();
  for (std::uint32_t part = 0; part < of.index().part_count() && part < file_count; ++part) {
    if (!stet::detail::is_file_part(of.index().part(part).path)) continue;
    if (of.part(part).read_at(0, {})) // a file that is missing has not even that
      size_bytes += of.part(part).size_bytes();
  }
  return size_bytes;
}

checkpoint_row row_of(stet::checkpoint_info&& info) {
  checkpoint_row row{info.step, std::string(file_name_of(info.path)), 0, info.metric, {}, {}};
  const auto opened = stet::open(info.path, {.read_manifest = stet::read_manifest});
  if (!opened) {
    row.failure = opened.error();
    return row;
  }
  row.size_bytes = file_size_bytes(*opened, opened->index().part_count());
  if (const auto base = stet::base_of(*opened); !base)
    row.failure = base.error();
  else if (*base)
    row.base = (*base)->file_name;
  if (row.metric) return row;
  if (const auto parsed = stet::parse_manifest(opened->manifest_text())) {
    if (const auto session = stet::to_session(parsed->state)) row.metric = session->metric;
  }
  return row;
}

/// The checkpoints in the folder at `path`, in ascending order of steps; none unless that is what the model was opened from.
stet::result<std::vector<checkpoint_row>> checkpoints_in(std::string_view path, const stet::model& of) {
  std::vector<checkpoint_row> rows;
  if (of.format != &stet::checkpoint_folder_format) return rows;
  stet::result<std::vector<stet::checkpoint_info>> all =
      stet::checkpoint_folder(path, stet::find_checkpoint_prefix(path)).all();
  if (!all) return all.error();
  for (stet::checkpoint_info& each : *all) rows.push_back(row_of(std::move(each)));
  return rows;
}

} // namespace

stet::result<listed_model> open_listed(std::string_view path) {
  stet::result<stet::model> opened = open_model(path);
  if (!opened) return opened.error();
  stet::result<std::vector<checkpoint_row>> checkpoints = checkpoints_in(path, *opened);
  if (!checkpoints) return checkpoints.error();
  return listed_model{std::move(*opened), std::move(*checkpoints)};
}

std::uint64_t file_size_bytes(const stet::model& of) {
  std::uint64_t size_bytes = 0;
  for (const model_file& each : files_of(of)) size_bytes += file_size_bytes(*each.store, of.file_count);
  return size_bytes;
}

bool is_in_place(const stet::model& in, const stet::tensor& of) {
  return in.is_in_file(of) && of.bytes().data() != nullptr &&
         !(of.entry().is_big_endian() && stet::describe(of.dtype()).word_size_bytes > 1);
}

std::uint64_t tensor_count(const stet::model& of) { return of.store.tensor_count() - of.second_names.size(); }

second_names second_names_of(const stet::model& from) {
  second_names names;
  for (const stet::tensor each : from.store) {
    if (from.is_second_name(each)) names[from.store.index().original_of(each.entry()).number()].push_back(each.name());
  }
  return names;
}

void print_omitted(const std::vector<stet::omitted_item>& items, console& out) {
  for (const stet::omitted_item& each : items) {
    char text[512];
    // A subject that goes on after the name says more about it.
    const std::string_view subject = each.reason.subject();
    const bool says_more = subject.starts_with(each.name) && subject.substr(each.name.size()).starts_with(": ");
    out.write(right_aligned("omitted", 10)).write("  ");
    out.write_escaped(says_more ? subject : std::string_view(each.name)).write(": ");
    out.write(each.reason.about({}).print(text, sizeof text)).write("\n");
  }
}

std::string_view file_name_of(std::string_view path) { return stet::detail::file_name_in(path); }

std::string_view dtype_name_of(const stet::tensor& of) { return stet::name_of(of.layout()); }

std::string shape_text_of(const stet::tensor& of) {
  std::string text(2 + of.shape().rank() * 22, '\0'); // 20 digits and a separator for each extent
  stet::text_writer out(text.data(), text.size());
  of.shape().print(out);
  text.resize(out.text().size());
  return text;
}

} // namespace command
