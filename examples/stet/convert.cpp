// SPDX-License-Identifier: MIT
// `stet convert`, `stet pack` and `stet unpack`: a model of any format saved in another, or in another form.
#include "commands.hpp"
#include "model.hpp"
#include "progress.hpp"

#include <stet/checkpoint/compact.hpp>
#include <stet/formats/compiled.hpp>
#include <stet/formats/convert_tensors.hpp>
#include <stet/formats/native/checkpoint_folder.hpp>
#include <stet/formats/select.hpp>
#include <stet/restore/glob.hpp>
#include <stet/restore/rules.hpp>
#include <stet/writer.hpp>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace command {

namespace {

/// Saves a model: all that it holds is in `all`.
using save_function = std::function<stet::result<stet::saved_files>(const stet::model& opened, const stet::writer& all,
                                                                    const stet::file_operations& operations)>;

/// The store that was opened, of which a selection may be saved.
const stet::store& opened_store_of(const stet::model& of) {
  const stet::model* whole = &of;
  while (whole->whole != nullptr) whole = whole->whole.get();
  return whole->store;
}

/// Asks the system to read what a save will want next of a mapped store: its own read-ahead ends with each tensor, and is often small.
class read_ahead {
public:
  /// @param saved   what is saved: some tensors of `opened`, perhaps converted
  /// @param opened  where their bytes are
  read_ahead(const stet::store& saved, const stet::store& opened)
      : saved_(saved), opened_(opened), next_(saved.begin()) {}

  /// Tensors have been saved up to this many bytes, in the order of the store.
  void reach(std::uint64_t position_bytes) {
    constexpr std::uint64_t window_bytes = std::uint64_t{64} << 20, step_bytes = std::uint64_t{4} << 20;
    while (next_ != saved_.end() && before_bytes_ + within_bytes_ < position_bytes + window_bytes) {
      const stet::tensor each = *next_;
      const stet::result<stet::tensor> read = opened_.find(each.name());
      if (read && within_bytes_ < read->size_bytes()) {
        const stet::index_entry entry = read->entry();
        const std::uint64_t size = (std::min)(step_bytes, read->size_bytes() - within_bytes_);
        (void)opened_.tensor_file(entry.part()).prefetch(entry.offset_bytes() + within_bytes_, size);
        within_bytes_ += size;
      } else {
        before_bytes_ += each.size_bytes();
        within_bytes_ = 0;
        ++next_;
      }
    }
  }

private:
  const stet::store& saved_;
  const stet::store& opened_;
  stet::store::iterator next_;
  /// The bytes of the tensors before it, as they are saved, and those of it that have been asked for.
  std::uint64_t before_bytes_ = 0, within_bytes_ = 0;
};

/// Saves as a native file of any form.
save_function save_native(stet::store_form form, std::string_view to) {
  return [form, to](const stet::model& opened, const stet::writer& all,
                    const stet::file_operations& operations) -> stet::result<stet::saved_files> {
    stet::save_options options;
    options.form = form;
    options.operations = &operations;
    if (is_native(opened)) options.alignment_bytes = opened_store_of(opened).alignment_bytes();
    const stet::result<stet::save_report> saved = all.save(to, options);
    if (!saved) return saved.error();
    return stet::saved_files{saved->file_size_bytes, saved->part_count + std::uint64_t{1}, 0};
  };
}

/// Calls `visit(format)` for each format that can be saved.
void for_each_target(const auto& visit) {
  for (const stet::format* const each : stet::compiled::known_formats()) {
    if (each->save != nullptr) visit(*each);
  }
}

/// The names of the targets that have a choice, for messages; `none`: of all.
std::string target_names(stet::save_choice with = stet::save_choice::none) {
  std::string names;
  for_each_target([&](const stet::format& each) {
    if (with == stet::save_choice::none || stet::has_choice(each.choices, with))
      names.append(names.empty() ? "" : ", ").append(each.saved_as);
  });
  return names;
}

/// True if both paths lead to one file.
bool is_same_file(std::string_view a, std::string_view b) {
  const auto first = stet::file::open(a), second = stet::file::open(b);
  return first && second && first->same_file_as(*second);
}

/// The part of a model that is copied, and as what.
struct selection {
  std::vector<stet::glob> only;
  std::vector<stet::glob> skipped;
  bool takes_variants = true;
  stet::tensor_names names = stet::tensor_names::both;
  std::vector<stet::rename_rule> renames;
  /// What floating tensors become: a dtype, or blocks.
  std::optional<stet::element_layout> dtype;
  bool dequantizes = false;
};

bool is_variant(const stet::tensor& of) {
  return of.dtype() == stet::dtype::block && of.layout().block.name == "variant";
}

/// True if one of the patterns matches a tensor.
bool is_matched(const stet::tensor& each, const std::vector<stet::glob>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const stet::glob& pattern) { return pattern.matches(each.name()); });
}

/// True if a pattern matches one of the tensors.
bool matches_any(const stet::glob& pattern, const stet::model& in) {
  return std::any_of(in.store.begin(), in.store.end(),
                     [&](const stet::tensor& each) { return pattern.matches(each.name()); });
}

/// The model without what the selection leaves out.
/// @param skipped_count  set to the number of tensors that match a pattern; variants are added to what the model omits
stet::result<stet::model> select(stet::model&& from, const selection& wanted, std::size_t& skipped_count) {
  stet::result<stet::model> made = std::move(from);
  if (!wanted.only.empty()) {
    made =
        stet::only_tensors(std::move(*made), [&](const stet::tensor& each) { return is_matched(each, wanted.only); });
  }
  if (made && !wanted.skipped.empty()) {
    std::vector<std::string> names;
    made = stet::without_tensors(
        std::move(*made), [&](const stet::tensor& each) { return is_matched(each, wanted.skipped); }, &names);
    skipped_count = names.size();
  }
  if (made && !wanted.takes_variants && std::any_of(made->store.begin(), made->store.end(), is_variant)) {
    std::vector<std::string> names;
    made = stet::without_tensors(std::move(*made), is_variant, &names);
    for (std::string& name : names) {
      if (made) made->omitted.push_back({std::move(name), stet::error(stet::errc::not_expressible)});
    }
  }
  if (made && (wanted.dtype || wanted.dequantizes)) {
    made = stet::with_dtypes(std::move(*made), [&](const stet::tensor& each) -> std::optional<stet::element_layout> {
      const bool is_quantized =
          each.dtype() == stet::dtype::block && stet::find_ggml_type(each.dtype(), each.layout().block) != nullptr;
      const bool is_floating = stet::describe(each.dtype()).kind == stet::dtype_kind::floating;
      if (!is_floating && !(is_quantized && wanted.dequantizes)) return std::nullopt;
      if (!wanted.dtype || wanted.dtype->dtype == stet::dtype::block) {
        // Vectors and scalars stay numbers, as llama.cpp has it, and rows that blocks do not fill have to.
        if (wanted.dtype && each.shape().rank() > 1 && stet::is_tensor_convertible(each, *wanted.dtype))
          return wanted.dtype;
        return is_quantized ? std::optional(stet::element_layout::of(stet::dtype::float32)) : std::nullopt;
      }
      return wanted.dtype;
    });
  }
  return made;
}

/// The tensor that an error is about: its subject, or the subject up to a colon or the dtype in parentheses.
std::optional<stet::tensor> tensor_of(const stet::error& problem, const stet::model& in) {
  for (std::string_view name = problem.subject();;) {
    if (const auto found = in.store.find(name)) return *found;
    const std::size_t colon = name.rfind(": "), dtype = name.rfind(" (");
    const std::size_t end = colon == std::string_view::npos ? dtype : colon;
    if (end == std::string_view::npos) return std::nullopt;
    name = name.substr(0, end);
  }
}

/// Says why a model was not converted; where that is a tensor, the options that help, too.
/// @param from  the model, if there is one still
status fail_to_convert(std::string_view path, const stet::error& problem, const stet::model* from, console& out) {
  const bool is_about_format = problem == stet::errc::not_expressible || problem == stet::errc::not_convertible ||
                               problem == stet::errc::unknown_dtype || problem == stet::errc::unsupported;
  const auto which = is_about_format && from != nullptr ? tensor_of(problem, *from) : std::nullopt;
  if (!which && !(is_about_format && from == nullptr)) return out.fail(path, problem);
  char text[512];
  std::string line(problem.print(text, sizeof text));
  line.append("; ");
  if (which && from->store.original_of(*which)) line.append("--drop-aliases saves it under its first name alone, ");
  if (which && which->dtype() == stet::dtype::block && stet::is_dequantizable(which->layout().block))
    line.append("--dequantize makes numbers of it, ");
  else if (which && stet::describe(which->dtype()).kind == stet::dtype_kind::floating &&
           which->dtype() != stet::dtype::float32)
    line.append("--dtype float32 converts it, ");
  return out.fail(path, line.append("--skip leaves it out"));
}

/// The bytes of the tensors of a model together.
std::uint64_t size_of(const stet::model& of) {
  std::uint64_t size_bytes = 0;
  for (const stet::tensor each : of.store) {
    if (!of.store.original_of(each)) size_bytes += each.size_bytes();
  }
  return size_bytes;
}

/// Says what was written, and what was not.
void print_outcome(std::string_view to, const stet::model& from, const stet::saved_files& saved,
                   std::size_t skipped_count, console& out) {
  out.write_escaped(to).write(": ").write(counted(tensor_count(from), "tensor")).write(", ");
  out.write(human_size(saved.file_size_bytes)).write(" in ").write(counted(saved.file_count, "file"));
  if (saved.dropped_alias_count != 0) out.write(", without ").write(counted(saved.dropped_alias_count, "alias name"));
  if (saved.left_out_count != 0)
    out.write(", without ").write(counted(saved.left_out_count, "variable")).write(" of the optimizer");
  if (skipped_count != 0) out.write(", without ").write(counted(skipped_count, "tensor")).write(" that --skip names");
  if (!from.omitted.empty())
    out.write(", without ").write(counted(from.omitted.size(), "item")).write(" that cannot be converted:");
  out.write("\n");
  print_omitted(from.omitted, out);
}

/// Saves the model at `from` to `to`, and says what was written.
status copy(std::string_view from, std::string_view to, const save_function& save, const selection& wanted,
            console& out) {
  if (is_same_file(from, to)) return out.fail(to, "input and output are the same file");
#if defined(__GLIBC__)
  // Decoded chunks go back to the system when they are freed, however small memory lies between them.
  (void)::mallopt(M_MMAP_THRESHOLD, 128 * 1024);
#endif
  stet::result<stet::model> opened = open_model(from);
  if (!opened) return fail_to_open(from, opened.error(), out);
  for (const stet::glob& pattern : wanted.skipped) {
    if (!matches_any(pattern, *opened)) return out.fail(from, "no tensor matches a pattern of --skip");
  }
  for (const stet::glob& pattern : wanted.only) {
    if (!matches_any(pattern, *opened)) return out.fail(from, "no tensor matches a pattern of --only");
  }
  std::size_t skipped_count = 0;
  stet::result<stet::model> chosen = select(std::move(*opened), wanted, skipped_count);
  if (!chosen) return fail_to_convert(from, chosen.error(), nullptr, out);
  stet::writer all;
  const auto added = stet::compiled::add_model(all, *chosen, wanted.names, wanted.renames);
  // A large model passes through memory: what was read of a mapped file need not stay.
  read_ahead next(chosen->store, opened_store_of(*chosen));
  next.reach(0);
  progress shown(size_of(*chosen), [&](std::uint64_t written_bytes) {
    (void)opened_store_of(*chosen).evict();
    next.reach(written_bytes);
  });
  const stet::result<stet::saved_files> saved = added ? save(*chosen, all, shown.operations()) : added.error();
  shown.finish();
  if (!saved) {
    const stet::error& problem = saved.error();
    // The subject of an error of the operating system is a temporary file next to `to`.
    const bool is_from_system = problem.category() == stet::error_category::system;
    if (is_from_system) return out.fail(to, problem.about({}));
    return fail_to_convert(from, problem, &*chosen, out);
  }
  print_outcome(to, *chosen, *saved, skipped_count, out);
  return status::done;
}

/// The dtypes that floating tensors can be converted to, for messages.
std::string floating_names() {
  std::string names;
  for (const stet::dtype_description& each : stet::dtype_table) {
    if (each.kind == stet::dtype_kind::floating && each.bits >= 8)
      names.append(names.empty() ? "" : ", ").append(each.name);
  }
  for (const stet::ggml_type& each : stet::ggml_types) {
    if (stet::is_quantizable(each.block())) names.append(", ").append(each.name);
  }
  return names;
}

/// What floating tensors are converted to, by its name: a floating dtype of 8 bits or more, or a block type that can be made.
std::optional<stet::element_layout> layout_called(std::string_view name) {
  const stet::dtype_description* const found = stet::find_dtype(name);
  if (found != nullptr && found->kind == stet::dtype_kind::floating && found->bits >= 8)
    return stet::element_layout::of(found->dtype);
  for (const stet::ggml_type& each : stet::ggml_types) {
    if (each.name == name && stet::is_quantizable(each.block()))
      return stet::element_layout{stet::dtype::block, 0, each.block()};
  }
  return std::nullopt;
}

/// A size as people write it: "5GB", "512MiB", "1000". 0 if it is none.
std::uint64_t size_called(std::string_view text) {
  constexpr std::pair<std::string_view, std::uint64_t> units[] = {{"", 1},
                                                                  {"B", 1},
                                                                  {"kB", 1000},
                                                                  {"KB", 1000},
                                                                  {"MB", 1'000'000},
                                                                  {"GB", 1'000'000'000},
                                                                  {"KiB", 1 << 10},
                                                                  {"MiB", 1 << 20},
                                                                  {"GiB", 1 << 30},
                                                                  {"TB", 1'000'000'000'000},
                                                                  {"TiB", std::uint64_t{1} << 40}};
  std::uint64_t number = 0;
  std::size_t digits = 0;
  for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits) {
    const auto digit = static_cast<std::uint64_t>(text[digits] - '0');
    if (number > (~std::uint64_t{0} - digit) / 10) return 0;
    number = number * 10 + digit;
  }
  for (const auto& [unit, size] : units) {
    if (digits != 0 && text.substr(digits) == unit) return number > ~std::uint64_t{0} / size ? 0 : number * size;
  }
  return 0;
}

/// An option that not every format has a use for.
struct chosen_option {
  std::string_view name;
  stet::save_choice needs;
};
constexpr chosen_option chosen_options[] = {{"--shard-size", stet::save_choice::shards},
                                            {"--drop-aliases", stet::save_choice::aliases},
                                            {"--deflate", stet::save_choice::deflate},
                                            {"--layout", stet::save_choice::layout}};

/// Sets the layout by its name: "compact", "accelerator", or "accelerator:16KiB" with the size of a page. @return false if it is none
bool set_layout(stet::save_any_options& options, std::string_view name) {
  if (name == "compact") return true;
  constexpr std::string_view accelerator = "accelerator";
  if (!name.starts_with(accelerator)) return false;
  options.layout = stet::store_layout::accelerator;
  name.remove_prefix(accelerator.size());
  if (name.empty()) return true;
  const std::uint64_t page_size_bytes = name.front() == ':' ? size_called(name.substr(1)) : 0;
  options.page_size_bytes = static_cast<std::uint32_t>(page_size_bytes);
  return stet::is_valid_alignment(page_size_bytes);
}

} // namespace

std::string formats_to_save() {
  std::string text;
  for_each_target([&](const stet::format& each) {
    std::string name(each.saved_as);
    if (!each.ending.empty()) name.append(" (").append(each.ending).append(")");
    text.append("  ").append(left_aligned(name, 29)).append("  ").append(each.about).append("\n");
  });
  return text;
}

status convert(const arguments& given, console& out) {
  const std::string_view from = given.operands[0], to = given.operands[1];
  const stet::format* const wanted = stet::compiled::find_format_to_save(to, given.value_of("--to"));
  if (wanted == nullptr) return out.misuse("which format? --to takes one of " + target_names());
  const bool is_to_native = wanted == &stet::native_format;
  selection chosen;
  chosen.takes_variants = is_to_native;
  if (const std::string_view names = given.value_of("--names"); given.has("--names")) {
    if (names != "file" && names != "layers") return out.misuse("--names takes file or layers");
    if (!is_to_native) return out.misuse("--names is for an OUT of format stet: other formats have their own names");
    chosen.names = names == "file" ? stet::tensor_names::of_file : stet::tensor_names::of_layers;
  }
  for (const std::string_view pattern : given.values_of("--only")) chosen.only.emplace_back(pattern);
  for (const std::string_view pattern : given.values_of("--skip")) chosen.skipped.emplace_back(pattern);
  for (const std::string_view rule : given.values_of("--rename")) {
    const std::size_t equals = rule.find('=');
    if (equals == std::string_view::npos || equals == 0) return out.misuse("--rename takes FROM=TO");
    chosen.renames.push_back(stet::rename_rule::matching(rule.substr(0, equals), std::string(rule.substr(equals + 1))));
  }
  const auto misfit = [&](std::string_view option, stet::save_choice needs) {
    return out.misuse(std::string(option).append(" is for an OUT of format ").append(target_names(needs)));
  };
  if (given.has("--dtype")) {
    const std::string_view name = given.value_of("--dtype");
    chosen.dtype = layout_called(name);
    if (!chosen.dtype) return out.misuse("--dtype takes one of " + floating_names());
    constexpr stet::save_choice blocks = stet::save_choice::ggml_blocks;
    if (chosen.dtype->dtype == stet::dtype::block && !stet::has_choice(wanted->choices, blocks))
      return misfit(std::string("--dtype ").append(name), blocks);
  }
  chosen.dequantizes = given.has("--dequantize");
  for (const chosen_option& each : chosen_options) {
    if (given.has(each.name) && !stet::has_choice(wanted->choices, each.needs)) return misfit(each.name, each.needs);
  }
  stet::save_any_options options;
  options.drops_aliases = given.has("--drop-aliases");
  if (given.has("--shard-size")) {
    options.max_shard_size_bytes = size_called(given.value_of("--shard-size"));
    if (options.max_shard_size_bytes == 0) return out.misuse("--shard-size takes a size such as 500MB, 5GB or 2GiB");
  }
  if (given.has("--layout") && !set_layout(options, given.value_of("--layout")))
    return out.misuse("--layout takes compact, accelerator, or accelerator:N with a page of N bytes, 16KiB say");
  if (given.has("--deflate")) {
    options.deflate = deflate_function_of_command();
    if (options.deflate == nullptr) return out.misuse("--deflate needs a stet that was built with zlib");
  }
  const save_function save_as = [=](const stet::model& opened, const stet::writer& all,
                                    const stet::file_operations& operations) {
    stet::save_any_options how = options;
    how.operations = &operations;
    if (is_to_native && is_native(opened)) how.alignment_bytes = opened_store_of(opened).alignment_bytes();
    return stet::save_as(*wanted, to, all, how);
  };
  return copy(from, to, save_as, chosen, out);
}

status pack(const arguments& given, console& out) {
  const std::string_view to = given.operands[1];
  return copy(given.operands[0], to, save_native(stet::store_form::single_file, to), {}, out);
}

status compact(const arguments& given, console& out) {
  std::string from(given.operands[0]);
  const std::string_view to = given.operands[1];
  stet::save_options options;
  std::uint64_t count = 0;
  { // closed before it may be replaced
    const stet::result<stet::model> opened = open_model(from);
    if (!opened) return fail_to_open(from, opened.error(), out);
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
  const status outcome = copy(from, to, save_native(stet::store_form::loose, to), {}, out);
  if (outcome != status::done && is_new) std::filesystem::remove(folder, failure);
  return outcome;
}

} // namespace command
