// SPDX-License-Identifier: MIT
// The options and the outcome of a replacement of weights.
#ifndef STET_FORMATS_REPLACE_OPTIONS_HPP
#define STET_FORMATS_REPLACE_OPTIONS_HPP

#include "../restore/glob.hpp"
#include "../restore/rules.hpp"
#include "../source/file_operations.hpp"
#include "../source/memory.hpp"

#include <cstdint>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// The rules by which `stet patch` replaces: the tensors that both have are replaced, converted where dtypes differ; others stay as
/// they are, and are told by the report. A shape that differs is an error.
[[nodiscard]] inline restore_rules patch_rules() {
  restore_rules made;
  made.missing = absence_policy::skip;
  made.unexpected = absence_policy::skip;
  made.dtype = dtype_policy::cast;
  return made;
}

/// The order of axes of tensors in which the model and the weights differ. TFLite has the kernel of a dense layer as [out, in], Keras
/// as [in, out]: {"*/MatMul", {1, 0}}. The kernel of a convolution is [out, height, width, in] and [height, width, in, out]:
/// {"*/Conv2D", {3, 0, 1, 2}}.
struct axis_order {
  /// The tensors of the model, by any of their names.
  glob tensors;
  /// For each axis of the model's tensor, the axis of the weights.
  std::vector<std::uint32_t> axes;
};

/// The options of `replace_weights`.
struct replace_options {
  /// Tensors with other axes; the first that fits a name counts.
  std::vector<axis_order> axes;
  /// False: the file may be lost with a loss of power.
  bool is_durable = true;
  /// The system calls; nullptr: those of the operating system.
  const file_operations* operations = nullptr;
  /// The memory for weights with other axes; nullptr: the heap.
  memory_resource* memory = nullptr;
};

/// What `replace_weights` did.
struct replaced_weights {
  /// The size of the new file.
  std::uint64_t file_size_bytes = 0;
  /// The number of tensors that have new values.
  std::uint64_t tensor_count = 0;
  /// The number of values that the scale of a quantized tensor cannot express, and that got the nearest code. The reasons of the report
  /// count them for each tensor.
  std::uint64_t out_of_range_count = 0;
};

} // namespace stet::inline STET_NAMESPACE

#endif
