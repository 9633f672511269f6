// SPDX-License-Identifier: MIT
// The code behind compiled.hpp. The CMake target stet::formats compiles it as a part of what links the target.
#include "compiled.hpp"

#include "add_model.hpp"
#include "any.hpp"

namespace stet::inline STET_NAMESPACE::compiled {

result<model> open_any(std::string_view path_utf8, const open_options& options) {
  return stet::open_any(path_utf8, options);
}

result<model_description> describe(const model& of) { return stet::describe(of); }

result<void> add_model(writer& to, const model& of) { return stet::add_model(to, of); }

result<saved_files> save_any(std::string_view path_utf8, const writer& from, const save_any_options& options) {
  return stet::save_any(path_utf8, from, options);
}

result<saved_files> save_any(std::string_view path_utf8, const model& from, const save_any_options& options) {
  writer out;
  if (auto added = stet::add_model(out, from); !added) return added.error();
  return stet::save_any(path_utf8, out, options);
}

} // namespace stet::inline STET_NAMESPACE::compiled
