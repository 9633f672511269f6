// SPDX-License-Identifier: MIT
// Describes ExecuTorch's .ptd files: the order of axes in memory, and data that is no tensor.
#ifndef STET_FORMATS_EXECUTORCH_DESCRIBE_HPP
#define STET_FORMATS_EXECUTORCH_DESCRIBE_HPP

#include "detail/table.hpp"

#include "../common/finish_model.hpp"
#include "../description.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// `format::describe` of executorch_format. A tensor whose axes are in another order in memory has the note {"executorch":
/// {"dim_order": [0, 2, 3, 1]}}; data without a layout {"executorch": {"tensor": false}}. The version of the schema is metadata:
/// {"executorch": {"version": 0}}. Cost: a walk over the keys.
inline result<model_description> describe_ptd(const model& of) {
  const model* all = &of;
  while (all->whole != nullptr) all = all->whole.get();
  ptd_file file(bytes_in(all->store.tensor_file(0)));
  if (auto opened = file.open(); !opened) return opened.error();
  model_description made;
  auto read = file.for_each([&](const ptd_item& item) -> result<void> {
    if (item.is_tensor && (item.type == nullptr || !item.is_reordered)) return {};
    json_value note{{"tensor", false}};
    if (item.is_tensor) note = json_value{{"dim_order", std::vector<int>(item.order.begin(), item.order.end())}};
    made.tensors.push_back({std::string(item.key), json_value{{"executorch", note}}});
    return {};
  });
  if (!read) return read.error();
  made.metadata["executorch"]["version"] = file.version();
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
