// SPDX-License-Identifier: MIT
// Functions of the commands for open models and their tensors.
#ifndef STET_COMMAND_MODEL_HPP
#define STET_COMMAND_MODEL_HPP

#include "console.hpp"

#include <stet/formats/description.hpp>
#include <stet/formats/model.hpp>
#include <stet/vocabulary/deflate.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace command {

/// Whether the parts of a model may be links: `--follow-links`.
extern bool follows_links;

/// The file of certificates for URLs of https: `--ca-file`; empty: those that libcurl trusts.
extern std::string ca_file;

/// True if `path` is a URL of http or https, which libcurl opens.
bool is_url(std::string_view path);
/// Opens the model at `path`, whatever its format. Errors: those of `stet::open_any`; errc::unsupported for a URL if the command was
/// built without libcurl.
stet::result<stet::model> open_model(std::string_view path);
/// The compressor of the command; nullptr if it was built without zlib.
stet::deflate_function deflate_function_of_command();
/// Writes why there is no model at `path`: for an unknown format the known ones, for a folder what a folder can be.
status fail_to_open(std::string_view path, const stet::error& problem, console& out);
/// Why a path does not open, where more can be told than the error says; else empty.
std::string reason_of(std::string_view path, const stet::error& problem);
/// Its graphs, state, metadata and attributes of tensors. Errors: those of `stet::describe`.
stet::result<stet::model_description> describe_model(const stet::model& of);

/// True if the model consists of native files, which have a manifest.
bool is_native(const stet::model& of);

/// The manifest of a native model's own file.
std::string_view manifest_text_of(const stet::model& of);

/// A piece of a tensor in a shard, or a whole one.
struct shard_row {
  std::string tensor;
  /// Where it begins in each dimension, and its extents.
  std::vector<std::uint64_t> start, extents;
  std::string dtype;
  std::string file;
  std::uint64_t offset_bytes = 0, size_bytes = 0;
};

/// The files of the shards of a store; none if it is not sharded.
std::vector<std::string> shard_files_of(const stet::store& of);
/// The pieces in the shards of a model, shard by shard; none if it is no sharded checkpoint, or a delta of one. Errors: those of
/// `stet::open_shard` and `stet::pieces_of`.
stet::result<std::vector<shard_row>> shard_rows_of(const stet::model& of);

/// The name of the file that the model builds on, if it is a delta; else empty.
std::string_view base_file_of(const stet::model& of);

/// A file of a model, as a store. The name is empty if it is the only one.
struct model_file {
  std::string_view name;
  const stet::store* store;
};

/// The files of a delta, its own first, or the store of any other model. They live as long as the model.
std::vector<model_file> files_of(const stet::model& of);

/// A checkpoint in a folder.
struct checkpoint_row {
  std::uint64_t step = 0;
  std::string file_name;
  /// With its parts.
  std::uint64_t size_bytes = 0;
  std::optional<double> metric;
  /// The file it builds on; empty if it is whole.
  std::string base;
  /// Why it cannot be opened.
  std::optional<stet::error> failure;
};

/// A model with the checkpoints of its folder, if it was opened from one.
struct listed_model {
  stet::model model;
  std::vector<checkpoint_row> checkpoints;
};

/// Opens the model at `path` and lists its folder. The rows ascend by step. Errors: those of `open_model` and of
/// listing the folder.
stet::result<listed_model> open_listed(std::string_view path);

/// The size of the files it consists of, together.
std::uint64_t file_size_bytes(const stet::model& of);

/// True if the bytes of a tensor are contiguous, row-major and little-endian in a file.
bool is_in_place(const stet::model& in, const stet::tensor& of);

/// The number of its tensors, without second names.
std::uint64_t tensor_count(const stet::model& of);

/// The second names of tensors, by the number of the tensor. They live as long as the model.
using second_names = std::map<std::uint32_t, std::vector<std::string_view>>;
second_names second_names_of(const stet::model& from);

/// One line for each item that a file contains and its store cannot give, with the reason.
void print_omitted(const std::vector<stet::omitted_item>& items, console& out);

/// The path without its folders: "model.stet" of "weights/model.stet".
std::string_view file_name_of(std::string_view path);

/// The dtype's name; of blocks, the block's.
std::string_view dtype_name_of(const stet::tensor& of);

/// The shape as text: "[784, 10]".
std::string shape_text_of(const stet::tensor& of);

} // namespace command

#endif
