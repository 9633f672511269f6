// SPDX-License-Identifier: MIT
#include "progress.hpp"

#include "console.hpp"

#include <cstdio>
#include <string>
#include <utility>

#if defined(_WIN32)
#include <io.h>
#else
#include <unistd.h>
#endif

namespace command {

namespace {

bool is_terminal() noexcept {
#if defined(_WIN32)
  return _isatty(_fileno(stderr)) != 0;
#else
  return isatty(STDERR_FILENO) != 0;
#endif
}

} // namespace

progress::progress(std::uint64_t total_bytes, std::function<void(std::uint64_t)> relieve)
    : operations_(stet::system_file_operations()), total_bytes_(total_bytes), relieve_(std::move(relieve)),
      next_(clock::now() + std::chrono::seconds(1)), is_on_terminal_(is_terminal()) {
  operations_.context = this;
  operations_.write_at = write_at;
}

void progress::finish() noexcept {
  if (is_shown_) std::fputs("\r\x1b[K", stderr);
  is_shown_ = false;
}

stet::result<std::size_t> progress::write_at(void* context, stet::native_handle handle, std::uint64_t offset_bytes,
                                             std::span<const std::byte> bytes) noexcept {
  const stet::file_operations& system = stet::system_file_operations();
  auto written = system.write_at(system.context, handle, offset_bytes, bytes);
  if (written) {
    auto& self = *static_cast<progress*>(context);
    self.written_bytes_ += *written;
    constexpr std::uint64_t step = std::uint64_t{4} << 20;
    if (self.written_bytes_ - self.relieved_bytes_ >= step) {
      self.relieved_bytes_ = self.written_bytes_;
      self.relieve_(self.written_bytes_);
    }
    self.show();
  }
  return written;
}

void progress::show() noexcept {
  if (!is_on_terminal_ || clock::now() < next_) return;
  next_ = clock::now() + std::chrono::milliseconds(200);
  is_shown_ = true;
  const std::uint64_t done = written_bytes_ < total_bytes_ ? written_bytes_ : total_bytes_;
  const double share = total_bytes_ == 0 ? 1 : static_cast<double>(done) / static_cast<double>(total_bytes_);
  std::fprintf(stderr, "\r\x1b[K%s of %s, %.0f %%", human_size(done).c_str(), human_size(total_bytes_).c_str(),
               share * 100);
}

} // namespace command
