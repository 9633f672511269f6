// SPDX-License-Identifier: MIT
// Describes files of PyTorch: what is no tensor as state, and what tensors are views.
#ifndef STET_FORMATS_PYTORCH_DESCRIBE_HPP
#define STET_FORMATS_PYTORCH_DESCRIBE_HPP

#include "detail/saved_pickle.hpp"
#include "detail/state.hpp"
#include "open.hpp"

#include "../description.hpp"

#include "../../json.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// `format::describe` of pytorch_format. The object without its tensors is the state: dicts are objects, other containers arrays, in
/// which tensors are null; what is known by its class alone is {"class": "argparse.Namespace", "arguments": […], "state": {…}}, as
/// far as it has them. Bytes are {"bytes": hexadecimal}, floats that are not finite "nan", "inf" and "-inf", integers beyond 64 bits
/// text. The notes of tensors are {"pytorch": {"strides": […], "conj": true, "neg": true}}, {"trainable": true} for one that
/// requires a gradient, and {"tied": true} for an alias, by which `save_pytorch` saves it as a tensor again. The file was checked when it was opened; what another program wrote there since is errc::malformed.
/// Cost: reads the pickle.
inline result<model_description> describe_pytorch(const model& of) {
  model_description made;
  const model* all = &of;
  while (all->whole != nullptr) all = all->whole.get();
  const auto changed = [](const error& failure) {
    return failure.category() > error_category::system ? error(errc::malformed, "pytorch: pickle") : failure;
  };
  const source& file = all->store.part(0);
  // Of an archive on demand, what is needed is read again.
  std::vector<std::byte> directory;
  std::optional<std::vector<zip_member>> members;
  source some;
  if (file.data() == nullptr) {
    auto listed = read_zip_directory(*file.fetcher(), directory);
    if (!listed) return changed(listed.error());
    members = std::move(*listed);
    result<source> read = read_pytorch_members(*file.fetcher(), *members, of.options.memory);
    if (!read) return changed(read.error());
    some = std::move(*read);
  }
  const std::span<const std::byte> bytes = bytes_in(file.data() == nullptr ? some : file);
  pytorch_content content(of.options.memory);
  if (auto read = pytorch_content_reader(content, bytes, 0, 0, of.options, std::move(members)).run(); !read)
    return changed(read.error());
  if (content.is_export()) {
    made.metadata = json_value{{"pytorch", {{"kind", "export"}}}};
  } else {
    result<json_value> state = pytorch_state(content).run();
    if (!state) return state.error();
    made.state = std::move(*state);
  }
  store_builder unused(of.options.memory);
  pytorch_notes notes;
  (void)unused.add_file("pytorch",
                        file.data() != nullptr ? source::borrow(bytes_in(file)) : source::stream(*file.fetcher()));
  if (auto noted = add_pytorch_tensors(unused, content, of.options, &notes); !noted) return changed(noted.error());
  for (pytorch_note& each : notes) {
    json_value attributes = json_value::object();
    json_value view = json_value::object();
    if (!each.strides.empty()) append_member(view, "strides", each.strides);
    if (each.is_conjugate) append_member(view, "conj", true);
    if (each.is_negative) append_member(view, "neg", true);
    if (each.is_trainable) append_member(attributes, "trainable", true);
    if (const auto own = all->store.find(each.name); own && all->store.original_of(*own))
      append_member(attributes, std::string(pytorch_tied_field), true);
    if (!view.empty()) append_member(attributes, "pytorch", std::move(view));
    if (!attributes.empty()) made.tensors.push_back({std::move(each.name), std::move(attributes)});
  }
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
