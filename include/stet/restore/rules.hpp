// SPDX-License-Identifier: MIT
// What to restore, from which names, and what to do where a store and a program differ.
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

/// Says under which name a store has a variable. Rules are asked in order; the first that knows the variable decides, and a
/// variable that none knows is looked for under its own name.
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
  /// Variables that match `pattern` are the tensors called `replacement`, with $1 … $9 for what its wildcards matched.
  static rename_rule matching(glob pattern, std::string replacement) {
    return rename_rule([pattern = std::move(pattern),
                        replacement = std::move(replacement)](std::string_view name) -> std::optional<std::string> {
      std::vector<std::string_view> captures;
      if (!pattern.matches(name, &captures)) return std::nullopt;
      return glob::rewrite(replacement, captures);
    });
  }
  /// Whatever `ask` gives for the name of a variable; nothing if it does not know it.
  static rename_rule callback(std::function<std::optional<std::string>(std::string_view variable)> ask) {
    return rename_rule(std::move(ask));
  }
  /// One entry of an assignment map as `tf.compat.v1.train.init_from_checkpoint` has them, checkpoint first: two scopes, both
  /// ending in '/' ("" or "/" is the whole checkpoint or program), or else two names. TensorFlow leaves variables that no
  /// entry speaks of as they are; so does a restore whose `include` names the scopes.
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

/// What to do with a variable that the store does not have, or a tensor that no variable takes.
enum class absence_policy : std::uint8_t { error, skip };
/// What to do when the shapes differ.
enum class shape_policy : std::uint8_t {
  error,
  /// Leave the variable as it is.
  skip,
  /// Copy what both have: in every dimension, the elements up to the smaller extent. Ranks must be equal.
  overlap,
  /// Ask `restore_rules::reshape`.
  ask,
};
/// What to do when the dtypes differ: `cast` converts by the rules of bytes/detail/convert.hpp.
enum class dtype_policy : std::uint8_t { error, cast };

/// How variables get their values.
enum class restore_mode : std::uint8_t {
  /// Copied into the program's memory.
  copy,
  /// Views of the program are pointed at the store's bytes, which must stay open while they are used; variables in plain
  /// memory are copied. Open the store copy-on-write where the program's views are of elements it writes to.
  bind,
};

/// Fills a variable from a tensor of another shape, and of another dtype if `restore_rules::dtype` lets it: `into` is a copy of
/// the variable's present elements, which becomes the variable if all goes well. `copy_to` and `copy_elements` give the tensor's
/// elements as this machine has them; `read` gives them as the file does.
using reshape_function = std::function<result<void>(const tensor& from, const variable& to, std::span<std::byte> into)>;

/// What to restore and how. The default restores everything, strictly: any difference is an error.
struct restore_rules {
  /// Variables to restore: those that match one of these; empty: all.
  std::vector<glob> include;
  /// … but those that match one of these.
  std::vector<glob> exclude;
  /// The names of variables in the store.
  std::vector<rename_rule> renames;
  /// Tensors that no variable needs to take, and that are no surprise: an optimizer's slots, for example.
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
  /// Compare each tensor's bytes with its checksum before anything changes; one that has none is an error.
  bool verify_checksums = false;
  /// Where memory comes from for what is copied or converted before anything changes; nullptr: from the heap.
  memory_resource* memory = nullptr;
};

} // namespace stet::inline STET_NAMESPACE

#endif
