// SPDX-License-Identifier: MIT
// Tests of packed_cache.hpp: found, made again, refused, shared, and in memory where there is no place for a file.
#include <stet/cache/packed_cache.hpp>

#include "support/faulty_files.hpp"
#include "support/native_bytes.hpp"
#include "support/outcome.hpp"
#include "support/simulated_disk.hpp"
#include "support/temp_folder.hpp"
#include "support/thinned.hpp"

#include <stet/formats/safetensors/open.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#if STET_FILES

#if (defined(__unix__) || defined(__APPLE__)) && !defined(__EMSCRIPTEN__) && !defined(__wasi__)
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#define STET_TEST_HAS_PROCESSES 1
#else
#define STET_TEST_HAS_PROCESSES 0
#endif

namespace {

using stet::errc;
using stet::packed_cache;
using stet::packed_state;
using stet_test::byte_vector;
using stet_test::outcome;
using stet_test::temp_folder;

/// The source of a model: what a test changes of it.
struct source_model {
  std::vector<float> kernel = std::vector<float>(48, 1.5f), bias = {1, 2, 3, 4};
  std::string kernel_name = "kernel";
  std::vector<std::uint64_t> shape = {6, 8};
  std::string metadata = R"({"author":"me"})";
  std::uint32_t alignment_bytes = 64;
  bool is_tied = false;

  byte_vector bytes() const {
    stet::writer out;
    out.add("bias", bias).add(kernel_name, kernel, stet::extents(shape));
    if (is_tied) out.add_alias("tied", "bias");
    out.metadata = stet::json_text(metadata);
    auto made = out.save_to_memory({.alignment_bytes = alignment_bytes});
    CHECK(outcome(made) == "ok");
    return made ? std::move(*made) : byte_vector();
  }
};

constexpr stet::packer runtime{"runtime", "1.2", "avx2"};

/// A runtime that packs the kernel backwards, each byte twice, and the bias as it is.
class packing_runtime {
public:
  int pack_count = 0;

  packed_cache::fill_function fill(const stet::store& model) {
    return [this, &model](stet::packed_weights& to) -> stet::result<void> {
      const stet::tensor kernel = *model.begin().operator++(), bias = *model.begin();
      to.add("kernel", kernel.size_bytes() * 2, [this, kernel](std::span<std::byte> into) -> stet::result<void> {
        ++pack_count;
        pack(kernel.bytes(), into);
        return {};
      });
      to.add("bias", bias.size_bytes(), [this, bias](std::span<std::byte> into) {
        ++pack_count;
        return bias.read(0, into);
      });
      to.add("nothing", 0, [this](std::span<std::byte>) {
        ++pack_count;
        return stet::result<void>();
      });
      return {};
    };
  }
  static void pack(std::span<const std::byte> from, std::span<std::byte> into) {
    for (std::size_t i = 0; i < into.size(); ++i) into[i] = from[from.size() - 1 - i / 2];
  }
};

stet::packed_cache_options quick() {
  stet::packed_cache_options options;
  options.save.is_durable = false;
  return options;
}

/// The bytes are right, aligned, and readable beyond their end.
bool is_right(const packed_cache& cache, const stet::store& model) {
  const stet::tensor bias = *model.begin(), kernel = *model.begin().operator++();
  const auto packed = cache.bytes("kernel", kernel.size_bytes() * 2), same = cache.bytes("bias", bias.size_bytes());
  if (!packed || !same || !cache.bytes("nothing", 0)) return false;
  byte_vector expected(packed->size());
  packing_runtime::pack(kernel.bytes(), expected);
  unsigned sum = 0;
  for (std::size_t i = 0; i < stet::tail_padding_bytes; ++i) {
    sum += static_cast<unsigned>(packed->data()[packed->size() + i]);
    sum += static_cast<unsigned>(same->data()[same->size() + i]);
  }
  return std::equal(expected.begin(), expected.end(), packed->begin(), packed->end()) &&
         std::equal(same->begin(), same->end(), bias.bytes().begin(), bias.bytes().end()) && sum != ~0u &&
         stet::detail::is_aligned(packed->data(), 64) && stet::detail::is_aligned(same->data(), 64);
}

/// Opens the cache at `path` as a start of the program does. @return "found", "saved: REASON" or "in memory: REASON, FAILURE"
std::string start(const std::string& path, const stet::store& model, const stet::packer& by = runtime,
                  const stet::packed_cache_options& options = quick()) {
  packing_runtime packs;
  const auto cache = packed_cache::open(path, model, by, packs.fill(model), options);
  if (!cache) return outcome(cache);
  CHECK(is_right(*cache, model));
  const auto text = [](const std::optional<stet::error>& why) {
    if (!why) return std::string("nothing");
    std::string said(stet::describe(why->code()).name);
    return *why == errc::outdated ? said.append(" ").append(why->subject()) : said;
  };
  CHECK((cache->state() == packed_state::found) == !cache->reason());
  CHECK((cache->state() == packed_state::in_memory) == cache->failure().has_value());
  CHECK((packs.pack_count == 0) == (cache->state() == packed_state::found));
  if (cache->state() == packed_state::found) return "found";
  if (cache->state() == packed_state::saved) return "saved: " + text(cache->reason());
  return "in memory: " + text(cache->reason()) + ", " + text(cache->failure());
}

} // namespace

TEST_SUITE("cache/packed_cache") {
  TEST_CASE("the first start packs and saves, the second packs nothing and uses the mapped file") {
    const temp_folder folder;
    const byte_vector bytes = source_model().bytes();
    const auto model = stet::open(bytes);
    REQUIRE(model);
    packing_runtime packs;
    for (const int expected_count : {3, 3}) {
      const auto cache = packed_cache::open(folder.path("m.packed.stet"), *model, runtime, packs.fill(*model));
      REQUIRE(cache);
      CHECK(packs.pack_count == expected_count);
      CHECK(is_right(*cache, *model));
      CHECK(outcome(cache->bytes("kernel", 383)) == "size_mismatch");
      CHECK(outcome(cache->bytes("nobody", 0)) == "not_found");
    }
    CHECK(start(folder.path("m.packed.stet"), *model) == "found");
    CHECK(folder.names() == std::vector<std::string>{"m.packed.stet"});
    // It is a store like any other.
    const auto file = stet::open(folder.path("m.packed.stet"));
    REQUIRE(file);
    CHECK(stet::verify_store(*file).is_sound());
    CHECK(file->index().tensor_count() == 3);
  }

  TEST_CASE("the file has the key that the specification gives it") {
    const temp_folder folder;
    const byte_vector bytes = source_model().bytes();
    const auto model = stet::open(bytes);
    REQUIRE(model);
    CHECK(start(folder.path("m.stet"), *model, {"one \"two\"", "3", "é"}) == "saved: file_not_found");
    const auto file = stet::open(folder.path("m.stet"));
    REQUIRE(file);
    const auto parsed = stet::parse_manifest(file->manifest_text());
    REQUIRE(parsed);
    // The digest was worked out with Python's hashlib from the sentence at the top of the header.
    CHECK(parsed->extra.text() == R"({"packed":{"packer":"one \"two\"","version":"3","cpu_features":"é","sources":")"
                                  "513f633ba46819763d36b875291f3d9c9a4a84692c2079a7ed30e6266df733df\"}}");
  }

  TEST_CASE("a change of any part of the key packs again, and says which it was; then that is found") {
    const temp_folder folder;
    const std::string path = folder.path("m.stet");
    const byte_vector bytes = source_model().bytes();
    const auto model = stet::open(bytes);
    REQUIRE(model);
    CHECK(start(path, *model) == "saved: file_not_found");
    const stet::packer others[] = {{"runtime2", "1.2", "avx2"}, {"runtime", "1.3", "avx2"}, {"runtime", "1.2", ""}};
    const char* const parts[] = {"packer", "version", "cpu_features"};
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(start(path, *model, others[i]) == std::string("saved: outdated ") + parts[i]);
      CHECK(start(path, *model, others[i]) == "found");
      CHECK(start(path, *model) == std::string("saved: outdated ") + parts[i]);
      CHECK(start(path, *model) == "found");
    }
    std::vector<source_model> changed(5);
    changed[0].kernel[47] = 1.25f;
    changed[1].kernel_name = "kernel2";
    changed[2].shape = {8, 6};
    changed[3].is_tied = true;
    std::swap(changed[4].bias[0], changed[4].bias[1]);
    for (const source_model& each : changed) {
      const byte_vector other_bytes = each.bytes();
      const auto other = stet::open(other_bytes);
      REQUIRE(other);
      CHECK(start(path, *other) == "saved: outdated sources");
      CHECK(start(path, *other) == "found");
      CHECK(start(path, *model) == "saved: outdated sources");
    }
  }

  TEST_CASE("what does not change the tensors does not change the key: other metadata, another place, another format") {
    const temp_folder folder;
    const std::string path = folder.path("m.stet");
    source_model source;
    const byte_vector bytes = source.bytes();
    const auto model = stet::open(bytes);
    REQUIRE(model);
    CHECK(start(path, *model) == "saved: file_not_found");
    source.metadata = R"({"author":"another","epochs":12})";
    source.alignment_bytes = 4096;
    const byte_vector moved_bytes = source.bytes();
    const auto moved = stet::open(moved_bytes);
    REQUIRE(moved);
    CHECK(start(path, *moved) == "found");
    // Without checksums, the bytes themselves tell.
    std::string header = R"({"bias":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},)"
                         R"("kernel":{"dtype":"F32","shape":[6,8],"data_offsets":[16,208]}})";
    header.resize(136, ' ');
    byte_vector foreign(8);
    stet::detail::store_little(foreign.data(), std::uint64_t{header.size()});
    for (const char each : header) foreign.push_back(static_cast<std::byte>(each));
    for (const std::vector<float>* each : {&source.bias, &source.kernel}) {
      const byte_vector stored = stet_test::bytes_of(std::span<const float>(*each));
      foreign.insert(foreign.end(), stored.begin(), stored.end());
    }
    for (const bool is_changed : {false, true}) {
      if (is_changed) foreign.back() ^= std::byte{1};
      const auto opened = stet::open_safetensors(folder.write("m.safetensors", foreign));
      REQUIRE(outcome(opened) == "ok");
      CHECK(start(path, *opened) == (is_changed ? "saved: outdated sources" : "found"));
    }
  }

  TEST_CASE("only the tensors that are named count") {
    const temp_folder folder;
    const std::string path = folder.path("m.stet");
    source_model source;
    const byte_vector bytes = source.bytes();
    source.bias[0] = 7;
    const byte_vector other_bytes = source.bytes();
    const auto model = stet::open(bytes), other = stet::open(other_bytes);
    REQUIRE(model);
    REQUIRE(other);
    {
      // An alias has the content of its original.
      source_model tied = source;
      tied.is_tied = true;
      const byte_vector tied_bytes = tied.bytes();
      tied.bias[3] = 9;
      const byte_vector changed_bytes = tied.bytes();
      const auto tied_model = stet::open(tied_bytes), changed_model = stet::open(changed_bytes);
      REQUIRE(tied_model);
      REQUIRE(changed_model);
      const std::string_view alias[] = {"tied"};
      auto options = quick();
      options.sources = alias;
      CHECK(start(folder.path("tied.stet"), *tied_model, runtime, options) == "saved: file_not_found");
      CHECK(start(folder.path("tied.stet"), *tied_model, runtime, options) == "found");
      CHECK(start(folder.path("tied.stet"), *changed_model, runtime, options) == "saved: outdated sources");
    }
    const std::string_view kernel[] = {"kernel"}, both[] = {"kernel", "bias"}, nobody[] = {"kernel", "nobody"};
    packing_runtime packs;
    const auto is_found = [&](const stet::store& in, std::span<const std::string_view> names) {
      auto options = quick();
      options.sources = names;
      const auto cache = packed_cache::open(path, in, runtime, packs.fill(in), options);
      return cache && cache->state() == packed_state::found;
    };
    CHECK(!is_found(*model, kernel));
    CHECK(is_found(*other, kernel));
    CHECK(!is_found(*model, both));
    CHECK(is_found(*model, both));
    CHECK(!is_found(*other, both));
    auto options = quick();
    options.sources = nobody;
    const auto missing = packed_cache::open(path, *model, runtime, packs.fill(*model), options);
    CHECK(outcome(missing) == "not_found");
    CHECK(missing.error().subject() == "nobody");
  }

  TEST_CASE("a damaged file is refused and made again, whichever byte is damaged and however short it is") {
    const temp_folder folder(temp_folder::in_memory());
    const std::string path = folder.path("m.stet");
    const byte_vector bytes = source_model().bytes();
    const auto model = stet::open(bytes);
    REQUIRE(model);
    CHECK(start(path, *model) == "saved: file_not_found");
    const byte_vector sound = folder.read("m.stet");
    std::set<std::string> outcomes;
    for (std::size_t at = 0; at < sound.size(); at += stet_test::step_if_thinned(7)) {
      CAPTURE(at);
      byte_vector damaged = sound;
      damaged[at] ^= std::byte{0x10};
      folder.write("m.stet", damaged);
      const std::string said = start(path, *model);
      outcomes.insert(said);
      if (at < 8) { // it does not begin as a cache any more
        CHECK(said == "in memory: file_exists, file_exists");
        CHECK(folder.read("m.stet") == damaged);
      } else {
        CHECK(said.starts_with("saved: "));
        CHECK(folder.read("m.stet") == sound);
      }
    }
    CHECK(outcomes.contains("saved: header_checksum"));
    CHECK(outcomes.contains("saved: index_checksum"));
    CHECK(outcomes.contains("saved: checksum_mismatch"));
    CHECK(outcomes.contains("saved: nonzero_padding"));
    for (std::size_t size = 0; size < sound.size(); size += stet_test::step_if_thinned(7)) {
      CAPTURE(size);
      folder.write("m.stet", std::span(sound).first(size));
      CHECK(start(path, *model).starts_with("saved: "));
      CHECK(folder.read("m.stet") == sound);
    }
    folder.write("m.stet", byte_vector(sound.size())); // as some file systems leave it after a loss of power
    CHECK(start(path, *model) == "saved: bad_magic");
  }

  TEST_CASE("without verification damage of the weights alone goes unnoticed, and nothing else does") {
    const temp_folder folder(temp_folder::in_memory());
    const std::string path = folder.path("m.stet");
    const byte_vector bytes = source_model().bytes();
    const auto model = stet::open(bytes);
    REQUIRE(model);
    CHECK(start(path, *model) == "saved: file_not_found");
    byte_vector damaged = folder.read("m.stet");
    damaged[damaged.size() - stet::tail_padding_bytes - 1] ^= std::byte{1};
    folder.write("m.stet", damaged);
    auto options = quick();
    options.is_verified = false;
    {
      packing_runtime packs;
      const auto trusting = packed_cache::open(path, *model, runtime, packs.fill(*model), options);
      REQUIRE(trusting);
      CHECK(trusting->state() == packed_state::found);
      CHECK(!is_right(*trusting, *model));
    } // no mapped file is written to
    damaged[200] ^= std::byte{1}; // of the manifest
    folder.write("m.stet", damaged);
    CHECK(start(path, *model, runtime, options) == "saved: manifest_checksum");
  }

  TEST_CASE("a file with the right key that a runtime cannot read as it reads is made again") {
    const temp_folder folder;
    const std::string path = folder.path("m.stet");
    const byte_vector bytes = source_model().bytes();
    const auto model = stet::open(bytes);
    REQUIRE(model);
    CHECK(start(path, *model) == "saved: file_not_found");
    const byte_vector sound = folder.read("m.stet");
    const auto opened = stet::open(sound);
    REQUIRE(opened);
    const std::string manifest(opened->manifest_text());
    const auto parsed = stet::parse_manifest(manifest);
    REQUIRE(parsed);

    const std::vector<std::byte> kernel(384, std::byte{1}), bias(16, std::byte{2});
    const auto fill = [&](stet::writer& out) {
      const stet::element_layout layout = stet::element_layout::of(stet::dtype::uint8);
      out.add_bytes("bias", layout, {16}, bias).add_bytes("kernel", layout, {384}, kernel);
      out.add_bytes("nothing", layout, {0}, std::span<const std::byte>());
      out.set_extra(parsed->extra);
    };
    stet::writer other;
    other.add("odd", "x"); // so that the alignment is not there by chance
    fill(other);
    REQUIRE(other.save(path, {.alignment_bytes = 1}));
    CHECK(start(path, *model) == "saved: misaligned");

    // Without checksums, which a manifest and an index may lack.
    std::string without = manifest;
    for (std::size_t at = 0; (at = without.find(",\"crc32c\"")) != std::string::npos;)
      without.erase(at, std::string_view(",\"crc32c\":\"01234567\"").size());
    CHECK(without.find("crc32c") == std::string::npos);
    std::vector<stet_test::native_tensor> tensors;
    for (const stet::tensor each : *opened) {
      tensors.push_back(stet_test::tensor_of(std::string(each.name()), each.layout(), {each.size_bytes()},
                                             byte_vector(each.bytes().begin(), each.bytes().end())));
      tensors.back().has_crc32c = false;
    }
    stet_test::native_file::options how;
    how.manifest = without;
    stet_test::native_file forged(tensors, how);
    forged.bytes.resize(forged.bytes.size() + 128);
    forged.set(16, std::uint64_t{forged.bytes.size()});
    forged.set(72, std::uint64_t{forged.bytes.size() - forged.data_at()});
    forged.seal();
    folder.write("m.stet", forged.bytes);
    CHECK(start(path, *model) == "saved: no_checksum");
    CHECK(folder.read("m.stet") == sound);

    // Without anything behind the last tensor, and the file full up to the end of a page.
    stet::writer full;
    fill(full);
    full.metadata = stet::json_text("{\"x\":\"" + std::string(65536, 'x') + "\"}");
    auto made = full.save_to_memory();
    REQUIRE(made);
    const std::size_t end = made->size() - 128, missing = (65536 - end % 65536) % 65536;
    full.metadata = stet::json_text("{\"x\":\"" + std::string(65536 + missing, 'x') + "\"}");
    made = full.save_to_memory();
    REQUIRE(made);
    byte_vector cut(made->begin(), made->end() - 128);
    REQUIRE(cut.size() % 65536 == 0);
    stet::detail::store_little(cut.data() + 16, std::uint64_t{cut.size()});
    stet::detail::store_little(cut.data() + 72, cut.size() - stet::detail::load_little<std::uint64_t>(cut.data() + 64));
    stet_test::seal(cut);
    folder.write("m.stet", cut);
    CHECK(start(path, *model) == "saved: unpadded");
  }

  TEST_CASE("what is no cache is never replaced: the weights are in memory then") {
    const temp_folder folder;
    const std::string path = folder.path("m.stet");
    const byte_vector bytes = source_model().bytes();
    const auto model = stet::open(bytes);
    REQUIRE(model);
    const auto stays = [&](std::span<const std::byte> content, std::string_view why) {
      folder.write("m.stet", content);
      const std::string said = start(path, *model);
      CHECK(said == std::string("in memory: ").append(why).append(", ").append(why));
      const byte_vector after = folder.read("m.stet");
      CHECK(std::equal(content.begin(), content.end(), after.begin(), after.end()));
    };
    stays(bytes, "file_exists"); // a model
    stays(std::as_bytes(std::span("{\"stet\":{}}", 11)), "file_exists");
    stays(std::as_bytes(std::span("abc", 3)), "file_exists");
    byte_vector newer = bytes;
    stet::detail::store_little(newer.data() + 8, std::uint32_t{9});
    stet::detail::store_little(newer.data() + 12, std::uint32_t{9});
    stet_test::seal(newer);
    stays(newer, "newer_format");
    CHECK(folder.names() == std::vector<std::string>{"m.stet"});
    // A model of several files, a part of which is missing.
    std::vector<float> values(100);
    stet::writer sharded;
    sharded.add("weights", values);
    REQUIRE(sharded.save(path, {.form = stet::store_form::sharded, .is_durable = false}));
    const byte_vector head = folder.read("m.stet");
    CHECK(start(path, *model) == "in memory: file_exists, file_exists");
    for (const std::string& part : stet::detail::listed_parts(path))
      REQUIRE(stet::system_file_operations().remove(nullptr, folder.path(part)));
    CHECK(start(path, *model) == "in memory: missing_part, missing_part");
    CHECK(folder.read("m.stet") == head);
  }

  TEST_CASE("where there is no place for the file, the weights are in memory, and the reason is told") {
    const temp_folder folder;
    const byte_vector bytes = source_model().bytes();
    const auto model = stet::open(bytes);
    REQUIRE(model);
    CHECK(start(folder.path("absent/m.stet"), *model) == "in memory: file_not_found, file_not_found");
    std::filesystem::create_directory(stet_test::to_path(folder.path("m.stet")));
    CHECK(start(folder.path("m.stet"), *model).starts_with("in memory: "));
    CHECK(start("", *model).starts_with("in memory: "));
    CHECK(folder.names() == std::vector<std::string>{"m.stet"});

    stet::file_operations full = stet::system_file_operations();
    full.reserve = [](void*, stet::native_handle, std::uint64_t) noexcept -> stet::result<stet::reservation> {
      return stet::error(errc::no_space);
    };
    auto options = quick();
    options.save.operations = &full;
    CHECK(start(folder.path("n.stet"), *model, runtime, options) == "in memory: file_not_found, no_space");
    CHECK(folder.names() == std::vector<std::string>{"m.stet"});
#if STET_TEST_HAS_PROCESSES
    if (::geteuid() != 0) { // whom no permission stops
      REQUIRE(::chmod(folder.path().c_str(), 0555) == 0);
      CHECK(start(folder.path("n.stet"), *model) == "in memory: file_not_found, access_denied");
      REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
    }
#endif
    stet::file_operations denied = stet::system_file_operations();
    denied.create_exclusive = [](void*, std::string_view) noexcept -> stet::result<stet::native_handle> {
      return stet::error(errc::access_denied);
    };
    options.save.operations = &denied;
    CHECK(start(folder.path("n.stet"), *model, runtime, options) == "in memory: file_not_found, access_denied");
    // A cache that was made before is used also there.
    CHECK(start(folder.path("n.stet"), *model) == "saved: file_not_found");
    CHECK(start(folder.path("n.stet"), *model, runtime, options) == "found");
  }

  TEST_CASE(
      "a fault at any call of saving fails no start, and the next one finds the old cache, the new one, or none") {
    const temp_folder folder(temp_folder::in_memory());
    const std::string path = folder.path("m.stet");
    const byte_vector bytes = source_model().bytes();
    const auto model = stet::open(bytes);
    REQUIRE(model);
    const stet::packer older{"runtime", "1.1", "avx2"};
    stet_test::faulty_files watched(stet_test::fault::none, stet_test::faulty_files::never,
                                    stet_test::without_syncing());
    stet::packed_cache_options options;
    options.save.operations = &watched.operations();
    CHECK(start(path, *model, runtime, options) == "saved: file_not_found");
    const std::vector<stet_test::faulty_files::call> calls = watched.calls();
    std::size_t in_memory = 0, saved = 0;
    for (const auto kind : {stet_test::fault::failure, stet_test::fault::late_failure, stet_test::fault::short_write}) {
      for (std::size_t number = 0; number < calls.size(); ++number) {
        if (!stet_test::is_applicable(kind, calls[number].entry)) continue;
        CAPTURE(number);
        CHECK(start(path, *model, older).starts_with("saved: outdated"));
        stet_test::faulty_files faulty(kind, number, stet_test::without_syncing());
        options.save.operations = &faulty.operations();
        const std::string said = start(path, *model, runtime, options);
        CHECK((said.starts_with("saved: outdated version") || said.starts_with("in memory: outdated version")));
        in_memory += said.starts_with("in memory") ? 1u : 0u;
        saved += said.starts_with("saved") ? 1u : 0u;
        const std::string next = start(path, *model);
        CHECK((next == "found" || next == "saved: outdated version"));
        if (said.starts_with("saved")) CHECK(next == "found");
      }
    }
    CHECK(in_memory > 5);
    CHECK(saved > 5);
  }

#if !defined(_WIN32) // the simulated disk keeps and loses what a POSIX one does
  TEST_CASE("after a loss of power at any call the next start finds the cache, or makes it again") {
    const byte_vector bytes = source_model().bytes();
    const auto model = stet::open(bytes);
    REQUIRE(model);
    const stet::packer older{"runtime", "1.1", "avx2"};
    for (const bool is_durable : {true, false}) {
      CAPTURE(is_durable);
      const temp_folder folder(temp_folder::in_memory()), left(temp_folder::in_memory());
      stet_test::simulated_disk disk;
      std::set<std::string> outcomes;
      std::size_t image_count = 0, call_count = 0;
      bool is_inside = false;
      disk.before_call = [&] {
        if (is_inside) return;
        is_inside = true;
        ++call_count;
        disk.after_power_loss([&](const stet_test::disk_image& image) {
          if (image_count++ % stet_test::step_if_thinned(5) != 0) return;
          for (const std::string& name : left.names()) std::filesystem::remove(stet_test::to_path(left.path(name)));
          for (const auto& [name, content] : image) left.write(name, content);
          const std::string said = start(left.path("m.stet"), *model);
          CHECK((said == "found" || said.starts_with("saved: ")));
          outcomes.insert(said);
          CHECK(start(left.path("m.stet"), *model) == "found");
        });
        is_inside = false;
      };
      stet::packed_cache_options options;
      options.save.is_durable = is_durable;
      options.save.operations = &disk.operations();
      CHECK(start(folder.path("m.stet"), *model, older, options) == "saved: file_not_found");
      CHECK(start(folder.path("m.stet"), *model, runtime, options) == "saved: outdated version");
      disk.before_call();
      CHECK(call_count > 10);
      CHECK(image_count > 10);
      CHECK(outcomes.contains("saved: file_not_found"));
      CHECK(outcomes.contains("saved: outdated version"));
      CHECK(outcomes.contains("found"));
      // What was waited for is there whole or not at all.
      const bool is_torn = std::any_of(outcomes.begin(), outcomes.end(), [](const std::string& said) {
        return said != "found" && said != "saved: file_not_found" && said != "saved: outdated version";
      });
      CHECK(is_torn == !is_durable);
    }
  }
#endif

  TEST_CASE("errors of the program are errors of the call, and leave nothing") {
    const temp_folder folder;
    const std::string path = folder.path("m.stet");
    byte_vector bytes = source_model().bytes();
    const auto model = stet::open(bytes);
    REQUIRE(model);
    const auto made_by = [&](const packed_cache::fill_function& fill, const stet::packer& by = runtime,
                             stet::packed_cache_options options = quick()) {
      const std::string code = outcome(packed_cache::open(path, *model, by, fill, options));
      CHECK(folder.names().empty());
      return code;
    };
    const auto nothing = [](std::span<std::byte>) { return stet::result<void>(); };
    const auto adds = [&](std::string_view name, std::uint64_t size_bytes, int times) {
      return [=](stet::packed_weights& to) {
        for (int i = 0; i < times; ++i) to.add(name, size_bytes, nothing);
        return stet::result<void>();
      };
    };
    CHECK(made_by(adds("a", 1, 2)) == "duplicate_name");
    CHECK(made_by(adds("", 1, 1)) == "bad_name");
    CHECK(made_by([](stet::packed_weights& to) {
            to.add("a", 1, nullptr);
            return stet::result<void>();
          }) == "invalid_argument");
    CHECK(made_by(adds("a", ~std::uint64_t{0}, 1)) == "bad_shape");
    CHECK(made_by(adds("a", 1, 1), {"\xFF", "", ""}) == "bad_json");
    CHECK(made_by([](stet::packed_weights&) -> stet::result<void> { return errc::not_convertible; }) ==
          "not_convertible");
    CHECK(made_by([&](stet::packed_weights& to) -> stet::result<void> {
            to.add("a", 1, [](std::span<std::byte>) -> stet::result<void> { return errc::no_space; });
            return {};
          }) == "no_space"); // whatever its number is
    auto options = quick();
    options.save.alignment_bytes = 3;
    CHECK(made_by(adds("a", 1, 1), runtime, options) == "bad_alignment");
    options.save.alignment_bytes = 64;
    options.save.page_size_bytes = 0;
    CHECK(made_by(adds("a", 1, 1), runtime, options) == "bad_alignment");

    bytes[bytes.size() - stet::tail_padding_bytes - 1] ^= std::byte{1}; // of the kernel, under the open model
    packing_runtime packs;
    const auto damaged = packed_cache::open(path, *model, runtime, packs.fill(*model), quick());
    CHECK(outcome(damaged) == "checksum_mismatch");
    CHECK(damaged.error().subject() == "kernel");
    CHECK(packs.pack_count == 0);
    CHECK(folder.names().empty());
  }

  TEST_CASE("weights have whole pages where the options ask for them, also if the file of before has not") {
    const temp_folder folder;
    const std::string path = folder.path("m.stet");
    source_model source;
    source.kernel.assign(20000, 0.5f);
    source.shape = {20000};
    const byte_vector bytes = source.bytes();
    const auto model = stet::open(bytes);
    REQUIRE(model);
    CHECK(start(path, *model) == "saved: file_not_found");
    auto options = quick();
    options.save.layout = stet::store_layout::accelerator;
    CHECK(start(path, *model, runtime, options) == "saved: misaligned");
    CHECK(start(path, *model, runtime, options) == "found");
    CHECK(start(path, *model) == "found");
    const auto cache = packed_cache::open(path, *model, runtime, packing_runtime().fill(*model), options);
    REQUIRE(cache);
    const auto packed = cache->bytes("kernel", 160000);
    REQUIRE(packed);
    CHECK(stet::detail::is_aligned(packed->data(), 4096));
    CHECK(packed->data()[160000 + 4095 - 160000 % 4096 - 1] == std::byte{0});
  }

  TEST_CASE("a cache that was moved has its weights where they were") {
    const temp_folder folder;
    const byte_vector bytes = source_model().bytes();
    const auto model = stet::open(bytes);
    REQUIRE(model);
    for (const char* const name : {"m.stet", "absent/m.stet"}) {
      packing_runtime packs;
      auto made = packed_cache::open(folder.path(name), *model, runtime, packs.fill(*model), quick());
      REQUIRE(made);
      const std::byte* const before = made->bytes("kernel", 384)->data();
      const packed_cache moved = std::move(*made);
      CHECK(moved.bytes("kernel", 384)->data() == before);
      CHECK(is_right(moved, *model));
    }
  }

#if STET_TEST_HAS_PROCESSES
  TEST_CASE("processes that start together all have the right weights, and leave one valid file") {
    const byte_vector bytes = source_model().bytes();
    const auto model = stet::open(bytes);
    REQUIRE(model);
    std::size_t saved_count = 0;
    for (int round = 0; round < 20; ++round) {
      const temp_folder folder(temp_folder::in_memory());
      const std::string path = folder.path("m.stet");
      constexpr int process_count = 6;
      int gate[2] = {};
      REQUIRE(::pipe(gate) == 0);
      std::vector<::pid_t> processes;
      for (int i = 0; i < process_count; ++i) {
        const ::pid_t process = ::fork();
        if (process == 0) {
          ::close(gate[1]);
          char ignored = 0;
          (void)!::read(gate[0], &ignored, 1); // until all are there
          packing_runtime packs;
          const auto cache = packed_cache::open(path, *model, runtime, packs.fill(*model), quick());
          if (!cache || !is_right(*cache, *model)) ::_exit(9);
          ::_exit(static_cast<int>(cache->state()));
        }
        processes.push_back(process);
      }
      ::close(gate[0]);
      ::close(gate[1]);
      for (const ::pid_t process : processes) {
        int status = 0;
        REQUIRE(process > 0);
        REQUIRE(::waitpid(process, &status, 0) == process);
        REQUIRE(WIFEXITED(status));
        const int state = WEXITSTATUS(status);
        CHECK((state == static_cast<int>(packed_state::found) || state == static_cast<int>(packed_state::saved)));
        saved_count += state == static_cast<int>(packed_state::saved) ? 1u : 0u;
      }
      CHECK(folder.names() == std::vector<std::string>{"m.stet"});
      CHECK(start(path, *model) == "found");
    }
    CHECK(saved_count >= 20);
    MESSAGE(saved_count << " of 120 starts saved");
  }
#endif
}

#endif
