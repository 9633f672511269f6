// SPDX-License-Identifier: MIT
// Hands the variables of a program to a writer.
#ifndef STET_CHECKPOINT_ADD_VARIABLES_HPP
#define STET_CHECKPOINT_ADD_VARIABLES_HPP

#include "../restore/variables.hpp"
#include "../writer/writer.hpp"

#include <span>
#include <string_view>

namespace stet::inline v0_1 {

namespace detail {

/// The further fields that a variable has in a manifest.
inline json_value attributes_of(const variable& of) {
  json_value attributes = {{"trainable", of.is_trainable()}};
  if (!of.slot_of().empty()) attributes["slot_of"] = of.slot_of();
  return attributes;
}

} // namespace detail

/// Adds a variable under `name`. `bytes`, which are borrowed, are its elements as they are in memory.
/// Errors: those of `writer::add`.
inline result<void> add_variable(writer& to, const variable& from, std::string_view name, std::span<const std::byte> bytes) {
  result<void> added = errc::unsupported; // strings and blocks are no variables
  visit_dtype(from.layout().dtype, [&]<class T>(std::type_identity<T>) {
    const std::span<const T> elements(reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T));
    added = to.add(name, extents(from.shape()), elements, detail::attributes_of(from));
  });
  return added;
}
/// The same with its present elements.
inline result<void> add_variable(writer& to, const variable& from, std::string_view name) {
  return add_variable(to, from, name, from.bytes());
}

/// Adds every variable under its own name. Their elements are borrowed until the writer has saved.
/// Errors: those of `writer::add`.
inline result<void> add_variables(writer& to, const variable_list& from) {
  for (const variable& each : from) {
    if (auto added = add_variable(to, each, each.name()); !added) return added;
  }
  return {};
}

} // namespace stet::inline v0_1

#endif
