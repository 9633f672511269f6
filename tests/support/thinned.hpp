// SPDX-License-Identifier: MIT
// Tells whether the longest loops of the tests take a part of their cases: under a sanitizer, which makes them up to ten times
// slower, and where another leg takes each case and STET_TEST_IS_THINNED is 1.
#ifndef STET_TESTS_SUPPORT_THINNED_HPP
#define STET_TESTS_SUPPORT_THINNED_HPP

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STET_TEST_IS_SANITIZED 1
#endif
#endif
#if !defined(STET_TEST_IS_SANITIZED) && (defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__))
#define STET_TEST_IS_SANITIZED 1
#endif
#ifndef STET_TEST_IS_SANITIZED
#define STET_TEST_IS_SANITIZED 0
#endif
#ifndef STET_TEST_IS_THINNED
#define STET_TEST_IS_THINNED STET_TEST_IS_SANITIZED
#endif

namespace stet_test {

/// The step of a loop over many like cases: 1, or `step` where the tests are thinned. The preset `test` takes each case.
constexpr std::size_t step_if_thinned(std::size_t step) noexcept { return STET_TEST_IS_THINNED ? step : 1; }

} // namespace stet_test

#endif
