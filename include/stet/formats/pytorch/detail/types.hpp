// SPDX-License-Identifier: MIT
// The names that PyTorch's pickles use, and the types of elements.
#ifndef STET_FORMATS_PYTORCH_DETAIL_TYPES_HPP
#define STET_FORMATS_PYTORCH_DETAIL_TYPES_HPP

#include "../../../vocabulary/dtype.hpp"
#include "../../../store/tensor.hpp"
#include "../../../vocabulary/shape.hpp"
#include "../../../wire/pickle.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// A type of elements.
struct pytorch_type {
  /// The name of the dtype: "float32" of torch.float32.
  std::string_view name;
  /// The class of storages that have such elements: "FloatStorage"; empty: there is none.
  std::string_view storage;
  /// `dtype::block` for a type that stet has no dtype for: its name is that of the block.
  stet::dtype dtype;
  std::uint32_t size_bytes;
  /// The name of the block in a file with big-endian words.
  std::string_view big_endian_name = {};
  /// The number of the type in the JSON of torch.export; -1: none.
  std::int8_t export_code = -1;

  [[nodiscard]] element_layout layout(bool is_big_endian) const noexcept {
    if (dtype != dtype::block) return {dtype, static_cast<std::uint8_t>(size_bytes * 8), {}};
    return {dtype, 0, {is_big_endian && !big_endian_name.empty() ? big_endian_name : name, 1, size_bytes}};
  }
};

/// Every type of which tensors are stored. Sources: torch/storage.py, torch/_utils.py; torch/_export/serde/schema.py, ScalarType.
inline constexpr pytorch_type pytorch_types[] = {
    {"float32", "FloatStorage", dtype::float32, 4, {}, 7},
    {"float64", "DoubleStorage", dtype::float64, 8, {}, 8},
    {"float16", "HalfStorage", dtype::float16, 2, {}, 6},
    {"bfloat16", "BFloat16Storage", dtype::bfloat16, 2, {}, 13},
    {"int64", "LongStorage", dtype::int64, 8, {}, 5},
    {"int32", "IntStorage", dtype::int32, 4, {}, 4},
    {"int16", "ShortStorage", dtype::int16, 2, {}, 3},
    {"int8", "CharStorage", dtype::int8, 1, {}, 2},
    {"uint8", "ByteStorage", dtype::uint8, 1, {}, 1},
    {"bool", "BoolStorage", dtype::boolean, 1, {}, 12},
    {"complex128", "ComplexDoubleStorage", dtype::complex128, 16, {}, 11},
    {"complex64", "ComplexFloatStorage", dtype::complex64, 8, {}, 10},
    {"qint8", "QInt8Storage", dtype::qint8, 1},
    {"quint8", "QUInt8Storage", dtype::quint8, 1},
    {"qint32", "QInt32Storage", dtype::qint32, 4},
    {"uint16", {}, dtype::uint16, 2, {}, 28},
    {"uint32", {}, dtype::uint32, 4},
    {"uint64", {}, dtype::uint64, 8},
    {"float8_e4m3fn", {}, dtype::float8_e4m3fn, 1, {}, 29},
    {"float8_e5m2", {}, dtype::float8_e5m2, 1, {}, 30},
    {"float8_e4m3fnuz", {}, dtype::float8_e4m3fnuz, 1, {}, 31},
    {"float8_e5m2fnuz", {}, dtype::float8_e5m2fnuz, 1, {}, 32},
    {"float8_e8m0fnu", {}, dtype::float8_e8m0fnu, 1},
    {"float4_e2m1fn_x2", {}, dtype::block, 1},
    {"complex32", {}, dtype::block, 4, "complex32_be", 9},
    {"bits8", {}, dtype::block, 1},
    {"bits16", {}, dtype::block, 2, "bits16_be"},
    {"bits1x8", {}, dtype::block, 1},
    {"bits2x4", {}, dtype::block, 1},
    {"bits4x2", {}, dtype::block, 1},
    {"quint4x2", "QUInt4x2Storage", dtype::block, 1},
    {"quint2x4", "QUInt2x4Storage", dtype::block, 1},
};
/// The element of a storage without a type.
inline constexpr pytorch_type pytorch_bytes{"", "UntypedStorage", dtype::uint8, 1};

/// What a name means. Those of types are from the last two on.
enum pytorch_id : std::uint16_t {
  pytorch_unknown,
  pytorch_ordered_dict,
  pytorch_tensor_of_storage, ///< _rebuild_tensor, _v2: (storage, offset, size, stride[, requires_grad, hooks, metadata])
  pytorch_tensor_of_dtype, ///< _rebuild_tensor_v3: (storage, offset, size, stride, requires_grad, hooks, dtype[, metadata])
  pytorch_parameter,       ///< (tensor[, requires_grad …])
  pytorch_tensor_of_type, ///< _rebuild_from_type_v2: (function, class, arguments, state)
  pytorch_size,
  pytorch_untyped,
  pytorch_first_storage = 64,
  pytorch_first_dtype = 128,
};

/// The names of functions and classes.
inline constexpr pickle_name pytorch_functions[] = {
    {"torch._utils", "_rebuild_tensor_v2", pytorch_tensor_of_storage},
    {"collections", "OrderedDict", pytorch_ordered_dict},
    {"torch._utils", "_rebuild_parameter", pytorch_parameter},
    {"torch._utils", "_rebuild_tensor", pytorch_tensor_of_storage},
    {"torch._utils", "_rebuild_tensor_v3", pytorch_tensor_of_dtype},
    {"torch._utils", "_rebuild_parameter_with_state", pytorch_parameter},
    {"torch._tensor", "_rebuild_from_type_v2", pytorch_tensor_of_type},
    {"torch._tensor", "_rebuild_from_type", pytorch_tensor_of_type},
    {"torch.tensor", "_rebuild_from_type", pytorch_tensor_of_type},
    {"torch.nn.parameter", "Parameter", pytorch_parameter},
    {"torch.nn.parameter", "Buffer", pytorch_parameter},
    {"torch", "Size", pytorch_size},
    {"torch.storage", "UntypedStorage", pytorch_untyped},
    {"torch.storage", "_UntypedStorage", pytorch_untyped},
    {"torch", "UntypedStorage", pytorch_untyped},
};

/// The table of names for `pickle`: functions, then dtypes and storages.
inline constexpr auto pytorch_names = [] {
  std::array<pickle_name, std::size(pytorch_functions) + 2 * std::size(pytorch_types)> made{};
  std::size_t count = 0;
  for (const pickle_name& each : pytorch_functions) made[count++] = each;
  for (std::size_t i = 0; i < std::size(pytorch_types); ++i) {
    made[count++] = {"torch", pytorch_types[i].name, static_cast<std::uint16_t>(pytorch_first_dtype + i)};
    // A name that no pickle has stands for none.
    made[count++] = {pytorch_types[i].storage.empty() ? "" : "torch", pytorch_types[i].storage,
                     static_cast<std::uint16_t>(pytorch_types[i].storage.empty() ? 0 : pytorch_first_storage + i)};
  }
  return made;
}();

/// The type that a dtype or the class of a storage means; nullptr: `id` is of neither.
inline const pytorch_type* pytorch_dtype_of(std::uint16_t id) noexcept {
  return id >= pytorch_first_dtype ? &pytorch_types[id - pytorch_first_dtype] : nullptr;
}
inline const pytorch_type* pytorch_storage_of(std::uint16_t id) noexcept {
  if (id == pytorch_untyped) return &pytorch_bytes;
  return id >= pytorch_first_storage && id < pytorch_first_dtype ? &pytorch_types[id - pytorch_first_storage] : nullptr;
}

/// Functions that run code, start programs or read files: a module, and a name in it; empty: all of the module and of those within.
struct code_runner {
  std::string_view module, name = {};
};
/// What the pickles of known attacks call, and no checkpoint has. Nothing is ever called here; a file with one of them is refused,
/// so that the person who opens it learns what it is. Sources: picklescan and fickling, their lists of unsafe names.
inline constexpr code_runner code_runners[] = {
    {"os"},
    {"posix"},
    {"nt"},
    {"subprocess"},
    {"commands"},
    {"runpy"},
    {"importlib"},
    {"pty"},
    {"socket"},
    {"shutil"},
    {"pickle"},
    {"_pickle"},
    {"cPickle"},
    {"marshal"},
    {"ctypes"},
    {"code"},
    {"codeop"},
    {"pdb"},
    {"bdb"},
    {"timeit"},
    {"cProfile"},
    {"profile"},
    {"trace"},
    {"webbrowser"},
    {"urllib"},
    {"urllib2"},
    {"requests"},
    {"http"},
    {"httplib"},
    {"aiohttp"},
    {"sys"},
    {"pip"},
    {"ensurepip"},
    {"smtplib"},
    {"ftplib"},
    {"doctest"},
    {"torch.hub"},
    {"imp"},
    {"zipimport"},
    {"pkgutil"},
    {"pydoc"},
    {"lib2to3"},
    {"asyncio"},
    {"idlelib"},
    {"venv"},
    {"distutils"},
    {"setuptools"},
    {"test.support"},
    {"builtins", "eval"},
    {"builtins", "exec"},
    {"builtins", "compile"},
    {"builtins", "open"},
    {"builtins", "__import__"},
    {"builtins", "execfile"},
    {"builtins", "file"},
    {"builtins", "input"},
    {"builtins", "breakpoint"},
    {"builtins", "globals"},
    {"builtins", "locals"},
    {"builtins", "vars"},
    {"builtins", "setattr"},
    {"builtins", "delattr"},
    {"builtins", "apply"},
    {"builtins", "exit"},
    {"types", "FunctionType"},
    {"types", "CodeType"},
    {"types", "ModuleType"},
    {"new", "function"},
    {"operator", "methodcaller"},
    {"torch", "load"},
    {"torch.serialization", "load"},
    {"torch.jit", "load"},
    {"platform", "popen"},
    {"numpy.testing._private.utils", "runstring"},
    {"joblib", "load"},
    {"dill", "loads"},
};

inline bool runs_code(std::string_view module, std::string_view name) noexcept {
  if (module == "__builtin__" || module == "__builtins__") module = "builtins";
  for (const code_runner& each : code_runners) {
    if (!module.starts_with(each.module)) continue;
    const std::string_view rest = module.substr(each.module.size());
    if (each.name.empty() ? rest.empty() || rest.front() == '.' : rest.empty() && name == each.name) return true;
  }
  return false;
}

/// Refuses a pickle that names a function which runs code.
/// @retval errc::malformed  it does; the function is the subject
/// Cost: a walk over the values, and a comparison with the table for each global.
inline result<void> check_names(const pickle& of) noexcept {
  for (pickle_ref number = 0; number < of.value_count(); ++number) {
    const pickle_value& value = of[number];
    if (value.kind != pickle_kind::global || value.id != pytorch_unknown) continue;
    if (runs_code(of.module_of(value), of.name_of(value)))
      return error_about(errc::malformed, of.module_of(value), of.name_of(value));
  }
  return {};
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
