// SPDX-License-Identifier: MIT
// Tells whether a sanitizer watches the tests, which makes them up to ten times slower.
#ifndef STET_TESTS_SUPPORT_SANITIZED_HPP
#define STET_TESTS_SUPPORT_SANITIZED_HPP

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

namespace stet_test {

/// The step of a loop over many like cases: 1; `step` under a sanitizer, which looks at how memory is used and needs fewer of
/// them. Every other leg of the tests takes each case.
constexpr std::size_t step_if_sanitized(std::size_t step) noexcept { return STET_TEST_IS_SANITIZED ? step : 1; }

} // namespace stet_test

#endif
