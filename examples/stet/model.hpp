// SPDX-License-Identifier: MIT
// Opens what the command is asked about. The one place that knows which formats there are.
#ifndef STET_COMMAND_MODEL_HPP
#define STET_COMMAND_MODEL_HPP

#include <stet/store/store.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace command {

/// An open file of weights.
struct model {
  stet::store store;
  /// The name of its format.
  std::string_view format;

  /// The files it consists of, and their size together.
  [[nodiscard]] std::uint32_t file_count() const noexcept;
  [[nodiscard]] std::uint64_t file_size_bytes() const noexcept;
};

/// Opens the model at `path`, whatever its format. Errors: those of `stet::open_manifest`.
stet::result<model> open_model(std::string_view path);

/// The path without its folders: "model.stet" of "weights/model.stet".
std::string_view file_name_of(std::string_view path);

/// The dtype's name; of blocks, the block's.
std::string_view dtype_name_of(const stet::tensor& of);

/// The shape as text: "[784, 10]".
std::string shape_text_of(const stet::tensor& of);

} // namespace command

#endif
