// SPDX-License-Identifier: MIT
// Puts new weights into a copy of a model's file, which stays the same in every other byte.
#ifndef STET_FORMATS_REPLACE_WEIGHTS_HPP
#define STET_FORMATS_REPLACE_WEIGHTS_HPP

#include "any.hpp"
#include "format.hpp"
#include "replace_options.hpp"

#include "replace/detail/in_place.hpp"

#include "../restore/report.hpp"
#include "../restore/rules.hpp"

#include <string_view>

namespace stet::inline STET_NAMESPACE {

/// Writes a copy of the file of the model `of` to `out_path_utf8` in which tensors have the values that `from` has. Graph, metadata and
/// all other bytes stay the same. `out_path_utf8` may be the model's own path: the new file appears under the name when it is complete,
/// a program that has the old file mapped keeps it, and one that opens the path gets the new file.
///
///     auto phone = stet::open_any("model.tflite");
///     auto trained = stet::open_any("model.keras");
///     auto rules = stet::patch_rules();
///     rules.renames.push_back(stet::rename_rule::exact("sequential/dense/MatMul", "dense/kernel"));
///     stet::replace_options options;
///     options.axes.push_back({"sequential/dense/MatMul", {1, 0}});
///     stet::restore_report report;
///     auto done = stet::replace_weights(*phone, trained->store, rules, "model.tflite", options, &report);
///
/// The rules are those of a restore, where the tensors of the model are the variables: `renames` map a name in the model to one in
/// `from`, and the first of a tensor's names (its own, then its aliases) that `from` has counts. Shapes must be equal, once the axes are in
/// the order of `options.axes`: `shape_policy::overlap` and `ask` count as `error`. `mode` does not count. With `dtype_policy::cast`,
/// numbers become
///   - elements of the model's dtype, by the rules of bytes/detail/convert.hpp;
///   - codes, where the model's tensor is quantized with scales and zero points, for all of it or along an axis: those of the model. A number
///     that they cannot express gets the nearest code, is counted, and told by the report. Integers and codes of the model's own
///     dtype are copied as they are;
///   - blocks of GGUF, where `quantize_blocks` makes them (Q8_0, Q4_0). Blocks of `from` become numbers by `dequantize`.
///
/// Of an ONNX model, lists that are decoded are encoded again, and other files are written anew (onnx/replace.hpp).
/// Checksums of zip archives (.npz, .keras, .pt, .task) are made anew. A tensor whose bytes are not in the file as they are (decoded,
/// compressed, gathered), or shared with a tensor that gets other values, is an error of its entry in the report.
///
/// @param report  if given, set to what became of each tensor of the model and of `from`, also on failure
/// @retval errc::unsupported     the weights of this format (the subject) cannot be replaced in place, as a rule for checksums in its
///                               tables, or the model consists of several files: convert it with the new weights instead
/// @retval errc::binding_failed  something is an error by the rules; the subject lists the names, the report says why. Nothing is written
/// @retval errc::not_found       no tensor of the model has a new value
/// @retval errc::not_convertible a number is NaN and would become a code
/// or an error of reading, of `describe` where codes are needed, or of `atomic_file`. After an error, what was at `out_path_utf8` is
/// there still.
/// Cost: reads the model's file once, and the weights once; writes a file of the same size. Tensors are converted in small windows;
/// those with other axes are in memory.
inline result<replaced_weights> replace_weights(const model& of, const store& from, const restore_rules& rules,
                                                std::string_view out_path_utf8, const replace_options& options = {},
                                                restore_report* report = nullptr) {
  restore_report made;
  restore_report& told = report == nullptr ? made : *report;
  told = {};
  if (of.format == nullptr) return error(errc::invalid_argument, of.path);
  if (of.format->replace != nullptr) return of.format->replace(of, from, rules, out_path_utf8, options, told);
  if (of.format->replacement == weight_replacement::none) return error(errc::unsupported, of.format->name);
  return detail::replace_in_place(of, from, rules, out_path_utf8, options, told);
}
/// The same for the model at `model_path_utf8`, which is opened. Errors: those of `open_any`, too.
inline result<replaced_weights> replace_weights(std::string_view model_path_utf8, const store& from,
                                                const restore_rules& rules, std::string_view out_path_utf8,
                                                const replace_options& options = {}, restore_report* report = nullptr) {
  const result<model> opened = open_any(model_path_utf8);
  if (!opened) return opened.error();
  return replace_weights(*opened, from, rules, out_path_utf8, options, report);
}

} // namespace stet::inline STET_NAMESPACE

#endif
