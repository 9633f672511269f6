// SPDX-License-Identifier: MIT
// A source over the bytes of another one.
#ifndef STET_SOURCE_DETAIL_BORROW_SOURCE_HPP
#define STET_SOURCE_DETAIL_BORROW_SOURCE_HPP

#include "../source.hpp"

#include <cstddef>
#include <span>

namespace stet::inline STET_NAMESPACE::detail {

/// A source that borrows the bytes of another source, and may write to them if that may.
inline source borrow_source(const source& of) noexcept {
  if (of.fetcher() != nullptr) return source::stream(*of.fetcher());
  const std::span<const std::byte> bytes(of.data(), static_cast<std::size_t>(of.size_bytes()));
  return of.is_writable() ? source::borrow_writable({const_cast<std::byte*>(bytes.data()), bytes.size()})
                          : source::borrow(bytes);
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
