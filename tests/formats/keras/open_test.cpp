// SPDX-License-Identifier: MIT
// Tests of keras/archive.hpp and keras/open.hpp: where weights may lie in an archive, shards, and files that lie.
#include "support/keras_files.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <stet/formats/check_model.hpp>
#include <stet/formats/keras/format.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace stet_test;
using namespace std::literals;

constexpr const char* weights_member = "model.weights.h5";

stet::result<stet::model> open_bytes(const temp_folder& folder, const std::string& bytes,
                                     stet::inflate_function inflate = nullptr,
                                     stet::backing backing = stet::backing::map) {
  stet::open_options options;
  options.backing = backing;
  options.inflate = inflate;
  return stet::open_as(stet::keras_format, folder.write("m.keras", bytes), options);
}

/// "ok", or "CODE SUBJECT".
template <class Value> std::string verdict(const stet::result<Value>& made) {
  if (made) return "ok";
  const std::string subject(made.error().subject());
  return outcome(made) + (subject.empty() ? "" : " " + subject);
}

/// The bytes of "probe/kernel", as hexadecimal would be too long: whether they are as keras_files.hpp makes them.
bool is_probe(const stet::model& opened) {
  const auto kernel = opened.store.find("probe/kernel"), bias = opened.store.find("probe/bias");
  if (!kernel || !bias || kernel->element_count() != 6 || kernel->shape().rank() != 2 || bias->element_count() != 3)
    return false;
  std::vector<std::byte> bytes(24);
  if (!kernel->read(0, bytes)) return false;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (static_cast<std::size_t>(bytes[i]) != i) return false;
  }
  return opened.store.tensor_count() == 4;
}

/// The archive with spaces in its first member, so that the weights are aligned.
made_archive with_aligned_weights(const made_archive& archive) {
  const std::size_t misalignment = archive.bytes().find("\x89HDF") % alignof(std::max_align_t);
  made_archive made = archive;
  const std::string padding((alignof(std::max_align_t) - misalignment) % alignof(std::max_align_t), ' ');
  made.members[0] = made_member(made.members[0].local.name, made.members[0].data + padding);
  return made;
}

/// Opens it all: tensors, which are read, and what is said beside them.
void use(const stet::result<stet::model>& opened) {
  if (!opened) return;
  for (const stet::tensor each : opened->store) {
    if (each.size_bytes() > 1 << 16) continue;
    std::vector<std::byte> into(static_cast<std::size_t>(each.size_bytes()));
    (void)each.read(0, into);
  }
  (void)stet::detail::describe_keras(*opened);
}

} // namespace

TEST_SUITE("keras/open") {
  TEST_CASE("stored weights are used where they lie in the archive") {
    const temp_folder folder;
    const std::string bytes = with_aligned_weights(keras_archive()).bytes();
    for (const stet::backing backing : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
      const auto opened = open_bytes(folder, bytes, nullptr, backing);
      REQUIRE(outcome(opened) == "ok");
      if (!opened) return;
      CHECK(is_probe(*opened));
      CHECK(opened->file_count == 1);
      const auto kernel = opened->store.find("/layers/dense/vars/0");
      REQUIRE(kernel);
      CHECK(opened->is_in_file(*kernel));
      const std::uint64_t at = kernel->entry().offset_bytes();
      CHECK(kernel->bytes().data() == opened->store.part(0).data() + at);
      CHECK(bytes.substr(static_cast<std::size_t>(at), 4) == "\0\1\2\3"s);
    }
  }

  TEST_CASE("weights at any offset are aligned with backing::read, and misaligned where they are mapped") {
    const temp_folder folder;
    bool is_any_misaligned = false;
    for (std::size_t shift = 0; shift < 16; ++shift) {
      CAPTURE(shift);
      made_archive archive = keras_archive();
      archive.members[0].data.append(shift, ' ');
      archive.members[0] = made_member("metadata.json", archive.members[0].data);
      const std::string bytes = archive.bytes();
      const auto read = open_bytes(folder, bytes, nullptr, stet::backing::read);
      REQUIRE(outcome(read) == "ok");
      const auto mapped = open_bytes(folder, bytes);
      REQUIRE(outcome(mapped) == "ok");
      if (!read || !mapped) return;
      CHECK(is_probe(*read));
      CHECK(outcome(read->store.get<float>("probe/kernel")) == "ok");
      CHECK(outcome(read->store.get<float>("probe/bias")) == "ok");
      CHECK(stet::check_ranges(*read));
      const std::uint64_t at = mapped->store.find("probe/kernel")->entry().offset_bytes();
      const bool is_misaligned = at % alignof(float) != 0;
      is_any_misaligned |= is_misaligned;
      CHECK(outcome(mapped->store.get<float>("probe/kernel")) == (is_misaligned ? "misaligned" : "ok"));
      CHECK(mapped->is_in_file(*mapped->store.find("probe/kernel")));
      // A member that is aligned already stays where it is.
      CHECK(read->store.index().part_count() == (read->is_in_file(*read->store.find("probe/kernel")) ? 1u : 2u));
      CHECK(read->is_in_file(*read->store.find("probe/kernel")) ==
            (bytes.find("\x89HDF") % alignof(std::max_align_t) == 0));
    }
    CHECK(is_any_misaligned);
  }

  TEST_CASE("weights may stand anywhere in the archive, among anything") {
    const temp_folder folder;
    const std::string weights = probe_weights();
    std::vector<made_archive> table(5);
    table[0] = {{{weights_member, weights}}};
    table[1] = {{{weights_member, weights}, {"config.json", sequential_config("probe")}}};
    table[2] = keras_archive();
    table[2].members.emplace_back("assets/layers/text/vocabulary.txt", "one\ntwo\n");
    table[2].members.emplace_back("assets/packed", std::uint16_t{93}, "nobody unpacks this"s, 1000u);
    table[3] = keras_archive();
    table[3].members[2].local.extra = "\0\0"s + little(4000, 2) + std::string(4000, '\0');
    table[4] = keras_archive();
    table[4].members[2].gap = std::string(77, 'g');
    for (const made_archive& each : table) {
      const auto opened = open_bytes(folder, each.bytes());
      CAPTURE(&each - table.data());
      CHECK(outcome(opened) == "ok");
      if (opened) CHECK(is_probe(*opened));
    }
  }

  TEST_CASE("deflated weights are decompressed if there is something to do it, and checked") {
    const temp_folder folder;
    const std::string weights = probe_weights();
    made_archive archive = keras_archive();
    archive.members[2] = deflated_member(weights_member, weights);
    const std::string whole = archive.bytes();
    const auto opened = open_bytes(folder, whole, inflate_stored);
    REQUIRE(outcome(opened) == "ok");
    if (!opened) return;
    CHECK(is_probe(*opened));
    CHECK(opened->file_count == 1);
    CHECK(!opened->is_in_file(*opened->store.find("probe/kernel")));
    CHECK(verdict(open_bytes(folder, whole)) == "compressed model.weights.h5");

    struct {
      const char* what;
      const char* verdict;
      void (*change)(made_member&);
    } table[] = {
        {"another method", "compressed model.weights.h5",
         [](made_member& it) { it.local.method = it.central.method = 12; }},
        {"a type of block that is none", "bad_compression model.weights.h5", [](made_member& it) { it.data[0] = 7; }},
        {"a block cut off", "bad_compression model.weights.h5",
         [](made_member& it) { it.data[1] = static_cast<char>(it.data[1] ^ 1); }},
        {"a byte less", "bad_compression model.weights.h5",
         [](made_member& it) { --it.local.size, --it.central.size; }},
        {"a byte more", "bad_compression model.weights.h5",
         [](made_member& it) { ++it.local.size, ++it.central.size; }},
        {"another checksum", "bad_archive model.weights.h5",
         [](made_member& it) { it.local.crc32 ^= 1, it.central.crc32 ^= 1; }},
        {"a size that no deflate reaches", "bad_archive model.weights.h5",
         [](made_member& it) {
           it.local.size = it.central.size = static_cast<std::uint32_t>((it.data.size() + 1) * 1032);
         }},
        {"4 GiB", "bad_archive model.weights.h5",
         [](made_member& it) { it.local.size = it.central.size = 0xFFFFFFFE; }},
    };
    for (const auto& row : table) {
      made_archive changed = archive;
      row.change(changed.members[2]);
      CAPTURE(row.what);
      CHECK(verdict(open_bytes(folder, changed.bytes(), inflate_stored)) == row.verdict);
    }
  }

  TEST_CASE("an archive without weights that can be read is refused") {
    const temp_folder folder;
    made_archive none = keras_archive();
    none.members.pop_back();
    CHECK(verdict(open_bytes(folder, none.bytes())) == "missing_part model.weights.h5");
    none.members.emplace_back("model.weights.npz", "PK\3\4");
    CHECK(verdict(open_bytes(folder, none.bytes())) == "missing_part model.weights.h5");
    CHECK(verdict(open_bytes(folder, keras_archive("not HDF5").bytes())) == "bad_magic model.weights.h5");
    CHECK(verdict(open_bytes(folder, keras_archive("").bytes())) == "truncated model.weights.h5");
    const std::string weights = probe_weights();
    CHECK(verdict(open_bytes(folder, keras_archive(weights.substr(0, weights.size() - 1)).bytes())) ==
          "truncated model.weights.h5");
    // What is wrong with the archive is said as read_zip says it.
    made_archive archive = keras_archive();
    archive.members[2].local.flags = archive.members[2].central.flags = 1;
    CHECK(verdict(open_bytes(folder, archive.bytes())) == "unsupported model.weights.h5");
    archive = keras_archive();
    archive.members.emplace_back("../../evil", "x");
    CHECK(verdict(open_bytes(folder, archive.bytes())) == "bad_path ../../evil");
    archive = keras_archive();
    archive.members.emplace_back(weights_member, weights);
    CHECK(verdict(open_bytes(folder, archive.bytes())) == "bad_archive model.weights.h5");
    CHECK(verdict(stet::open_as(stet::keras_format, folder.path("absent"), {})).substr(0, 14) == "file_not_found");
  }

  TEST_CASE("every truncation of an archive is refused, and no flipped bit does harm") {
    const temp_folder folder(temp_folder::in_memory());
    made_archive archive = keras_archive();
    archive.members[1] = deflated_member("config.json", sequential_config("probe"));
    const std::string whole = archive.bytes();
    for (std::size_t size = 4; size < whole.size(); size += size < whole.size() - 400 ? 41u : 1u) {
      CAPTURE(size);
      const std::string code = outcome(open_bytes(folder, whole.substr(0, size), inflate_stored, stet::backing::read));
      CHECK((code == "truncated" || code == "bad_archive"));
    }
    const std::size_t data = whole.find("\x89HDF");
    for (std::size_t at = 4; at < whole.size(); ++at) {
      // Each bit of the archive, some of the weights, which have tests of their own.
      const bool is_weights = at >= data && at < whole.size() - 300;
      if (is_weights && at % 5 != 0) continue;
      for (int bit = 0; bit < (is_weights ? 1 : 8); ++bit) {
        std::string damaged = whole;
        damaged[at] = static_cast<char>(damaged[at] ^ (1 << (bit + static_cast<int>(at)) % 8));
        const auto opened = open_bytes(folder, damaged, inflate_stored, stet::backing::read);
        use(opened);
      }
    }
  }

  TEST_CASE("shards are opened beside their index, each once") {
    const temp_folder folder;
    folder.write("a.weights.h5", probe_weights());
    const auto opened = stet::open_as(
        stet::keras_format,
        folder.write("m.weights.json", R"({"weight_map": {"/layers/dense/vars": ["a.weights.h5", "a.weights.h5"]}})"),
        {});
    REQUIRE(outcome(opened) == "ok");
    if (!opened) return;
    CHECK(is_probe(*opened));
    CHECK(opened->file_count == 1);
    CHECK(opened->store.index().part(0).path == "a.weights.h5");
    const auto none = stet::open_as(stet::keras_format, folder.write("m.weights.json", R"({"weight_map": {}})"), {});
    REQUIRE(none);
    CHECK(none->store.tensor_count() == 0);
  }

  TEST_CASE("an index that lies, or leads elsewhere, is refused") {
    const temp_folder folder;
    folder.write("a.weights.h5", probe_weights());
    folder.write("again.weights.h5", probe_weights());
    folder.write("bad.weights.h5", "not HDF5");
    const auto index_of = [](const std::string& file) {
      return R"({"weight_map": {"/layers/dense/vars": ")" + file + R"("}})";
    };
    const std::pair<std::string, std::string> table[] = {
        {index_of("b.weights.h5"), "missing_part b.weights.h5"},
        {index_of("../a.weights.h5"), "bad_path ../a.weights.h5"},
        {index_of("/etc/passwd"), "bad_path /etc/passwd"},
        {index_of("x/a.weights.h5"), "bad_path x/a.weights.h5"},
        {index_of("..\\\\a.weights.h5"), "bad_path ..\\a.weights.h5"},
        {index_of("C:a.weights.h5"), "bad_path C:a.weights.h5"},
        {index_of("."), "bad_path ."},
        {index_of(""), "bad_path"},
        {index_of("a.weights.h5\\u0000"), "bad_path a.weights.h5\0"s},
        {index_of("m.weights.json"), "bad_path m.weights.json"},
        {index_of("bad.weights.h5"), "bad_magic bad.weights.h5"},
        {R"({"weight_map": {"/layers/other/vars": "a.weights.h5"}})", "part_mismatch /layers/other/vars"},
        {R"({"weight_map": {"": "a.weights.h5"}})", "part_mismatch"},
        {R"({"weight_map": {"/layers/dense/vars": ["a.weights.h5", "again.weights.h5"]}})",
         "duplicate_name /layers/dense/vars/0"},
        {R"({"weight_map": {"/layers/dense/vars": 7}})", "wrong_type /layers/dense/vars"},
        {R"({"weight_map": {"/layers/dense/vars": null}})", "wrong_type /layers/dense/vars"},
        {R"({"weight_map": {"/layers/dense/vars": ["a.weights.h5", {}]}})", "wrong_type /layers/dense/vars"},
        {R"({"weight_map": {"/layers/dense/vars": [["a.weights.h5"]]}})", "wrong_type /layers/dense/vars"},
        {R"({"weight_map": []})", "wrong_type weight_map"},
        {R"({})", "wrong_type weight_map"},
        {R"([])", "wrong_type weight_map"},
    };
    for (const auto& row : table) {
      CAPTURE(row.first);
      CHECK(verdict(stet::open_as(stet::keras_format, folder.write("m.weights.json", row.first), {})) == row.second);
    }
    const std::pair<std::string, const char*> broken[] = {
        {"", "bad_json"},
        {"{", "bad_json"},
        {index_of("a.weights.h5") + "x", "bad_json"},
        {R"({"weight_map": {}, "weight_map": {}})", "duplicate_key"},
        {R"({"weight_map": )" + std::string(100000, '[') + std::string(100000, ']') + "}", "too_deep"},
        {"{\"weight_map\": {\"\xff\": \"a.weights.h5\"}}", "bad_json"},
    };
    for (const auto& row : broken) {
      CAPTURE(row.first.substr(0, 60));
      CHECK(outcome(stet::open_as(stet::keras_format, folder.write("m.weights.json", row.first), {})) == row.second);
    }
  }

  TEST_CASE("links to elsewhere, which Keras never writes, are refused in weights of Keras") {
    // A soft link of the name "0" in the group of a layer: kind 2 of a symbol table's entry.
    std::string weights = probe_weights();
    const std::size_t nodes = weights.find("SNOD");
    REQUIRE(nodes != std::string::npos);
    const temp_folder folder;
    std::size_t refused = 0;
    for (std::size_t at = nodes; at != std::string::npos; at = weights.find("SNOD", at + 1)) {
      std::string linked = weights;
      linked[at + 8 + 16] = 2;
      refused += outcome(open_bytes(folder, keras_archive(linked).bytes())) == "unsupported";
    }
    CHECK(refused >= 3); // layers, dense, vars, and the variables
  }
}
