// SPDX-License-Identifier: MIT
// STET_ASSERT belongs to the program: it is called, with or without NDEBUG, when the program breaks a precondition, and never
// for what a file says.
static int failed_asserts = 0;
static void on_failed_assert(const char*) noexcept { ++failed_asserts; }
#define STET_ASSERT(condition) ((condition) ? static_cast<void>(0) : on_failed_assert(#condition))

#include "support/native_bytes.hpp"

#include <stet/manifest/open.hpp>
#include <stet/manifest/verify.hpp>
#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <cstdio>
#include <string>
#include <vector>

static int mistakes = 0;
static void check(bool holds, const char* what) noexcept {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  ++mistakes;
}

/// Opens a store in each way that takes bytes in memory, and uses all of it.
static bool use(std::span<const std::byte> bytes) {
  const auto look_at = [](const stet::store& of) {
    for (const stet::tensor each : of) {
      (void)each.as<float>();
      (void)each.as<bool>();
      (void)each.as_strings();
      (void)each.as_packed<stet::int4>();
      (void)each.as_view<const float, 2, 3>();
      (void)each.verify_checksum();
    }
    (void)of.find("tied");
  };
  const auto opened = stet::open(bytes);
  if (opened) look_at(*opened);
  const auto parsed = stet::open(bytes, {.read_manifest = stet::read_manifest});
  if (parsed) {
    look_at(*parsed);
    (void)stet::verify_store(*parsed, {.thread_count = 1});
  }
  return opened || parsed;
}

int main() {
  // The program's mistakes.
  const stet::result<int> failed = stet::errc::not_found;
  (void)*failed; // a reference, not its value
  check(failed_asserts == 1, "a value that is not there: the hook is not called");
  const stet::result<int> made = 1;
  (void)made.error();
  check(failed_asserts == 2, "an error that is not there: the hook is not called");
  const float values[6] = {1, 2, 3, 4, 5, 6};
  const stet::view<const float, 2, 3> view(values);
  (void)view(0, 2);
  check(failed_asserts == 2, "an index within the extents: the hook is called");
  (void)&view(0, 3);
  check(failed_asserts == 3, "an index beyond its extent: the hook is not called");

  // Files' mistakes: every end, and every byte in every bit, with the checksums as they were and made to fit.
  failed_asserts = 0;
  std::vector<std::byte> file;
  {
    stet::writer out;
    out.add("dense/kernel", values, {2, 3});
    out.add_alias("tied", "dense/kernel");
    const std::string_view labels[] = {"a", ""};
    out.add("labels", labels, {2});
    const stet::int4 packed[3] = {};
    out.add("packed", packed, {3});
    auto saved = out.save_to_memory();
    if (saved) file = std::move(*saved);
  }
  check(use(file), "the file itself does not open");
  std::size_t tried = 0, opened = 0;
  for (std::size_t size = 0; size < file.size(); ++size, ++tried)
    opened += use(std::span<const std::byte>(file).first(size));
  for (std::size_t at = 0; at < file.size(); ++at) {
    for (int bit = 0; bit < 8; bit += 3, tried += 2) {
      std::vector<std::byte> changed = file;
      changed[at] ^= static_cast<std::byte>(1u << bit);
      opened += use(changed);
      stet_test::seal(changed);
      opened += use(changed);
    }
  }
  check(failed_asserts == 0, "a bad file reaches the hook");
  check(opened > 0 && opened < tried, "the changes make no difference");
  std::printf("%zu damaged files, %zu of them usable, no assertion\n", tried, opened);
  return mistakes == 0 ? 0 : 1;
}
