// SPDX-License-Identifier: MIT
// Models of every format from a program's own files and in its own memory: the same tensors as from the disk.
#include "support/save_model.hpp"
#include "support/allocations.hpp"
#include "support/counted_memory.hpp"
#include "support/keras_files.hpp"
#include "support/outcome.hpp"
#include "support/own_files.hpp"
#include "support/sample_model.hpp"
#include "support/tensorflow_checkpoints.hpp"

#include <stet/formats/compiled.hpp>
#include <stet/formats/description.hpp>
#include <stet/formats/keras/save.hpp>
#include <stet/formats/tfjs/save.hpp>
#include <stet/formats/tensorflow/save.hpp>
#include <stet/writer.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace stet_test;
using stet::backing;

/// What reading a tensor came to, and its bytes.
std::pair<std::string, std::vector<std::byte>> read_whole_tensor(const stet::tensor& from) {
  if (from.size_bytes() > (std::uint64_t{64} << 20)) return {"not read: too large for a test", {}};
  std::vector<std::byte> bytes(static_cast<std::size_t>(from.size_bytes()));
  std::string came_to = outcome(from.read(0, bytes));
  if (came_to != "ok") bytes.clear();
  return {std::move(came_to), std::move(bytes)};
}

/// The first difference between two models; "" if there is none.
std::string model_difference(const stet::model& a, const stet::model& b) {
  if (a.format != b.format || a.file_count != b.file_count || a.store.tensor_count() != b.store.tensor_count())
    return "format, files or count";
  auto other = b.store.begin();
  for (const stet::tensor each : a.store) {
    const stet::tensor same = *other;
    ++other;
    if (each.name() != same.name() || each.dtype() != same.dtype() || !(each.shape() == same.shape()) ||
        each.size_bytes() != same.size_bytes() || read_whole_tensor(each) != read_whole_tensor(same))
      return std::string(each.name());
  }
  return "";
}

/// Opens the model at `path` of the disk, and as "pak/" + `name` of own files that hold `folder` as "pak": in place, on demand
/// and read, in memory that is watched. @return whether the disk's could be opened
bool check_like_disk(const std::string& folder, const std::string& name) {
  CAPTURE(name);
  const std::string path = folder + "/" + name;
  const auto disk = stet::compiled::open_any(path);
  const auto said = disk ? stet::describe(*disk) : stet::result<stet::model_description>(disk.error());
  for (const given how : {given::in_place, given::on_demand}) {
    for (const backing wanted : {backing::map, backing::read}) {
      CAPTURE(static_cast<int>(how));
      CAPTURE(static_cast<int>(wanted));
      counted_memory memory;
      {
        own_files files(how, &memory);
        files.load("pak", folder);
        const stet::open_options options{.backing = wanted, .files = &files, .memory = &memory};
        const auto own = stet::compiled::open_any("pak/" + name, options);
        CHECK(outcome(own) == outcome(disk));
        if (!own || !disk) continue;
        CHECK(model_difference(*disk, *own) == "");
        const auto own_said = stet::describe(*own);
        CHECK(outcome(own_said) == outcome(said));
        if (said && own_said) CHECK(*said == *own_said);
      }
      CHECK(memory.live() == 0);
      CHECK(memory.is_sound());
    }
  }
  return static_cast<bool>(disk);
}

constexpr std::size_t large_tensor_bytes = std::size_t{1} << 20;

/// Opens a model with memory of its own and reads its tensors of 1 MiB or more: the heap gives no block of a tenth of that.
void check_large_memory(const std::string& path, backing how, stet::inflate_function inflate = nullptr) {
  CAPTURE(path);
  counted_memory memory;
  std::vector<std::byte> into(2 * large_tensor_bytes);
  std::string came_to = "not opened";
  int read = 0;
  const allocations heap;
  {
    const auto model = stet::compiled::open_any(path, {.backing = how, .inflate = inflate, .memory = &memory});
    came_to = outcome(model);
    if (model) {
      for (const stet::tensor each : model->store) {
        if (each.size_bytes() >= large_tensor_bytes && each.size_bytes() <= into.size())
          read += static_cast<bool>(each.read(0, std::span(into).first(static_cast<std::size_t>(each.size_bytes()))));
      }
    }
  }
  const std::uint64_t largest = heap.largest_bytes();
  CHECK(came_to == "ok");
  CHECK(read > 0);
  CHECK(largest < large_tensor_bytes / 10);
  CHECK(memory.largest_bytes() >= large_tensor_bytes);
  CHECK(memory.live() == 0);
  CHECK(memory.is_sound());
}

} // namespace

TEST_SUITE("formats in own files") {
  TEST_CASE("every format that is saved here opens as from the disk") {
    const temp_folder folder;
    const sample_model sample(1);
    const auto saved = [](const auto& done) { CHECK(outcome(done) == "ok"); };
    const stet::writer out = sample.writer();
    saved(out.save(folder.path("one.stet")));
    saved(out.save(folder.path("parts.stet"), {.form = stet::store_form::sharded, .max_part_size_bytes = 5000}));
    saved(out.save(folder.path("loose.json"), {.form = stet::store_form::loose, .max_part_size_bytes = 5000}));
    std::filesystem::create_directory(to_path(folder.path("web")));
    stet::writer numbers;
    std::vector<float> kernel(3000, 0.5f);
    numbers.add("dense/kernel", kernel, {300, 10});
    numbers.add("dense/bias", std::span<const float>(kernel).first(10), {10});
    saved(numbers.save(folder.path("numbers.stet")));
    const auto opened = stet::compiled::open_any(folder.path("numbers.stet"));
    REQUIRE(opened);
    if (!opened) return;
    saved(stet_test::save_tfjs(folder.path("web/model.json"), *opened, {.shard_size_bytes = 5000}));
    saved(stet::save_tensorflow_checkpoint(folder.path("ckpt-1"), numbers, {.max_shard_size_bytes = 5000}));
    saved(stet_test::save_keras(folder.path("m.weights.h5"), *opened));
    made_checkpoint odd(2);
    odd.add_strings("text", {2}, {"one", "two"});
    odd.add("all", 1, {4}, std::vector<float>{1, 2, 3, 4}, 1);
    (void)odd.write(folder, "odd");
    for (const char* const name : {"one.stet", "parts.stet", "loose.json", "web", "web/model.json", "ckpt-1",
                                   "ckpt-1.index", "odd", "m.weights.h5"}) {
      CHECK_MESSAGE(check_like_disk(folder.path(), name), name);
    }
    folder.write("k.keras", keras_archive().bytes());
    CHECK(check_like_disk(folder.path(), "k.keras"));
    // What cannot be opened is no other error.
    folder.write("noise.bin", std::string_view("nothing that is known"));
    CHECK(!check_like_disk(folder.path(), "noise.bin"));
    CHECK(!check_like_disk(folder.path(), "missing"));
    CHECK(!check_like_disk(folder.path(), "web/model"));
  }

  TEST_CASE("every sample opens as from the disk") {
    const char* const samples = std::getenv("STET_SAMPLES");
    if (samples == nullptr || *samples == 0) {
      MESSAGE("skipped: no folder of samples");
      return;
    }
    namespace fs = std::filesystem;
    int opened = 0;
    for (const char* const format : {"keras-v3", "tf-ckpt-v1", "tf-ckpt-v2", "tf-savedmodel", "hdf5", "tfjs"}) {
      std::error_code failure;
      std::vector<std::string> folders;
      for (fs::recursive_directory_iterator at(to_path(std::string(samples) + "/" + format), failure), end; at != end;
           at.increment(failure)) {
        if (at->is_directory()) folders.push_back(to_utf8(at->path()));
      }
      std::sort(folders.begin(), folders.end());
      for (const std::string& folder : folders) {
        std::vector<std::string> names;
        std::uint64_t size = 0;
        for (const auto& each : fs::directory_iterator(to_path(folder))) {
          if (!each.is_regular_file()) continue;
          size += each.file_size();
          const std::string name = to_utf8(each.path().filename());
          if (name.find(".data-") == std::string::npos && name.find("shard") == std::string::npos)
            names.push_back(name);
        }
        if (names.empty() || size > (2u << 20)) continue;
        std::sort(names.begin(), names.end());
        names.resize((std::min)(names.size(), std::size_t{12}));
        for (const std::string& name : names) opened += check_like_disk(folder, name);
      }
    }
    MESSAGE(opened << " samples were opened in four ways each");
    CHECK(opened > 20);
  }

  TEST_CASE("large tensors that are decoded, gathered or read come from the program's memory") {
    const temp_folder folder;
    made_checkpoint made(2);
    made.add_strings("text", {1}, {std::string(large_tensor_bytes, 'x')});
    made.add("floats", 1, {large_tensor_bytes / 4}, std::string(large_tensor_bytes, '\1'), 1);
    const std::string prefix = made.write(folder, "ckpt");
    check_large_memory(prefix, backing::map);
    check_large_memory(prefix, backing::read);
    std::string deflated_weights;
    {
      made_weights weights;
      weights.group("layers/dense");
      weights.add_object("layers/dense", "dense", {{large_tensor_bytes / 4}});
      deflated_weights = weights.bytes();
    }
    made_archive archive;
    archive.members = {deflated_member("model.weights.h5", deflated_weights)};
    check_large_memory(folder.write("k.keras", archive.bytes()), backing::map, inflate_stored);
    check_large_memory(folder.write("plain.weights.h5", deflated_weights), backing::read);
  }

  TEST_CASE("the table of a manifest of many tensors is in the program's memory") {
    const temp_folder folder;
    std::vector<float> values(20000, 1);
    stet::writer out;
    for (std::size_t i = 0; i < values.size(); ++i)
      out.add("tensor/" + std::to_string(i), std::span<const float>(values).subspan(i, 1), {1});
    counted_memory for_saving;
    CHECK(out.save(folder.path("m.json"),
                   {.form = stet::store_form::loose, .alignment_bytes = 4, .memory = &for_saving}));
    CHECK(for_saving.live() == 0);
    CHECK(for_saving.is_sound());
    CHECK(for_saving.largest_bytes() > 1000000); // the index, which finds equal names
    counted_memory memory;
    {
      const auto store = stet::open(folder.path("m.json"), {.read_manifest = stet::read_manifest, .memory = &memory});
      REQUIRE(store);
      if (!store) return;
      CHECK(store->tensor_count() == 20000);
      CHECK(memory.largest_bytes() > 1000000);
      CHECK(memory.live() == 2); // the table, and the one part
    }
    CHECK(memory.live() == 0);
    CHECK(memory.is_sound());
  }
}
