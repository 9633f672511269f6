// SPDX-License-Identifier: MIT
// The crate pytorch-reader behind a C ABI, for stet's benchmarks.
#ifndef STET_PEER_PYTORCH_H
#define STET_PEER_PYTORCH_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/// An open file: a PytorchReader.
typedef struct peer_pytorch peer_pytorch;

/// Opens the file at a path of `path_size_bytes` bytes of UTF-8. @return NULL if the crate does not open it
peer_pytorch* peer_pytorch_open(const char* path, size_t path_size_bytes);
/// Closes an open file. `file` may be NULL.
void peer_pytorch_close(peer_pytorch* file);
/// The number of tensors.
size_t peer_pytorch_tensor_count(const peer_pytorch* file);
/// Reads a tensor, of which the crate makes a copy. @return its first byte; -1 if there is none
int peer_pytorch_first_byte(const peer_pytorch* file, const char* name, size_t name_size_bytes);

#ifdef __cplusplus
}
#endif

#endif
