// SPDX-License-Identifier: MIT
// How files at URLs are fetched, and with which header fields; curl.hpp includes it.
#ifndef STET_EXT_CURL_OPTIONS_HPP
#define STET_EXT_CURL_OPTIONS_HPP

#include "detail/http_response.hpp"
#include "detail/http_text.hpp"

#include <cstdint>
#include <string_view>

#if !defined(LIBCURL_VERSION_NUM)
#error "stet/ext/curl.hpp: include <curl/curl.h> first"
#elif LIBCURL_VERSION_NUM < 0x073E00
#error "stet/ext/curl.hpp: libcurl 7.62 or newer is needed"
#endif

namespace stet::inline STET_NAMESPACE {

namespace detail {
class http_client;
}

/// The header fields that a program adds to a request.
class http_headers {
public:
  http_headers() noexcept = default;
  http_headers(const http_headers&) = delete;
  http_headers& operator=(const http_headers&) = delete;
  ~http_headers() noexcept { curl_slist_free_all(list_); }

  /// Adds a field. One that is not valid, or that stet sets itself (Range, If-Range, Accept-Encoding), makes the request fail.
  void add(std::string_view name, std::string_view value) noexcept {
    for (const std::string_view own : {"Range", "If-Range", "Accept-Encoding"}) {
      if (detail::equals_ignoring_case(name, own)) return fail(errc::invalid_argument);
    }
    append(name, value);
  }
  /// errc{}, or why the request cannot be made: errc::invalid_argument or errc::out_of_memory.
  [[nodiscard]] errc failure() const noexcept { return failure_; }

private:
  friend class detail::http_client;

  void append(std::string_view name, std::string_view value) noexcept {
    bool is_valid = !name.empty();
    for (const char c : name) {
      const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
      is_valid = is_valid && (is_letter || c == '-' || c == '_');
    }
    // A line's end in a value would begin another field.
    for (const char c : value)
      is_valid = is_valid && (static_cast<unsigned char>(c) >= 0x20u || c == '\t') && c != 0x7F;
    if (!is_valid) return fail(errc::invalid_argument);
    detail::http_text line;
    // A field with an empty value ends in ';' for libcurl.
    if (!line.assign({name, value.empty() ? ";" : ": ", value})) return fail(errc::out_of_memory);
    curl_slist* const longer = curl_slist_append(list_, line.c_str());
    if (longer == nullptr) return fail(errc::out_of_memory);
    list_ = longer;
  }
  void fail(errc why) noexcept {
    if (failure_ == errc{}) failure_ = why;
  }

  curl_slist* list_ = nullptr;
  errc failure_{};
};

/// How `http_files` asks servers. What the views and pointers view must outlive it.
struct http_options {
  /// The most connections at once, to all servers together: 1 to 64. A read that finds all in use waits.
  std::uint32_t max_connections = 8;
  /// The size of the first request for a file, by which its size is learnt, too: at least 512. A server that knows no ranges gives
  /// whole files up to this size.
  std::uint32_t first_read_size_bytes = 64 << 10;
  /// The most memory for each open file, for what was read ahead of small reads. 0: each read is a request of its own.
  std::uint32_t cache_size_bytes = 2 << 20;
  /// A larger read becomes requests of this size, several at once. 0: every read is one request.
  std::uint64_t split_size_bytes = 16 << 20;
  /// The time to connect, after which an attempt has failed.
  std::uint32_t connect_timeout_ms = 10'000;
  /// The time with fewer than 256 bytes a second, after which an attempt has failed.
  std::uint32_t stall_timeout_s = 30;
  /// How often a request is repeated after answers 408, 429, 500, 502, 503 and 504, and after a connection was lost.
  std::uint32_t max_retries = 4;
  /// The time since the first attempt after which a request is not repeated any more.
  std::uint32_t max_retry_time_ms = 30'000;
  /// The pause before the first repetition; each later one is twice as long. A server's Retry-After counts where it is longer, up to
  /// `max_retry_time_ms`.
  std::uint32_t retry_pause_ms = 200;
  /// The most redirects of one request.
  std::uint32_t max_redirects = 5;
  /// The time within which a file that is opened again is the same as before, without a request; and within which what was missing, or
  /// on a server that did not answer, is so still.
  std::uint32_t reuse_time_ms = 5'000;
  /// "Authorization: Bearer TOKEN" for the server of the URL that is opened: never after a redirect to another host, port or scheme,
  /// and by https alone unless `sends_token_over_http`.
  std::string_view bearer_token{};
  /// Whether the token may be sent unencrypted.
  bool sends_token_over_http = false;
  /// A file of certificates (PEM) in place of those that libcurl trusts; nullptr: those.
  const char* ca_file = nullptr;
  /// Adds header fields to a request, such as a signature. Called from every thread that reads, for each request to the scheme, host
  /// and port of the URL that is opened, and for no other.
  void (*add_headers)(void* context, std::string_view url, http_headers& to) noexcept = nullptr;
  /// The first argument of `add_headers`.
  void* context = nullptr;
};

/// What was asked of servers so far.
struct http_counts {
  /// Requests, repeated and redirected ones included.
  std::uint64_t request_count = 0;
  /// Bytes of bodies that came.
  std::uint64_t body_size_bytes = 0;
};

} // namespace stet::inline STET_NAMESPACE

#endif
