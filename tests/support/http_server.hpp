// SPDX-License-Identifier: MIT
// A server of HTTP on this machine that answers as a test wants, also wrongly. POSIX sockets.
#ifndef STET_TESTS_SUPPORT_HTTP_SERVER_HPP
#define STET_TESTS_SUPPORT_HTTP_SERVER_HPP

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace stet_test {

struct http_request {
  std::string method, target;
  /// By names in lower case.
  std::map<std::string, std::string> fields;

  std::string field(const std::string& name) const {
    const auto found = fields.find(name);
    return found == fields.end() ? std::string() : found->second;
  }
  /// The range that is asked for, first and last byte; false if none is.
  bool range(std::uint64_t& first, std::uint64_t& last) const {
    unsigned long long from = 0, to = 0;
    if (std::sscanf(field("range").c_str(), "bytes=%llu-%llu", &from, &to) != 2) return false;
    first = from, last = to;
    return true;
  }
};

struct http_reply {
  int status = 200;
  /// Lines "Name: value". Content-Length is added, unless there is one or the body is chunked.
  std::vector<std::string> fields;
  std::string body;
  bool is_chunked = false;
  /// After so many bytes of the body, the connection is closed, or nothing comes any more.
  std::size_t cut_after = ~std::size_t{0}, stall_after = ~std::size_t{0};
  bool stalls_in_header = false;
  /// The end of a connection is a reset.
  bool resets = false;
  int delay_ms = 0;
  /// Sent in place of all that, and the connection closed.
  bool is_raw = false;
  std::string raw;

  http_reply& set(const std::string& name, const std::string& value) {
    drop(name);
    fields.push_back(name + ": " + value);
    return *this;
  }
  http_reply& drop(const std::string& name) {
    std::erase_if(fields, [&](const std::string& each) { return each.starts_with(name + ":"); });
    return *this;
  }
};

/// The right answer to a request of a range of `file`, or of all of it.
inline http_reply ranged(const http_request& asked, std::string_view file, const std::string& tag = "\"1\"") {
  http_reply made;
  if (!tag.empty()) made.set("ETag", tag);
  std::uint64_t first = 0, last = 0;
  const std::string condition = asked.field("if-range");
  if (!asked.range(first, last) || (!condition.empty() && condition != tag)) {
    made.body = file;
    return made;
  }
  if (first >= file.size()) {
    made.status = 416;
    return made.set("Content-Range", "bytes */" + std::to_string(file.size()));
  }
  if (last >= file.size()) last = file.size() - 1;
  made.status = 206;
  made.body = file.substr(first, last - first + 1);
  return made.set("Content-Range",
                  "bytes " + std::to_string(first) + "-" + std::to_string(last) + "/" + std::to_string(file.size()));
}

/// Answers by `answer`, called from a thread for each connection, until it is destroyed.
class http_server {
public:
  using handler = std::function<http_reply(const http_request&)>;

  explicit http_server(handler answer) : answer_(std::move(answer)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    if (listener_ < 0 || ::bind(listener_, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 ||
        ::listen(listener_, 64) != 0 || ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size) != 0) {
      std::fprintf(stderr, "no server can be started on this machine\n");
      std::abort(); // no test could mean anything
    }
    port_ = ntohs(at.sin_port);
    accepter_ = std::thread([this] { accept_all(); });
  }
  http_server(const http_server&) = delete;
  http_server& operator=(const http_server&) = delete;
  ~http_server() {
    stops_ = true;
    accepter_.join();
    for (std::thread& each : threads_) each.join();
    ::close(listener_);
  }

  std::string url(std::string_view path = "/file", std::string_view host = "127.0.0.1") const {
    return std::string("http://").append(host).append(":").append(std::to_string(port_)).append(path);
  }
  int port() const { return port_; }
  std::vector<http_request> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  std::size_t request_count() const { return requests().size(); }
  std::size_t connection_count() const { return connection_count_; }
  /// The bytes of all bodies that were sent.
  std::uint64_t body_size_bytes() const { return body_size_bytes_; }
  /// The most requests that were being answered at once.
  int most_at_once() const { return most_at_once_; }
  /// Forgets what was counted.
  void reset_counts() {
    const std::lock_guard lock(mutex_);
    requests_.clear();
    connection_count_ = 0;
    body_size_bytes_ = 0;
    most_at_once_ = 0;
  }

private:
  void accept_all() {
    while (!stops_) {
      if (!wait_to_read(listener_)) continue;
      const int connection = ::accept(listener_, nullptr, nullptr);
      if (connection < 0) continue;
      const int on = 1;
      ::setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      ++connection_count_;
      threads_.emplace_back([this, connection] {
        while (!stops_ && serve(connection)) {
        }
        ::close(connection);
      });
    }
  }
  /// Waits a moment. @return true if there is something to read
  static bool wait_to_read(int from) {
    pollfd each{from, POLLIN, 0};
    return ::poll(&each, 1, 20) > 0;
  }

  /// Answers one request. @return false when the connection is at its end
  bool serve(int connection) {
    std::string text;
    while (text.find("\r\n\r\n") == std::string::npos) {
      if (stops_) return false;
      if (!wait_to_read(connection)) continue;
      char some[4096];
      const ssize_t count = ::recv(connection, some, sizeof some, 0);
      if (count <= 0) return false;
      text.append(some, static_cast<std::size_t>(count));
    }
    http_request asked = parse(text);
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(asked);
      most_at_once_ = std::max(most_at_once_, ++at_once_);
    }
    const http_reply reply = answer_(asked);
    if (reply.delay_ms != 0) std::this_thread::sleep_for(std::chrono::milliseconds(reply.delay_ms));
    const bool goes_on = send_reply(connection, reply);
    const std::lock_guard lock(mutex_);
    --at_once_;
    return goes_on;
  }

  static http_request parse(const std::string& text) {
    http_request made;
    std::size_t at = text.find("\r\n");
    const std::string line = text.substr(0, at);
    const std::size_t space = line.find(' ');
    made.method = line.substr(0, space);
    made.target = line.substr(space + 1, line.rfind(' ') - space - 1);
    for (at += 2; at < text.size();) {
      const std::size_t end = text.find("\r\n", at);
      const std::string field = text.substr(at, end - at);
      at = end + 2;
      const std::size_t colon = field.find(':');
      if (colon == std::string::npos) break;
      std::string name = field.substr(0, colon);
      for (char& each : name) each = static_cast<char>(std::tolower(static_cast<unsigned char>(each)));
      made.fields[name] = colon + 2 < field.size() ? field.substr(colon + 2) : std::string();
    }
    return made;
  }

  bool send_reply(int connection, const http_reply& reply) {
    if (reply.is_raw) return (void)send_all(connection, reply.raw), false;
    std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " Whatever\r\n";
    bool has_length = reply.is_chunked;
    for (const std::string& each : reply.fields) {
      head += each + "\r\n";
      has_length = has_length || each.starts_with("Content-Length:");
    }
    if (reply.stalls_in_header) return send_all(connection, head) && stall(connection);
    if (!has_length) head += "Content-Length: " + std::to_string(reply.body.size()) + "\r\n";
    if (reply.is_chunked) head += "Transfer-Encoding: chunked\r\n";
    if (!send_all(connection, head + "\r\n")) return false;
    const std::size_t size = std::min(reply.body.size(), std::min(reply.cut_after, reply.stall_after));
    if (reply.is_chunked && size != 0) {
      char line[32];
      std::snprintf(line, sizeof line, "%zx\r\n", size);
      if (!send_all(connection, line)) return false;
    }
    // In pieces, so that what a client does not want to have is not counted.
    constexpr std::size_t piece = 64 << 10;
    for (std::size_t done = 0; done < size; done += piece) {
      const std::size_t some = std::min(piece, size - done);
      body_size_bytes_ += some; // before: a client that has the bytes may count
      if (!send_all(connection, std::string_view(reply.body).substr(done, some))) return false;
    }
    if (reply.stall_after <= reply.body.size()) return stall(connection);
    if (reply.cut_after <= reply.body.size()) {
      const linger at_once{1, 0};
      if (reply.resets) ::setsockopt(connection, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      return false;
    }
    return !reply.is_chunked || send_all(connection, size != 0 ? "\r\n0\r\n\r\n" : "0\r\n\r\n");
  }

  /// Sends nothing until the client has gone.
  bool stall(int connection) {
    while (!stops_) {
      char some[64];
      if (wait_to_read(connection) && ::recv(connection, some, sizeof some, 0) <= 0) break;
    }
    return false;
  }

  bool send_all(int connection, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }

  handler answer_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stops_{false};
  std::thread accepter_;
  std::vector<std::thread> threads_; // of the accepter
  mutable std::mutex mutex_;
  std::vector<http_request> requests_;
  int at_once_ = 0, most_at_once_ = 0;
  std::atomic<std::size_t> connection_count_{0};
  std::atomic<std::uint64_t> body_size_bytes_{0};
};

} // namespace stet_test

#endif
