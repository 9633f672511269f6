// SPDX-License-Identifier: MIT
// A model for TensorFlow.js is saved over another one, and a call fails or the power does, at every call and in every way: what is
// in the folder is the old model or the new one, whole.
#include "support/save_model.hpp"
#include "support/faulty_files.hpp"
#include "support/simulated_disk.hpp"
#include "support/temp_folder.hpp"

#include <stet/formats/compiled.hpp>
#include <stet/formats/tfjs/save.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace {

using stet_test::disk_fault;
using stet_test::disk_image;
using stet_test::fault;
using stet_test::faulty_files;
using stet_test::file_call;
using stet_test::simulated_disk;
using stet_test::temp_folder;

/// A native store of two tensors, all of whose elements are `value`.
class native_model {
public:
  explicit native_model(float value) : path_(folder_.path("model.stet")) {
    const std::vector<float> values(100, value);
    stet::writer out;
    out.add("a", values, {100});
    out.add("b", std::span(values).first<50>(), {50});
    REQUIRE(out.save(path_));
  }
  stet::result<stet::tfjs_save_report> save_to(const std::string& path, const stet::file_operations& operations) const {
    const auto opened = stet::compiled::open_any(path_);
    REQUIRE(opened);
    if (!opened) return opened.error();
    stet::tfjs_save_options options;
    options.shard_size_bytes = 250; // three shards, the second of both tensors
    options.operations = &operations;
    return stet_test::save_tfjs(path, *opened, options);
  }

private:
  temp_folder folder_;
  std::string path_;
};

/// The value that all elements of the model in `folder` have; 0 if there is none, -1 if it is damaged or mixed.
float value_in(const temp_folder& folder) {
  const auto opened = stet::compiled::open_any(folder.path("model.json"));
  if (!opened) return opened.error().code() == stet::errc::file_not_found ? 0.0f : -1.0f;
  float value = 0;
  for (const std::string_view name : {"a", "b"}) {
    const auto found = opened->store.find(name);
    if (!found) return -1;
    std::vector<float> elements(static_cast<std::size_t>(found->element_count()));
    if (!found->copy_to(std::span(elements))) return -1;
    for (const float each : elements) {
      if (value != 0 && each != value) return -1;
      value = each;
    }
  }
  return value;
}

bool is_in_place(const std::string& name) {
  return name == "model.json" || stet::detail::is_like_part_name(name, "model.json");
}

} // namespace

TEST_SUITE("save_tfjs_faults") {
  TEST_CASE("after a fault at any call the folder holds the old model or the new one, and no litter") {
    const native_model first(1), second(2);
    std::vector<faulty_files::call> calls;
    {
      const temp_folder folder;
      faulty_files watched(fault::none, faulty_files::never, stet_test::without_syncing());
      REQUIRE(first.save_to(folder.path("model.json"), watched.operations()));
      faulty_files second_watched(fault::none, faulty_files::never, stet_test::without_syncing());
      REQUIRE(second.save_to(folder.path("model.json"), second_watched.operations()));
      calls = second_watched.calls();
      CHECK(folder.names().size() == 4);
    }
    std::size_t fault_count = 0, old_count = 0;
    for (const fault kind :
         {fault::failure, fault::late_failure, fault::interruption, fault::short_write, fault::no_reservation}) {
      for (std::size_t number = 0; number < calls.size(); ++number) {
        if (!stet_test::is_applicable(kind, calls[number].entry)) continue;
        CAPTURE(number);
        CAPTURE(static_cast<int>(kind));
        CAPTURE(static_cast<int>(calls[number].entry));
        ++fault_count;
        const temp_folder folder;
        REQUIRE(first.save_to(folder.path("model.json"), stet_test::without_syncing()));
        faulty_files faulty(kind, number, stet_test::without_syncing());
        const auto done = second.save_to(folder.path("model.json"), faulty.operations());
        const float found = value_in(folder);
        CHECK((found == 1.0f || found == 2.0f));
        if (done) CHECK(found == 2.0f);
        if (found == 1.0f) ++old_count;
        // Files that could not be removed, or got their names although that was denied, stay; they are whole.
        for (const std::string& name : folder.names()) CHECK_MESSAGE(is_in_place(name), name);
        if (found == 1.0f && kind != fault::late_failure) CHECK(folder.names().size() == 4);
      }
    }
    CHECK(fault_count > 60);
    CHECK(old_count > 20);
  }

  TEST_CASE("when the power fails, a model that was saved is there, or the one that replaces it") {
    const native_model first(1), second(2);
    const temp_folder folder;
    simulated_disk disk;
    float saved = 0, next = 1;
    std::size_t image_count = 0;
    disk.before_call = [&] {
      disk.after_power_loss([&](const disk_image& image) {
        ++image_count;
        const temp_folder after;
        for (const auto& [name, bytes] : image)
          after.write(name, std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
        const float found = value_in(after);
        CHECK((found == saved || found == next));
      });
    };
    REQUIRE(first.save_to(folder.path("model.json"), disk.operations()));
    saved = 1;
    next = 2;
    REQUIRE(second.save_to(folder.path("model.json"), disk.operations()));
    saved = 2;
    disk.before_call();
    CHECK(image_count > 200);
    MESSAGE(image_count << " folders after a loss of power");
  }
}
