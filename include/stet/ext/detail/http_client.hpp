// SPDX-License-Identifier: MIT
// Makes requests: by a bounded number of connections that are kept, with redirects, and again where that may help.
#ifndef STET_EXT_DETAIL_HTTP_CLIENT_HPP
#define STET_EXT_DETAIL_HTTP_CLIENT_HPP

#include "http_attempt.hpp"
#include "http_response.hpp"
#include "http_text.hpp"
#include "../curl_options.hpp"

#include "../../vocabulary/result.hpp"
#include "../../vocabulary/version.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <mutex>
#include <new>
#include <span>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

using http_clock = std::chrono::steady_clock;

/// The connections to all servers, and the requests that are made by them. Threads: members may be called from several at once.
class http_client {
public:
  /// Numbers of `options` that are out of range become the nearest that is in it.
  explicit http_client(const http_options& options) noexcept : options_(options) {
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
  http_client(const http_client&) = delete;
  http_client& operator=(const http_client&) = delete;
  ~http_client() noexcept {
    for (http_handle* each = idle_; each != nullptr;) {
      http_handle* const next = each->next;
      curl_easy_cleanup(each->easy);
      delete each;
      each = next;
    }
  }

  [[nodiscard]] const http_options& options() const noexcept { return options_; }
  [[nodiscard]] http_counts counts() const noexcept {
    return {request_count_.load(std::memory_order_relaxed), body_size_bytes_.load(std::memory_order_relaxed)};
  }

  /// What is asked for, and where it goes.
  struct request {
    std::string_view url;  // with a NUL behind it
    std::string_view name; // for messages
    std::uint64_t offset_bytes = 0;
    std::span<std::byte> into;
    /// nullptr: the file is being opened, and may be smaller than `into`.
    const http_facts* known = nullptr;
  };
  /// What came.
  struct answer {
    http_facts facts;
    std::size_t size_bytes = 0;
  };

  /// Makes a request until its bytes are there, or cannot be had. @param target  where redirects led to, before and afterwards
  result<answer> run(const request& wanted, http_text& target) noexcept {
    const std::string_view name = wanted.name;
    http_origin own;
    if (const errc refused = own.parse(wanted.url.data()); refused != errc{}) return error(refused, name);
    const lent_handle lent(*this);
    if (lent.get() == nullptr) return error(errc::out_of_memory, name);
    const auto begin = http_clock::now();
    answer made;
    if (wanted.known != nullptr) made.facts = *wanted.known;
    bool was_target_stale = false;
    std::uint32_t retries = 0, redirects = 0;
    for (;;) {
      const char* const url = target.is_empty() ? wanted.url.data() : target.c_str();
      http_origin origin;
      if (const errc refused = origin.parse(url); refused != errc{})
        return http_error(refused, name, "where a redirect leads to");
      const bool is_same = origin.is_same(own);
      http_attempt each;
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
      if (each.verdict.code != errc{}) return http_error(each.verdict.code, name, each.verdict.reason);
      if (each.is_taken()) {
        if (*outcome == CURLE_OK) {
          const bool is_complete = each.received_bytes == each.verdict.body_size_bytes ||
                                   (each.verdict.is_whole && !each.response.has_length);
          if (!is_complete) return http_error(errc::bad_response, name, "fewer bytes than were asked for");
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
            return http_error(errc::changed, name, "it has another size than before");
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
          return http_error(errc::access_denied, name, reason);
        if (!is_for_later(status)) return http_error(errc::bad_response, name, reason);
        wait_ms = asked_pause_ms(each.response);
      }
      if (reason == nullptr) reason = lent.get()->text[0] != '\0' ? lent.get()->text : curl_easy_strerror(*outcome);
      if (*outcome == CURLE_OUT_OF_MEMORY) return error(errc::out_of_memory, name);
      if (*outcome == CURLE_UNSUPPORTED_PROTOCOL || *outcome == CURLE_WEIRD_SERVER_REPLY)
        return http_error(errc::bad_response, name, reason);
      const bool may_help = is_connection_lost(*outcome) || (status != 0 && is_for_later(status));
      const auto spent = std::chrono::duration_cast<std::chrono::milliseconds>(http_clock::now() - begin).count();
      const auto spent_ms = static_cast<std::uint64_t>(spent < 0 ? 0 : spent);
      if (!may_help || retries >= options_.max_retries || spent_ms >= options_.max_retry_time_ms)
        return http_error(errc::unreachable, name, reason);
      const std::uint64_t pause_ms = std::uint64_t{options_.retry_pause_ms} << (retries < 16 ? retries : 16);
      if (wait_ms < pause_ms) wait_ms = pause_ms;
      const std::uint64_t left_ms = options_.max_retry_time_ms - spent_ms;
      pause(wait_ms < left_ms ? wait_ms : left_ms);
      ++retries;
      redirects = 0;
    }
  }

private:
  /// A handle that no other thread uses; waits for one. nullptr if libcurl has no memory left.
  [[nodiscard]] http_handle* take_handle() noexcept {
    std::unique_lock lock(pool_mutex_);
    pool_changed_.wait(lock, [&] { return idle_ != nullptr || handle_count_ < options_.max_connections; });
    if (idle_ != nullptr) {
      http_handle* const taken = idle_;
      idle_ = taken->next;
      return taken;
    }
    ++handle_count_;
    lock.unlock();
    auto* const made = new (std::nothrow) http_handle;
    if (made != nullptr) made->easy = curl_easy_init();
    if (made != nullptr && made->easy != nullptr && set_fixed_options(*made)) return made;
    if (made != nullptr && made->easy != nullptr) curl_easy_cleanup(made->easy);
    delete made;
    lock.lock();
    --handle_count_;
    pool_changed_.notify_one();
    return nullptr;
  }
  void give_back(http_handle* handle) noexcept {
    const std::lock_guard lock(pool_mutex_);
    handle->next = idle_;
    idle_ = handle;
    pool_changed_.notify_one();
  }
  /// A handle while one request lasts.
  class lent_handle {
  public:
    explicit lent_handle(http_client& from) noexcept : from_(from), handle_(from.take_handle()) {}
    lent_handle(const lent_handle&) = delete;
    lent_handle& operator=(const lent_handle&) = delete;
    ~lent_handle() noexcept {
      if (handle_ != nullptr) from_.give_back(handle_);
    }
    [[nodiscard]] http_handle* get() const noexcept { return handle_; }

  private:
    http_client& from_;
    http_handle* handle_;
  };

  [[nodiscard]] bool set_fixed_options(http_handle& of) noexcept {
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
                                  http_attempt::take_header)) == CURLE_OK &&
             curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION,
                              static_cast<std::size_t (*)(char*, std::size_t, std::size_t, void*)>(
                                  http_attempt::take_body)) == CURLE_OK;
    if (options_.ca_file != nullptr)
      is_set = is_set && curl_easy_setopt(easy, CURLOPT_CAINFO, options_.ca_file) == CURLE_OK;
    return is_set;
  }

  /// One attempt, without redirects. @return what libcurl says of the transfer
  result<CURLcode> attempt(http_handle& handle, const char* url, bool is_same_origin, bool may_send_token,
                           http_attempt& made) noexcept {
    http_headers headers;
    headers.append("Accept-Encoding", "identity");
    if (is_same_origin && options_.add_headers != nullptr) options_.add_headers(options_.context, url, headers);
    if (is_same_origin && may_send_token && !options_.bearer_token.empty()) {
      http_text token;
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
  static std::uint64_t asked_pause_ms(const http_response& given) noexcept {
    constexpr std::uint64_t longest_s = 1'000'000;
    if (given.has_retry_after) return (given.retry_after_s < longest_s ? given.retry_after_s : longest_s) * 1000;
    if (given.retry_date[0] == '\0') return 0;
    const std::time_t then = curl_getdate(given.retry_date, nullptr), now = std::time(nullptr);
    return then <= now ? 0 : static_cast<std::uint64_t>(then - now < 1'000'000 ? then - now : 1'000'000) * 1000;
  }

  /// Sets `target` to where the answer that `handle` has redirects to.
  result<void> follow(http_handle& handle, std::string_view name, const http_origin& from, http_text& target,
                      std::uint32_t& redirects) noexcept {
    char* to = nullptr;
    if (++redirects > options_.max_redirects) return http_error(errc::bad_response, name, "too many redirects");
    if (curl_easy_getinfo(handle.easy, CURLINFO_REDIRECT_URL, &to) != CURLE_OK || to == nullptr)
      return http_error(errc::bad_response, name, "a redirect to nowhere");
    constexpr std::size_t longest_url = 16 << 10;
    const std::string_view url(to);
    if (url.size() > longest_url) return http_error(errc::bad_response, name, "a redirect to a very long URL");
    http_text next;
    // The fragment of a redirect is not for servers.
    if (!next.assign({std::string_view(url.data(), url.find('#') < url.size() ? url.find('#') : url.size())}))
      return error(errc::out_of_memory, name);
    http_origin origin;
    const errc refused = origin.parse(next.c_str());
    if (refused != errc{}) return http_error(refused, name, "where a redirect leads to");
    if (from.is_https() && !origin.is_https()) return http_error(errc::bad_path, name, "a redirect to http");
    target = std::move(next);
    return {};
  }

  http_options options_;
  std::mutex pool_mutex_;
  std::condition_variable pool_changed_;
  http_handle* idle_ = nullptr;
  std::uint32_t handle_count_ = 0;
  std::atomic<std::uint64_t> request_count_{0}, body_size_bytes_{0};
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
