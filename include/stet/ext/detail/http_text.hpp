// SPDX-License-Identifier: MIT
// Text for libcurl, and errors about URLs.
#ifndef STET_EXT_DETAIL_HTTP_TEXT_HPP
#define STET_EXT_DETAIL_HTTP_TEXT_HPP

#include "../../vocabulary/error.hpp"

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// Text with a NUL behind it, on the heap, or none.
class http_text {
public:
  http_text() noexcept = default;
  http_text(http_text&& other) noexcept
      : text_(std::exchange(other.text_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  http_text& operator=(http_text&& other) noexcept {
    std::swap(text_, other.text_), std::swap(size_, other.size_);
    other.clear();
    return *this;
  }
  ~http_text() noexcept { std::free(text_); }

  /// Joins pieces, none of which may be of this text. @return false if there is no memory left
  [[nodiscard]] bool assign(std::initializer_list<std::string_view> pieces) noexcept {
    clear();
    std::size_t size = 0;
    for (const std::string_view each : pieces) size += each.size();
    text_ = static_cast<char*>(std::malloc(size + 1));
    if (text_ == nullptr) return false;
    for (const std::string_view each : pieces) {
      if (!each.empty()) std::memcpy(text_ + size_, each.data(), each.size());
      size_ += each.size();
    }
    text_[size_] = '\0';
    return true;
  }
  void clear() noexcept { std::free(std::exchange(text_, nullptr)), size_ = 0; }
  [[nodiscard]] bool is_empty() const noexcept { return size_ == 0; }
  [[nodiscard]] const char* c_str() const noexcept { return text_ != nullptr ? text_ : ""; }
  [[nodiscard]] std::string_view text() const noexcept { return {c_str(), size_}; }

private:
  char* text_ = nullptr;
  std::size_t size_ = 0;
};

/// An error about a URL: "https://host/file: no Content-Range".
inline error http_error(errc code, std::string_view url, std::string_view reason = {}) noexcept {
  if (reason.empty()) return error(code, url);
  char text[512];
  text_writer out(text, sizeof text);
  constexpr std::size_t longest_url = 384;
  append_shortened(out, url, longest_url);
  return error(code, out.append(": ").append(reason).text());
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
