// SPDX-License-Identifier: MIT
// Tests of shards.hpp and of opening sharded checkpoints through their manifests.
#include "support/byte_order.hpp"
#include "support/counted_memory.hpp"
#include "support/own_files.hpp"
#include "support/shard_files.hpp"

#include <stet/manifest.hpp>
#include <stet/writer.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using stet_test::box_of;
using stet_test::elements_from;
using stet_test::extent_list;
using stet_test::save_head;
using stet_test::shard_maker;
using stet_test::temp_folder;
using references = std::vector<stet::shard_reference>;

constexpr stet::open_options as_sharded{.read_manifest = stet::read_manifest};

/// "ok", or the name of the error's code and its subject.
template <class Value> std::string told(const stet::result<Value>& made) {
  if (made) return "ok";
  const std::string code(stet::describe(made.error().code()).name);
  return made.error().subject().empty() ? code : code + " (" + std::string(made.error().subject()) + ")";
}

/// The elements of a tensor, copied; nothing after an error.
std::vector<std::int32_t> copied_from(const stet::store& from, std::string_view name) {
  const auto found = from.find(name);
  if (!found) return {};
  std::vector<std::int32_t> all(static_cast<std::size_t>(found->element_count()));
  if (const auto done = found->copy_to(std::span(all)); !done) return {};
  return all;
}

std::vector<std::string> tensor_names_of(const stet::store& of) {
  std::vector<std::string> names;
  for (const stet::tensor each : of) names.emplace_back(each.name());
  return names;
}

/// Two shards: `kernel` in two columns, `rows` in two rows, the vector `bias` in the first, and `late` in the second.
references save_two_shards(const temp_folder& folder) {
  shard_maker first, second;
  first.piece("kernel", 100, {4, 6}, {0, 0}, {4, 2}).piece("rows", 0, {4, 3}, {0, 0}, {1, 3}).whole("bias", 50, {5});
  second.piece("rows", 0, {4, 3}, {1, 0}, {3, 3}).piece("kernel", 100, {4, 6}, {0, 2}, {4, 4}).whole("late", 9, {2, 2});
  return {first.save(folder, "c-00000-of-00002-0a0a0a0a.stet"), second.save(folder, "c-00001-of-00002-0b0b0b0b.stet")};
}

/// How a checkpoint of one tensor opens whose pieces are in these shards.
std::string opened_shards(const temp_folder& folder, const std::vector<const shard_maker*>& shards) {
  references listed;
  for (std::size_t i = 0; i < shards.size(); ++i)
    listed.push_back(shards[i]->save(folder, "s-" + std::to_string(i) + ".stet"));
  return told(stet::open(save_head(folder, "h.stet", listed), as_sharded));
}

/// A file with a header, a manifest and no index.
std::string write_head(const temp_folder& folder, std::string_view manifest) {
  stet::file_header header;
  header.alignment_bytes = 64;
  header.manifest_size_bytes = manifest.size();
  header.manifest_crc32c = stet::crc32c(std::as_bytes(std::span(manifest.data(), manifest.size())));
  REQUIRE(stet::place_sections(header));
  std::vector<std::byte> bytes(static_cast<std::size_t>(header.file_size_bytes));
  stet::encode_header(header, std::span(bytes).first<stet::file_header::size_bytes>());
  std::memcpy(bytes.data() + header.manifest_offset_bytes, manifest.data(), manifest.size());
  return folder.write("h.stet", bytes);
}

/// How a head opens whose field `shards` is this.
std::string head_opens(const temp_folder& folder, std::string_view field, std::string_view more = "") {
  std::string text = R"({"stet":{"version":1,"minimum_reader":1},"alignment_bytes":64,"tensors":{})";
  text.append(more).append(",\"shards\":").append(field) += "}";
  return told(stet::open(write_head(folder, text), as_sharded));
}

} // namespace

TEST_SUITE("manifest/shards") {
  TEST_CASE("a sharded checkpoint opens as one store, in every way") {
    const temp_folder folder;
    const std::string path = save_head(folder, "c.stet", save_two_shards(folder));
    CHECK(told(stet::open(path)) == "no_index (" + path + ")");
    for (const stet::backing backing : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
      stet::open_options options = as_sharded;
      options.backing = backing;
      const auto all = stet::open(path, options);
      REQUIRE(told(all) == "ok");
      CHECK(tensor_names_of(*all) == std::vector<std::string>{"kernel", "rows", "bias", "late"});
      CHECK(copied_from(*all, "kernel") == elements_from(100, {4, 6}));
      CHECK(copied_from(*all, "rows") == elements_from(0, {4, 3}));
      CHECK(copied_from(*all, "bias") == elements_from(50, {5}));
      CHECK(copied_from(*all, "late") == elements_from(9, {2, 2}));
      CHECK(all->find("kernel")->shape().equals({4, 6}));
      CHECK(all->find("rows[0:1,0:3]").error() == stet::errc::not_found);
      CHECK(all->alignment_bytes() == 64);
      REQUIRE(all->index().part_count() == 4);
      CHECK(all->index().part(0).path == "c-00000-of-00002-0a0a0a0a.stet");
      CHECK(all->index().part(1).path == "c-00001-of-00002-0b0b0b0b.stet");
      CHECK(all->index().part(2).path == "(gathered)");
      CHECK(all->part(1).size_bytes() == std::filesystem::file_size(folder.path("c-00001-of-00002-0b0b0b0b.stet")));
      // Rows are runs of the tensor, so that their checksums are combined; columns are compared piece by piece.
      CHECK(all->find("rows")->entry().has_crc32c());
      CHECK(!all->find("kernel")->entry().has_crc32c());
      CHECK(all->verify_checksums());
      const stet::verify_report report = stet::verify_store(*all);
      CHECK(report.is_sound());
      CHECK(report.tensors_compared == 6); // as many as the shards have
      CHECK(report.tensors_sound == 6);
      CHECK(report.has_manifest);
      CHECK(report.has_padding);
      const auto shards = stet::shards_of(*all);
      REQUIRE(shards);
      REQUIRE(shards->size() == 2);
      CHECK((*shards)[1].file_name == "c-00001-of-00002-0b0b0b0b.stet");
    }
  }

  TEST_CASE("what is whole, or lies one behind the other, is in place") {
    const temp_folder folder;
    shard_maker only;
    only.whole("whole", 5, {3}).piece("halves", 0, {32}, {0}, {16}).piece("halves", 0, {32}, {16}, {16});
    only.piece("all", 7, {2, 2}, {0, 0}, {2, 2}).piece("apart", 0, {8}, {0}, {4}).piece("apart", 0, {8}, {4}, {4});
    stet::save_options close;
    close.alignment_bytes = 32;
    const auto all = stet::open(save_head(folder, "h.stet", {only.save(folder, "s.stet", close)}), as_sharded);
    REQUIRE(told(all) == "ok");
    CHECK(all->alignment_bytes() == 32);
    CHECK(all->index().part_count() == 2); // a shard, and `apart`, whose halves have padding between them
    for (const std::string_view name : {"whole", "halves", "all"}) {
      CAPTURE(name);
      CHECK(all->find(name)->bytes().data() >= all->part(0).data());
      const auto elements = all->get<std::int32_t>(name);
      CHECK(stet_test::code_of(elements) == stet_test::view_of_words());
      if (!elements) continue;
      CHECK(reinterpret_cast<const std::byte*>(elements->data()) >= all->part(0).data());
      CHECK(std::vector<std::int32_t>(elements->begin(), elements->end()) == copied_from(*all, name));
      CHECK(all->find(name)->verify_checksum());
    }
    CHECK(copied_from(*all, "halves") == elements_from(0, {32}));
    if (stet_test::can_view_words) CHECK((*all->view<std::int32_t, 2, 2>("all"))(1, 0) == 9);
    CHECK(told(all->get<std::int32_t>("apart")) == "not_resident (apart)");
    CHECK(copied_from(*all, "apart") == elements_from(0, {8}));
  }

  TEST_CASE("any partition of boxes over any shards gives the tensor again") {
    std::mt19937 random(7);
    for (int round = 0; round < 30; ++round) {
      const temp_folder folder;
      extent_list shape;
      for (std::size_t axis = 0; axis < 1 + random() % 4; ++axis) shape.push_back(1 + random() % 6);
      struct box {
        extent_list start, extents;
      };
      std::vector<box> boxes{{extent_list(shape.size(), 0), shape}};
      for (int cuts = static_cast<int>(random() % 12); cuts > 0; --cuts) {
        box& cut = boxes[random() % boxes.size()];
        const std::size_t axis = random() % shape.size();
        if (cut.extents[axis] < 2) continue;
        const std::uint64_t at = 1 + random() % (cut.extents[axis] - 1);
        box other = cut;
        other.start[axis] += at;
        other.extents[axis] -= at;
        cut.extents[axis] = at;
        boxes.push_back(other);
      }
      std::shuffle(boxes.begin(), boxes.end(), random);
      std::deque<shard_maker> shards(1 + random() % 3);
      for (const box& each : boxes) shards[random() % shards.size()].piece("t", 3, shape, each.start, each.extents);
      references listed;
      for (const shard_maker& each : shards) listed.push_back(each.save(folder, "s" + std::to_string(listed.size())));
      const auto all = stet::open(save_head(folder, "h.stet", listed), as_sharded);
      REQUIRE(told(all) == "ok");
      CHECK(copied_from(*all, "t") == elements_from(3, shape));
      CHECK(stet::verify_store(*all).is_sound());
    }
  }

  TEST_CASE("of equal pieces and of equal whole tensors, those of the first shard count") {
    const temp_folder folder;
    shard_maker old_one, new_one;
    new_one.piece("t", 1000, {4, 4}, {0, 0}, {4, 2}).whole("w", 1, {2});
    old_one.piece("t", 0, {4, 4}, {0, 0}, {4, 2}).piece("t", 0, {4, 4}, {0, 2}, {4, 2}).whole("w", 7, {2});
    const auto a = new_one.save(folder, "new.stet"), b = old_one.save(folder, "old.stet");
    const auto all = stet::open(save_head(folder, "h.stet", {a, b}), as_sharded);
    REQUIRE(told(all) == "ok");
    CHECK(copied_from(*all, "w") == elements_from(1, {2}));
    std::vector<std::int32_t> expected = elements_from(0, {4, 4});
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += i % 4 < 2 ? 1000 : 0;
    CHECK(copied_from(*all, "t") == expected);
    const auto other = stet::open(save_head(folder, "h.stet", {b, a}), as_sharded);
    REQUIRE(told(other) == "ok");
    CHECK(copied_from(*other, "t") == elements_from(0, {4, 4}));
    CHECK(copied_from(*other, "w") == elements_from(7, {2}));
  }

  TEST_CASE("scalars, empty tensors, strings, blocks and packed elements") {
    const temp_folder folder;
    shard_maker shard;
    shard.piece("scalar", 42, {}, {}, {})
        .piece("none", 0, {0, 3}, {0, 0}, {0, 3})
        .piece("none", 0, {0, 3}, {0, 1}, {0, 1});
    // An empty piece beside one that is all of the tensor.
    shard.piece("most", 5, {2, 2}, {0, 0}, {2, 2}).piece("most", 5, {2, 2}, {0, 2}, {2, 0});
    const std::string words[] = {"a", "bc"};
    const std::vector<std::byte> block(18), packed(2);
    const stet::element_layout q4{stet::dtype::block, 0, {"q4_0", 32, 18}},
        int4 = stet::element_layout::of(stet::dtype::int4);
    shard.out.add("words", words).add_bytes("block", q4, {32}, block).add_bytes("packed", int4, {3}, packed);
    const auto all = stet::open(save_head(folder, "h.stet", {shard.save(folder, "s.stet")}), as_sharded);
    REQUIRE(told(all) == "ok");
    CHECK(all->index().part_count() == 1);
    CHECK(copied_from(*all, "scalar") == std::vector<std::int32_t>{42});
    CHECK(all->find("none")->element_count() == 0);
    CHECK(all->find("none")->shape().equals({0, 3}));
    CHECK(copied_from(*all, "most") == elements_from(5, {2, 2}));
    CHECK((*all->find("words")->as_strings())[1] == "bc");
    CHECK(stet::name_of(all->find("block")->layout()) == "q4_0");
    CHECK(all->find("packed")->size_bytes() == 2);

    const std::vector<std::byte> strings(24);
    const struct {
      std::string_view name;
      stet::element_layout layout;
      std::uint64_t count;
      const std::vector<std::byte>& bytes;
    } unfit[] = {{"strings", stet::element_layout::of(stet::dtype::string), 2, strings},
                 {"block", q4, 32, block},
                 {"packed", int4, 4, packed}};
    for (const auto& each : unfit) {
      CAPTURE(each.name);
      shard_maker pieces;
      for (std::uint64_t half = 0; half < 2; ++half) {
        const stet::slice_place place{"t", {2 * each.count}, {half * each.count}};
        pieces.out.add_bytes(half == 0 ? "a" : "b", each.layout, {each.count}, each.bytes, stet::with_slice_of(place));
      }
      CHECK(opened_shards(folder, {&pieces}) == "bad_slice (t)");
    }
    // Not packed, an int4 is a whole byte.
    shard_maker wide;
    stet::element_layout unpacked = int4;
    unpacked.bits = 8;
    wide.out.add_bytes("a", unpacked, {2}, packed, stet::with_slice_of({"t", {4}, {0}}));
    wide.out.add_bytes("b", unpacked, {2}, packed, stet::with_slice_of({"t", {4}, {2}}));
    CHECK(opened_shards(folder, {&wide}) == "ok");
  }

  TEST_CASE("aliases stay aliases, whole and in pieces") {
    const temp_folder folder;
    shard_maker first, second;
    first.whole("w", 1, {4}).piece("t", 0, {2, 4}, {0, 0}, {2, 2});
    first.out.add_alias("tied w", "w")
        .add_alias("tied t[0]", "t[0:2,0:2]", stet::with_slice_of({"tied t", {2, 4}, {0, 0}}));
    second.piece("t", 0, {2, 4}, {0, 2}, {2, 2});
    second.out.add_alias("tied t[1]", "t[0:2,2:4]", stet::with_slice_of({"tied t", {2, 4}, {0, 2}}));
    // The pieces of another tensor, the other way round: it shares bytes with `t`, but is another tensor.
    first.out.add_alias("crossed[1]", "t[0:2,0:2]", stet::with_slice_of({"crossed", {2, 4}, {0, 2}}));
    second.out.add_alias("crossed[0]", "t[0:2,2:4]", stet::with_slice_of({"crossed", {2, 4}, {0, 0}}));
    const auto all = stet::open(
        save_head(folder, "h.stet", {first.save(folder, "1.stet"), second.save(folder, "2.stet")}), as_sharded);
    REQUIRE(told(all) == "ok");
    CHECK(tensor_names_of(*all) == std::vector<std::string>{"w", "t", "tied w", "tied t", "crossed"});
    CHECK(all->original_of(*all->find("tied w"))->name() == "w");
    CHECK(all->original_of(*all->find("tied t"))->name() == "t");
    CHECK(all->original_of(*all->find("crossed")).error() == stet::errc::not_found);
    CHECK(copied_from(*all, "tied t") == elements_from(0, {2, 4}));
    CHECK(copied_from(*all, "crossed") == std::vector<std::int32_t>{2, 3, 0, 1, 6, 7, 4, 5});
    // An alias whose original is another shard's stands alone.
    shard_maker earlier;
    earlier.whole("w", 9, {4});
    const auto moved = stet::open(
        save_head(folder, "h.stet",
                  {earlier.save(folder, "0.stet"), first.save(folder, "1.stet"), second.save(folder, "2.stet")}),
        as_sharded);
    REQUIRE(told(moved) == "ok");
    CHECK(copied_from(*moved, "w") == elements_from(9, {4}));
    CHECK(copied_from(*moved, "tied w") == elements_from(1, {4}));
    CHECK(moved->original_of(*moved->find("tied w")).error() == stet::errc::not_found);
  }

  TEST_CASE("tensors that share bytes can only be read") {
    const temp_folder folder;
    shard_maker shard;
    shard.whole("a", 0, {16}).whole("b", 16, {16});
    shard.out.add_alias("x", "a", stet::with_slice_of({"both", {32}, {0}}));
    shard.out.add_alias("y", "b", stet::with_slice_of({"both", {32}, {16}}));
    const auto listed = references{shard.save(folder, "s.stet")};
    stet::open_options writable = as_sharded;
    writable.access = stet::access::copy_on_write;
    const auto all = stet::open(save_head(folder, "h.stet", listed), writable);
    REQUIRE(told(all) == "ok");
    CHECK(copied_from(*all, "both") == elements_from(0, {32}));
    CHECK(!all->find("a")->is_writable());
    shard_maker apart;
    apart.whole("a", 0, {16});
    const auto one = stet::open(save_head(folder, "h.stet", {apart.save(folder, "t.stet")}), writable);
    REQUIRE(told(one) == "ok");
    CHECK(one->find("a")->is_writable());
  }

  TEST_CASE("attributes of a piece are those of the whole tensor") {
    const temp_folder folder;
    shard_maker shard;
    const stet::json_text attributes(R"({"quantization":{"axis":0,"scales":[1,2,3,4]},"trainable":false})");
    for (std::uint64_t row = 0; row < 4; row += 2) shard.piece("t", 0, {4, 2}, {row, 0}, {2, 2}, attributes);
    shard.whole("plain", 0, {1});
    const auto all = stet::open(save_head(folder, "h.stet", {shard.save(folder, "s.stet")}), as_sharded);
    REQUIRE(told(all) == "ok");
    const auto only = stet::open_shard(*all, 0);
    REQUIRE(only);
    CHECK(tensor_names_of(*only) == std::vector<std::string>{"t[0:2,0:2]", "t[2:4,0:2]", "plain"});
    CHECK(stet::verify_store(*only).is_sound());
    const auto pieces = stet::pieces_of(*only);
    REQUIRE(pieces);
    REQUIRE(pieces->size() == 3);
    CHECK((*pieces)[1].tensor == "t");
    REQUIRE((*pieces)[1].place);
    CHECK(*(*pieces)[1].place == stet::slice_place{"t", {4, 2}, {2, 0}});
    CHECK((*pieces)[1].attributes == attributes);
    CHECK((*pieces)[2].tensor == "plain");
    CHECK(!(*pieces)[2].place);
    CHECK((*pieces)[2].attributes.empty());
    CHECK(told(stet::open_shard(*all, 1)) == "invalid_argument"); // what is gathered is no shard
    CHECK(told(stet::open_shard(*all, 2)) == "invalid_argument");
    CHECK(told(stet::open_shard(*only, 0)) == "invalid_argument");
    // As many scales as the piece has rows are too few.
    stet::writer wrong;
    const std::int32_t zeros[4] = {};
    wrong.add(
        "a", zeros, {2, 2},
        stet::with_slice_of({"t", {4, 2}, {0, 0}}, stet::json_text(R"({"quantization":{"axis":0,"scales":[1,2]}})")));
    CHECK(told(wrong.save_to_memory()) == "bad_quantization (a)");
  }

  TEST_CASE("pieces that do not make up their tensor") {
    const temp_folder folder;
    shard_maker left, right, overlapping, other_shape, other_type, whole, nothing, many;
    left.piece("t", 0, {4, 4}, {0, 0}, {4, 2});
    right.piece("t", 0, {4, 4}, {0, 2}, {4, 2});
    overlapping.piece("t", 0, {4, 4}, {0, 1}, {4, 3});
    other_shape.piece("t", 0, {4, 5}, {0, 2}, {4, 3});
    const float floats[8] = {};
    other_type.out.add("f", floats, {4, 2}, stet::with_slice_of({"t", {4, 4}, {0, 2}}));
    whole.whole("t", 0, {4, 4});
    nothing.piece("t", 0, {4, 4}, {0, 0}, {0, 4});
    CHECK(opened_shards(folder, {&left, &right}) == "ok");
    CHECK(opened_shards(folder, {&left}) == "bad_slice (t)");
    CHECK(opened_shards(folder, {&left, &overlapping}) == "bad_slice (t)");
    CHECK(opened_shards(folder, {&left, &right, &overlapping}) == "bad_slice (t)");
    CHECK(opened_shards(folder, {&left, &other_shape}) == "shape_mismatch (t)");
    CHECK(opened_shards(folder, {&left, &other_type}) == "dtype_mismatch (t)");
    CHECK(opened_shards(folder, {&left, &right, &whole}) == "duplicate_name (t)");
    CHECK(opened_shards(folder, {&whole, &left, &right}) == "duplicate_name (t)");
    CHECK(opened_shards(folder, {&nothing}) == "bad_slice (t)");
    shard_maker whole_of_other_shape, whole_of_other_type;
    whole_of_other_shape.whole("t", 0, {16});
    whole_of_other_type.out.add("t", floats, {8});
    CHECK(opened_shards(folder, {&whole, &whole_of_other_shape}) == "shape_mismatch (t)");
    CHECK(opened_shards(folder, {&whole, &whole_of_other_type}) == "dtype_mismatch (t)");
  }

  TEST_CASE("a piece that does not lie in its tensor, or says so wrongly, cannot be saved") {
    const std::int32_t zeros[4] = {};
    const struct {
      const char *field, *expected;
    } cases[] = {
        {R"({"tensor":"t","shape":[4,2],"start":[2,0]})", "ok"},
        {R"({"tensor":"t","shape":[4,2],"start":[2,0],"more":[{}]})", "ok"},
        {R"({"tensor":"t","shape":[4,2],"start":[3,0]})", "bad_slice (slice_of of a)"},
        {R"({"tensor":"t","shape":[4,2],"start":[18446744073709551615,0]})", "bad_slice (slice_of of a)"},
        {R"({"tensor":"t","shape":[8],"start":[0]})", "bad_slice (slice_of of a)"},
        {R"({"tensor":"t","shape":[4,2],"start":[0]})", "bad_slice (slice_of of a)"},
        {R"({"tensor":"t","shape":[4294967296,4294967296,2],"start":[0,0,0]})", "bad_shape (slice_of of a)"},
        {R"({"tensor":"t","shape":[4,2],"start":[-1,0]})", "bad_number (slice_of of a)"},
        {R"({"tensor":"t","shape":[4,2],"start":[0.5,0]})", "bad_number (slice_of of a)"},
        {R"({"tensor":"t","shape":[4,2],"start":["0",0]})", "wrong_type (slice_of of a)"},
        {R"({"tensor":"t","shape":4,"start":[0,0]})", "wrong_type (slice_of of a)"},
        {R"({"tensor":1,"shape":[4,2],"start":[0,0]})", "wrong_type (slice_of of a)"},
        {R"({"tensor":"","shape":[4,2],"start":[0,0]})", "bad_name (slice_of of a)"},
        {R"({"tensor":"a\u0000b","shape":[4,2],"start":[0,0]})", "bad_name (slice_of of a)"},
        {R"({"shape":[4,2],"start":[0,0]})", "missing_field (slice_of of a)"},
        {R"({"tensor":"t","start":[0,0]})", "missing_field (slice_of of a)"},
        {R"({"tensor":"t","shape":[4,2]})", "missing_field (slice_of of a)"},
        {"[]", "wrong_type (slice_of of a)"},
        {"null", "wrong_type (slice_of of a)"},
        {R"({"tensor":"t","tensor":"t","shape":[4,2],"start":[0,0]})", "duplicate_key (a)"},
    };
    for (const auto& each : cases) {
      CAPTURE(each.field);
      stet::writer out;
      out.add("a", zeros, {2, 2}, stet::json_text(std::string(R"({"slice_of":)") + each.field + "}"));
      CHECK(told(out.save_to_memory()) == each.expected);
    }
    // Another key that is spelt with an escape is the same key.
    stet::writer out;
    out.add("a", zeros, {2, 2}, stet::json_text(R"({"slice\u005fof":[]})"));
    CHECK(told(out.save_to_memory()) == "wrong_type (slice_of of a)");
  }

  TEST_CASE("lists of shards that are wrong") {
    const temp_folder folder;
    shard_maker shard;
    shard.whole("w", 0, {2});
    const auto good = shard.save(folder, "s.stet");
    const std::string digest = stet::detail::hex_of(good.digest), zeros(64, '0');
    const auto entry = [](const std::string& file, const std::string& sha256) {
      return R"({"file":")" + file + R"(","sha256":")" + sha256 + "\"}";
    };
    const std::string sound = entry("s.stet", digest);
    CHECK(head_opens(folder, "[" + sound + "]") == "ok");
    CHECK(head_opens(folder, R"([{"sha256":")" + digest + R"(","file":"s.stet","more":{"a":[]}}])") == "ok");
    CHECK(head_opens(folder, "[]") == "missing_part (shards)");
    CHECK(head_opens(folder, "{}") == "wrong_type (shards)");
    CHECK(head_opens(folder, "null") == "wrong_type (shards)");
    CHECK(head_opens(folder, "[1]") == "wrong_type (shards)");
    CHECK(head_opens(folder, R"([{"file":"s.stet"}])") == "missing_field (shards)");
    CHECK(head_opens(folder, R"([{"sha256":")" + digest + "\"}]") == "missing_field (shards)");
    CHECK(head_opens(folder, R"([{"file":1,"sha256":""}])") == "wrong_type (shards)");
    CHECK(head_opens(folder, "[" + entry("s.stet", digest.substr(1)) + "]") == "bad_checksum_field (shards)");
    CHECK(head_opens(folder, "[" + entry("s.stet", zeros) + "]") == "part_mismatch (s.stet)");
    CHECK(head_opens(folder, "[" + entry("no.stet", zeros) + "]") == "missing_part (no.stet)");
    CHECK(head_opens(folder, "[" + entry("../s.stet", digest) + "]") == "bad_path (../s.stet)");
    CHECK(head_opens(folder, "[" + entry("/etc/passwd", digest) + "]") == "bad_path (/etc/passwd)");
    CHECK(head_opens(folder, "[" + entry("h.stet", digest) + "]") == "bad_path (h.stet)"); // the head itself
    CHECK(head_opens(folder, "[" + sound + "," + sound + "]") == "duplicate_part (s.stet)");
    CHECK(head_opens(folder, "[" + sound + "]", R"(,"data":["x.bin"])") == "manifest_mismatch (shards)");
    std::string many = "[";
    for (std::size_t i = 0; i <= stet::max_shard_count; ++i) many += entry("s" + std::to_string(i), zeros) + ",";
    many.back() = ']';
    CHECK(head_opens(folder, many) == "too_large (shards)");
    // Deeper than any manifest, in a field that is passed over.
    const std::string deep = std::string(70, '[') + std::string(70, ']');
    CHECK(head_opens(folder, R"([{"file":"s.stet","sha256":")" + digest + R"(","x":)" + deep + "}]")
              .starts_with("too_deep"));
    // Tensors of its own.
    const std::string own = R"({"stet":{"version":1,"minimum_reader":1},"alignment_bytes":64,"tensors":{"a":)"
                            R"({"dtype":"int8","shape":[0],"offset_bytes":0,"size_bytes":0}},"shards":[)" +
                            sound + "]}";
    CHECK(told(stet::open(write_head(folder, own), as_sharded)) == "manifest_mismatch (shards)");
  }

  TEST_CASE("in a file that has an index, and in a loose manifest, the field is a program's own") {
    const temp_folder folder;
    stet::writer out;
    const std::int32_t elements[] = {1, 2};
    out.add("a", elements);
    out.set_extra(stet::json_text(R"({"shards":[{"file":"no.stet"}]})"));
    REQUIRE(out.save(folder.path("one.stet")));
    const auto one = stet::open(folder.path("one.stet"), as_sharded);
    REQUIRE(told(one) == "ok");
    CHECK(one->tensor_count() == 1);
    CHECK(stet::shards_of(*one)->empty());
    CHECK(stet::verify_store(*one).is_sound());
    stet::save_options loose;
    loose.form = stet::store_form::loose;
    REQUIRE(out.save(folder.path("loose.json"), loose));
    const auto other = stet::open(folder.path("loose.json"), as_sharded);
    REQUIRE(told(other) == "ok");
    CHECK(stet::shards_of(*other)->empty());
  }

  TEST_CASE("shards that are no ordinary store in one file") {
    const temp_folder folder;
    shard_maker shard;
    shard.whole("w", 0, {2});
    const auto inner = shard.save(folder, "inner.stet");
    const std::string sharded = save_head(folder, "sharded.stet", {inner});
    const auto digest_of_head = [&] { // which is closed then, so that Windows lets its shard be written again
      const auto head = stet::open(sharded, as_sharded);
      REQUIRE(told(head) == "ok");
      return stet::content_digest(*head);
    };
    const auto list = [&](const std::string& name, const stet::sha256_digest& digest) {
      return told(stet::open(save_head(folder, "h.stet", {{name, digest}}), as_sharded));
    };
    CHECK(list("sharded.stet", digest_of_head()) == "no_index (sharded.stet)");
    stet::save_options parts;
    parts.form = stet::store_form::sharded;
    REQUIRE(shard.out.save(folder.path("parts.stet"), parts));
    const auto with_parts = stet::open(folder.path("parts.stet"));
    REQUIRE(with_parts);
    CHECK(list("parts.stet", stet::content_digest(*with_parts)) == "unsupported (parts.stet)");
    folder.write("garbage.stet", "garbage");
    CHECK(list("garbage.stet", {}) == "bad_magic (garbage.stet)");
    folder.write("empty.stet", "");
    CHECK(list("empty.stet", {}).ends_with("(empty.stet)"));
    REQUIRE(std::filesystem::create_directory(folder.path("folder.stet")));
    CHECK(list("folder.stet", {}).ends_with("(folder.stet)"));
    // Every truncation of a shard is noticed.
    std::vector<std::byte> bytes = folder.read("inner.stet");
    for (std::size_t size = 0; size < bytes.size(); size += 61) {
      folder.write("inner.stet", std::span(bytes).first(size));
      CHECK(!stet::open(sharded, as_sharded));
    }
  }

  TEST_CASE("a shard whose manifest says something else than its index") {
    const temp_folder folder;
    shard_maker shard;
    shard.piece("t", 0, {4, 2}, {0, 0}, {2, 2}).piece("t", 0, {4, 2}, {2, 0}, {2, 2});
    const std::string path = folder.path("s.stet");
    const auto spoiled = [&](std::string_view from, std::string_view to) {
      REQUIRE(from.size() == to.size());
      (void)shard.save(folder, "s.stet");
      std::vector<std::byte> bytes = folder.read("s.stet");
      const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      auto header = stet::decode_header(std::span(bytes).first(stet::file_header::size_bytes), bytes.size());
      REQUIRE(header);
      const std::size_t at = all.find(from);
      REQUIRE(at < header->manifest_offset_bytes + header->manifest_size_bytes);
      std::memcpy(bytes.data() + at, to.data(), to.size());
      header->manifest_crc32c =
          stet::crc32c(std::span(bytes).subspan(static_cast<std::size_t>(header->manifest_offset_bytes),
                                                static_cast<std::size_t>(header->manifest_size_bytes)));
      stet::encode_header(*header, std::span(bytes).first<stet::file_header::size_bytes>());
      folder.write("s.stet", bytes);
      const auto opened = stet::open(path);
      REQUIRE(told(opened) == "ok"); // through its index
      return told(stet::open(save_head(folder, "h.stet", {{"s.stet", stet::content_digest(*opened)}}), as_sharded));
    };
    CHECK(spoiled("t[0:2,0:2]", "t[0:2,0:2]") == "ok");
    CHECK(spoiled("t[0:2,0:2]", "u[0:2,0:2]") == "manifest_mismatch (u[0:2,0:2])");
    CHECK(spoiled(R"("shape":[2,2])", R"("shape":[1,4])") == "bad_slice (slice_of of t[0:2,0:2])");
    // Within the tensor by the shape of the manifest, and outside of it by that of the index.
    CHECK(spoiled(R"("start":[2,0])", R"("start":[3,0])") == "bad_slice (slice_of of t[2:4,0:2])");
    CHECK(spoiled(R"("start":[2,0])", R"("start":[1,0])") == "bad_slice (t)");
    CHECK(spoiled(R"("start":[2,0])", R"("start":"2,0")") == "wrong_type (slice_of of t[2:4,0:2])");
    CHECK(spoiled(R"({"stet":)", R"(["stet":)").starts_with("wrong_type"));
  }

  TEST_CASE("a shard that was made to deceive, with right checksums and digest, never reads beyond its file") {
    const temp_folder folder;
    shard_maker shard;
    shard.piece("t", 0, {4, 6}, {0, 0}, {4, 2}).piece("t", 0, {4, 6}, {0, 2}, {4, 4}).whole("w", 5, {3});
    shard.piece("u", 0, {8}, {0}, {4}).piece("u", 0, {8}, {4}, {4});
    shard.out.add_alias("a", "w");
    (void)shard.save(folder, "s.stet");
    const std::vector<std::byte> sound = folder.read("s.stet");
    const auto header = stet::decode_header(std::span(sound).first(stet::file_header::size_bytes), sound.size());
    REQUIRE(header);
    const auto manifest_begin = static_cast<std::size_t>(header->manifest_offset_bytes),
               manifest_size = static_cast<std::size_t>(header->manifest_size_bytes),
               index_begin = static_cast<std::size_t>(header->index_offset_bytes),
               index_size = static_cast<std::size_t>(header->index_size_bytes);
    std::mt19937 random(11);
    std::map<std::string, int> seen;
    for (int round = 0; round < 3000; ++round) {
      const stet_test::exact_block block(sound);
      const std::span<std::byte> bytes = block.span();
      for (std::size_t changes = 1 + random() % 3; changes > 0; --changes) {
        if (random() % 3 == 0) {
          bytes[index_begin + random() % index_size] = static_cast<std::byte>(random() % 12);
        } else { // digits, so that the text often stays JSON
          const std::size_t at = manifest_begin + random() % manifest_size;
          const char c = static_cast<char>(bytes[at]);
          if (c >= '0' && c <= '9') bytes[at] = static_cast<std::byte>('0' + random() % 10);
          if (c >= 'a' && c <= 'z') bytes[at] = static_cast<std::byte>("atuw"[random() % 4]);
        }
      }
      stet::file_header changed = *header;
      changed.manifest_crc32c = stet::crc32c(bytes.subspan(manifest_begin, manifest_size));
      changed.index_crc32c = stet::crc32c(bytes.subspan(index_begin, index_size));
      stet::encode_header(changed, bytes.first<stet::file_header::size_bytes>());
      const auto alone = stet::open(std::span<const std::byte>(bytes));
      if (!alone) continue;
      class two_files final : public stet::file_system {
      public:
        std::span<const std::byte> head, shard;
        [[nodiscard]] stet::result<stet::source> open_file(std::string_view name) const noexcept override {
          return stet::source::borrow(name == "h.stet" ? head : shard);
        }
      } files;
      stet::writer to;
      const stet::shard_reference listed[] = {{"s.stet", stet::content_digest(*alone)}};
      to.set_shards(listed);
      const auto head = to.save_to_memory();
      REQUIRE(head);
      files.head = *head;
      files.shard = bytes;
      stet::open_options options = as_sharded;
      options.files = &files;
      const auto all = stet::open("h.stet", options);
      ++seen[all ? "ok" : std::string(stet::describe(all.error().code()).name)];
      if (!all) continue;
      for (const stet::tensor each : *all) {
        std::vector<std::byte> into(static_cast<std::size_t>(each.size_bytes()));
        (void)each.read(0, into); // or it is a checksum that does not match
      }
      (void)stet::verify_store(*all, {.thread_count = 1});
    }
    CHECK(seen["ok"] > 100);
    CHECK(seen["bad_slice"] > 30);
    CHECK(seen.size() > 5);
  }

  TEST_CASE("damage in a piece is found when it is first read, and by verify") {
    const temp_folder folder;
    const std::string path = save_head(folder, "c.stet", save_two_shards(folder));
    const std::string second = "c-00001-of-00002-0b0b0b0b.stet";
    std::vector<std::byte> bytes = folder.read(second);
    {
      const auto sound = stet::open(folder.path(second));
      REQUIRE(sound);
      bytes[static_cast<std::size_t>(sound->find("kernel[0:4,2:6]")->entry().offset_bytes())] ^= std::byte{1};
    }
    folder.write(second, bytes);
    {
      const auto all = stet::open(path, as_sharded);
      REQUIRE(told(all) == "ok");
      std::vector<std::int32_t> elements(24);
      CHECK(told(all->find("kernel")->copy_to(std::span(elements))) == "checksum_mismatch (kernel)");
      CHECK(copied_from(*all, "rows") == elements_from(0, {4, 3}));
      const stet::verify_report report = stet::verify_store(*all);
      REQUIRE(report.problems.size() == 1);
      CHECK(report.problems[0].code() == stet::errc::checksum_mismatch);
      CHECK(report.problems[0].subject() == "kernel[0:4,2:6]");
      CHECK(report.tensors_sound == 5);
      stet::verify_options head_only;
      head_only.shards = false;
      CHECK(stet::verify_store(*all, head_only).is_sound());
    }
    // Bytes between the tensors.
    bytes.back() = std::byte{1};
    folder.write(second, bytes);
    const auto again = stet::open(path, as_sharded);
    REQUIRE(told(again) == "ok");
    const stet::verify_report padding = stet::verify_store(*again, {.manifest = false, .checksums = false});
    REQUIRE(padding.problems.size() == 1);
    CHECK(padding.problems[0].code() == stet::errc::nonzero_padding);
    CHECK(padding.problems[0].subject() == second);
  }

  TEST_CASE("every flipped bit of the head is noticed, or changes nothing that is read") {
    const temp_folder folder;
    const std::string path = save_head(folder, "c.stet", save_two_shards(folder));
    const std::vector<std::byte> sound = folder.read("c.stet");
    for (std::size_t at = 0; at < sound.size(); at += 3) {
      std::vector<std::byte> bytes = sound;
      bytes[at] ^= std::byte{4};
      folder.write("c.stet", bytes);
      const auto opened = stet::open(path, as_sharded);
      if (opened) CHECK(!stet::verify_store(*opened, {.checksums = false}).is_sound()); // padding
    }
  }

  TEST_CASE("a program's own files, memory and streams") {
    const temp_folder folder;
    const std::string path = save_head(folder, "c.stet", save_two_shards(folder));
    const std::vector<std::byte> head = folder.read("c.stet");
    for (const auto how : {stet_test::given::in_place, stet_test::given::on_demand}) {
      stet_test::own_files files(how);
      for (const char* name : {"c.stet", "c-00000-of-00002-0a0a0a0a.stet", "c-00001-of-00002-0b0b0b0b.stet"})
        files.add(name, folder.read(name));
      stet_test::counted_memory memory;
      {
        stet::open_options options = as_sharded;
        options.files = &files;
        options.memory = &memory;
        const auto by_name = stet::open("c.stet", options);
        REQUIRE(told(by_name) == "ok");
        CHECK(copied_from(*by_name, "kernel") == elements_from(100, {4, 6}));
        const auto in_memory = stet::open(std::span<const std::byte>(head), options);
        REQUIRE(told(in_memory) == "ok");
        CHECK(copied_from(*in_memory, "rows") == elements_from(0, {4, 3}));
      }
      CHECK(memory.count() != 0);
      CHECK(memory.live() == 0);
      CHECK(memory.is_sound());
    }
    // Without a place for files there are no shards.
    CHECK(told(stet::open(std::span<const std::byte>(head), as_sharded)) ==
          "missing_part (c-00000-of-00002-0a0a0a0a.stet)");
  }

  TEST_CASE("a store of many shards and tensors") {
    const temp_folder folder;
    references listed;
    for (std::uint64_t number = 0; number < 50; ++number) {
      shard_maker shard;
      for (int tensor = 0; tensor < 20; ++tensor)
        shard.piece("t" + std::to_string(tensor), tensor * 1000, {2, 100}, {0, 2 * number}, {2, 2});
      listed.push_back(shard.save(folder, "s" + std::to_string(number) + ".stet"));
    }
    const auto all = stet::open(save_head(folder, "h.stet", listed), as_sharded);
    REQUIRE(told(all) == "ok");
    CHECK(all->tensor_count() == 20);
    CHECK(copied_from(*all, "t7") == elements_from(7000, {2, 100}));
    stet::store moved = stet::open(folder.path("h.stet"), as_sharded).value();
    const stet::store kept = std::move(moved);
    CHECK(copied_from(kept, "t19") == elements_from(19000, {2, 100}));
  }
}
