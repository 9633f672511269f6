// SPDX-License-Identifier: MIT
// One attempt at a request: where its server is, a handle of libcurl, and what its callbacks take.
#ifndef STET_EXT_DETAIL_HTTP_ATTEMPT_HPP
#define STET_EXT_DETAIL_HTTP_ATTEMPT_HPP

#include "http_response.hpp"

#include "../../vocabulary/error.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// The parts of a URL that say where its server is.
class http_origin {
public:
  http_origin() noexcept = default;
  http_origin(const http_origin&) = delete;
  http_origin& operator=(const http_origin&) = delete;
  ~http_origin() noexcept { curl_free(scheme_), curl_free(host_), curl_free(port_); }

  /// @retval errc::bad_path       it is no URL of http or https, or has a user, a password or a fragment
  /// @retval errc::out_of_memory
  [[nodiscard]] errc parse(const char* url) noexcept {
    CURLU* const parts = curl_url();
    if (parts == nullptr) return errc::out_of_memory;
    errc outcome = errc{};
    const auto is_there = [&](CURLUPart part) {
      char* text = nullptr;
      const bool is = curl_url_get(parts, part, &text, 0) == CURLUE_OK;
      return curl_free(text), is;
    };
    if (curl_url_set(parts, CURLUPART_URL, url, 0) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_SCHEME, &scheme_, 0) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_HOST, &host_, 0) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_PORT, &port_, CURLU_DEFAULT_PORT) != CURLUE_OK || is_there(CURLUPART_USER) ||
        is_there(CURLUPART_PASSWORD) || is_there(CURLUPART_FRAGMENT) ||
        !(is_https() || equals_ignoring_case(scheme_, "http"))) {
      outcome = errc::bad_path;
    }
    curl_url_cleanup(parts);
    return outcome;
  }
  [[nodiscard]] bool is_https() const noexcept { return equals_ignoring_case(scheme_, "https"); }
  [[nodiscard]] bool is_same(const http_origin& other) const noexcept {
    return equals_ignoring_case(scheme_, other.scheme_) && equals_ignoring_case(host_, other.host_) &&
           std::string_view(port_) == other.port_;
  }

private:
  char* scheme_ = nullptr;
  char* host_ = nullptr;
  char* port_ = nullptr;
};

/// A handle of libcurl, which keeps its connections.
struct http_handle {
  CURL* easy = nullptr;
  http_handle* next = nullptr;
  char text[CURL_ERROR_SIZE] = {};
};

/// What the callbacks of one attempt share.
struct http_attempt {
  std::uint64_t offset_bytes = 0;
  std::span<std::byte> into;
  const http_facts* known = nullptr;
  http_response response;
  http_verdict verdict;
  std::size_t received_bytes = 0, passed_over_bytes = 0, header_bytes = 0;
  bool is_judged = false;

  [[nodiscard]] bool is_taken() const noexcept { return is_judged && verdict.code == errc{}; }

  static std::size_t take_header(char* text, std::size_t, std::size_t size, void* self) noexcept {
    return static_cast<http_attempt*>(self)->take_header({text, size}) ? size : 0;
  }
  static std::size_t take_body(char* bytes, std::size_t, std::size_t size, void* self) noexcept {
    return static_cast<http_attempt*>(self)->take_body({bytes, size}) ? size : 0;
  }

private:
  /// Where false is returned, libcurl ends the connection: no body is waited for that is not wanted.
  bool take_header(std::string_view line) noexcept {
    constexpr std::size_t longest_header = 128 << 10;
    header_bytes += line.size();
    if (header_bytes > longest_header) {
      verdict = {errc::bad_response, "a very long header"};
      is_judged = true;
      return false;
    }
    const bool begins = starts_ignoring_case(line, "HTTP/");
    if (begins) is_judged = false;
    if (is_judged) return true; // a field behind the body
    if (!trimmed(line).empty() || begins) return response.take_line(line), true;
    if (response.status != 200 && response.status != 206) return true;
    verdict = judge_http_response(response, offset_bytes, into.size(), known);
    is_judged = true;
    return verdict.code == errc{};
  }
  bool take_body(std::string_view bytes) noexcept {
    if (!is_taken()) { // the page of a redirect or an error: a short one is read, so that the connection can be used again
      constexpr std::size_t longest_page = 64 << 10;
      passed_over_bytes += bytes.size();
      return passed_over_bytes <= longest_page;
    }
    if (bytes.size() > verdict.body_size_bytes - received_bytes) {
      verdict = verdict.is_whole ? http_verdict{errc::no_ranges, "status 200"}
                                 : http_verdict{errc::bad_response, "more bytes than were asked for"};
      return false;
    }
    std::memcpy(into.data() + received_bytes, bytes.data(), bytes.size());
    received_bytes += bytes.size();
    return true;
  }
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
