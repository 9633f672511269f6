// SPDX-License-Identifier: MIT
// A header for tests to start from.
#ifndef STET_TESTS_INDEX_SOUND_HEADER_HPP
#define STET_TESTS_INDEX_SOUND_HEADER_HPP

#include <stet/index/detail/encode_header.hpp>

namespace stet_test {

/// A header whose fields say nothing wrong: a manifest of 100 bytes, an index of 128, data of 50.
inline stet::file_header sound_header() {
  stet::file_header header;
  header.manifest_size_bytes = 100;
  header.index_size_bytes = 128;
  header.data_size_bytes = 50;
  (void)stet::place_sections(header);
  return header;
}

} // namespace stet_test

#endif
