// SPDX-License-Identifier: MIT
#include <stet/formats/compiled.hpp>
#include <stet/formats/description.hpp>

#include <stet/formats/tensorflow/save.hpp>

#include "support/keras_files.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using stet_test::outcome;

/// How a file was read.
struct file_use {
  int opened = 0;
  std::uint64_t bytes_read = 0;
  /// Of each byte, how often it was read, up to `size_kept` bytes.
  std::vector<std::uint8_t> times;
  static constexpr std::size_t size_kept = 1 << 20;
  [[nodiscard]] int most_times() const {
    return times.empty() ? 0 : int{*std::max_element(times.begin(), times.end())};
  }
};

/// A file that begins with `start`, is zero from there on, and counts what is read of it.
class counted_reader final : public stet::byte_reader {
public:
  counted_reader(std::string_view start, std::uint64_t size_bytes, std::shared_ptr<file_use> use)
      : start_(start), size_bytes_(size_bytes), use_(std::move(use)) {}
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return size_bytes_; }
  [[nodiscard]] stet::result<void> read(std::uint64_t offset, std::span<std::byte> into) const noexcept override {
    if (offset > size_bytes_ || into.size() > size_bytes_ - offset) return stet::errc::bad_range;
    use_->bytes_read += into.size();
    for (std::size_t i = 0; i < into.size(); ++i) {
      const std::uint64_t at = offset + i;
      into[i] = at < start_.size() ? static_cast<std::byte>(start_[static_cast<std::size_t>(at)]) : std::byte{0};
      if (at < use_->times.size()) ++use_->times[static_cast<std::size_t>(at)];
    }
    return {};
  }

private:
  std::string start_;
  std::uint64_t size_bytes_;
  std::shared_ptr<file_use> use_;
};

/// A file system with one file.
class counting_files final : public stet::file_system {
public:
  counting_files(std::string path, std::string start, std::uint64_t size_bytes = 0)
      : path_(std::move(path)), start_(std::move(start)),
        size_bytes_((std::max)(size_bytes, std::uint64_t{start_.size()})) {
    use_->times.resize(static_cast<std::size_t>((std::min<std::uint64_t>)(size_bytes_, file_use::size_kept)));
  }
  [[nodiscard]] stet::result<stet::source> open_file(std::string_view path) const noexcept override {
    if (path != path_) return stet::errc::file_not_found;
    ++use_->opened;
    return stet::source::keep(counted_reader(start_, size_bytes_, use_));
  }
  [[nodiscard]] const file_use& use() const noexcept { return *use_; }

private:
  std::string path_, start_;
  std::uint64_t size_bytes_;
  std::shared_ptr<file_use> use_ = std::make_shared<file_use>();
};

std::string text_of_file(const std::string& path) {
  const auto bytes = stet::source::read(path);
  REQUIRE(bytes);
  return {reinterpret_cast<const char*>(bytes->data()), static_cast<std::size_t>(bytes->size_bytes())};
}

constexpr std::uint64_t large_bytes = 16u << 20,
                        // The samples, and what could be the signature of HDF5 at 4 KiB, 8 KiB … 8 MiB.
    looked_at_bytes = 2 * 4096 + 12 * 8;

} // namespace

TEST_SUITE("formats/format") {
  TEST_CASE("a large file of no format is read once at most, and told by its first fields if they can tell") {
    struct row {
      std::string_view start;
      std::uint64_t bytes_read;
    };
    using namespace std::literals;
    const row rows[] = {
        // Field 2 fills the file, as the graph of a SavedModel does.
        {"\x08\x07\x12\xF9\xFF\xFF\x07"sv, large_bytes},
        // As ONNX, but for the graph: the version, then names, then a text that fills the file.
        {"\x08\x07\x12\x07pytorch\x1A\x03"
         "2.1\x32\xE0\xFF\xFF\x07"sv,
         looked_at_bytes},
        {"PK\x03\x04"sv, large_bytes},
        {"PK\x05\x06"sv, looked_at_bytes},
        {"\x93NUMPX"sv, looked_at_bytes},
    };
    for (const row& each : rows) {
      CAPTURE(each.start);
      for (const stet::backing how : {stet::backing::stream, stet::backing::map, stet::backing::read}) {
        const counting_files files("model", std::string(each.start), large_bytes);
        CHECK(outcome(stet::compiled::open_any("model", {.backing = how, .files = &files})) == "unknown_format");
        CHECK(files.use().opened == 1);
        // On demand, where the end record of an archive may be is looked at first: before a comment of 65535 bytes.
        const bool is_archive = each.start.starts_with("PK\x03") && how != stet::backing::read;
        CHECK(files.use().bytes_read == each.bytes_read + (is_archive ? 22 + 65535 - 4096 : 0));
        CHECK(files.use().most_times() == 1);
      }
    }
  }

  TEST_CASE("a model of one file is opened once, and no byte of it is read twice") {
    const stet_test::temp_folder folder;
    stet::writer out;
    const std::vector<float> values(5000, 1.5f);
    out.add("w", values, {5000});
    REQUIRE(out.save(folder.path("m.stet")));
    stet_test::made_weights plain;
    plain.add("group/data", {2});
    struct row {
      const char* path;
      std::string bytes;
      const char* format;
    };
    const row rows[] = {
        {"m.stet", text_of_file(folder.path("m.stet")), "stet"},
        {"m.keras", stet_test::keras_archive().bytes(), "keras-v3"},
        {"m.weights.h5", stet_test::probe_weights(), "hdf5"},
        {"m.h5", plain.bytes(), "hdf5"},
        {"model.json", R"({"modelTopology": null, "weightsManifest": []})", "tfjs"},
        {"m.pb", std::string("\x0A\x12\x0A\x04node\x12\x04NoOp\x1A\x01x\x22\x01y", 20), "tf-graphdef"},
    };
    for (const row& each : rows) {
      CAPTURE(each.path);
      for (const stet::backing how : {stet::backing::stream, stet::backing::map, stet::backing::read}) {
        const counting_files files(each.path, each.bytes);
        const auto opened = stet::compiled::open_any(
            each.path, {.backing = how, .inflate = stet_test::inflate_stored, .files = &files});
        CHECK(outcome(opened) == "ok");
        if (!opened) continue;
        CHECK(opened->format->name == each.format);
        CHECK(opened->path == each.path);
        CHECK(files.use().opened == 1);
        // A native store that stays on demand fetches its own table.
        if (std::string_view(each.format) != "stet" || how == stet::backing::read) CHECK(files.use().most_times() <= 1);
        CHECK(outcome(stet::describe(*opened)) == "ok");
      }
    }
  }

  TEST_CASE("a probe reads samples once, and gives all bytes and the directory when they are asked for") {
    const std::string archive = stet_test::keras_archive().bytes();
    const counting_files files("m.keras", archive);
    const stet::open_options options{.files = &files};
    stet::format_probe probe("m.keras", options);
    const auto as_text = [](std::span<const std::byte> bytes) {
      return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    };
    const std::size_t sampled = (std::min)(archive.size(), stet::format_probe::sample_size_bytes);
    CHECK(as_text(probe.start()) == archive.substr(0, sampled));
    CHECK(as_text(probe.end()) == archive.substr(archive.size() - sampled));
    CHECK(files.use().bytes_read == (std::min)(archive.size(), 2 * sampled));
    std::array<std::byte, 4> word{};
    CHECK(probe.read_at(0, word));
    CHECK(as_text(word) == "PK\x03\x04");
    REQUIRE(probe.zip());
    CHECK(probe.zip()->size() == 3);
    const auto all = probe.bytes();
    REQUIRE(all);
    CHECK(as_text(*all) == archive);
    const auto taken = probe.take_bytes();
    REQUIRE(taken);
    CHECK(taken->data() == all->data());
    CHECK(probe.bytes()->data() == all->data());
    CHECK(files.use().most_times() == 1);
    CHECK(files.use().opened == 1);

    stet::format_probe missing("absent", options);
    CHECK(outcome(missing.bytes()) == "file_not_found");
    CHECK(outcome(missing.zip()) == "file_not_found");
    CHECK(outcome(missing.take()) == "file_not_found");
    CHECK(outcome(missing.read_at(0, word)) == "file_not_found");
  }

  TEST_CASE("an index of TensorFlow that the path names is opened by the probe alone") {
    const stet_test::temp_folder folder;
    stet::writer out;
    out.add("w", 1.5f);
    REQUIRE(stet::save_tensorflow_checkpoint(folder.path("m"), out));
    const counting_files files("m.index", text_of_file(folder.path("m.index")));
    const auto opened = stet::compiled::open_any("m.index", {.backing = stet::backing::stream, .files = &files});
    REQUIRE(outcome(opened) == "ok");
    if (opened) CHECK(opened->format->name == "tf-ckpt-v2");
    CHECK(files.use().bytes_read == files.use().times.size());
  }
}
