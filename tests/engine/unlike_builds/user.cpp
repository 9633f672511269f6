// SPDX-License-Identifier: MIT
// A part of a program, built with settings of its own: NAME is a function that gives the full name of a type of stet.
#include <stet/source/source.hpp>

#include <string_view>

namespace {

template <class T> constexpr std::string_view full_name() noexcept {
#if defined(_MSC_VER)
  return __FUNCSIG__;
#else
  return __PRETTY_FUNCTION__;
#endif
}

} // namespace

std::string_view NAME();
std::string_view NAME() { return full_name<stet::source>(); }
