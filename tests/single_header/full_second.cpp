// SPDX-License-Identifier: MIT
// The other file has all of the single headers, some of them twice: none may be in the way of another.
#include <complex>
#if STET_HAS_ZLIB
#include <zlib.h>
#endif

#include <ext/complex.hpp>
#include <ext/mdspan.hpp>
#include <stet.hpp>
#if STET_HAS_ZLIB
#include <ext/zlib.hpp>
#endif
#include <stet_full.hpp>

#include <stet.hpp>

bool second_reads(std::span<const std::byte> file);

bool second_reads(std::span<const std::byte> file) {
  static_assert(stet::dtype_of<std::complex<float>>::value == stet::dtype::complex64);
  stet::open_options options;
#if STET_HAS_ZLIB
  options.inflate = stet::inflate_with_zlib;
#endif
  if (stet::open_any("no such file", options).error().code() != stet::errc::file_not_found) return false;
  const auto model = stet::open(file);
  if (!model || !stet::verify_store(*model).is_sound()) return false;
  const auto kernel = model->get<float>("kernel");
  return kernel && kernel->size() == 2 && kernel->back() == -2.0f;
}
