// SPDX-License-Identifier: MIT
// Converts exceptions to errors where a caller could not catch them.
#ifndef STET_MANIFEST_DETAIL_CAUGHT_HPP
#define STET_MANIFEST_DETAIL_CAUGHT_HPP

#include "../../vocabulary/result.hpp"

#include <exception>
#include <new>

namespace stet::inline STET_NAMESPACE::detail {

/// Returns `work()`, a result, and converts exceptions to errors. Without exceptions it only calls `work`.
/// @retval errc::out_of_memory     `work` threw std::bad_alloc
/// @retval errc::invalid_argument  a function of the program threw anything else; its text is the subject
template <class Work> auto caught(Work&& work) noexcept -> decltype(work()) {
#if defined(__cpp_exceptions)
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return errc::out_of_memory;
  } catch (const std::exception& thrown) {
    return error(errc::invalid_argument, thrown.what());
  } catch (...) {
    return errc::invalid_argument;
  }
#else
  return work();
#endif
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
