// SPDX-License-Identifier: MIT
// Adds the variables of a program to a writer.
#ifndef STET_CHECKPOINT_ADD_VARIABLES_HPP
#define STET_CHECKPOINT_ADD_VARIABLES_HPP

#include "../restore/variables.hpp"
#include "../writer/writer.hpp"

#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// The further fields that a variable has in a manifest. @param slot_of  the variable whose slot it is; empty: none
inline json_text variable_attributes(bool is_trainable, std::string_view slot_of) {
  std::string attributes = is_trainable ? "{\"trainable\":true" : "{\"trainable\":false";
  if (!slot_of.empty()) append_json_string(attributes += ",\"slot_of\":", slot_of);
  return json_text(attributes += '}');
}
inline json_text attributes_of(const variable& of) { return variable_attributes(of.is_trainable(), of.slot_of()); }

} // namespace detail

/// Adds a variable under `name`. Its elements are borrowed. A variable whose view views nothing is left out if it is optional.
/// @retval errc::size_mismatch  the variable's view views nothing, or has other extents than it was added with
/// or another error of `writer::add`
inline result<void> add_variable(writer& to, const variable& from, std::string_view name) {
  const std::span<const std::byte> bytes = from.bytes();
  if (bytes.data() == nullptr && from.is_optional()) return {};
  if (bytes.size() != from.size_bytes()) return error(errc::size_mismatch, name);
  const element_layout layout = element_layout::of(from.layout().dtype);
  const bool is_as_stored = layout.bits == from.layout().bits &&
                            (detail::host_is_little_endian || describe(layout.dtype).word_size_bytes == 1);
  if (is_as_stored) {
    to.add_bytes(name, layout, from.shape(), bytes, detail::attributes_of(from));
  } else {
    visit_dtype(layout.dtype, [&]<class T>(std::type_identity<T>) {
      if constexpr (!detail::host_is_little_endian || describe(dtype_of<T>::value).bits < 8) {
        const std::span<const T> elements(reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T));
        to.add(name, elements, from.shape(), detail::attributes_of(from));
      }
    });
  }
  const auto added = to.added();
  return added ? result<void>() : added.error();
}

/// Adds every variable under its own name. Their elements are borrowed until the writer has saved.
/// Errors: those of `writer::add`.
inline result<void> add_variables(writer& to, const variable_list& from) {
  for (const variable& each : from) {
    if (auto added = add_variable(to, each, each.name()); !added) return added;
  }
  return {};
}

} // namespace stet::inline STET_NAMESPACE

#endif
