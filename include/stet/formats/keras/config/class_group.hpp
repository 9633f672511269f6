// SPDX-License-Identifier: MIT
// The classes of Keras: the names of objects that come from them, and whether a class is Keras' own.
#ifndef STET_FORMATS_KERAS_CONFIG_CLASS_GROUP_HPP
#define STET_FORMATS_KERAS_CONFIG_CLASS_GROUP_HPP

#include "../../common/json_members.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// The name of the group of an object of this class: "max_pooling2d" for "MaxPooling2D".
inline std::string keras_group_of_class(std::string_view class_name) {
  const auto is_upper = [](char c) { return c >= 'A' && c <= 'Z'; };
  const auto is_lower = [](char c) { return c >= 'a' && c <= 'z'; };
  std::string letters, made;
  for (const char each : class_name) {
    if (is_upper(each) || is_lower(each) || (each >= '0' && each <= '9') || each == '_') letters += each;
  }
  for (std::size_t i = 0; i < letters.size(); ++i) {
    if (i != 0 && is_upper(letters[i]) &&
        (is_lower(letters[i - 1]) || (i + 1 < letters.size() && is_lower(letters[i + 1])))) {
      made += '_';
    }
    made += is_upper(letters[i]) ? static_cast<char>(letters[i] - 'A' + 'a') : letters[i];
  }
  return made;
}

/// True if the configuration of an object, {"module": …, "class_name": …}, has a class of Keras itself. A class of a
/// program has a registered name or its own module.
/// @param class_name  the class name of the object, which may be stored elsewhere
inline bool is_own_keras_class(const json_value& object, std::string_view class_name) {
  const json_value* const module = find_member(object, "module");
  const std::string_view registered = text_member(object, "registered_name"), name = string_or_empty(module);
  if (name == "keras" || name.starts_with("keras.")) return true;
  const bool has_no_module = module == nullptr || module->is_null();
  return has_no_module && registered.find('>') == std::string_view::npos &&
         class_name.find('>') == std::string_view::npos;
}
inline bool is_own_keras_class(const json_value& object) {
  return is_own_keras_class(object, text_member(object, "class_name"));
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
