// SPDX-License-Identifier: MIT
// Tests of pytorch/detail/export.hpp: archives of torch.export, with weights as storages and as files of torch.save within them.
#include <stet/formats/pytorch/format.hpp>

#include "support/exact_text.hpp"
#include "support/flipped_bits.hpp"
#include "support/keras_files.hpp"
#include "support/outcome.hpp"
#include "support/pytorch_files.hpp"
#include "support/temp_folder.hpp"
#include "support/thinned.hpp"

#include <stet/formats/check_model.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

TEST_SUITE_BEGIN("pytorch export");

namespace {

using namespace std::literals;
using namespace stet_test;

std::span<const std::byte> px_bytes(const std::string& file) { return std::as_bytes(std::span(file)); }
std::span<const std::byte> px_bytes(std::string&&) = delete; // a model views the bytes

/// The names of all tensors, then the omitted ones as -NAME CODE SUBJECT, or the error with its subject; a space behind each.
std::string px_names(const std::string& file) {
  const exact_text block(file);
  const auto opened = stet::open_pytorch(block.bytes());
  if (!opened) return outcome(opened) + " " + std::string(opened.error().subject());
  std::string made;
  for (const stet::tensor each : opened->store) made += std::string(each.name()) + " ";
  for (const stet::omitted_item& each : opened->omitted) {
    made += "-" + each.name + " " + stet::describe(each.reason.code()).name + " " + std::string(each.reason.subject()) +
            " ";
  }
  return made;
}
std::vector<float> px_values(const stet::model& of, std::string_view name) {
  const auto found = of.store.find(name);
  REQUIRE(found);
  std::vector<float> values(static_cast<std::size_t>(found->element_count()));
  CHECK(outcome(found->copy_to(std::span(values))) == "ok");
  return values;
}
/// The notes of tensors, a line each.
std::string px_notes(const std::string& file) {
  const temp_folder folder;
  const auto opened = stet::open_as(stet::pytorch_format, folder.write("m.pt2", file));
  REQUIRE(opened);
  const auto described = stet::describe(*opened);
  REQUIRE(described);
  CHECK(described->metadata == stet::json_value{{"pytorch", {{"kind", "export"}}}});
  std::string made;
  for (const stet::tensor_note& each : described->tensors) made += each.name + " " + each.attributes.dump() + "\n";
  return made;
}

const std::vector<float> px_floats{0, 1, 2, 3, 4, 5}, px_turned{0, 3, 1, 4, 2, 5};

/// A state dict as torch.save wrote it: "lin.weight", its transpose, and a tied name.
std::string px_state_dict() {
  return pytorch_file(pt::ordered_dict({pt::text("lin.weight"), pt::tensor("0", 6, 0, {2, 3}, {3, 1}),
                                        pt::text("turned"), pt::tensor("0", 6, 0, {3, 2}, {1, 3}), pt::text("tied"),
                                        pt::tensor("0", 6, 0, {2, 3}, {3, 1})}),
                      {{"0", floats(6)}});
}
pt_members px_old(const std::string& state_dict) {
  return {{"serialized_exported_program.json", "{}"},
          {"serialized_state_dict.pt", state_dict},
          {"serialized_constants.pt", pytorch_file("}", {})},
          {"version", "5.1"}};
}
/// An archive with the JSON of one weight, "w", that is pickled.
std::string px_pickled(const std::string& weight, const std::string& more = "") {
  return zip_of({{"m/data/weights/weight_0", weight},
                 {"m/data/weights/model_weights_config.json",
                  R"({"config":{"w":{"path_name":"weight_0","is_param":true,"use_pickle":true,"tensor_meta":)" +
                      std::string(exported_meta) + "}" + more + "}}"},
                 {"m/byteorder", "little"}});
}

/// An archive whose members are all deflated.
std::string px_deflated(const pt_members& members) {
  made_archive made;
  for (const auto& [name, bytes] : members) made.members.push_back(deflated_member(name, bytes));
  return made.bytes();
}

} // namespace

TEST_CASE("an archive of torch.export") {
  const std::string file = exported_pytorch_file(std::string(exported_meta), floats(6));
  const auto model = stet::open_pytorch(px_bytes(file));
  REQUIRE(model);
  CHECK(px_values(*model, "lin.weight") == px_floats);
  CHECK(model->store.find("lin.weight")->bytes().data() == px_bytes(file).data() + file.find(floats(6)));
  CHECK(px_notes(file) == "lin.weight {\"trainable\":true}\n");
  const auto verdict = [](std::string_view from, std::string_view to) {
    std::string meta(exported_meta);
    meta.replace(meta.find(from), from.size(), to);
    const std::string damaged = exported_pytorch_file(meta, floats(6));
    const auto opened = stet::open_pytorch(px_bytes(damaged));
    if (!opened) return outcome(opened);
    if (!opened->omitted.empty()) return outcome(stet::result<int>(opened->omitted[0].reason));
    std::byte bytes[64];
    const stet::tensor found = *opened->store.find("lin.weight");
    const auto read = found.read(0, std::span(bytes, static_cast<std::size_t>(found.size_bytes())));
    return outcome(read) + (read ? "" : " " + std::string(read.error().subject()));
  };
  CHECK(verdict("\"dtype\":7", "\"dtype\":77") == "unknown_dtype");
  CHECK(verdict("\"dtype\":7", "\"dtype\":8") == "bad_offset data: weight_0");
  CHECK(verdict("{\"as_int\":2}", "{\"as_int\":-2}") == "wrong_type");
  CHECK(verdict("{\"as_int\":2}", "{\"as_expr\":\"s0\"}") == "wrong_type");
  CHECK(verdict("{\"as_int\":2},", "") == "bad_shape");
  CHECK(verdict("{\"as_int\":2}", "{\"as_int\":18446744073709551615}") == "bad_shape");
  CHECK(verdict("{\"as_int\":0}", "{\"as_int\":1}") == "bad_offset data: weight_0");
  CHECK(verdict("{\"as_int\":0}", "{\"as_int\":1") == "wrong_type");
}

TEST_CASE("a state dict within the archive is read in place") {
  const std::string state_dict = px_state_dict();
  std::string json_named =
      zip_of({{"serialized_exported_program.json", "{}"}, {"serialized_state_dict.json", state_dict}});
  for (const std::string& file :
       {zip_of(px_old(state_dict)), json_named,
        zip_of({{"m/models/model.json", "{}"}, {"m/data/weights/model.pt", state_dict}, {"m/byteorder", "little"}}),
        zip_of(px_old(legacy_pytorch_file(
            pt::dict({pt::text("lin.weight"), pt::tensor("7", 6, 0, {2, 3}, {3, 1}), pt::text("turned"),
                      pt::tensor("7", 6, 0, {3, 2}, {1, 3}), pt::text("tied"), pt::tensor("7", 6, 0, {2, 3}, {3, 1})}),
            {{"7", 6, floats(6)}})))}) {
    CHECK(px_names(file) == "lin.weight turned tied ");
    const auto model = stet::open_pytorch(px_bytes(file));
    REQUIRE(model);
    CHECK(px_values(*model, "lin.weight") == px_floats);
    CHECK(px_values(*model, "turned") == px_turned);
    CHECK(model->store.find("lin.weight")->bytes().data() == px_bytes(file).data() + file.find(floats(6)));
    CHECK(model->is_in_file(*model->store.find("lin.weight")));
    CHECK(model->store.original_of(*model->store.find("tied")));
    CHECK(outcome(stet::check_ranges(*model)) == "ok");
    CHECK(px_notes(file) == "turned {\"pytorch\":{\"strides\":[1,3]}}\ntied {\"tied\":true}\n");
  }
  // A damaged element is found by the checksum of the member.
  std::string damaged = zip_of(px_old(state_dict));
  damaged[damaged.find(floats(6)) + 5] ^= 1;
  const auto model = stet::open_pytorch(px_bytes(damaged));
  REQUIRE(model);
  CHECK(outcome(stet::check_tensor(*model, *model->store.find("lin.weight"))) == "checksum_mismatch");
}

TEST_CASE("archives of torch.export in their older forms are recognised") {
  const temp_folder folder;
  const auto recognised = [&](const pt_members& members) {
    stet::format_probe probe(folder.write("m.pt2", zip_of(members)));
    return stet::pytorch_format.recognises(probe);
  };
  CHECK(recognised(px_old(px_state_dict())));
  CHECK(recognised({{"m/data/weights/a.pt", "x"}, {"m/models/a.json", "{}"}}));
  CHECK(recognised({{"m/data/weights/a_weights_config.json", "{}"}}));
  stet::format_probe cut_off(folder.write("m.pt2", zip_of(px_old(px_state_dict())).substr(0, 400)));
  CHECK(stet::pytorch_format.recognises(cut_off)); // opening says so
  CHECK_FALSE(recognised({{"m/data/weights/a.pt", "x"}, {"m/models/b.json", "{}"}}));
  CHECK_FALSE(recognised({{"m/data/weights/a.pt", "x"}}));
  CHECK_FALSE(recognised({{"serialized_state_dict.pt", px_state_dict()}}));
  CHECK_FALSE(recognised({{"m/serialized_exported_program.json", "{}"}, {"m/serialized_state_dict.pt", "x"}}));
}

TEST_CASE("weights of several models have the names of their models") {
  const std::string state_dict = px_state_dict();
  const std::string config =
      R"({"config":{"b":{"path_name":"weight_0","is_param":true,"use_pickle":false,"tensor_meta":)" +
      std::string(exported_meta) + "}}}";
  const pt_members two{{"m/models/one.json", "{}"},
                       {"m/models/two.json", "{}"},
                       {"m/data/weights/weight_0", floats(6)},
                       {"m/data/weights/one.pt", state_dict},
                       {"m/data/weights/two_weights_config.json", config}};
  CHECK(px_names(zip_of(two)) == "one.lin.weight one.turned one.tied two.b ");
  // As torch.export.load, which takes the state dict where there are both.
  pt_members both = two;
  both.emplace_back("m/data/weights/one_weights_config.json", config);
  CHECK(px_names(zip_of(both)) == "one.lin.weight one.turned one.tied two.b ");
}

TEST_CASE("pickled weights are tensors by the names in the list") {
  const std::string tensor = pytorch_file(pt::tensor("0", 6, 0, {2, 3}, {3, 1}), {{"0", floats(6)}});
  const std::string file = px_pickled(tensor);
  CHECK(px_names(file) == "w ");
  const auto model = stet::open_pytorch(px_bytes(file));
  REQUIRE(model);
  CHECK(px_values(*model, "w") == px_floats);
  CHECK(model->store.find("w")->bytes().data() == px_bytes(file).data() + file.find(floats(6)));
  // A subclass with a constructor of its own has its tensors in its state.
  const std::string wrapped =
      pytorch_file(pt::call(pt::global("torch._tensor", "_rebuild_from_type_v2"),
                            pt::tuple({pt::global("torch._utils", "_rebuild_wrapper_subclass"),
                                       pt::global("torchao.dtypes", "AffineQuantizedTensor"), pt::tuple({}),
                                       pt::dict({pt::text("inner"), pt::tensor("0", 6, 0, {6}, {1})})})),
                   {{"0", floats(6)}});
  CHECK(px_names(px_pickled(wrapped)) == "-w unsupported torch._utils: _rebuild_wrapper_subclass ");
  CHECK(px_names(px_pickled(
            pytorch_file(pt::dict({pt::text("a"), pt::tensor("0", 6, 0, {6}, {1})}), {{"0", floats(6)}}))) == "w.a ");
  const std::string again =
      R"(,"v":{"path_name":"weight_0","use_pickle":true},"u":{"path_name":"x","use_pickle":true})";
  CHECK(px_names(px_pickled(tensor, again)) == "w -v duplicate_part data: weight_0 -u missing_part data: x ");
}

TEST_CASE("a compressed archive of torch.export is decompressed, and so is what is within") {
  const std::string inner =
      px_deflated({{"m/data.pkl", pt::pickle(pt::dict({pt::text("w"), pt::tensor("0", 6, 0, {6}, {1})}))},
                   {"m/data/0", floats(6)}});
  const std::string tensor = pytorch_file(pt::tensor("0", 6, 0, {6}, {1}), {{"0", floats(6)}});
  const std::string config = R"({"config":{"w":{"path_name":"weight_0","use_pickle":true}}})";
  stet::open_options options;
  options.inflate = inflate_stored;
  for (const std::string& file :
       {zip_of(px_old(inner)), px_deflated(px_old(inner)),
        px_deflated(
            px_old(pytorch_file(pt::dict({pt::text("w"), pt::tensor("0", 6, 0, {6}, {1})}), {{"0", floats(6)}}))),
        px_deflated({{"m/data/weights/model_weights_config.json", config}, {"m/data/weights/weight_0", tensor}})}) {
    const auto model = stet::open_pytorch(px_bytes(file), options);
    REQUIRE(model);
    CHECK(px_values(*model, "w") == px_floats);
    CHECK_FALSE(model->is_in_file(*model->store.find("w")));
    CHECK(outcome(stet::open_pytorch(px_bytes(file))) == "compressed");
  }
}

TEST_CASE("what is wrong or hostile within an archive of torch.export") {
  CHECK(px_names(zip_of(px_old(""))) == "");
  CHECK(px_names(zip_of(px_old("x"))) == "malformed pickle");
  CHECK(px_names(zip_of(px_old(px_state_dict().substr(1)))) == "malformed pickle");
  CHECK(px_names(zip_of(px_old("PK\3\4"))) == "truncated serialized_state_dict.pt");
  // No archive of torch.export is within another.
  CHECK(px_names(zip_of(px_old(zip_of(px_old(px_state_dict()))))) == "unknown_format serialized_state_dict.pt");
  CHECK(px_names(px_pickled(zip_of({{"a", "b"}}))) == "unknown_format a zip archive without data.pkl");
  const std::string runs =
      pytorch_file(pt::call(pt::global("os", "system"), pt::tuple({pt::text("echo")})), {{"0", floats(6)}});
  CHECK(px_names(zip_of(px_old(runs))) == "malformed os: system");
  CHECK(px_names(px_pickled(runs)) == "malformed os: system");
  CHECK(px_names(zip_of({{"m/models/model.json", "{}"}, {"m/data/weights/model.pt", runs}})) == "malformed os: system");
  // Storages of the archive are none of the file within.
  const std::string other = pytorch_file(pt::tensor("weight_0", 6, 0, {6}, {1}), {});
  const std::string file = px_pickled(other);
  const auto model = stet::open_pytorch(px_bytes(file));
  REQUIRE(model);
  std::byte bytes[24];
  CHECK(outcome(model->store.find("w")->read(0, std::span(bytes))) == "missing_part");
}

TEST_CASE("names of many files within an archive cost no more than one") {
  // Each has containers that share others: 2^12 tensors. One is below what may be; many are not.
  std::string shared = pt::tensor("0", 1, 0, {1}, {1});
  for (int i = 0; i < 12; ++i) shared = "](" + shared + "q" + static_cast<char>(i) + "h" + static_cast<char>(i) + "e";
  const std::string one = pytorch_file(shared, {{"0", floats(1)}});
  CHECK(px_names(px_pickled(one)).starts_with("w."));
  pt_members many;
  std::string config = R"({"config":{)";
  for (int i = 0; i < 40; ++i) {
    many.emplace_back("m/data/weights/weight_" + std::to_string(i), one);
    config += (i == 0 ? "\"" : ",\"") + std::to_string(i) + R"(":{"path_name":"weight_)" + std::to_string(i) +
              R"(","use_pickle":true})";
  }
  many.emplace_back("m/data/weights/model_weights_config.json", config + "}}");
  CHECK(px_names(zip_of(many)) == "too_large the names of tensors");
}

TEST_CASE("every part of an archive of torch.export is an error, and a flipped bit never a read outside") {
  const std::string tensor = pytorch_file(pt::tensor("0", 6, 0, {2, 3}, {3, 1}), {{"0", floats(6)}});
  for (const std::string& file : {zip_of(px_old(px_state_dict())), px_pickled(tensor)}) {
    for (std::size_t size = 0; size < file.size(); size += step_if_thinned(7)) {
      CAPTURE(size);
      const exact_text block(std::string_view(file).substr(0, size));
      CHECK_FALSE(stet::open_pytorch(block.bytes()));
    }
    open_with_flipped_bits(file, step_if_thinned(11), [](auto bytes) { return stet::open_pytorch(bytes); });
  }
}

TEST_SUITE_END();
