// SPDX-License-Identifier: MIT
// Loading many tensors at once: to memory of the program and of its own, from every kind of source; what is read, what fails, who is told.
#include "support/counted_memory.hpp"
#include "support/files.hpp"
#include "support/outcome.hpp"
#include "support/thinned.hpp"

#include <stet/formats/gguf/dequantize.hpp>
#include <stet/load/load.hpp>
#include <stet/store/open.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace stet_test;
using stet::backing;
using stet::direct_reads;
using stet::dtype;
using stet::errc;
using stet::load_options;
using stet::load_report;
using stet::load_request;

byte_vector random_bytes(std::size_t size, unsigned seed) {
  std::mt19937_64 random(seed);
  byte_vector made(size);
  for (std::byte& each : made) each = static_cast<std::byte>(random());
  return made;
}

native_tensor bytes_tensor(std::string name, byte_vector bytes) {
  const std::uint64_t size = bytes.size();
  return tensor_of(std::move(name), stet::element_layout::of(dtype::uint8), {size}, std::move(bytes));
}

/// Tensors of all sizes around those of pages and reads, an empty one, a scalar, and an alias.
std::vector<native_tensor> tensors_of_all_sizes() {
  std::vector<native_tensor> made;
  for (const unsigned size :
       {1u, 63u, 64u, 65u, 4095u, 4096u, 4097u, 0u, 8192u, 20000u, 65536u, 65537u, 131072u, 300000u, 7u})
    made.push_back(bytes_tensor("t" + std::to_string(made.size()), random_bytes(size, size)));
  made.push_back(tensor_of<float>("scalar", {}, {1.5f}));
  made.push_back(alias_of("alias", made, 9));
  return made;
}

/// A file on the disk.
class stored_file {
public:
  explicit stored_file(const byte_vector& bytes, std::string name = "model.stet") : name_(std::move(name)) {
    folder_.write(name_, bytes);
  }
  [[nodiscard]] std::string path() const { return folder_.path(name_); }

private:
  temp_folder folder_;
  std::string name_;
};

/// Every tensor of `expected` is loaded as it is.
void check_loaded(const stet::loaded_tensors& loaded, const std::vector<native_tensor>& expected) {
  for (const native_tensor& each : expected) {
    CAPTURE(each.name);
    const auto found = loaded.find(each.name);
    REQUIRE(outcome(found) == "ok");
    if (!found) return;
    CHECK(found->is_writable());
    CHECK(stet::detail::is_aligned(found->bytes().data(), 64));
    CHECK(std::equal(found->bytes().begin(), found->bytes().end(), each.bytes.begin(), each.bytes.end()));
  }
}

/// Reads from memory, as a disk or a network does: several at once, at any offset.
class far_away final : public stet::byte_reader {
public:
  explicit far_away(std::span<const std::byte> bytes, std::uint64_t fails_at = ~std::uint64_t{0})
      : bytes_(bytes), fails_at_(fails_at) {}
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return bytes_.size(); }
  [[nodiscard]] bool reads_anywhere() const noexcept override { return true; }
  [[nodiscard]] stet::result<void> read(std::uint64_t offset, std::span<std::byte> into) const noexcept override {
    if (offset <= fails_at_ && fails_at_ - offset < into.size()) return stet::error(errc::io_error, {}, fails_at_);
    if (!into.empty()) std::memcpy(into.data(), bytes_.data() + static_cast<std::size_t>(offset), into.size());
    const std::size_t now = ++calls;
    (void)now;
    std::size_t largest = largest_bytes;
    while (into.size() > largest && !largest_bytes.compare_exchange_weak(largest, into.size())) {
    }
    return {};
  }
  mutable std::atomic<std::size_t> calls{0}, largest_bytes{0};

private:
  std::span<const std::byte> bytes_;
  std::uint64_t fails_at_;
};

/// What an observer was told.
class told final : public stet::load_observer {
public:
  void ended(load_request& request) noexcept override {
    const bool alone = !busy_.test_and_set();
    was_alone = was_alone && alone;
    names.emplace_back(request.of().name());
    outcomes.push_back(outcome(request.outcome()));
    if (cancel != nullptr && names.size() == cancel_after) cancel->store(true);
    busy_.clear();
  }
  void progressed(std::uint64_t done_bytes, std::uint64_t all_bytes) noexcept override {
    const bool alone = !busy_.test_and_set();
    was_alone = was_alone && alone && done_bytes >= done;
    done = done_bytes;
    all = all_bytes;
    ++steps;
    busy_.clear();
  }
  std::vector<std::string> names, outcomes;
  std::uint64_t done = 0, all = 0, steps = 0;
  bool was_alone = true;
  std::atomic<bool>* cancel = nullptr;
  std::size_t cancel_after = 0;

private:
  std::atomic_flag busy_;
};

} // namespace

TEST_SUITE("load") {
  TEST_CASE("all tensors, from wherever their bytes are") {
    const auto tensors = tensors_of_all_sizes();
    const native_file file(tensors);
    const stored_file stored(file.bytes);
    const memory_reader reader(file.bytes);
    const far_away remote(file.bytes);
    const auto check_all = [&](const stet::result<stet::store>& store, const load_options& options) {
      REQUIRE(outcome(store) == "ok");
      if (!store) return;
      load_report report;
      const auto loaded = stet::load_all(*store, options, &report);
      REQUIRE(outcome(loaded) == "ok");
      if (!loaded) return;
      check_loaded(*loaded, tensors);
      CHECK(report.failed_count == 0);
      CHECK(report.loaded_count == tensors.size() - 1); // the alias is its original
      CHECK(loaded->find("t9")->bytes().data() == loaded->find("alias")->bytes().data());
      CHECK(outcome(loaded->find("other")) == "not_found");
    };
    for (const std::size_t request : {std::size_t{0}, std::size_t{1}, std::size_t{4096}, std::size_t{65536}}) {
      for (const unsigned threads : {0u, 1u, 3u}) {
        for (const bool is_in_order : {false, true}) {
          for (const bool is_verified : {false, true}) {
            CAPTURE(request);
            CAPTURE(threads);
            load_options options;
            options.request_size_bytes = request;
            options.thread_count = threads;
            options.in_order = is_in_order;
            options.verify_checksums = is_verified;
            check_all(stet::open(stored.path()), options);
            check_all(stet::open(std::span<const std::byte>(file.bytes)), options);
            check_all(stet::open(reader), options);
            check_all(stet::open(remote), options);
            for (const direct_reads how : {direct_reads::when_cold, direct_reads::never, direct_reads::always}) {
              for (const bool has_ring : {true, false}) {
                options.direct = how;
                options.io_ring = has_ring;
                check_all(stet::open(stored.path(), {.backing = backing::stream}), options);
              }
            }
          }
        }
        if (STET_TEST_IS_THINNED) break;
      }
    }
  }

  TEST_CASE("reads past the cache give the same bytes at any place in the file, also of a store within a file") {
    const auto tensors = tensors_of_all_sizes();
    for (const std::size_t shift :
         {std::size_t{0}, std::size_t{1}, std::size_t{64}, std::size_t{4095}, std::size_t{4097}}) {
      CAPTURE(shift);
      const native_file file(tensors);
      byte_vector bytes(shift);
      bytes.insert(bytes.end(), file.bytes.begin(), file.bytes.end());
      const stored_file stored(bytes);
      const auto store = stet::open(stored.path(), {.backing = backing::stream, .range = {shift, file.bytes.size()}});
      REQUIRE(outcome(store) == "ok");
      if (!store) return;
      for (const bool has_ring : {true, false}) {
        for (const std::size_t request : {std::size_t{4096}, std::size_t{65536}, std::size_t{0}}) {
          load_options options;
          options.direct = direct_reads::always;
          options.io_ring = has_ring;
          options.request_size_bytes = request;
          load_report report;
          const auto loaded = stet::load_all(*store, options, &report);
          REQUIRE(outcome(loaded) == "ok");
          if (!loaded) return;
          check_loaded(*loaded, tensors);
#if defined(__linux__)
          // Where the file system has none, nothing was read so.
          CHECK((report.direct_read_count == report.read_count || report.direct_read_count == 0));
#endif
          std::vector<byte_vector> places;
          std::vector<load_request> requests;
          for (const native_tensor& each : tensors) places.emplace_back(each.bytes.size() + 1);
          for (std::size_t i = 0; i < tensors.size(); ++i)
            requests.emplace_back(*store->find(tensors[i].name), std::span<std::byte>(places[i]));
          CHECK(outcome(stet::load(*store, requests, options)) == "ok");
          for (std::size_t i = 0; i < tensors.size(); ++i) {
            CHECK(std::equal(tensors[i].bytes.begin(), tensors[i].bytes.end(), places[i].begin()));
            CHECK(places[i].back() == std::byte{0}); // and nothing behind it was written
          }
        }
      }
    }
  }

  TEST_CASE("to memory of the program: as stored, converted, dequantized") {
    std::vector<native_tensor> tensors;
    std::vector<float> numbers(100'001);
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i % 2000) / 4;
    std::vector<stet::float16> halves(numbers.size());
    for (std::size_t i = 0; i < numbers.size(); ++i) halves[i] = stet::float16(numbers[i]);
    tensors.push_back(tensor_of("float", stet::element_layout::of(dtype::float32), {numbers.size()},
                                bytes_of(std::span<const float>(numbers))));
    tensors.push_back(tensor_of("half", stet::element_layout::of(dtype::float16), {halves.size()},
                                bytes_of(std::span<const stet::float16>(halves))));
    stet::element_layout int4 = stet::element_layout::of(dtype::int4);
    tensors.push_back(tensor_of("packed", int4, {50'003}, random_bytes((50'003u * int4.bits + 7) / 8, 3)));
    tensors.push_back(tensor_of("bools", stet::element_layout::of(dtype::boolean), {3},
                                byte_vector{std::byte{1}, std::byte{0}, std::byte{1}}));
    tensors.push_back(
        tensor_of("bad", stet::element_layout::of(dtype::boolean), {2}, byte_vector{std::byte{1}, std::byte{2}}));
    stet::element_layout blocks = stet::element_layout::of(dtype::block);
    blocks.block = {"q8_0", 32, 34};
    byte_vector stored_blocks = random_bytes(34 * 3001, 5);
    for (std::size_t i = 0; i < 3001; ++i) stored_blocks[34 * i + 1] = std::byte{0x3c}; // no NaN as scale
    tensors.push_back(tensor_of("blocks", blocks, {3001 * 32}, stored_blocks));
    tensors.push_back(strings_of("strings", {"a", "bc"}));
    const native_file file(tensors);
    REQUIRE(!file.bytes.empty());
    const stored_file stored(file.bytes);
    const far_away remote(file.bytes);
    const memory_reader serial(file.bytes);
    const stet::result<stet::store> stores[] = {
        stet::open(stored.path()), stet::open(stored.path(), {.backing = backing::stream}), stet::open(remote),
        stet::open(serial), stet::open(std::span<const std::byte>(file.bytes))};
    for (const auto& store : stores) {
      REQUIRE(outcome(store) == "ok");
      if (!store) return;
      for (const direct_reads how : {direct_reads::never, direct_reads::always}) {
        std::vector<float> plain(numbers.size()), converted(numbers.size() + 1), dequantized(3001 * 32),
            expected(3001 * 32);
        std::vector<stet::int4> unpacked(50'003), expected_unpacked(50'003);
        std::vector<std::int8_t> wrong(numbers.size());
        std::vector<float> too_few(10);
        bool bools[3] = {}, bad[2] = {};
        byte_vector strings(static_cast<std::size_t>(store->find("strings")->size_bytes()));
        std::vector<load_request> requests;
        const auto of = [&](std::string_view name) { return *store->find(name); };
        requests.emplace_back(of("float"), std::span(plain));
        requests.emplace_back(of("half"), std::span(converted), stet::convert);
        requests.emplace_back(of("packed"), std::span(unpacked));
        requests.emplace_back(of("bools"), std::span<bool>(bools));
        requests.push_back(load_request(of("blocks"), std::span(dequantized), stet::dequantize));
        requests.emplace_back(of("strings"), std::span<std::byte>(strings));
        requests.emplace_back(of("float"), std::span(wrong));
        requests.emplace_back(of("float"), std::span(too_few));
        requests.emplace_back(of("bad"), std::span<bool>(bad));
        requests.emplace_back(of("strings"), std::span(too_few), stet::convert);
        load_options options;
        options.request_size_bytes = 4096;
        options.direct = how;
        load_report report;
        const auto done = stet::load(*store, requests, options, &report);
        CHECK(outcome(done) == "dtype_mismatch"); // the first in the order of the requests
        const char* const outcomes[] = {
            "ok", "ok", "ok", "ok", "ok", "ok", "dtype_mismatch", "buffer_too_small", "bad_value", "not_convertible"};
        for (std::size_t i = 0; i < requests.size(); ++i) {
          CAPTURE(i);
          CHECK(outcome(requests[i].outcome()) == outcomes[i]);
        }
        CHECK(requests[8].outcome().error().subject() == "bad");
        CHECK(report.loaded_count == 6);
        CHECK(report.failed_count == 4);
        CHECK(plain == numbers);
        converted.pop_back();
        CHECK(converted == numbers);
        CHECK(of("packed").copy_to(std::span(expected_unpacked)));
        CHECK(std::equal(unpacked.begin(), unpacked.end(), expected_unpacked.begin(),
                         [](stet::int4 a, stet::int4 b) { return a.bits() == b.bits(); }));
        CHECK(bools[0]);
        CHECK(!bools[1]);
        CHECK(bools[2]);
        CHECK(of("blocks").copy_to(std::span(expected), stet::dequantize));
        CHECK(dequantized == expected);
        const native_tensor& texts = tensors.back();
        CHECK(strings == texts.bytes);
      }
    }
  }

  TEST_CASE("a range of a tensor's bytes, as they are stored, wherever they are") {
    const byte_vector bytes = random_bytes(700'001, 11);
    std::vector<native_tensor> tensors;
    tensors.push_back(tensor_of("all", stet::element_layout::of(dtype::uint8), {bytes.size()}, bytes));
    const native_file file(tensors);
    REQUIRE(!file.bytes.empty());
    const stored_file stored(file.bytes);
    const far_away remote(file.bytes);
    const stet::result<stet::store> stores[] = {stet::open(stored.path()),
                                                stet::open(stored.path(), {.backing = backing::stream}),
                                                stet::open(remote), stet::open(std::span<const std::byte>(file.bytes))};
    for (const auto& store : stores) {
      REQUIRE(outcome(store) == "ok");
      if (!store) return;
      const auto of = store->find("all");
      REQUIRE(outcome(of) == "ok");
      if (!of) return;
      byte_vector first(1), middle(300'000), last(5), beyond(6);
      load_request wanted[] = {{*of, 0, first}, {*of, 12'345, middle}, {*of, 699'996, last}};
      load_options options;
      options.verify_checksums = true; // of which there is none for a range
      stet::load_report report;
      CHECK(outcome(stet::load(*store, wanted, options, &report)) == "ok");
      CHECK(report.size_bytes == 1 + 300'000 + 5);
      CHECK(std::memcmp(first.data(), bytes.data(), 1) == 0);
      CHECK(std::memcmp(middle.data(), bytes.data() + 12'345, middle.size()) == 0);
      CHECK(std::memcmp(last.data(), bytes.data() + 699'996, last.size()) == 0);
      load_request outside[] = {{*of, 699'996, beyond}, {*of, ~std::uint64_t{0}, last}};
      CHECK(outcome(stet::load(*store, outside)) == "bad_range");
      CHECK(outcome(outside[0].outcome()) == "bad_range");
      CHECK(outcome(outside[1].outcome()) == "bad_range");
    }
  }

  TEST_CASE("parts are loaded together, each from its own file") {
    std::vector<native_tensor> tensors;
    for (unsigned i = 0; i < 6; ++i) {
      tensors.push_back(bytes_tensor("t" + std::to_string(i), random_bytes(10'000 + i, i)));
      tensors.back().part = i / 3;
      tensors.back().offset_bytes = (i % 3) * 10'048;
    }
    byte_vector parts[2];
    for (const native_tensor& each : tensors) {
      byte_vector& part = parts[each.part];
      part.resize(static_cast<std::size_t>(each.offset_bytes));
      part.insert(part.end(), each.bytes.begin(), each.bytes.end());
    }
    native_file::options with;
    for (const char* const name : {"a.bin", "b.bin"}) {
      stet::index_part part;
      part.path = name;
      part.size_bytes = parts[with.parts.size()].size();
      with.parts.push_back(part);
    }
    const native_file file(tensors, with);
    REQUIRE(!file.bytes.empty());
    const temp_folder folder;
    folder.write("model.stet", file.bytes);
    folder.write("a.bin", parts[0]);
    folder.write("b.bin", parts[1]);
    for (const backing how : {backing::map, backing::stream}) {
      for (const direct_reads direct : {direct_reads::never, direct_reads::always}) {
        const auto store = stet::open(folder.path("model.stet"), {.backing = how});
        REQUIRE(outcome(store) == "ok");
        if (!store) return;
        load_options options;
        options.direct = direct;
        options.verify_checksums = true;
        const auto loaded = stet::load_all(*store, options);
        REQUIRE(outcome(loaded) == "ok");
        if (!loaded) return;
        check_loaded(*loaded, tensors);
        const std::string_view names[] = {"t4", "t1", "t4"};
        const auto some = stet::load_all(*store, names, options);
        REQUIRE(outcome(some) == "ok");
        if (!some) return;
        CHECK(outcome(some->find("t1")) == "ok");
        CHECK(outcome(some->find("t0")) == "not_found");
        CHECK(some->size_bytes() <= 8 * 4096);
        CHECK(std::equal(some->find("t4")->bytes().begin(), some->find("t4")->bytes().end(), tensors[4].bytes.begin()));
      }
    }
  }

  TEST_CASE("small tensors are read together, large ones in pieces, and nothing that is not wanted") {
    std::vector<native_tensor> tensors;
    for (unsigned i = 0; i < 1000; ++i) tensors.push_back(bytes_tensor("s" + std::to_string(i), random_bytes(40, i)));
    tensors.push_back(bytes_tensor("large", random_bytes(1'000'000, 1)));
    const native_file file(tensors);
    const far_away remote(file.bytes);
    const auto store = stet::open(remote);
    REQUIRE(store);
    if (!store) return;
    load_options options;
    options.request_size_bytes = 65536;
    load_report report;
    remote.calls = 0;
    remote.largest_bytes = 0;
    std::vector<byte_vector> places(1000, byte_vector(40));
    std::vector<load_request> requests;
    for (std::size_t i = 0; i < 1000; ++i)
      requests.emplace_back(*store->find(tensors[i].name), std::span<std::byte>(places[i]));
    CHECK(outcome(stet::load(*store, requests, options, &report)) == "ok");
    CHECK(report.read_count <= 3); // 64,000 bytes
    CHECK(remote.calls == report.read_count);
    CHECK(report.size_bytes == 40'000);
    for (std::size_t i = 0; i < 1000; ++i) CHECK(places[i] == tensors[i].bytes);

    remote.calls = 0;
    const std::string_view names[] = {"large"};
    CHECK(outcome(stet::load_all(*store, names, options, &report)) == "ok");
    CHECK(report.size_bytes == 1'000'000);
    CHECK(remote.calls >= 1'000'000 / 65536);
    CHECK(remote.calls <= 1'000'000 / 65536 + 2);
    CHECK(remote.largest_bytes <= 65536);

    remote.calls = 0;
    // Also from a reader that asks for order: what is read at once has none.
    const memory_reader serial(file.bytes);
    const auto of_serial = stet::open(serial);
    REQUIRE(of_serial);
    if (!of_serial) return;
    const int before = serial.calls();
    CHECK(outcome(stet::load_all(*of_serial, options)) == "ok");
    CHECK(serial.calls() - before <= 1'000'000 / 65536 + 4);

    const std::string_view apart[] = {"s1", "s900"};
    CHECK(outcome(stet::load_all(*store, apart, options, &report)) == "ok");
    CHECK(remote.calls == 2);
  }

  TEST_CASE("a reader that may be slow elsewhere gives each tensor from its first byte to its last") {
    class in_order final : public stet::byte_reader {
    public:
      explicit in_order(std::span<const std::byte> bytes) : bytes_(bytes) {}
      [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return bytes_.size(); }
      [[nodiscard]] stet::result<void> read(std::uint64_t offset, std::span<std::byte> into) const noexcept override {
        const std::lock_guard guard(mutex_);
        ranges.emplace_back(offset, offset + into.size());
        std::memcpy(into.data(), bytes_.data() + static_cast<std::size_t>(offset), into.size());
        return {};
      }
      mutable std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;

    private:
      mutable std::mutex mutex_;
      std::span<const std::byte> bytes_;
    };
    const std::vector<native_tensor> tensors{bytes_tensor("a", random_bytes(500'000, 1)),
                                             bytes_tensor("b", random_bytes(500'000, 2))};
    const native_file file(tensors);
    const in_order reader(file.bytes);
    const auto store = stet::open(reader);
    REQUIRE(store);
    if (!store) return;
    reader.ranges.clear();
    load_options options;
    options.request_size_bytes = 65536;
    const auto loaded = stet::load_all(*store, options);
    REQUIRE(loaded);
    if (!loaded) return;
    check_loaded(*loaded, tensors);
    const std::uint64_t second = store->find("b")->entry().offset_bytes();
    std::uint64_t next[2] = {store->find("a")->entry().offset_bytes(), second};
    for (const auto& [begin, end] : reader.ranges) {
      std::uint64_t& expected = next[begin >= second ? 1 : 0];
      CHECK(begin == expected);
      CHECK(end - begin <= 65536);
      expected = end;
    }
  }

  TEST_CASE("one tensor's failure stops no other, and each has its own error") {
    const std::vector<native_tensor> tensors{bytes_tensor("a", random_bytes(200'000, 1)),
                                             bytes_tensor("b", random_bytes(200'000, 2)),
                                             bytes_tensor("c", random_bytes(200'000, 3))};
    const native_file file(tensors);
    const auto in_memory = stet::open(std::span<const std::byte>(file.bytes));
    REQUIRE(in_memory);
    if (!in_memory) return;
    const std::uint64_t bad = in_memory->find("b")->entry().offset_bytes() + 100'000;
    const far_away remote(file.bytes, bad);
    const auto store = stet::open(remote);
    REQUIRE(store);
    if (!store) return;
    std::vector<byte_vector> places(3, byte_vector(200'000));
    std::vector<load_request> requests;
    for (std::size_t i = 0; i < 3; ++i)
      requests.emplace_back(*store->find(tensors[i].name), std::span<std::byte>(places[i]));
    load_options options;
    options.request_size_bytes = 16384;
    load_report report;
    const auto done = stet::load(*store, requests, options, &report);
    REQUIRE(outcome(done) == "io_error");
    CHECK(done.error().subject() == "b");
    CHECK(done.error().offset_bytes() == bad);
    CHECK(report.loaded_count == 2);
    CHECK(places[0] == tensors[0].bytes);
    CHECK(places[2] == tensors[2].bytes);
    CHECK(outcome(stet::load_all(*store, options)) == "io_error");
  }

  TEST_CASE("of small tensors that are read together, those fail that cannot be read") {
    std::vector<native_tensor> tensors;
    for (unsigned i = 0; i < 5; ++i) tensors.push_back(bytes_tensor("t" + std::to_string(i), random_bytes(40, i)));
    const native_file file(tensors);
    const auto in_memory = stet::open(std::span<const std::byte>(file.bytes));
    REQUIRE(in_memory);
    if (!in_memory) return;
    const far_away remote(file.bytes, in_memory->find("t2")->entry().offset_bytes() + 39);
    const auto store = stet::open(remote);
    REQUIRE(store);
    if (!store) return;
    std::vector<byte_vector> places(5, byte_vector(40));
    std::vector<load_request> requests;
    for (std::size_t i = 0; i < 5; ++i)
      requests.emplace_back(*store->find(tensors[i].name), std::span<std::byte>(places[i]));
    CHECK(outcome(stet::load(*store, requests)) == "io_error");
    for (std::size_t i = 0; i < 5; ++i) {
      CAPTURE(i);
      CHECK(outcome(requests[i].outcome()) == (i == 2 ? "io_error" : "ok"));
      if (i != 2) CHECK(places[i] == tensors[i].bytes);
    }
  }

  TEST_CASE("a file that became shorter is an error of what is missing") {
    const std::vector<native_tensor> tensors{bytes_tensor("a", random_bytes(200'000, 1)),
                                             bytes_tensor("b", random_bytes(200'000, 2))};
    const native_file file(tensors);
    for (const direct_reads how : {direct_reads::never, direct_reads::always}) {
      const temp_folder folder;
      folder.write("model.stet", file.bytes);
      const auto store = stet::open(folder.path("model.stet"), {.backing = backing::stream});
      REQUIRE(store);
      if (!store) return;
      byte_vector shorter = file.bytes;
      shorter.resize(shorter.size() - 100'000);
      folder.write("model.stet", shorter);
      std::vector<byte_vector> places(2, byte_vector(200'000));
      std::vector<load_request> requests;
      for (std::size_t i = 0; i < 2; ++i)
        requests.emplace_back(*store->find(tensors[i].name), std::span<std::byte>(places[i]));
      load_options options;
      options.direct = how;
      CHECK(outcome(stet::load(*store, requests, options)) == "truncated");
      CHECK(outcome(requests[0].outcome()) == "ok");
      CHECK(outcome(requests[1].outcome()) == "truncated");
    }
  }

  TEST_CASE("checksums are compared on the way, with a place for the bytes or without") {
    const std::vector<native_tensor> tensors{bytes_tensor("a", random_bytes(200'000, 1)),
                                             bytes_tensor("b", random_bytes(70'001, 2)),
                                             bytes_tensor("c", random_bytes(5, 3))};
    native_file file(tensors);
    const auto sound = stet::open(std::span<const std::byte>(file.bytes));
    REQUIRE(sound);
    if (!sound) return;
    byte_vector damaged = file.bytes;
    damaged[static_cast<std::size_t>(sound->find("b")->entry().offset_bytes()) + 70'000] ^= std::byte{1};
    const stored_file stored(damaged);
    for (const backing how : {backing::map, backing::stream}) {
      const auto store = stet::open(stored.path(), {.backing = how});
      REQUIRE(store);
      if (!store) return;
      load_options options;
      options.request_size_bytes = 4096;
      CHECK(outcome(stet::load_all(*store, options)) == "ok"); // nobody asked
      options.verify_checksums = true;
      const auto loaded = stet::load_all(*store, options);
      REQUIRE(outcome(loaded) == "checksum_mismatch");
      CHECK(loaded.error().subject() == "b");
      load_report report;
      const auto fetched = stet::prefetch(*store, options, &report);
      REQUIRE(outcome(fetched) == "checksum_mismatch");
      CHECK(report.loaded_count == 2);
    }
  }

  TEST_CASE("the observer is told of each tensor, one at a time, in order if asked") {
    std::vector<native_tensor> tensors;
    for (unsigned i = 0; i < 300; ++i)
      tensors.push_back(bytes_tensor("t" + std::to_string(i), random_bytes(i * 97 % 9000, i)));
    const native_file file(tensors);
    const stored_file stored(file.bytes);
    const auto store = stet::open(stored.path(), {.backing = backing::stream});
    REQUIRE(store);
    if (!store) return;
    std::uint64_t all_bytes = 0;
    for (const native_tensor& each : tensors) all_bytes += each.bytes.size();
    for (const bool is_in_order : {false, true}) {
      std::vector<byte_vector> places;
      std::vector<load_request> requests;
      std::vector<std::string> order;
      for (std::size_t i = tensors.size(); i-- > 0;) {
        places.emplace_back(tensors[i].bytes.size());
        order.push_back(tensors[i].name);
      }
      for (std::size_t i = 0; i < order.size(); ++i)
        requests.emplace_back(*store->find(order[i]), std::span<std::byte>(places[i]));
      told seen;
      load_options options;
      options.request_size_bytes = 4096;
      options.thread_count = 8;
      options.observer = &seen;
      options.in_order = is_in_order;
      CHECK(outcome(stet::load(*store, requests, options)) == "ok");
      CHECK(seen.was_alone);
      CHECK(seen.done == all_bytes);
      CHECK(seen.all == all_bytes);
      CHECK(seen.steps > 0);
      CHECK(seen.names.size() == order.size());
      if (is_in_order) CHECK(seen.names == order);
      CHECK(std::set<std::string>(seen.names.begin(), seen.names.end()).size() == order.size());
      for (std::size_t i = 0; i < order.size(); ++i) CHECK(places[i] == tensors[order.size() - 1 - i].bytes);
    }
  }

  TEST_CASE("a program cancels, and what was not read says so") {
    std::vector<native_tensor> tensors;
    for (unsigned i = 0; i < 60; ++i) tensors.push_back(bytes_tensor("t" + std::to_string(i), random_bytes(70'000, i)));
    const native_file file(tensors);
    const stored_file stored(file.bytes);
    const memory_reader serial(file.bytes);
    const stet::result<stet::store> stores[] = {stet::open(stored.path(), {.backing = backing::stream}),
                                                stet::open(stored.path()), stet::open(serial)};
    for (const auto& store : stores) {
      REQUIRE(store);
      if (!store) return;
      std::atomic<bool> cancel{false};
      told seen;
      seen.cancel = &cancel;
      seen.cancel_after = 3;
      load_options options;
      options.thread_count = 2;
      options.observer = &seen;
      options.cancel = &cancel;
      options.verify_checksums = true;
      load_report report;
      CHECK(outcome(stet::prefetch(*store, options, &report)) == "cancelled");
      CHECK(report.loaded_count >= 3);
      CHECK(report.failed_count > 0);
      CHECK(seen.names.size() == 60);
      CHECK(std::count(seen.outcomes.begin(), seen.outcomes.end(), "cancelled") ==
            static_cast<std::ptrdiff_t>(report.failed_count));
    }
  }

  TEST_CASE("prefetch brings a mapping into memory and copies nothing; elsewhere there is nothing to do") {
    const std::vector<native_tensor> tensors{bytes_tensor("a", random_bytes(200'000, 1)),
                                             bytes_tensor("b", random_bytes(200'000, 2))};
    const native_file file(tensors);
    const stored_file stored(file.bytes);
    const auto mapped = stet::open(stored.path());
    REQUIRE(mapped);
    if (!mapped) return;
    load_report report;
    CHECK(outcome(stet::prefetch(*mapped, {}, &report)) == "ok");
    CHECK(report.loaded_count == 2);
    CHECK(report.size_bytes == 400'000);
    const std::string_view names[] = {"b"}, wrong[] = {"b", "c"};
    CHECK(outcome(stet::prefetch(*mapped, names, {}, &report)) == "ok");
    CHECK(report.size_bytes == 200'000);
    CHECK(outcome(stet::prefetch(*mapped, wrong)) == "not_found");
    const auto in_memory = stet::open(std::span<const std::byte>(file.bytes));
    REQUIRE(in_memory);
    if (!in_memory) return;
    CHECK(outcome(stet::prefetch(*in_memory, {}, &report)) == "ok");
    CHECK(report.size_bytes == 0);
    CHECK(report.loaded_count == 2);
  }

  TEST_CASE("memory that is exhausted is an error, whichever block it is, and all of it comes back") {
    const auto tensors = tensors_of_all_sizes();
    const native_file file(tensors);
    const stored_file stored(file.bytes);
    const auto store = stet::open(stored.path(), {.backing = backing::stream});
    REQUIRE(store);
    if (!store) return;
    for (const direct_reads how : {direct_reads::never, direct_reads::always}) {
      bool has_succeeded = false;
      for (std::uint64_t fails_at = 0; !has_succeeded && fails_at < 100; ++fails_at) {
        counted_memory memory(fails_at);
        load_options options;
        options.request_size_bytes = 4096;
        options.thread_count = 1;
        options.memory = &memory;
        options.direct = how;
        {
          const auto loaded = stet::load_all(*store, options);
          has_succeeded = static_cast<bool>(loaded);
          if (!loaded) CHECK(outcome(loaded) == "out_of_memory");
          std::vector<float> into(1);
          byte_vector bytes(300'000);
          std::vector<load_request> requests{load_request(*store->find("scalar"), std::span(into), stet::convert),
                                             load_request(*store->find("t13"), std::span<std::byte>(bytes))};
          const auto done = stet::load(*store, requests, options);
          CHECK((done || outcome(done) == "out_of_memory"));
          CHECK((done || !requests[0].outcome() || !requests[1].outcome()));
          if (requests[1].outcome()) CHECK(std::equal(bytes.begin(), bytes.end(), tensors[13].bytes.begin()));
        }
        CHECK(memory.live() == 0);
        CHECK(memory.is_sound());
      }
      CHECK(has_succeeded);
    }
  }

  TEST_CASE("a store without tensors, and no requests") {
    const native_file file{std::vector<native_tensor>{}};
    const auto store = stet::open(std::span<const std::byte>(file.bytes));
    REQUIRE(store);
    if (!store) return;
    const auto loaded = stet::load_all(*store);
    REQUIRE(loaded);
    if (!loaded) return;
    CHECK(loaded->size_bytes() == 0);
    CHECK(outcome(stet::load(*store, {})) == "ok");
    CHECK(outcome(stet::prefetch(*store)) == "ok");
  }
}
