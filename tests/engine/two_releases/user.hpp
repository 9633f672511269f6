// SPDX-License-Identifier: MIT
// What the two users of stet in one program have to say.
#ifndef TESTS_ENGINE_TWO_RELEASES_USER_HPP
#define TESTS_ENGINE_TWO_RELEASES_USER_HPP

#include <cstddef>

struct seen {
  std::size_t size_of_source;
  float sum;
  bool is_sound;
};

seen one_release(const char* path);
seen another_release(const char* path);

#endif
