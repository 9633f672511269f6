// SPDX-License-Identifier: MIT
// Tests of visit_pieces.hpp: the pieces of a range, and that the conversion of a model allocates far less than the model.
#include <stet/formats/common/visit_pieces.hpp>

#include "support/allocations.hpp"
#include "support/temp_folder.hpp"

#include <stet/formats/compiled.hpp>
#include <stet/formats/convert_tensors.hpp>
#include <stet/formats/format.hpp>
#include <stet/formats/select.hpp>
#include <stet/writer.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

/// Two tensors, of 20 MiB and of 4 MiB.
std::string save_large_model(const stet_test::temp_folder& in, std::string_view name) {
  static const std::vector<float> values = [] {
    std::vector<float> made(6 << 20);
    for (std::size_t i = 0; i < made.size(); ++i) made[i] = static_cast<float>(i % 1009);
    return made;
  }();
  stet::writer out;
  out.add("a", std::span(values).first(5 << 20), {5 << 10, 1 << 10})
      .add("b", std::span(values).last(1 << 20), {1 << 20});
  out.metadata = stet::json_text(R"({"author":"me"})");
  const std::string path = in.path(name);
  stet::save_any_options options;
  options.is_durable = false;
  if (const auto saved = stet::compiled::save_any(path, out, options); !saved) FAIL(saved.error());
  return path;
}

} // namespace

TEST_SUITE("formats/common/visit_pieces") {
  TEST_CASE("the pieces are the range, of mapped files and of memory, and the bytes remain") {
    const stet_test::temp_folder folder;
    std::vector<std::byte> bytes((21 << 20) + 7);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 31 % 251);
    folder.write("bytes", bytes);
    const auto mapped = stet::source::map(folder.path("bytes"));
    REQUIRE(mapped);
    const stet::source borrowed = stet::source::borrow(bytes);
    for (const stet::source* const from : {&*mapped, &borrowed}) {
      for (const auto& range : {std::pair<std::size_t, std::size_t>{0, bytes.size()},
                                {5, (20 << 20) + 1},
                                {1 << 20, 4 << 20},
                                {bytes.size(), 0}}) {
        const std::size_t offset = range.first, size = range.second;
        CAPTURE(size);
        std::vector<std::byte> seen;
        std::size_t largest = 0;
        stet::detail::visit_pieces(*from, offset, size, [&](std::span<const std::byte> piece) {
          seen.insert(seen.end(), piece.begin(), piece.end());
          largest = piece.size() > largest ? piece.size() : largest;
        });
        REQUIRE(seen.size() == size);
        CHECK((size == 0 || std::memcmp(seen.data(), bytes.data() + offset, size) == 0));
        CHECK(largest <= (4u << 20));
      }
    }
    CHECK(std::memcmp(mapped->data(), bytes.data(), bytes.size()) == 0);
  }

  TEST_CASE("the file that has a tensor is found, also through a selection") {
    const stet_test::temp_folder folder;
    auto opened = stet::compiled::open_any(save_large_model(folder, "m.stet"));
    REQUIRE(opened);
    const stet::source* const file = stet::detail::find_file_with(*opened, opened->store.find("b")->bytes());
    REQUIRE(file != nullptr);
    CHECK(file->data() == opened->store.data().data());
    const auto rest =
        stet::without_tensors(std::move(*opened), [](const stet::tensor& each) { return each.name() == "a"; });
    REQUIRE(rest);
    CHECK(stet::detail::find_file_with(*rest, rest->store.find("b")->bytes()) != nullptr);
    const std::byte elsewhere[4] = {};
    CHECK(stet::detail::find_file_with(*rest, elsewhere) == nullptr);
  }

  TEST_CASE("damage in any piece of a large range is found, as it is and converted") {
    const stet_test::temp_folder folder;
    for (const char* const name : {"m.npz", "m.stet"}) {
      const std::string path = save_large_model(folder, name);
      const auto bytes = folder.read(name);
      for (const std::size_t at : {std::size_t{1} << 20, std::size_t{19} << 20}) {
        CAPTURE(at);
        auto damaged = bytes;
        damaged[at] ^= std::byte{1};
        folder.write(std::string("d") + name, damaged);
        auto opened = stet::compiled::open_any(folder.path(std::string("d") + name));
        REQUIRE(opened);
        auto halved = stet::with_dtypes(std::move(*opened),
                                        [](const stet::tensor&) { return std::optional(stet::dtype::float16); });
        REQUIRE(halved);
        stet::writer out;
        const auto added = stet::compiled::add_model(out, *halved);
        const auto saved = added ? stet::compiled::save_any(folder.path("o.safetensors"), out) : added.error();
        REQUIRE(!saved);
        CHECK(saved.error().code() == stet::errc::checksum_mismatch);
        CHECK(std::string_view(saved.error().subject()).starts_with("a"));
      }
    }
  }

  TEST_CASE("metadata stay with a selection of the tensors of any format") {
    const stet_test::temp_folder folder;
    for (const char* const name : {"m.safetensors", "m.gguf", "m.stet"}) {
      CAPTURE(name);
      auto opened = stet::compiled::open_any(save_large_model(folder, name));
      REQUIRE(opened);
      auto rest =
          stet::without_tensors(std::move(*opened), [](const stet::tensor& each) { return each.name() == "a"; });
      REQUIRE(rest);
      rest =
          stet::with_dtypes(std::move(*rest), [](const stet::tensor&) { return std::optional(stet::dtype::float16); });
      REQUIRE(rest);
      const auto described = stet::compiled::describe(*rest);
      REQUIRE(described);
      CHECK(described->metadata["author"] == "me");
      stet::writer out;
      CHECK(stet::compiled::add_model(out, *rest));
    }
  }

  TEST_CASE("converting a model allocates little of its size, from each format to each other") {
    if (!stet_test::counts_allocations) return;
    const stet_test::temp_folder folder;
    constexpr std::uint64_t most_bytes = 6 << 20; // all allocations together; the model has 24 MiB
    const std::string targets[] = {"m.stet",       "m.safetensors", "m.gguf",    "m.npz",
                                   "m.weights.h5", "tfjs-weights",  "tensorflow"};
    const auto convert = [&](const stet::model& from, const std::string& target, const std::string& to) {
      stet::save_any_options options;
      options.is_durable = false;
      if (target.find('.') == std::string::npos) options.format = target;
      const stet_test::allocations counted;
      const auto saved = stet::compiled::save_any(to, from, options);
      if (!saved) FAIL(saved.error());
      CHECK(counted.bytes() < most_bytes);
    };
    const std::string first = save_large_model(folder, "first.stet");
    for (const std::string& from : targets) {
      CAPTURE(from);
      REQUIRE(std::filesystem::create_directories(folder.path(from + ".d")));
      const std::string at = folder.path(from + ".d/") + (from == "tfjs-weights" ? "model.json" : from);
      const auto native = stet::compiled::open_any(first);
      REQUIRE(native);
      convert(*native, from, at);
      const stet_test::allocations counted;
      const auto opened = stet::compiled::open_any(at);
      REQUIRE(opened);
      CHECK(counted.bytes() < most_bytes);
      for (const std::string& to : targets) {
        CAPTURE(to);
        const std::string in = folder.path("out/");
        REQUIRE(std::filesystem::create_directories(in));
        convert(*opened, to, in + (to == "tfjs-weights" ? "model.json" : to));
        std::filesystem::remove_all(in);
      }
      auto again = stet::compiled::open_any(at);
      REQUIRE(again);
      const auto halved =
          stet::with_dtypes(std::move(*again), [](const stet::tensor&) { return std::optional(stet::dtype::float16); });
      REQUIRE(halved);
      convert(*halved, "m.safetensors", folder.path("halved.safetensors"));
    }
  }
}
