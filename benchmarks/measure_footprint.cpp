// SPDX-License-Identifier: MIT
// What a store costs in memory and in reads from the disk: a 1 GiB file that is not in the page cache is opened and one
// tensor of 4 KiB is read; a file of the same size is saved from a source. Beside a bare mapping and the safetensors crate.
//
//     measure_footprint [MIB]
//
// Needs Linux. STET_BENCHMARK_DIR names a folder on the disk to be measured; on tmpfs nothing is ever read from a disk.
#include "support/bare_file.hpp"
#include "support/model.hpp"

#include <cinttypes>
#include <cstring>
#include <fstream>
#include <optional>

namespace {

constexpr std::size_t small_size_bytes = 4096;
constexpr std::uint64_t no_limit = ~std::uint64_t{0};

/// The number after `key` in a file of /proc; such files give kilobytes or bytes.
std::uint64_t proc_value(const char* file, std::string_view key) {
  std::ifstream lines(file);
  std::string line;
  while (std::getline(lines, line)) {
    if (line.compare(0, key.size(), key) == 0) return std::strtoull(line.c_str() + key.size(), nullptr, 10);
  }
  bench::require(false, file);
  return 0;
}

struct footprint {
  std::uint64_t private_kib = 0, read_kib = 0;
  static footprint now() {
    const char* const smaps = "/proc/self/smaps_rollup";
    return {proc_value(smaps, "Private_Dirty:") + proc_value(smaps, "Private_Clean:"),
            proc_value("/proc/self/io", "read_bytes:") / 1024};
  }
};

/// Takes a file out of the page cache; false if it stays there, as on tmpfs.
bool make_cold(const std::string& path) {
  const int handle = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  bench::require(handle >= 0 && ::fsync(handle) == 0, "sync a file");
  bench::require(::posix_fadvise(handle, 0, 0, POSIX_FADV_DONTNEED) == 0, "drop a file");
  ::close(handle);
  const bench::bare_mapping mapping(path.c_str());
  std::vector<unsigned char> resident(mapping.size_bytes() / 4096 + 1);
  bench::require(::mincore(const_cast<std::byte*>(mapping.data()), mapping.size_bytes(), resident.data()) == 0,
                 "mincore");
  return std::ranges::none_of(resident, [](unsigned char page) { return (page & 1) != 0; });
}

void print_goal(const char* what, std::uint64_t kib, std::uint64_t limit_kib) {
  const bool is_met = kib < limit_kib;
  std::printf("  %-26s %8" PRIu64 " KiB", what, kib);
  if (limit_kib != no_limit) std::printf("  (< %" PRIu64 "%s)", limit_kib, is_met ? "" : ", MISSED");
  std::printf("\n");
}

/// Runs `use` on a cold file. It returns the tensor's first byte, and leaves everything open until it is destroyed.
template <class Use>
void measure_cold(const char* who, const std::string& path, bool is_stet, bool reads_ahead, Use use) {
  const bool is_cold = make_cold(path);
  (void)footprint::now(); // what measuring itself allocates
  const footprint before = footprint::now();
  const bool is_right = use();
  const footprint after = footprint::now();
  bench::require(is_right, who);
  std::printf("%s%s\n", who, is_cold ? "" : " (the file could not be dropped from the page cache: nothing to read)");
  const std::uint64_t private_kib = after.private_kib - before.private_kib, read_kib = after.read_kib - before.read_kib;
  print_goal("private memory", private_kib, is_stet ? 256 : no_limit);
  print_goal("read from disk", read_kib, is_stet && !reads_ahead ? 1024 : no_limit);
}

/// Saves `count` tensors of 4 MiB and one of 4 KiB in their midst, from a source that makes the bytes as they are asked for.
void save(const std::string& path, std::size_t count) {
  std::vector<std::byte> piece(65536);
  stet::writer out;
  for (std::size_t number = 0; number <= count; ++number) {
    const std::uint64_t size = number == count / 2 ? small_size_bytes : std::uint64_t{4} << 20;
    const auto source = [&piece, size, number](stet::piece_sink& sink) -> stet::result<void> {
      std::memset(piece.data(), static_cast<int>(number % 251 + 1), piece.size());
      for (std::uint64_t left = size; left != 0;) {
        const std::size_t step = left < piece.size() ? static_cast<std::size_t>(left) : piece.size();
        if (auto written = sink.write(std::span(piece).first(step)); !written) return written;
        left -= step;
      }
      return {};
    };
    const auto layout = stet::element_layout::of(stet::dtype::uint8);
    out.add_source(bench::name_of_tensor(number), layout, {size}, size, source);
  }
  stet::save_options options;
  options.is_durable = false;
  const auto saved = out.save(path, options);
  bench::require(saved && saved->tensor_size_bytes == (std::uint64_t{count} << 22) + small_size_bytes, "save");
}

} // namespace

int main(int argument_count, char** arguments) {
  const std::size_t count = (argument_count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 1024) / 4;
  const std::size_t wanted = count / 2;
  const std::string name = bench::name_of_tensor(wanted);
  const auto expected = static_cast<std::byte>(wanted % 251 + 1);
  const bench::folder folder;
  const std::string path = folder / "model.stet", warm_up = folder / "warm_up.stet";

  save(warm_up, 4);                            // code and buffers of the run-time library
  std::ofstream("/proc/self/clear_refs") << 5; // sets the peak to what is resident now
  const std::uint64_t before_kib = proc_value("/proc/self/status", "VmHWM:");
  save(path, count);
  const std::uint64_t peak_kib = proc_value("/proc/self/status", "VmHWM:");
  std::printf("saving %zu MiB\n", count * 4);
  print_goal("extra memory at its peak", peak_kib - before_kib, 8 * 1024);

  std::uint64_t offset_bytes = 0;
  {
    const auto store = stet::open(path.c_str());
    bench::require(store && store->find(name) && store->verify_checksums(), "open");
    offset_bytes = store->find(name)->entry().offset_bytes();
  }
  const auto is_expected = [&](std::span<const std::byte> bytes) {
    return bytes.size() == small_size_bytes && std::ranges::all_of(bytes, [&](std::byte b) { return b == expected; });
  };

  std::optional<bench::bare_mapping> mapping;
  measure_cold("open + fstat + mmap + touch", path, false, true, [&] {
    mapping.emplace(path.c_str());
    return is_expected({mapping->data() + offset_bytes, small_size_bytes});
  });
  mapping.reset();

  // How much the system reads around a touched page is a setting of the disk: /sys/block/*/queue/read_ahead_kb.
  for (const bool reads_ahead : {true, false}) {
    std::optional<stet::store> store;
    stet::open_options options;
    options.reads_ahead = reads_ahead;
    measure_cold(reads_ahead ? "stet: open, find, read 4 KiB" : "stet, open_options::reads_ahead = false", path, true,
                 reads_ahead, [&] {
                   store.emplace(stet::open(path.c_str(), options).value());
                   return is_expected(store->find(name)->bytes());
                 });
  }

#if STET_PEER_CRATES
  const std::string peer_path = folder / "model.safetensors";
  {
    // The crate has no sources: everything it saves is in memory.
    std::vector<std::uint8_t> large(std::size_t{4} << 20, 1);
    std::vector<std::uint8_t> little(small_size_bytes, static_cast<std::uint8_t>(expected));
    std::vector<std::string> names;
    for (std::size_t number = 0; number <= count; ++number) names.push_back(bench::name_of_tensor(number));
    std::vector<std::size_t> extents;
    for (std::size_t number = 0; number <= count; ++number)
      extents.push_back(number == wanted ? little.size() : large.size());
    std::vector<peer_safetensors_tensor> tensors;
    for (std::size_t number = 0; number <= count; ++number) {
      const auto& bytes = number == wanted ? little : large;
      tensors.push_back({names[number].data(), names[number].size(), &extents[number], 1, bytes.data(), bytes.size(),
                         peer_safetensors_u8});
    }
    bench::require(
        peer_safetensors_serialize_to_file(peer_path.data(), peer_path.size(), tensors.data(), tensors.size()) == 0,
        "serialize");
  }
  peer_safetensors* peer = nullptr;
  measure_cold("crate: open, find, read 4 KiB", peer_path, false, true, [&] {
    peer = peer_safetensors_open(peer_path.data(), peer_path.size());
    std::size_t size_bytes = 0;
    const std::uint8_t* const bytes = peer_safetensors_find(peer, name.data(), name.size(), &size_bytes);
    return is_expected(std::as_bytes(std::span(bytes, size_bytes)));
  });
  peer_safetensors_close(peer);
#endif
}
