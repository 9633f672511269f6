// SPDX-License-Identifier: MIT
// Makes npy arrays byte by byte.
#ifndef STET_TESTS_SUPPORT_NPY_FILES_HPP
#define STET_TESTS_SUPPORT_NPY_FILES_HPP

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace stet_test {

/// An array with this text as its header, which is neither padded nor ended, and these elements.
inline std::string npy_array(std::string_view text, std::string_view elements = {}, int major = 1) {
  std::string made("\x93NUMPY");
  made.push_back(static_cast<char>(major));
  made.push_back('\0');
  for (int shift = 0; shift < (major == 1 ? 16 : 32); shift += 8)
    made.push_back(static_cast<char>(text.size() >> shift & 0xFF));
  return made.append(text).append(elements);
}

/// An array as NumPy 2.4 writes it: the elements begin at a multiple of 64.
inline std::string numpy_array(std::string_view descr, std::string_view shape, std::string_view elements = {},
                               bool fortran_order = false) {
  std::string text("{'descr': ");
  text.append(descr).append(", 'fortran_order': ").append(fortran_order ? "True" : "False");
  text.append(", 'shape': ").append(shape).append(", }");
  text.append(63 - (10 + text.size()) % 64, ' ').append("\n");
  return npy_array(text, elements);
}

/// [[0, 1, 2], [3, 4, 5]] as float32.
inline std::string floats_0_to_5() {
  using namespace std::string_view_literals;
  return std::string("\0\0\0\0\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40\0\0\xa0\x40"sv);
}
/// The worked example: float32 [2, 3].
inline std::string example_npy_file() { return numpy_array("'<f4'", "(2, 3)", floats_0_to_5()); }

} // namespace stet_test

#endif
