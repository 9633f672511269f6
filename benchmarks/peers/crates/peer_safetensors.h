/* SPDX-License-Identifier: MIT */
/* C ABI of the safetensors Rust crate (mapping by memmap2), so that a benchmark runs it in its own process.
 *
 * Each function makes one call of the crate's public API; the names, shapes and bytes handed over are
 * borrowed, never copied, so that the crate is charged for its own work only. A panic in the crate ends the
 * process.
 * The crate allocates through malloc; a replaced operator new does not see it.
 */
#ifndef STET_PEER_SAFETENSORS_H
#define STET_PEER_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** An open file: its mapping and the table that the crate has parsed from it. */
typedef struct peer_safetensors peer_safetensors;

/** The dtypes that the benchmarks write. */
enum peer_safetensors_dtype { peer_safetensors_u8 = 0, peer_safetensors_f32 = 1 };

/** One tensor to be written. Everything it points to is read during the call only. */
typedef struct peer_safetensors_tensor {
  const char* name; /**< UTF-8, unchecked, not terminated, not null */
  size_t name_size_bytes;
  const size_t* shape; /**< extents in elements, outermost first; may be null when rank is 0 */
  size_t rank;
  const uint8_t* data; /**< little-endian, row-major; may be null when size_bytes is 0 */
  size_t size_bytes;   /**< the product of shape times the size of dtype, else writing fails */
  uint32_t dtype;      /**< an enum peer_safetensors_dtype, else writing fails */
} peer_safetensors_tensor;

/** The open shards of a model. */
typedef struct peer_safetensors_shards peer_safetensors_shards;

/** Reads the index at `path` by serde_json, opens each shard that it lists as `peer_safetensors_open` does, and finds each tensor in
 *  the shard that it is assigned to: what a program that uses the crate has to do itself.
 *  @return  a handle for peer_safetensors_close_shards, or null where a file or a tensor is missing */
peer_safetensors_shards* peer_safetensors_open_shards(const char* path, size_t path_size_bytes);
/** Closes the shards, or null. @return  the number of their tensors */
size_t peer_safetensors_close_shards(peer_safetensors_shards* files);

/** Maps the file at `path` (UTF-8, unchecked, not null) and parses and checks its whole header
 *  (`File::open`, `Mmap::map`, `SafeTensors::deserialize`).
 *
 *  @return  a handle for peer_safetensors_close, or null when the file cannot be opened, mapped or parsed
 *  Lifetime: the file must not be shortened while the handle lives.
 *  Cost: open, fstat, mmap and close, then O(tensors): one JSON object, several allocations and one
 *  hash table entry for each tensor. Reads the header, no tensor's bytes.
 */
peer_safetensors* peer_safetensors_open(const char* path, size_t path_size_bytes);

/** Unmaps the file and frees the table; null is allowed. Cost: O(tensors), several frees for each. */
void peer_safetensors_close(peer_safetensors* file);

/** The number of tensors in the file. Cost: O(1). */
size_t peer_safetensors_tensor_count(const peer_safetensors* file);

/** Finds a tensor by `name` (UTF-8, unchecked, not null) and views its bytes in place
 *  (`SafeTensors::tensor`).
 *
 *  @param size_bytes  receives the tensor's size; untouched when there is no such tensor
 *  @return  its first byte, never null for a tensor that exists, be it empty; null when there is none
 *  Lifetime: until peer_safetensors_close.
 *  Cost: O(1): one hash look-up, and the crate's copy of the shape (one malloc and one free, none at rank 0).
 *  Threads: safe on one handle.
 */
const uint8_t* peer_safetensors_find(const peer_safetensors* file, const char* name, size_t name_size_bytes,
                                     size_t* size_bytes);

/** Writes `tensors` to a file at `path` (UTF-8, unchecked, not null), replacing what is there
 *  (`serialize_to_file`, without metadata).
 *
 *  @return  0 when the file is written; 1 when a shape, size or dtype is wrong or the file cannot be written
 *  Cost: O(n log n): sorts by dtype and name, builds the JSON header in memory, streams header and bytes
 *  through a 1 MiB buffer into a temporary file beside `path` and renames it. Neither the file nor its folder
 *  is synced. Duplicate names are not noticed: the table keeps the last.
 */
int peer_safetensors_serialize_to_file(const char* path, size_t path_size_bytes,
                                       const peer_safetensors_tensor* tensors, size_t tensor_count);

#ifdef __cplusplus
}
#endif

#endif
