// SPDX-License-Identifier: MIT
// What ggml's file of codecs asks of the rest of ggml and the benchmarks do not call.
#include <stdlib.h>

void ggml_abort(void) { abort(); }
void ggml_row_size(void) { abort(); }
void ggml_type_name(void) { abort(); }
void ggml_type_size(void) { abort(); }
