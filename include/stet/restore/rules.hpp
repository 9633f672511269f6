// SPDX-License-Identifier: MIT
// The rules of a restore: selection, renaming, and policies for differences between store and program.
#ifndef STET_RESTORE_RULES_HPP
#define STET_RESTORE_RULES_HPP

#include "glob.hpp"
#include "variables.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// Maps the name of a variable to the name of its tensor. The first rule that knows the variable decides. A variable that no
/// rule knows has the same name in the store.
class rename_rule {
public:
  /// The variable called `variable` is the tensor called `tensor`.
  static rename_rule exact(std::string variable, std::string tensor) {
    return rename_rule([variable = std::move(variable),
                        tensor = std::move(tensor)](std::string_view name) -> std::optional<std::string> {
      if (name != variable) return std::nullopt;
      return tensor;
    });
  }
  /// Variables whose names begin with `variable_prefix` are the tensors whose names begin with `tensor_prefix` instead.
  static rename_rule prefix(std::string variable_prefix, std::string tensor_prefix) {
    return rename_rule([from = std::move(variable_prefix),
                        to = std::move(tensor_prefix)](std::string_view name) -> std::optional<std::string> {
      if (!name.starts_with(from)) return std::nullopt;
      return to + std::string(name.substr(from.size()));
    });
  }
  /// Variables that match `pattern` are the tensors called `replacement`; $1 … $9 are the texts that its wildcards matched.
  static rename_rule matching(glob pattern, std::string replacement) {
    return rename_rule([pattern = std::move(pattern),
                        replacement = std::move(replacement)](std::string_view name) -> std::optional<std::string> {
      std::vector<std::string_view> captures;
      if (!pattern.matches(name, &captures)) return std::nullopt;
      return glob::rewrite(replacement, captures);
    });
  }
  /// Calls `ask` with the name of a variable. It returns the name of the tensor, or nothing if it does not know the variable.
  static rename_rule callback(std::function<std::optional<std::string>(std::string_view variable)> ask) {
    return rename_rule(std::move(ask));
  }
  /// One entry of an assignment map of `tf.compat.v1.train.init_from_checkpoint`, checkpoint first: two scopes that end in '/'
  /// ("" or "/" is the whole checkpoint or program), or two names. TensorFlow does not change variables without an entry; to do
  /// the same, list the scopes in `include`.
  static rename_rule assignment(std::string checkpoint, std::string program) {
    const auto is_scope = [](const std::string& name) { return name.empty() || name.back() == '/'; };
    if (!is_scope(checkpoint) || !is_scope(program)) return exact(std::move(program), std::move(checkpoint));
    if (checkpoint == "/") checkpoint.clear();
    if (program == "/") program.clear();
    return prefix(std::move(program), std::move(checkpoint));
  }

  /// The name of the tensor for the variable called `name`, if this rule knows it.
  [[nodiscard]] std::optional<std::string> tensor_for(std::string_view name) const { return ask_(name); }

private:
  explicit rename_rule(std::function<std::optional<std::string>(std::string_view)> ask) : ask_(std::move(ask)) {}
  std::function<std::optional<std::string>(std::string_view)> ask_;
};

/// The policy for a variable that the store lacks, or a tensor that no variable takes.
enum class absence_policy : std::uint8_t { error, skip };
/// The policy for different shapes.
enum class shape_policy : std::uint8_t {
  error,
  /// Does not change the variable.
  skip,
  /// Copies the common elements: in every dimension, those up to the smaller extent. Ranks must be equal.
  overlap,
  /// Calls `restore_rules::reshape`.
  ask,
};
/// The policy for different dtypes: `cast` converts by the rules of bytes/detail/convert.hpp.
enum class dtype_policy : std::uint8_t { error, cast };

/// The way in which variables get their values.
enum class restore_mode : std::uint8_t {
  /// Copied into the program's memory.
  copy,
  /// Views of the program are set to the bytes of the store, which must stay open while they are used; variables in plain memory
  /// are copied. If the program writes through its views, open the store copy-on-write.
  bind,
};

/// Fills a variable from a tensor of another shape, and of another dtype if `restore_rules::dtype` allows it. `into` is a copy of
/// the variable's present elements, which replaces them if the restore succeeds. `copy_to` and `copy_elements` give the elements
/// of the tensor in the form of this machine; `read` gives them in the form of the file.
using reshape_function = std::function<result<void>(const tensor& from, const variable& to, std::span<std::byte> into)>;

/// The rules of a restore. By default everything is restored, and any difference is an error.
struct restore_rules {
  /// The variables to restore: those that match one of these patterns; empty: all.
  std::vector<glob> include;
  /// Exceptions from `include`: variables that match one of these patterns are not restored.
  std::vector<glob> exclude;
  /// The names of variables in the store.
  std::vector<rename_rule> renames;
  /// Tensors that are not reported as unexpected if no variable takes them: an optimizer's slots, for example.
  std::vector<glob> ignore;
  /// For a variable that the store does not have.
  absence_policy missing = absence_policy::error;
  /// For a tensor that no variable takes.
  absence_policy unexpected = absence_policy::error;
  /// For a variable whose shape differs.
  shape_policy shape = shape_policy::error;
  /// For a variable whose dtype differs.
  dtype_policy dtype = dtype_policy::error;
  /// Whether values are copied or bound.
  restore_mode mode = restore_mode::copy;
  /// The function that `shape_policy::ask` calls.
  reshape_function reshape;
  /// Compares the bytes of each tensor with its checksum before anything changes. A tensor without a checksum is an error.
  bool verify_checksums = false;
  /// The memory for values that are copied or converted before anything changes; nullptr: the heap.
  memory_resource* memory = nullptr;
};

} // namespace stet::inline STET_NAMESPACE

#endif
