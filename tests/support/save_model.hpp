// SPDX-License-Identifier: MIT
// Saves an open model in another format, as a program does: through a writer.
#ifndef STET_TESTS_SUPPORT_SAVE_MODEL_HPP
#define STET_TESTS_SUPPORT_SAVE_MODEL_HPP

#include <stet/formats/compiled.hpp>
#include <stet/formats/keras/save.hpp>
#include <stet/formats/tfjs/save.hpp>

#include <string_view>

namespace stet_test {

inline stet::result<stet::keras_save_report> save_keras(std::string_view path, const stet::model& from,
                                                        const stet::keras_save_options& options = {}) {
  stet::writer all;
  if (auto added = stet::compiled::add_model(all, from); !added) return added.error();
  return stet::save_keras(path, all, options);
}

inline stet::result<stet::tfjs_save_report> save_tfjs(std::string_view path, const stet::model& from,
                                                      const stet::tfjs_save_options& options = {}) {
  stet::writer all;
  if (auto added = stet::compiled::add_model(all, from); !added) return added.error();
  return stet::save_tfjs(path, all, options);
}

} // namespace stet_test

#endif
