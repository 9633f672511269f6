// SPDX-License-Identifier: MIT
// Opens models at http and https URLs, of which only the parts that are used are fetched: include <curl/curl.h> and then this
// header, and link libcurl.
#ifndef STET_EXT_CURL_HPP
#define STET_EXT_CURL_HPP

#include "detail/http_cache.hpp"
#include "detail/http_response.hpp"

#include "../source/detail/helper_thread.hpp"
#include "../source/file_system.hpp"
#include "../source/source.hpp"
#include "../vocabulary/detail/checked.hpp"
#include "../vocabulary/version.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <initializer_list>
#include <mutex>
#include <new>
#include <span>
#include <string_view>
#include <utility>

#if !defined(LIBCURL_VERSION_NUM)
#error "stet/ext/curl.hpp: include <curl/curl.h> first"
#elif LIBCURL_VERSION_NUM < 0x073E00
#error "stet/ext/curl.hpp: libcurl 7.62 or newer is needed"
#endif

namespace stet::inline STET_NAMESPACE {

namespace detail {

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

} // namespace detail

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
  friend class http_files;

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

class http_files;

namespace detail {

using http_clock = std::chrono::steady_clock;

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

/// A file at a URL: what its readers share.
struct http_object {
  /// As it was given, and with escapes for what a URL may not have as it is: spaces, UTF-8.
  http_text url, address;
  /// The URL without its query, which may be a secret.
  std::size_t shown_size = 0;
  http_facts facts;
  std::atomic<std::uint32_t> user_count{1};
  /// Whether the server has another file there by now.
  std::atomic<bool> is_changed{false};
  /// Guards everything below.
  std::mutex mutex;
  http_cache cache;
  /// Where redirects led to; empty if there were none.
  http_text target;
  /// The time of the newest answer that fitted.
  http_clock::time_point seen{};

  [[nodiscard]] std::string_view shown_url() const noexcept { return {url.c_str(), shown_size}; }
};

/// A shared `http_object`, or none.
class http_object_ref {
public:
  http_object_ref() noexcept = default;
  explicit http_object_ref(http_object* made) noexcept : to_(made) {}
  http_object_ref(const http_object_ref& other) noexcept : to_(other.to_) {
    if (to_ != nullptr) to_->user_count.fetch_add(1, std::memory_order_relaxed);
  }
  http_object_ref(http_object_ref&& other) noexcept : to_(std::exchange(other.to_, nullptr)) {}
  http_object_ref& operator=(http_object_ref other) noexcept { return std::swap(to_, other.to_), *this; }
  ~http_object_ref() noexcept {
    if (to_ != nullptr && to_->user_count.fetch_sub(1, std::memory_order_acq_rel) == 1) delete to_;
  }
  [[nodiscard]] explicit operator bool() const noexcept { return to_ != nullptr; }
  [[nodiscard]] http_object& operator*() const noexcept { return *to_; }
  [[nodiscard]] http_object* operator->() const noexcept { return to_; }

private:
  http_object* to_ = nullptr;
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

} // namespace detail

/// The bytes of a file at a URL, as `http_files::open_reader` opens it. Copies share what they have read. May be used by several
/// threads at once; each read that needs the server takes a connection. The `http_files` must outlive it.
///
/// Small reads are served from what was read ahead: a table that is read from front to back in small pieces takes requests of 64, 64,
/// 128, 256 ... KiB. A read of more than 128 KiB is one request of what is missing, straight into the caller's memory; a very large
/// one is several at once (`http_options::split_size_bytes`).
///
/// Every answer has to be the range that was asked for, of the file that was opened: same size, same ETag or Last-Modified. A strong
/// ETag is also sent, as If-Range (RFC 9110, 13.1.5). Without ETag and Last-Modified a new file of the same size is not noticed.
class http_reader final : public byte_reader {
public:
  /// @retval errc::truncated        the range does not lie within the file
  /// @retval errc::changed          the server has another file at the URL by now; every later read is this, too
  /// @retval errc::file_not_found, access_denied, unreachable, bad_response, no_ranges, bad_path, out_of_memory  as
  ///                                `http_files::open_file`
  [[nodiscard]] result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override;

  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return file_->facts.size_bytes; }

private:
  friend class http_files;
  http_reader(const http_files& files, detail::http_object_ref file) noexcept
      : files_(&files), file_(std::move(file)) {}

  const http_files* files_;
  detail::http_object_ref file_;
};

/// The files of servers, by URL:
///
///   const stet::http_files http;
///   const auto opened = stet::open_any("https://host/model.safetensors", {.files = &http});
///
/// Only the table is fetched; `copy_to` fetches a tensor. Files beside a URL (parts, shards of an index) are opened by their names
/// in its folder. Formats whose files are opened in memory (HDF5, TFLite, archives of small members) are fetched as a whole.
///
/// Connections, certificates and proxies are libcurl's: it takes proxies from the environment (https_proxy, no_proxy ...), and nothing
/// else; no .netrc, no cookies. Only http and https are spoken, also after redirects, which may not lead from https to http. Threads:
/// all members may be called from several at once. It must outlive what was opened with it. libcurl before 7.84 must have been
/// initialized (curl_global_init) while there was one thread.
class http_files final : public file_system {
public:
  /// Cost: nothing; connections are made when they are needed.
  explicit http_files(const http_options& options = {}) noexcept : options_(options) {
    const auto clamp = [](std::uint32_t& value, std::uint32_t least, std::uint32_t most) {
      value = value < least ? least : value > most ? most : value;
    };
    clamp(options_.max_connections, 1, 64);
    clamp(options_.first_read_size_bytes, 512, 16 << 20);
    clamp(options_.connect_timeout_ms, 1, 3'600'000);
    clamp(options_.stall_timeout_s, 1, 3'600);
    clamp(options_.max_retries, 0, 100);
    clamp(options_.max_redirects, 0, 50);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
  }
  http_files(const http_files&) = delete;
  http_files& operator=(const http_files&) = delete;
  ~http_files() noexcept {
    for (detail::http_handle* each = idle_; each != nullptr;) {
      detail::http_handle* const next = each->next;
      curl_easy_cleanup(each->easy);
      delete each;
      each = next;
    }
  }

  /// The file at a URL, on demand. Cost: one request, whose bytes are kept; none if the file was opened or read within
  /// `http_options::reuse_time_ms`.
  /// @retval errc::file_not_found     the server says 404 or 410
  /// @retval errc::access_denied      it says 401, 403, 407 or 451
  /// @retval errc::not_a_regular_file  the URL ends in '/'
  /// @retval errc::bad_path           it is no URL of http or https, or has a user, a password or a fragment; a redirect leads to such a
  ///                                  one, or from https to http; a name beside another URL has a query, or escapes that change its folder
  /// @retval errc::unreachable        there is no such host, no connection, no trusted certificate or no answer in time, or the server
  ///                                  says repeatedly that it cannot answer
  /// @retval errc::no_ranges          the server gives whole files only, and this one is larger than `first_read_size_bytes`
  /// @retval errc::bad_response       the answer is not the range that was asked for, is encoded, or there are too many redirects
  /// @retval errc::invalid_argument   the token or an added header field is not valid
  /// @retval errc::out_of_memory
  [[nodiscard]] result<source> open_file(std::string_view url) const noexcept override {
    result<http_reader> opened = open_reader(url);
    if (!opened) return opened.error();
    return source::keep(std::move(*opened));
  }
  /// As `open_file`: the reader itself.
  [[nodiscard]] result<http_reader> open_reader(std::string_view url) const noexcept {
    if (const errc refused = check_url(url); refused != errc{}) return detail::http_error(refused, shown(url));
    if (const detail::http_object_ref known = find_known(url)) return http_reader(*this, known);
    if (is_known_failure(url, errc::file_not_found)) return error(errc::file_not_found, shown(url));
    // Formats look for files by several names: a server that fails is not waited for again for each of them.
    if (is_known_failure(server_of(url), errc::unreachable))
      return detail::http_error(errc::unreachable, shown(url), "a moment ago");
    result<detail::http_object_ref> made = open_object(url, options_.first_read_size_bytes);
    if (!made) {
      const errc why = made.error().code();
      if (why == errc::file_not_found) note_failure(url, why);
      if (why == errc::unreachable) note_failure(server_of(url), why);
      return made.error();
    }
    note_known(*made);
    return http_reader(*this, std::move(*made));
  }

  /// A number for the state of the file, made of its size, ETag and Last-Modified. Where it differs from that of a file that is open, reads
  /// of that are errc::changed from now on, and `open_file` opens the new one. Cost: one request.
  /// Errors: those of `open_file`.
  [[nodiscard]] result<std::uint64_t> revision(std::string_view url) const noexcept override {
    if (const errc refused = check_url(url); refused != errc{}) return detail::http_error(refused, shown(url));
    const result<detail::http_object_ref> made = open_object(url, 512);
    if (!made) return made.error();
    const detail::http_facts& facts = (*made)->facts;
    const detail::http_object_ref known = find_known(url);
    if (known && (known->facts.size_bytes != facts.size_bytes || !known->facts.validators.allow(facts.validators)))
      known->is_changed.store(true, std::memory_order_relaxed);
    return facts.validators.hash(facts.size_bytes);
  }

  /// What was asked of servers so far.
  [[nodiscard]] http_counts counts() const noexcept {
    return {request_count_.load(std::memory_order_relaxed), body_size_bytes_.load(std::memory_order_relaxed)};
  }

private:
  friend class http_reader;

  // ---- names ----

  /// The URL without its query, for messages.
  static std::string_view shown(std::string_view url) noexcept {
    const std::size_t query = url.find('?');
    return {url.data(), query == std::string_view::npos ? url.size() : query};
  }

  /// What a model names is joined with the folder of its URL, so a name must not be able to change that: by an escape for '/', '.' or
  /// '%' that a server would undo, or by a query, which names beside a URL without one have not.
  [[nodiscard]] errc check_url(std::string_view url) const noexcept {
    for (const char c : url) {
      if (static_cast<unsigned char>(c) < 0x20u || c == 0x7F) return errc::bad_path;
    }
    const std::string_view path = shown(url);
    if (path.size() != url.size() && is_known_folder(folder_of(path))) return errc::bad_path;
    for (std::size_t at = path.find('%'); at != std::string_view::npos; at = path.find('%', at + 1)) {
      if (path.size() - at < 3) return errc::bad_path;
      const int high = digit_of(path[at + 1]), low = digit_of(path[at + 2]);
      if (high < 0 || low < 0) return errc::bad_path;
      const int byte = high * 16 + low;
      if (byte < 0x20 || byte == 0x7F || byte == '/' || byte == '\\' || byte == '.' || byte == '%')
        return errc::bad_path;
    }
    if (path.ends_with("//")) return errc::bad_path;
    if (path.ends_with('/') && path.size() == url.size()) return errc::not_a_regular_file;
    return errc{};
  }
  /// @return false if there is no memory left
  static bool assign_escaped(detail::http_text& into, std::string_view url) noexcept {
    detail::http_block made; // a character becomes three at most
    if (!made.allocate(url.size() * 3)) return false;
    char* const text = reinterpret_cast<char*>(made.data());
    std::size_t size = 0;
    for (const char c : url) {
      const auto byte = static_cast<unsigned char>(c);
      const bool is_plain =
          byte > 0x20u && byte < 0x7Fu && std::string_view("\"<>\\^`{|}").find(c) == std::string_view::npos;
      constexpr char hex[] = "0123456789ABCDEF";
      if (is_plain) {
        text[size++] = c;
      } else {
        text[size++] = '%', text[size++] = hex[byte >> 4], text[size++] = hex[byte & 15u];
      }
    }
    return into.assign({{text, size}});
  }
  static int digit_of(char c) noexcept {
    const char lower = detail::lower_ascii(c);
    return lower >= '0' && lower <= '9' ? lower - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
  }
  static std::string_view folder_of(std::string_view path) noexcept {
    while (!path.empty() && path.back() != '/') path.remove_suffix(1);
    return path;
  }

  // ---- files that were opened a moment ago ----

  [[nodiscard]] detail::http_object_ref find_known(std::string_view url) const noexcept {
    const std::lock_guard lock(known_mutex_);
    for (detail::http_object_ref& each : known_) {
      if (!each || each->url.text() != url) continue;
      const bool is_fresh = [&] {
        const std::lock_guard object_lock(each->mutex);
        return detail::http_clock::now() - each->seen <= std::chrono::milliseconds(options_.reuse_time_ms);
      }();
      if (is_fresh && !each->is_changed.load(std::memory_order_relaxed)) return each;
      each = {};
    }
    return {};
  }
  void note_known(const detail::http_object_ref& made) const noexcept {
    const std::lock_guard lock(known_mutex_);
    known_[next_known_++ % max_known] = made;
    const std::string_view path = shown(made->url.text());
    if (path.size() != made->url.text().size()) return; // names beside a URL with a query are not its
    const std::uint64_t folder = hash_of(folder_of(path));
    for (const std::uint64_t each : folders_) {
      if (each == folder) return;
    }
    folders_[next_folder_++ % max_known] = folder;
  }
  [[nodiscard]] bool is_known_folder(std::string_view folder) const noexcept {
    const std::lock_guard lock(known_mutex_);
    for (const std::uint64_t each : folders_) {
      if (each == hash_of(folder)) return true;
    }
    return false;
  }
  [[nodiscard]] bool is_known_failure(std::string_view what, errc why) const noexcept {
    const std::uint64_t hash = hash_of(what);
    const std::lock_guard lock(known_mutex_);
    for (const failure& each : failures_) {
      if (each.hash == hash && each.code == why && options_.reuse_time_ms != 0 &&
          detail::http_clock::now() - each.seen <= std::chrono::milliseconds(options_.reuse_time_ms))
        return true;
    }
    return false;
  }
  void note_failure(std::string_view what, errc why) const noexcept {
    const std::lock_guard lock(known_mutex_);
    failures_[next_failure_++ % max_known] = {hash_of(what), why, detail::http_clock::now()};
  }
  /// Scheme, host and port, as the URL has them.
  static std::string_view server_of(std::string_view url) noexcept {
    const std::size_t host = url.find("//");
    const std::size_t end = host == std::string_view::npos ? host : url.find_first_of("/?", host + 2);
    return {url.data(), end < url.size() ? end : url.size()};
  }
  static std::uint64_t hash_of(std::string_view text) noexcept { return detail::fnv1a().add(text).value() | 1u; }

  // ---- connections ----

  /// A handle that no other thread uses; waits for one. nullptr if libcurl has no memory left.
  [[nodiscard]] detail::http_handle* take_handle() const noexcept {
    std::unique_lock lock(pool_mutex_);
    pool_changed_.wait(lock, [&] { return idle_ != nullptr || handle_count_ < options_.max_connections; });
    if (idle_ != nullptr) {
      detail::http_handle* const taken = idle_;
      idle_ = taken->next;
      return taken;
    }
    ++handle_count_;
    lock.unlock();
    auto* const made = new (std::nothrow) detail::http_handle;
    if (made != nullptr) made->easy = curl_easy_init();
    if (made != nullptr && made->easy != nullptr && set_fixed_options(*made)) return made;
    if (made != nullptr && made->easy != nullptr) curl_easy_cleanup(made->easy);
    delete made;
    lock.lock();
    --handle_count_;
    pool_changed_.notify_one();
    return nullptr;
  }
  void give_back(detail::http_handle* handle) const noexcept {
    const std::lock_guard lock(pool_mutex_);
    handle->next = idle_;
    idle_ = handle;
    pool_changed_.notify_one();
  }
  /// A handle while one request lasts.
  class lent_handle {
  public:
    explicit lent_handle(const http_files& from) noexcept : from_(from), handle_(from.take_handle()) {}
    lent_handle(const lent_handle&) = delete;
    lent_handle& operator=(const lent_handle&) = delete;
    ~lent_handle() noexcept {
      if (handle_ != nullptr) from_.give_back(handle_);
    }
    [[nodiscard]] detail::http_handle* get() const noexcept { return handle_; }

  private:
    const http_files& from_;
    detail::http_handle* handle_;
  };

  [[nodiscard]] bool set_fixed_options(detail::http_handle& of) const noexcept {
    CURL* const easy = of.easy;
    const auto number = [&](CURLoption option, std::uint32_t value) {
      return curl_easy_setopt(easy, option, static_cast<long>(value)) == CURLE_OK;
    };
    bool is_set = number(CURLOPT_NOSIGNAL, 1) && number(CURLOPT_FOLLOWLOCATION, 0) && number(CURLOPT_HTTPGET, 1) &&
                  number(CURLOPT_HTTP_CONTENT_DECODING, 0) && number(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1) &&
                  number(CURLOPT_CONNECTTIMEOUT_MS, options_.connect_timeout_ms) &&
                  number(CURLOPT_LOW_SPEED_LIMIT, 256) && number(CURLOPT_LOW_SPEED_TIME, options_.stall_timeout_s) &&
                  number(CURLOPT_BUFFERSIZE, 256 << 10);
    (void)number(CURLOPT_TCP_KEEPALIVE, 1);
#if LIBCURL_VERSION_NUM >= 0x075500
    is_set = is_set && curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
#else
    is_set = is_set &&
             curl_easy_setopt(easy, CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS)) == CURLE_OK;
#endif
    is_set = is_set && curl_easy_setopt(easy, CURLOPT_USERAGENT, "stet/" STET_VERSION_STRING) == CURLE_OK &&
             curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, of.text) == CURLE_OK &&
             curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION,
                              static_cast<std::size_t (*)(char*, std::size_t, std::size_t, void*)>(
                                  detail::http_attempt::take_header)) == CURLE_OK &&
             curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION,
                              static_cast<std::size_t (*)(char*, std::size_t, std::size_t, void*)>(
                                  detail::http_attempt::take_body)) == CURLE_OK;
    if (options_.ca_file != nullptr)
      is_set = is_set && curl_easy_setopt(easy, CURLOPT_CAINFO, options_.ca_file) == CURLE_OK;
    return is_set;
  }

  // ---- requests ----

  /// What is asked for, and where it goes.
  struct request {
    std::string_view url;  // with a NUL behind it
    std::string_view name; // for messages
    std::uint64_t offset_bytes = 0;
    std::span<std::byte> into;
    /// nullptr: the file is being opened, and may be smaller than `into`.
    const detail::http_facts* known = nullptr;
  };
  /// What came.
  struct answer {
    detail::http_facts facts;
    std::size_t size_bytes = 0;
  };

  /// One attempt, without redirects. @return what libcurl says of the transfer
  result<CURLcode> attempt(detail::http_handle& handle, const char* url, bool is_same_origin, bool may_send_token,
                           detail::http_attempt& made) const noexcept {
    http_headers headers;
    headers.append("Accept-Encoding", "identity");
    if (is_same_origin && options_.add_headers != nullptr) options_.add_headers(options_.context, url, headers);
    if (is_same_origin && may_send_token && !options_.bearer_token.empty()) {
      detail::http_text token;
      if (!token.assign({"Bearer ", options_.bearer_token})) return errc::out_of_memory;
      headers.append("Authorization", token.text());
    }
    if (made.known != nullptr && made.known->validators.strong_tag_size != 0) {
      headers.append("If-Range", {made.known->validators.strong_tag, made.known->validators.strong_tag_size});
    }
    if (headers.failure() != errc{}) return headers.failure();
    char range[48];
    text_writer text(range, sizeof range - 1);
    text.append(made.offset_bytes).append("-").append(made.offset_bytes + made.into.size() - 1);
    range[text.text().size()] = '\0';
    handle.text[0] = '\0';
    CURL* const easy = handle.easy;
    if (curl_easy_setopt(easy, CURLOPT_URL, url) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_RANGE, range) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.list_) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_HEADERDATA, &made) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, &made) != CURLE_OK) {
      return errc::out_of_memory;
    }
    request_count_.fetch_add(1, std::memory_order_relaxed);
    const CURLcode outcome = curl_easy_perform(easy);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, static_cast<curl_slist*>(nullptr));
    body_size_bytes_.fetch_add(made.received_bytes + made.passed_over_bytes, std::memory_order_relaxed);
    return outcome;
  }

  static bool is_connection_lost(CURLcode code) noexcept {
    switch (code) {
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return true;
    default:
      return false;
    }
  }
  static bool is_for_later(int status) noexcept {
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
  }

  /// Waits on behalf of a server.
  static void pause(std::uint64_t time_ms) noexcept {
    std::mutex mutex;
    std::condition_variable never;
    std::unique_lock lock(mutex);
    never.wait_for(lock, std::chrono::milliseconds(time_ms), [] { return false; });
  }

  /// The time that an answer asks to wait, in milliseconds.
  static std::uint64_t asked_pause_ms(const detail::http_response& given) noexcept {
    constexpr std::uint64_t longest_s = 1'000'000;
    if (given.has_retry_after) return (given.retry_after_s < longest_s ? given.retry_after_s : longest_s) * 1000;
    if (given.retry_date[0] == '\0') return 0;
    const std::time_t then = curl_getdate(given.retry_date, nullptr), now = std::time(nullptr);
    return then <= now ? 0 : static_cast<std::uint64_t>(then - now < 1'000'000 ? then - now : 1'000'000) * 1000;
  }

  /// Makes a request until its bytes are there, or cannot be had. @param target  where redirects led to, before and afterwards
  result<answer> run(const request& wanted, detail::http_text& target) const noexcept {
    const std::string_view name = wanted.name;
    detail::http_origin own;
    if (const errc refused = own.parse(wanted.url.data()); refused != errc{}) return error(refused, name);
    const lent_handle lent(*this);
    if (lent.get() == nullptr) return error(errc::out_of_memory, name);
    const auto begin = detail::http_clock::now();
    answer made;
    if (wanted.known != nullptr) made.facts = *wanted.known;
    bool was_target_stale = false;
    std::uint32_t retries = 0, redirects = 0;
    for (;;) {
      const char* const url = target.is_empty() ? wanted.url.data() : target.c_str();
      detail::http_origin origin;
      if (const errc refused = origin.parse(url); refused != errc{})
        return detail::http_error(refused, name, "where a redirect leads to");
      const bool is_same = origin.is_same(own);
      detail::http_attempt each;
      each.offset_bytes = wanted.offset_bytes + made.size_bytes;
      each.into = wanted.into.subspan(made.size_bytes);
      each.known = wanted.known;
      const result<CURLcode> outcome =
          attempt(*lent.get(), url, is_same, origin.is_https() || options_.sends_token_over_http, each);
      if (!outcome) return outcome.error().about(name);
      const int status = each.response.status;
      std::uint64_t wait_ms = 0;
      const char* reason = nullptr;
      char status_text[16];
      if (each.verdict.code != errc{}) return detail::http_error(each.verdict.code, name, each.verdict.reason);
      if (each.is_taken()) {
        if (*outcome == CURLE_OK) {
          const bool is_complete = each.received_bytes == each.verdict.body_size_bytes ||
                                   (each.verdict.is_whole && !each.response.has_length);
          if (!is_complete) return detail::http_error(errc::bad_response, name, "fewer bytes than were asked for");
          made.size_bytes += each.received_bytes;
          if (wanted.known == nullptr) {
            made.facts.size_bytes = each.verdict.is_whole ? each.received_bytes : each.response.range.total;
            made.facts.validators = each.response.validators;
          }
          return made;
        }
        // What has come of a known file need not come again.
        if (wanted.known != nullptr) made.size_bytes += each.received_bytes;
        if (made.size_bytes == wanted.into.size()) return made; // lost behind the last byte
      } else if (*outcome == CURLE_OK || *outcome == CURLE_WRITE_ERROR) {
        if (status >= 301 && status <= 308 && status != 304 && status != 305 && status != 306) {
          if (auto followed = follow(*lent.get(), name, origin, target, redirects); !followed) return followed.error();
          continue;
        }
        const bool is_refusal = status == 401 || status == 403 || status == 404 || status == 410;
        if (is_refusal && !target.is_empty() && redirects == 0 && !was_target_stale) {
          // Where a redirect led to may have an end: the server is asked anew.
          was_target_stale = true;
          target.clear();
          continue;
        }
        if (status == 416 && each.response.has_range && !each.response.is_range_bad && !each.response.range.has_bytes) {
          if (wanted.known != nullptr && each.response.range.total != wanted.known->size_bytes)
            return detail::http_error(errc::changed, name, "it has another size than before");
          if (wanted.known == nullptr && each.response.range.total == 0) { // no range of an empty file can be given
            made.facts.validators = each.response.validators;
            return made;
          }
        }
        if (status == 404 || status == 410) return error(errc::file_not_found, name);
        text_writer out(status_text, sizeof status_text - 1);
        out.append("status ").append(static_cast<std::uint64_t>(status < 0 ? 0 : status));
        status_text[out.text().size()] = '\0';
        reason = status_text;
        if (status == 401 || status == 403 || status == 407 || status == 451)
          return detail::http_error(errc::access_denied, name, reason);
        if (!is_for_later(status)) return detail::http_error(errc::bad_response, name, reason);
        wait_ms = asked_pause_ms(each.response);
      }
      if (reason == nullptr) reason = lent.get()->text[0] != '\0' ? lent.get()->text : curl_easy_strerror(*outcome);
      if (*outcome == CURLE_OUT_OF_MEMORY) return error(errc::out_of_memory, name);
      if (*outcome == CURLE_UNSUPPORTED_PROTOCOL || *outcome == CURLE_WEIRD_SERVER_REPLY)
        return detail::http_error(errc::bad_response, name, reason);
      const bool may_help = is_connection_lost(*outcome) || (status != 0 && is_for_later(status));
      const auto spent =
          std::chrono::duration_cast<std::chrono::milliseconds>(detail::http_clock::now() - begin).count();
      const auto spent_ms = static_cast<std::uint64_t>(spent < 0 ? 0 : spent);
      if (!may_help || retries >= options_.max_retries || spent_ms >= options_.max_retry_time_ms)
        return detail::http_error(errc::unreachable, name, reason);
      const std::uint64_t pause_ms = std::uint64_t{options_.retry_pause_ms} << (retries < 16 ? retries : 16);
      if (wait_ms < pause_ms) wait_ms = pause_ms;
      const std::uint64_t left_ms = options_.max_retry_time_ms - spent_ms;
      pause(wait_ms < left_ms ? wait_ms : left_ms);
      ++retries;
      redirects = 0;
    }
  }

  /// Sets `target` to where the answer that `handle` has redirects to.
  result<void> follow(detail::http_handle& handle, std::string_view name, const detail::http_origin& from,
                      detail::http_text& target, std::uint32_t& redirects) const noexcept {
    char* to = nullptr;
    if (++redirects > options_.max_redirects) return detail::http_error(errc::bad_response, name, "too many redirects");
    if (curl_easy_getinfo(handle.easy, CURLINFO_REDIRECT_URL, &to) != CURLE_OK || to == nullptr)
      return detail::http_error(errc::bad_response, name, "a redirect to nowhere");
    constexpr std::size_t longest_url = 16 << 10;
    const std::string_view url(to);
    if (url.size() > longest_url) return detail::http_error(errc::bad_response, name, "a redirect to a very long URL");
    detail::http_text next;
    // The fragment of a redirect is not for servers.
    if (!next.assign({std::string_view(url.data(), url.find('#') < url.size() ? url.find('#') : url.size())}))
      return error(errc::out_of_memory, name);
    detail::http_origin origin;
    const errc refused = origin.parse(next.c_str());
    if (refused != errc{}) return detail::http_error(refused, name, "where a redirect leads to");
    if (from.is_https() && !origin.is_https()) return detail::http_error(errc::bad_path, name, "a redirect to http");
    target = std::move(next);
    return {};
  }

  /// Asks for the first bytes of a file, by which its size is learnt.
  result<detail::http_object_ref> open_object(std::string_view url, std::size_t first_size) const noexcept {
    detail::http_object_ref made(new (std::nothrow) detail::http_object);
    detail::http_block first;
    if (!made || !made->url.assign({url}) || !assign_escaped(made->address, url) || !first.allocate(first_size))
      return error(errc::out_of_memory, shown(url));
    made->shown_size = shown(url).size();
    const request wanted{made->address.text(), shown(url), 0, {first.data(), first.size_bytes()}, nullptr};
    const result<answer> came = run(wanted, made->target);
    if (!came) return came.error();
    made->facts = came->facts;
    made->seen = detail::http_clock::now();
    made->cache.set_limits(options_.cache_size_bytes, options_.first_read_size_bytes);
    first.shrink(came->size_bytes);
    made->cache.keep_first(std::move(first), came->size_bytes == came->facts.size_bytes);
    return made;
  }

  /// Fetches a range of a known file.
  result<void> fetch(detail::http_object& of, std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept {
    detail::http_text target;
    {
      const std::lock_guard lock(of.mutex);
      if (!of.target.is_empty() && !target.assign({of.target.text()}))
        return error(errc::out_of_memory, of.shown_url());
    }
    const result<answer> came = run({of.address.text(), of.shown_url(), offset_bytes, into, &of.facts}, target);
    if (!came) {
      if (came.error().code() == errc::changed) of.is_changed.store(true, std::memory_order_relaxed);
      return came.error();
    }
    const std::lock_guard lock(of.mutex);
    of.seen = detail::http_clock::now();
    of.target = std::move(target);
    return {};
  }

  /// Fetches a range as pieces, several at once: by as many threads as there are connections, this one among them.
  result<void> fetch_large(detail::http_object& of, std::uint64_t offset_bytes,
                           std::span<std::byte> into) const noexcept {
    const std::uint64_t piece_size = options_.split_size_bytes;
    if (piece_size == 0 || into.size() <= piece_size) return fetch(of, offset_bytes, into);
    struct shared_work {
      const http_files& files;
      detail::http_object& of;
      std::uint64_t offset_bytes, piece_size;
      std::span<std::byte> into;
      std::atomic<std::uint64_t> next{0};
      std::atomic<bool> has_failed{false};
      std::mutex mutex{};
      error failure{errc{}};

      void operator()() noexcept {
        for (;;) {
          const std::uint64_t begin = next.fetch_add(piece_size, std::memory_order_relaxed);
          if (begin >= into.size() || has_failed.load(std::memory_order_relaxed)) return;
          const std::uint64_t left = into.size() - begin;
          const auto size = static_cast<std::size_t>(left < piece_size ? left : piece_size);
          const auto came = files.fetch(of, offset_bytes + begin, into.subspan(static_cast<std::size_t>(begin), size));
          if (came) continue;
          const std::lock_guard lock(mutex);
          if (!has_failed.exchange(true, std::memory_order_relaxed)) failure = came.error();
        }
      }
    } work{*this, of, offset_bytes, piece_size, into};
    {
      constexpr std::size_t most_helpers = 63;
      detail::helper_thread helpers[most_helpers];
      const std::uint64_t pieces = (into.size() - 1) / piece_size + 1;
      for (std::uint64_t number = 1; number < pieces && number < options_.max_connections; ++number) {
        if (!helpers[number - 1].start(work)) break; // fewer at once, then
      }
      work();
    }
    if (work.has_failed.load(std::memory_order_relaxed)) return work.failure;
    return {};
  }

  static constexpr std::size_t max_known = 8;
  /// What could not be opened: a URL that is not there, a server that does not answer.
  struct failure {
    std::uint64_t hash = 0;
    errc code{};
    detail::http_clock::time_point seen{};
  };

  http_options options_;
  mutable std::mutex pool_mutex_;
  mutable std::condition_variable pool_changed_;
  mutable detail::http_handle* idle_ = nullptr;
  mutable std::uint32_t handle_count_ = 0;
  mutable std::mutex known_mutex_;
  mutable detail::http_object_ref known_[max_known];
  mutable failure failures_[max_known];
  mutable std::uint64_t folders_[max_known] = {};
  mutable std::size_t next_known_ = 0, next_failure_ = 0, next_folder_ = 0;
  mutable std::atomic<std::uint64_t> request_count_{0}, body_size_bytes_{0};
};

inline result<void> http_reader::read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept {
  detail::http_object& of = *file_;
  const std::size_t read_size = into.size();
  if (!detail::range_fits(offset_bytes, read_size, size_bytes()))
    return error(errc::truncated, of.shown_url(), size_bytes());
  while (!into.empty()) {
    if (of.is_changed.load(std::memory_order_relaxed)) return error(errc::changed, of.shown_url());
    detail::http_window window;
    {
      const std::lock_guard lock(of.mutex);
      const std::size_t there = of.cache.copy_front(offset_bytes, into);
      offset_bytes += there;
      into = into.subspan(there);
      if (into.empty()) return {};
      if (there != 0) continue;
      into = into.first(into.size() - of.cache.copy_back(offset_bytes, into));
      window = of.cache.plan(offset_bytes, into.size(), read_size, size_bytes());
    }
    if (!window.is_kept) return files_->fetch_large(of, offset_bytes, into);
    detail::http_block block;
    if (!block.allocate(window.size_bytes)) return error(errc::out_of_memory, of.shown_url());
    if (auto came = files_->fetch(of, window.offset_bytes, {block.data(), block.size_bytes()}); !came) return came;
    std::memcpy(into.data(), block.data() + static_cast<std::size_t>(offset_bytes - window.offset_bytes), into.size());
    const std::lock_guard lock(of.mutex);
    of.cache.keep(window.offset_bytes, std::move(block));
    return {};
  }
  return {};
}

} // namespace stet::inline STET_NAMESPACE

#endif
