// SPDX-License-Identifier: MIT
// Opens models at http and https URLs, of which only the parts that are used are fetched: include <curl/curl.h> and then this
// header, and link libcurl.
#ifndef STET_EXT_CURL_HPP
#define STET_EXT_CURL_HPP

#include "curl_options.hpp"
#include "detail/http_cache.hpp"
#include "detail/http_client.hpp"
#include "detail/http_response.hpp"
#include "detail/http_text.hpp"

#include "../bytes/detail/fnv1a.hpp"
#include "../source/detail/helper_thread.hpp"
#include "../source/file_system.hpp"
#include "../source/source.hpp"
#include "../vocabulary/detail/checked.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <new>
#include <span>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE {

class http_files;

namespace detail {

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
  /// True.
  [[nodiscard]] bool reads_anywhere() const noexcept override { return true; }

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
  explicit http_files(const http_options& options = {}) noexcept : client_(options) {}
  http_files(const http_files&) = delete;
  http_files& operator=(const http_files&) = delete;
  ~http_files() noexcept = default;

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
    result<detail::http_object_ref> made = open_object(url, client_.options().first_read_size_bytes);
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
  [[nodiscard]] http_counts counts() const noexcept { return client_.counts(); }

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
        return detail::http_clock::now() - each->seen <= std::chrono::milliseconds(client_.options().reuse_time_ms);
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
      if (each.hash == hash && each.code == why && client_.options().reuse_time_ms != 0 &&
          detail::http_clock::now() - each.seen <= std::chrono::milliseconds(client_.options().reuse_time_ms))
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

  // ---- fetching ----

  /// Asks for the first bytes of a file, by which its size is learnt.
  result<detail::http_object_ref> open_object(std::string_view url, std::size_t first_size) const noexcept {
    detail::http_object_ref made(new (std::nothrow) detail::http_object);
    detail::http_block first;
    if (!made || !made->url.assign({url}) || !assign_escaped(made->address, url) || !first.allocate(first_size))
      return error(errc::out_of_memory, shown(url));
    made->shown_size = shown(url).size();
    const detail::http_client::request wanted{
        made->address.text(), shown(url), 0, {first.data(), first.size_bytes()}, nullptr};
    const result<detail::http_client::answer> came = client_.run(wanted, made->target);
    if (!came) return came.error();
    made->facts = came->facts;
    made->seen = detail::http_clock::now();
    made->cache.set_limits(client_.options().cache_size_bytes, client_.options().first_read_size_bytes);
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
    const result<detail::http_client::answer> came =
        client_.run({of.address.text(), of.shown_url(), offset_bytes, into, &of.facts}, target);
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
    const std::uint64_t piece_size = client_.options().split_size_bytes;
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
          if (has_failed.load(std::memory_order_relaxed)) return;
          failure = came.error();
          has_failed.store(true, std::memory_order_relaxed);
        }
      }
    } work{*this, of, offset_bytes, piece_size, into};
    const std::uint64_t pieces = (into.size() - 1) / piece_size + 1;
    const std::uint64_t connections = client_.options().max_connections;
    detail::run_on_threads(static_cast<unsigned>(pieces < connections ? pieces : connections), work);
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

  mutable detail::http_client client_;
  mutable std::mutex known_mutex_;
  mutable detail::http_object_ref known_[max_known];
  mutable failure failures_[max_known];
  mutable std::uint64_t folders_[max_known] = {};
  mutable std::size_t next_known_ = 0, next_failure_ = 0, next_folder_ = 0;
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
