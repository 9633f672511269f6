// SPDX-License-Identifier: MIT
// Tests of store.hpp: look-up, order, aliases, residency, moves, threads, and that nothing allocates.
#include "index/golden_store.hpp"
#include "support/allocations.hpp"
#include "support/byte_order.hpp"
#include "support/counted_memory.hpp"
#include "support/files.hpp"

#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <vector>

#if !defined(__EMSCRIPTEN__) && !defined(__wasi__)
#include <thread>
#endif

using stet::errc;
using stet_test::code_of;
using stet_test::elements_of;
using stet_test::view_of_words;

namespace {
std::span<const std::byte> golden_bytes() { return std::as_bytes(std::span(stet_test::golden_store)); }

struct golden_model {
  stet::view<const float, 2, stet::dynamic> kernel;
  stet::packed_span<stet::int4> w4;
  stet::string_span labels;
  void bind(auto& field) {
    field("layer_0/kernel", kernel);
    field("w4", w4);
    field("labels", labels);
  }
};

} // namespace

TEST_SUITE("store") {
  TEST_CASE("opens the golden file and finds in it what the script put there") {
    const auto store = stet::open(golden_bytes());
    REQUIRE(store);
    if (!store) return;
    CHECK(store->tensor_count() == 4);
    CHECK(store->alignment_bytes() == 64);
    CHECK(store->manifest_text().size() == stet_test::golden_manifest_size);
    CHECK(store->manifest_text().substr(0, 9) == "{\"stet\":{");
    const auto kernel = store->find("layer_0/kernel");
    CHECK(elements_of<float>(kernel) == std::vector<float>{1.0f, -2.0f});
    CHECK(kernel->bytes().data() == golden_bytes().data() + stet_test::golden_data_offset);
    CHECK(code_of(store->get<float>("layer_0/kernel")) == view_of_words());
    const auto packed = store->find("w4")->as_packed<stet::int4>();
    REQUIRE(packed);
    if (!packed) return;
    const int expected[] = {-1, 2, 7, 0, 1, -8, 3};
    for (std::size_t i = 0; i < 7; ++i) CHECK((*packed)[i] == expected[i]);
    const auto labels = store->find("labels")->as_strings();
    REQUIRE(labels);
    if (!labels) return;
    CHECK((*labels)[0] == "no");
    CHECK((*labels)[1] == "y");
    const auto tied = store->view<float, 2, 1>("tied");
    CHECK(code_of(tied) == view_of_words());
    if (tied) CHECK((*tied)(1, 0) == -2.0f);
    CHECK(store->find("tied")->bytes().data() == kernel->bytes().data());
    CHECK(code_of(store->verify_checksums()) == errc{});
  }

  TEST_CASE("iterates in manifest order, and find agrees") {
    const auto store = stet::open(golden_bytes());
    REQUIRE(store);
    if (!store) return;
    std::string names;
    for (const stet::tensor each : *store) {
      names += std::string(each.name()) + ' ';
      CHECK(store->contains(each.name()));
      CHECK(store->find(each.name())->bytes().data() == each.bytes().data());
    }
    CHECK(names == "layer_0/kernel w4 labels tied ");
    CHECK(store->original_of(*store->find("tied"))->name() == "layer_0/kernel");
    CHECK(code_of(store->original_of(*store->find("w4"))) == errc::not_found);
    const auto missing = store->find("nobody");
    CHECK(code_of(missing) == errc::not_found);
    CHECK(missing.error().subject() == "nobody");
    CHECK(code_of(store->get<double>("layer_0/kernel")) == errc::dtype_mismatch);
    CHECK(code_of(store->view<float, 2>("layer_0/kernel")) == view_of_words(errc::shape_mismatch));
    CHECK_FALSE(store->contains(""));
  }

  TEST_CASE("opening from memory, finding, viewing, iterating, verifying and binding allocate nothing") {
    const stet_test::allocations seen;
    bool ok = true;
    {
      auto store = stet::open(golden_bytes());
      ok = ok && store;
      if (ok) {
        ok = ok && code_of(store->get<float>("layer_0/kernel")) == view_of_words() &&
             code_of(store->view<float, 2, stet::dynamic>("tied")) == view_of_words() &&
             store->find("w4")->as_packed<stet::int4>() && store->find("labels")->as_strings() &&
             !store->find("nobody");
        float copied[2];
        ok = ok && store->find("tied")->copy_to(std::span<float>(copied));
        for (const stet::tensor each : *store) ok = ok && each.size_bytes() != 0 && each.shape().rank() <= 2;
        golden_model model;
        ok = ok &&
             code_of(stet::bind_model(model, *store)) == (stet_test::can_view_words ? errc{} : errc::binding_failed) &&
             store->verify_checksums() && store->prefetch() && store->evict();
        const stet::store moved = std::move(*store);
        ok = ok && moved.contains("w4");
      }
      const auto damaged = stet::open(golden_bytes().first(500));
      ok = ok && !damaged && damaged.error().message().size() != 0;
    }
    const std::uint64_t count = seen.count();
    CHECK(ok);
    CHECK(count == 0);
  }

  TEST_CASE("opening a mapped file allocates nothing either") {
    const stet_test::temp_folder folder;
    const std::string path = folder.write("golden.stet", golden_bytes());
    const stet_test::allocations seen;
    const bool ok = static_cast<bool>(stet::open(path));
    const std::uint64_t count = seen.count();
    CHECK(ok);
    CHECK(count == 0);
  }

  TEST_CASE("damaged tensors are found when asked, by name and place") {
    stet_test::byte_vector bytes(golden_bytes().begin(), golden_bytes().end());
    bytes[stet_test::golden_data_offset + 128] ^= std::byte{1};
    const auto store = stet::open(std::span<const std::byte>(bytes));
    REQUIRE(store);
    if (!store) return;
    const auto verified = store->verify_checksums();
    CHECK(code_of(verified) == errc::checksum_mismatch);
    CHECK(verified.error().subject() == "labels");
    CHECK(verified.error().offset_bytes() == stet_test::golden_data_offset + 128);
    CHECK(code_of(store->find("w4")->verify_checksum()) == errc{});
    CHECK(code_of(store->find("labels")->verify_checksum()) == errc::checksum_mismatch);
  }

  TEST_CASE("a tensor without a checksum is never called intact") {
    auto tensor = stet_test::tensor_of<float>("a", {1}, {1});
    tensor.has_crc32c = false;
    const stet_test::native_file file({tensor});
    const auto store = stet::open(std::span<const std::byte>(file.bytes));
    REQUIRE(store);
    if (!store) return;
    CHECK(code_of(store->find("a")->verify_checksum()) == errc::no_checksum);
    CHECK(code_of(store->verify_checksums()) == errc{}); // it speaks of those that have one
  }

  TEST_CASE("views outlive a move of the store; what was moved from is empty and can be asked") {
    auto opened = stet::open(golden_bytes());
    REQUIRE(opened);
    if (!opened) return;
    stet::store first = std::move(*opened);
    const stet::result<stet::tensor> kernel = first.find("tied");
    const auto codes = first.find("w4")->as_packed<stet::int4>();
    const stet::tensor labels = *first.find("labels");
    stet::store second = std::move(first);
    CHECK(elements_of<float>(kernel)[1] == -2.0f);
    CHECK((codes && (*codes)[5] == -8));
    CHECK((*labels.as_strings())[1] == "y");
    CHECK(second.contains("tied"));

    const auto is_empty = [](const stet::store& store) {
      bool iterates = false;
      for (const stet::tensor each : store) iterates = each.size_bytes() != 0 || true;
      return !iterates && store.tensor_count() == 0 && code_of(store.find("tied")) == errc::not_found &&
             store.manifest_text().empty() && code_of(store.verify_checksums()) == errc{} &&
             code_of(store.prefetch()) == errc{} && code_of(store.lock()) == errc{} && store.data().size_bytes() == 0;
    };
    CHECK(is_empty(first));
    CHECK(is_empty(stet::store()));
    first = std::move(second);
    CHECK(first.contains("tied"));
    CHECK(is_empty(second));
    stet::store& same = first;
    first = std::move(same);
    CHECK(first.contains("tied"));
  }

  TEST_CASE("a store that read its table keeps it when it moves") {
    const stet_test::memory_reader reader(golden_bytes());
    auto opened = stet::open(reader);
    REQUIRE(opened);
    if (!opened) return;
    stet::store moved = std::move(*opened);
    CHECK_FALSE(opened->contains("tied"));
    CHECK(opened->tensor_count() == 0);
    float values[2] = {};
    CHECK(moved.find("tied")->copy_to(std::span<float>(values)));
    CHECK(values[1] == -2.0f);
    moved = stet::store();
    CHECK_FALSE(moved.contains("tied"));
  }

  TEST_CASE("residency calls succeed on every backing that can, and name a missing tensor") {
    const stet_test::every_way ways;
    int tried = 0;
    ways.open(golden_bytes(), [&](const stet_test::way_to_open& way, stet::result<stet::store>&& store) {
      CAPTURE(way.name);
      REQUIRE(store);
      if (!store) return;
      ++tried;
      const std::string_view names[] = {"w4", "tied"}, wrong[] = {"w4", "nobody"};
      CHECK(code_of(store->prefetch()) == errc{});
      CHECK(code_of(store->prefetch(names)) == errc{});
      CHECK(code_of(store->prefetch(wrong)) == errc::not_found);
      CHECK(store->prefetch(wrong).error().subject() == "nobody");
      CHECK(code_of(store->evict(names)) == errc{});
      CHECK(code_of(store->evict()) == errc{});
      const errc locked = code_of(store->lock(names)); // a limit or the platform may forbid it
      CHECK((way.is_resident ? locked == errc{} || locked == errc::out_of_memory || locked == errc::access_denied ||
                                   locked == errc::unsupported
                             : locked == errc::not_resident));
      if (locked == errc{}) CHECK(code_of(store->unlock(names)) == errc{});
      CHECK(code_of(store->verify_checksums()) == errc{});
    });
    CHECK(tried == static_cast<int>(stet_test::every_way::way_count));
  }

  TEST_CASE(
      "whole pages are a tensor's bytes up to the next multiple of the page, or the error that says what is missing") {
    const stet_test::every_way ways;
    int whole = 0, misaligned = 0, unpadded = 0, elsewhere = 0;
    ways.open(golden_bytes(), [&](const stet_test::way_to_open& way, stet::result<stet::store>&& store) {
      CAPTURE(way.name);
      REQUIRE(store);
      if (!store) return;
      for (const stet::tensor each : *store) {
        CAPTURE(each.name());
        for (const std::size_t page : {1u, 8u, 64u, 4096u, 65536u}) {
          CAPTURE(page);
          const auto pages = store->whole_pages(each, page);
          const auto begin = reinterpret_cast<std::uintptr_t>(each.bytes().data());
          const auto end = begin + each.bytes().size();
          if (!way.is_resident) {
            CHECK(code_of(pages) == errc::not_resident);
            ++elsewhere;
          } else if (begin % page != 0) {
            CHECK(code_of(pages) == errc::misaligned);
            ++misaligned;
          } else if ((end + page - 1) / page * page - end > store->readable_bytes_behind(each)) {
            CHECK(code_of(pages) == errc::unpadded);
            CHECK(pages.error().subject() == each.name());
            ++unpadded;
          } else {
            REQUIRE(pages);
            CHECK(pages->data() == each.bytes().data());
            CHECK(pages->size() % page == 0);
            CHECK(pages->size() - each.bytes().size() < page);
            ++whole;
          }
          const auto loaded = store->load(each.name(), nullptr, static_cast<std::uint32_t>(page));
          REQUIRE(loaded);
          const auto loaded_pages = loaded->whole_pages(page); // its memory begins at a multiple of 64, if it is a copy
          const bool is_aligned = reinterpret_cast<std::uintptr_t>((*loaded)->bytes().data()) % page == 0;
          CHECK(code_of(loaded_pages) == (is_aligned ? errc{} : errc::misaligned));
          if (loaded_pages) CHECK(loaded_pages->size() == (each.size_bytes() + page - 1) / page * page);
        }
      }
    });
    CHECK(whole > 0);
    CHECK(misaligned > 0);
    CHECK(unpadded > 0);
    CHECK(elsewhere > 0);
    // A tensor without bytes has no pages.
    stet::writer out;
    out.add("none", std::span<const float>(), {0});
    const auto made = out.save_to_memory();
    REQUIRE(made);
    const auto opened = stet::open(*made);
    REQUIRE(opened);
    const auto none = opened->whole_pages(*opened->find("none"), 4096);
    REQUIRE(none);
    CHECK(none->empty());
  }

  TEST_CASE("all bytes that are readable behind a tensor can be read; where there are too few, loading it copies it") {
    const auto touch = [](const std::byte* at, std::uint64_t count) {
      unsigned sum = 0;
      for (std::uint64_t i = 0; i < count; ++i) sum += static_cast<unsigned>(at[static_cast<std::size_t>(i)]);
      return sum;
    };
    const stet_test::every_way ways;
    int tried = 0;
    // The golden file ends with its last tensor, as files of other writers do.
    ways.open(golden_bytes(), [&](const stet_test::way_to_open& way, stet::result<stet::store>&& store) {
      CAPTURE(way.name);
      REQUIRE(store);
      if (!store) return;
      ++tried;
      for (const stet::tensor each : *store) {
        CAPTURE(each.name());
        const std::uint64_t behind = store->readable_bytes_behind(each);
        const std::uint64_t in_file = sizeof stet_test::golden_store - each.entry().offset_bytes() - each.size_bytes();
        CHECK((way.is_resident ? behind >= in_file : behind == 0));
        CHECK(behind - (way.is_resident ? in_file : 0) < 65536); // of a page
        if (way.is_resident) CHECK(touch(each.bytes().data(), each.size_bytes() + behind) != 0);
        stet_test::byte_vector own(static_cast<std::size_t>(each.size_bytes()));
        REQUIRE(each.read(0, own));
        for (const std::uint32_t wanted : {0u, 16u, 128u, 100000u}) {
          CAPTURE(wanted);
          const auto loaded = store->load(each.name(), nullptr, wanted);
          REQUIRE(loaded);
          if (!loaded) return;
          const stet::tensor& found = **loaded;
          CHECK(loaded->readable_bytes_behind() >= wanted);
          CHECK(std::equal(own.begin(), own.end(), found.bytes().begin(), found.bytes().end()));
          CHECK(touch(found.bytes().data(), found.size_bytes() + loaded->readable_bytes_behind()) != 0);
          if (way.is_resident) CHECK((found.bytes().data() == each.bytes().data()) == (behind >= wanted));
          CHECK(code_of(found.verify_checksum()) == errc{});
        }
      }
      CHECK(code_of(store->load("nobody", nullptr, 16)) == errc::not_found);
    });
    CHECK(tried == static_cast<int>(stet_test::every_way::way_count));
    stet_test::counted_memory none(0);
    const stet_test::exact_block block(golden_bytes());
    const auto store = stet::open(std::span<const std::byte>(block.span()));
    REQUIRE(store);
    CHECK(code_of(store->load("labels", &none, 0)) == errc{});
    CHECK(code_of(store->load("labels", &none, 16)) == errc::out_of_memory);
    CHECK(store->load("labels", &none, 16).error().subject() == "labels");
  }

#if !defined(__EMSCRIPTEN__) && !defined(__wasi__) // have no threads unless asked for
  TEST_CASE("many threads read one store at once") {
    const stet_test::every_way ways;
    ways.open(golden_bytes(), [&](const stet_test::way_to_open& way, stet::result<stet::store>&& store) {
      CAPTURE(way.name);
      REQUIRE(store);
      if (!store) return;
      std::atomic<int> right{0};
      std::vector<std::thread> threads;
      for (int number = 0; number < 4; ++number) {
        threads.emplace_back([&] {
          for (int turn = 0; turn < 20; ++turn) {
            float values[2] = {};
            int codes[7] = {};
            bool ok = store->find("tied")->copy_to(std::span<float>(values)) && values[1] == -2.0f;
            ok = ok && store->find("w4")->copy_to(std::span<int>(codes), stet::convert) && codes[5] == -8;
            ok = ok && store->verify_checksums() && store->prefetch();
            std::uint64_t size = 0;
            for (const stet::tensor each : *store) size += each.size_bytes();
            right += ok && size == 47 ? 1 : 0;
          }
        });
      }
      for (std::thread& each : threads) each.join();
      CHECK(right == 80);
    });
  }
#endif
}
