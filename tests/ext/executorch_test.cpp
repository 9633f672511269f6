// SPDX-License-Identifier: MIT
// Programs of ExecuTorch fed from stores, with the real library. The suite has none; tests/interop/runtimes.py builds this with it.
#include <doctest/doctest.h>

#if defined(STET_HAS_EXECUTORCH)

#include <memory>

#include <executorch/extension/data_loader/buffer_data_loader.h>
#include <executorch/extension/named_data_map/merged_data_map.h>
#include <executorch/runtime/core/exec_aten/util/scalar_type_util.h>
#include <executorch/runtime/executor/program.h>
#include <executorch/runtime/platform/runtime.h>

#include <stet/ext/executorch.hpp>
#include <stet/formats/compiled.hpp>
#include <stet/formats/numpy.hpp>
#include <stet/formats/safetensors.hpp>
#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include "../../examples/digits/model_file.hpp"
#include "../../examples/runtimes/executorch_memory.hpp"
#include "support/allocations.hpp"
#include "support/counted_memory.hpp"
#include "support/digits_case.hpp"
#include "support/native_bytes.hpp"
#include "support/npy_files.hpp"
#include "support/outcome.hpp"
#include "support/pte_files.hpp"
#include "support/safetensors_files.hpp"
#include "support/shared_store.hpp"
#include "support/temp_folder.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

namespace et = executorch::runtime;
using et::Error;
using executorch::aten::ScalarType;
using stet_test::outcome;
using stet_test::shared;
using shared_store = std::shared_ptr<const stet::store>;

const std::vector<std::string> digits_names{"dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"};

/// A method of a program, which lives with what it needs.
class executorch_method {
public:
  /// Loads "forward" of `program`, whose weights are in `weights`.
  executorch_method(std::string_view program, const et::NamedDataMap* weights)
      : bytes_(program.size() / sizeof(std::max_align_t) + 1) {
    std::memcpy(bytes_.data(), program.data(), program.size());
    loader_ = std::make_unique<executorch::extension::BufferDataLoader>(bytes_.data(), program.size());
    program_ = std::make_unique<et::Result<et::Program>>(
        et::Program::load(loader_.get(), et::Program::Verification::InternalConsistency));
    REQUIRE(program_->ok());
    const auto meta = (*program_)->method_meta("forward");
    REQUIRE(meta.ok());
    memory_ = std::make_unique<runtimes::executorch_memory>(*meta);
    method_ = std::make_unique<et::Result<et::Method>>(
        (*program_)->load_method("forward", memory_->manager(), nullptr, weights));
  }
  Error error() const { return method_->error(); }

  /// The float32 numbers that it makes of `input`, of the extents `sizes`.
  std::vector<float> run(std::vector<float>& input, std::vector<std::int32_t> sizes) {
    REQUIRE(error() == Error::Ok);
    std::vector<std::uint8_t> order(sizes.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::uint8_t>(i);
    executorch::aten::TensorImpl impl(ScalarType::Float, static_cast<ssize_t>(sizes.size()), sizes.data(), input.data(),
                                      order.data());
    REQUIRE((*method_)->set_input(et::EValue(executorch::aten::Tensor(&impl)), 0) == Error::Ok);
    REQUIRE((*method_)->execute() == Error::Ok);
    const auto answers = (*method_)->get_output(0).toTensor();
    const float* const first = answers.const_data_ptr<float>();
    return {first, first + answers.numel()};
  }

private:
  std::vector<std::max_align_t> bytes_;
  std::unique_ptr<executorch::extension::BufferDataLoader> loader_;
  std::unique_ptr<et::Result<et::Program>> program_;
  std::unique_ptr<runtimes::executorch_memory> memory_;
  std::unique_ptr<et::Result<et::Method>> method_;
};

/// Runs the digits program with `weights` under `names`, and compares.
void check_digits(stet_test::digits_case& task, const et::NamedDataMap& weights, const std::vector<std::string>& names,
                  bool copied = false) {
  executorch_method method(stet_test::digits_program(task.image_count, names, copied), &weights);
  task.check(method.run(task.images, {task.image_count, digits::pixel_count}));
}

stet::executorch_data_map map_of(shared_store from, const stet::executorch_options& options = {}) {
  auto made = stet::executorch_data_map::make(std::move(from), options);
  REQUIRE(outcome(made) == "ok");
  return std::move(*made);
}

} // namespace

TEST_SUITE("ext/executorch") {
  TEST_CASE("a program of ExecuTorch without weights answers by those of the mapped file as the demo's own code does") {
    et::runtime_init();
    stet_test::digits_case task;
    const shared_store store = shared(stet::open(task.path()));
    const auto weights = map_of(store);
    for (const stet::tensor each : *store) {
      const auto buffer = weights.get_data(each.name());
      REQUIRE(buffer.ok());
      CHECK(buffer->data() == each.bytes().data()); // nothing is copied
      CHECK(buffer->size() == each.size_bytes());
    }
    check_digits(task, weights, digits_names);
    check_digits(task, weights, digits_names, true); // loaded into memory of the program
    // A streamed store: each weight is mapped or read when the program asks for it.
    check_digits(task, map_of(shared(stet::open(task.path(), {.backing = stet::backing::stream}))), digits_names);
  }

  TEST_CASE("files of any format feed the program") {
    stet_test::digits_case task;
    const stet_test::temp_folder folder;
    stet::writer out = task.writer();
    out.graph = stet::graph_to_json(digits::describe_graph());
    for (const char* const name : {"w.stet", "w.safetensors", "w.gguf", "w.npz", "w.pt", "w.keras", "w.weights.h5"}) {
      const std::string path = folder.path(name);
      CAPTURE(path);
      REQUIRE(outcome(stet::compiled::save_any(path, out)) == "ok");
      auto opened = stet::compiled::open_any(path);
      REQUIRE(outcome(opened) == "ok");
      const auto model = std::make_shared<const stet::model>(std::move(*opened));
      check_digits(task, map_of(shared_store(model, &model->store)), digits_names);
    }
  }

  TEST_CASE("a buffer keeps the store, though the map is gone") {
    const float numbers[] = {1, 2, 3, 4, 5, 6};
    stet::writer out;
    out.add("a", numbers, {2, 3});
    const auto file = out.save_to_memory();
    REQUIRE(outcome(file) == "ok");
    shared_store store = shared(stet::open(*file));
    const std::weak_ptr<const stet::store> alive = store;
    const std::byte* const at = store->find("a")->bytes().data();
    {
      auto buffer = [&] { return map_of(std::move(store)).get_data("a"); }();
      REQUIRE(buffer.ok());
      CHECK_FALSE(alive.expired());
      CHECK(buffer->data() == at);
      CHECK(buffer->size() == sizeof numbers);
      buffer->Free();
      CHECK(alive.expired());
      CHECK(buffer->data() == nullptr);
      buffer->Free();
    }
    // Layouts and keys are the map's, which may move.
    store = shared(stet::open(*file));
    auto first = map_of(store);
    const auto layout = first.get_tensor_layout("a");
    REQUIRE(layout.ok());
    const char* const key = *first.get_key(0);
    const stet::executorch_data_map second = std::move(first);
    CHECK(layout->sizes()[1] == 3);
    CHECK(key == std::string_view("a"));
    CHECK(*second.get_key(0) == key);
  }

  TEST_CASE("layouts are extents, the order of the axes, and type") {
    const std::vector<std::int64_t> longs(24);
    const float scalar[] = {7};
    const std::vector<float> nothing;
    stet::writer out;
    out.add("longs", longs, {2, 3, 4}).add("scalar", scalar, {}).add("nothing", nothing, {0, 3});
    out.add("wide", nothing, {0, 0x8000'0000}).add("widest", nothing, {0, 0x7FFF'FFFF});
    out.add("deep", scalar, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
    out.add("deepest", scalar, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
    const auto file = out.save_to_memory();
    REQUIRE(outcome(file) == "ok");
    const auto weights = map_of(shared(stet::open(*file)));
    const auto longs_layout = weights.get_tensor_layout("longs");
    REQUIRE(longs_layout.ok());
    CHECK(longs_layout->scalar_type() == ScalarType::Long);
    CHECK(longs_layout->nbytes() == 24 * 8);
    CHECK(std::ranges::equal(std::vector<int>{2, 3, 4}, longs_layout->sizes()));
    CHECK(std::ranges::equal(std::vector<int>{0, 1, 2}, longs_layout->dim_order()));
    const auto scalar_layout = weights.get_tensor_layout("scalar");
    REQUIRE(scalar_layout.ok());
    CHECK(scalar_layout->sizes().empty());
    CHECK(scalar_layout->nbytes() == 4);
    const auto nothing_layout = weights.get_tensor_layout("nothing");
    REQUIRE(nothing_layout.ok());
    CHECK(nothing_layout->nbytes() == 0);
    const auto nothing_data = weights.get_data("nothing");
    REQUIRE(nothing_data.ok());
    CHECK(nothing_data->size() == 0);
    CHECK(weights.get_tensor_layout("widest").error() == Error::Ok);
    CHECK(weights.get_tensor_layout("wide").error() == Error::NotSupported);
    CHECK(weights.get_tensor_layout("deepest").error() == Error::Ok);
    CHECK(weights.get_tensor_layout("deep").error() == Error::NotSupported);
    CHECK(weights.get_tensor_layout("nobody").error() == Error::NotFound);
  }

  TEST_CASE("every dtype is ExecuTorch's of the same bytes, or none") {
    struct row {
      stet::dtype dtype;
      ScalarType type;
    };
    using enum stet::dtype;
    const row rows[] = {
        {boolean, ScalarType::Bool},
        {int8, ScalarType::Char},
        {int16, ScalarType::Short},
        {int32, ScalarType::Int},
        {int64, ScalarType::Long},
        {uint8, ScalarType::Byte},
        {uint16, ScalarType::UInt16},
        {uint32, ScalarType::UInt32},
        {uint64, ScalarType::UInt64},
        {float16, ScalarType::Half},
        {bfloat16, ScalarType::BFloat16},
        {float32, ScalarType::Float},
        {float64, ScalarType::Double},
        {complex64, ScalarType::ComplexFloat},
        {complex128, ScalarType::ComplexDouble},
        {float8_e4m3fn, ScalarType::Float8_e4m3fn},
        {float8_e5m2, ScalarType::Float8_e5m2},
        {float8_e4m3fnuz, ScalarType::Float8_e4m3fnuz},
        {float8_e5m2fnuz, ScalarType::Float8_e5m2fnuz},
        {qint8, ScalarType::QInt8},
        {quint8, ScalarType::QUInt8},
        {qint32, ScalarType::QInt32},
    };
    std::size_t found = 0;
    for (const auto& described : stet::dtype_table) {
      const row* const expected = std::find_if(std::begin(rows), std::end(rows),
                                               [&](const row& each) { return each.dtype == described.dtype; });
      const ScalarType type = stet::executorch_type(described.dtype);
      CAPTURE(std::string(described.name));
      CHECK(type == (expected == std::end(rows) ? ScalarType::Undefined : expected->type));
      if (type == ScalarType::Undefined) continue;
      ++found;
      CHECK(executorch::runtime::elementSize(type) * 8 == described.bits);
    }
    CHECK(found == std::size(rows));
  }

  TEST_CASE("types that ExecuTorch has not have no layout; a backend may ask for their bytes, but not for texts") {
    const std::vector<stet::int4> nibbles = {stet::int4(1), stet::int4(-2), stet::int4(7)};
    const std::vector<std::string> texts = {"a", "bc"};
    stet::writer out;
    out.add("nibbles", nibbles, {3}).add("texts", texts, {2});
    const auto file = out.save_to_memory();
    REQUIRE(outcome(file) == "ok");
    const auto weights = map_of(shared(stet::open(*file)));
    CHECK(weights.get_tensor_layout("nibbles").error() == Error::InvalidType);
    CHECK(weights.get_tensor_layout("texts").error() == Error::InvalidType);
    const auto data = weights.get_data("nibbles");
    REQUIRE(data.ok());
    CHECK(data->size() == 2);
    CHECK(static_cast<const unsigned char*>(data->data())[0] == 0xE1);
    CHECK(weights.get_data("texts").error() == Error::InvalidType);
    char into[64];
    CHECK(weights.load_data_into("texts", into, 8) == Error::InvalidType);
  }

  TEST_CASE("load_data_into copies as many bytes as it is asked for, and no more than there are") {
    const float numbers[] = {1, 2, 3};
    const std::vector<float> nothing;
    stet::writer out;
    out.add("a", numbers, {3}).add("nothing", nothing, {0});
    const auto file = out.save_to_memory();
    REQUIRE(outcome(file) == "ok");
    const auto weights = map_of(shared(stet::open(*file)));
    float into[4] = {9, 9, 9, 9};
    CHECK(weights.load_data_into("a", into, 12) == Error::Ok);
    CHECK(std::vector<float>(into, into + 4) == std::vector<float>{1, 2, 3, 9});
    float less[2] = {9, 9};
    CHECK(weights.load_data_into("a", less, 4) == Error::Ok);
    CHECK(std::vector<float>(less, less + 2) == std::vector<float>{1, 9});
    CHECK(weights.load_data_into("a", into, 16) == Error::InvalidArgument);
    CHECK(weights.load_data_into("a", into, 3) == Error::InvalidArgument);
    CHECK(weights.load_data_into("a", nullptr, 12) == Error::InvalidArgument);
    CHECK(weights.load_data_into("a", nullptr, 0) == Error::Ok);
    CHECK(weights.load_data_into("nothing", nullptr, 0) == Error::Ok);
    CHECK(weights.load_data_into("nothing", into, 4) == Error::InvalidArgument);
    CHECK(weights.load_data_into("nobody", into, 4) == Error::NotFound);
  }

  TEST_CASE("keys are the names, in order, and end where they end") {
    const float numbers[] = {1};
    using namespace std::string_view_literals;
    const std::string made = stet_test::safetensors_file("{" + stet_test::u8_row("first", 0, 1) + "," +
                                                             stet_test::u8_row(R"(cut\u0000short)", 1, 1) + "," +
                                                             stet_test::u8_row("last", 2, 1) + "}",
                                                         "abc");
    const auto weights = map_of(shared(stet::open_safetensors(stet_test::bytes_of(made))));
    REQUIRE(weights.get_num_keys().ok());
    CHECK(*weights.get_num_keys() == 3);
    CHECK(std::string_view(*weights.get_key(0)) == "first");
    CHECK(weights.get_key(1).error() == Error::NotSupported);
    CHECK(std::string_view(*weights.get_key(2)) == "last");
    CHECK(weights.get_key(3).error() == Error::InvalidArgument);
    CHECK(weights.get_data("cut\0short"sv).ok()); // by its whole name
    CHECK(weights.get_data("cut"sv).error() == Error::NotFound);

    const auto none = map_of(std::make_shared<const stet::store>());
    CHECK(*none.get_num_keys() == 0);
    CHECK(none.get_key(0).error() == Error::InvalidArgument);
    CHECK(none.get_data("a").error() == Error::NotFound);

    // With another map, as the library merges them.
    stet::writer out;
    out.add("other", numbers, {1});
    const auto file = out.save_to_memory();
    REQUIRE(outcome(file) == "ok");
    const auto more = map_of(shared(stet::open(*file)));
    const stet_test::native_file plain({stet_test::tensor_of<float>("first", {1}, {1})});
    const auto less = map_of(shared(stet::open(std::span<const std::byte>(plain.bytes))));
    const et::NamedDataMap* both[] = {&less, &more};
    const auto merged = executorch::extension::merged_data_map::MergedDataMap::load({both, 2});
    REQUIRE(merged.ok());
    CHECK(*merged->get_num_keys() == 2);
    CHECK(merged->get_data("first").ok());
    CHECK(merged->get_data("other").ok());
  }

  TEST_CASE("bytes that are misaligned, or too near to their end, are copied") {
    const double numbers[] = {1, 2};
    stet::writer out;
    out.add("a", numbers, {2});
    const auto file = out.save_to_memory();
    REQUIRE(outcome(file) == "ok");
    std::vector<std::byte> shifted(file->size() + 1);
    std::copy(file->begin(), file->end(), shifted.begin() + 1);
    const shared_store odd = shared(stet::open(std::span<const std::byte>(shifted).subspan(1)));
    stet_test::counted_memory memory;
    {
      const auto weights = map_of(odd, {.memory = &memory});
      const auto buffer = weights.get_data("a");
      REQUIRE(buffer.ok());
      CHECK(buffer->data() != odd->find("a")->bytes().data());
      CHECK(std::memcmp(buffer->data(), numbers, sizeof numbers) == 0);
      CHECK(memory.live() == 2); // the table and the copy
      CHECK(memory.largest_bytes() >= sizeof numbers + 16);
    }
    CHECK(memory.live() == 0);
    CHECK(memory.is_sound());

    const shared_store near = shared(stet::open(*file));
    const std::uint64_t behind = near->readable_bytes_behind(*near->find("a"));
    const auto enough = map_of(near, {.bytes_behind = static_cast<std::uint32_t>(behind)}).get_data("a");
    REQUIRE(enough.ok());
    CHECK(enough->data() == near->find("a")->bytes().data());
    const auto too_few = map_of(near, {.bytes_behind = static_cast<std::uint32_t>(behind + 1)}).get_data("a");
    REQUIRE(too_few.ok());
    CHECK(too_few->data() != near->find("a")->bytes().data());
    CHECK(std::memcmp(too_few->data(), numbers, sizeof numbers) == 0);
  }

  TEST_CASE("words in the other byte order are turned around in a copy") {
    using namespace std::string_view_literals;
    const stet_test::temp_folder folder;
    folder.write("big.npy", stet_test::numpy_array("'>f4'", "(2,)", "\x3f\x80\0\0\x40\0\0\0"sv));
    const shared_store store = shared(stet::open_npy(folder.path("big.npy")));
    const auto weights = map_of(store);
    const std::string key = *weights.get_key(0);
    const auto buffer = weights.get_data(key);
    REQUIRE(buffer.ok());
    const auto* const floats = static_cast<const float*>(buffer->data());
    CHECK(floats[0] == 1.0f);
    CHECK(floats[1] == 2.0f);
    float into[2] = {};
    CHECK(weights.load_data_into(key, into, 8) == Error::Ok);
    CHECK(into[1] == 2.0f);
    CHECK(weights.load_data_into(key, into, 6) == Error::InvalidArgument);
  }

  TEST_CASE("booleans are 0 and 1") {
    const stet_test::native_file made(
        {stet_test::tensor_of("truths", {stet::dtype::boolean, 8}, {2}, stet_test::bytes_of<std::int8_t>({1, 0})),
         stet_test::tensor_of("lies", {stet::dtype::boolean, 8}, {2}, stet_test::bytes_of<std::int8_t>({1, 2}))});
    const auto weights = map_of(shared(stet::open(std::span<const std::byte>(made.bytes))));
    std::uint8_t into[2] = {};
    CHECK(weights.get_data("truths").error() == Error::Ok);
    CHECK(weights.load_data_into("truths", into, 2) == Error::Ok);
    CHECK(weights.get_data("lies").error() == Error::InvalidExternalData);
    CHECK(weights.load_data_into("lies", into, 2) == Error::InvalidExternalData);
  }

  TEST_CASE("memory that there is not, and bytes that cannot be read, are errors") {
    const double numbers[] = {1, 2};
    stet::writer out;
    out.add("a", numbers, {2});
    const auto file = out.save_to_memory();
    REQUIRE(outcome(file) == "ok");
    const shared_store store = shared(stet::open(*file));
    stet_test::counted_memory no_table(0);
    CHECK(outcome(stet::executorch_data_map::make(store, {.memory = &no_table})) == "out_of_memory");
    stet_test::counted_memory no_copy(1);
    CHECK(map_of(store, {.memory = &no_copy, .bytes_behind = 4096}).get_data("a").error() ==
          Error::MemoryAllocationFailed);
    const auto weights = map_of(store);
    stet_test::fails_to_allocate = [](std::size_t) noexcept { return true; };
    const Error failure = weights.get_data("a").error();
    stet_test::fails_to_allocate = nullptr;
    CHECK(failure == Error::MemoryAllocationFailed);

    class failing_reader final : public stet::byte_reader {
    public:
      std::span<const std::byte> bytes;
      bool fails = false;
      stet::result<void> read(std::uint64_t offset, std::span<std::byte> into) const noexcept override {
        if (fails || offset > bytes.size() || into.size() > bytes.size() - offset) return stet::errc::truncated;
        std::memcpy(into.data(), bytes.data() + offset, into.size());
        return {};
      }
      std::uint64_t size_bytes() const noexcept override { return bytes.size(); }
    } reader;
    reader.bytes = *file;
    const auto read = map_of(shared(stet::open(reader)));
    const auto buffer = read.get_data("a");
    REQUIRE(buffer.ok());
    CHECK(std::memcmp(buffer->data(), numbers, sizeof numbers) == 0);
    reader.fails = true;
    double into[2];
    CHECK(read.get_data("a").error() == Error::AccessFailed);
    CHECK(read.load_data_into("a", into, 16) == Error::AccessFailed);
  }

  TEST_CASE("a program refuses weights that are not its own") {
    et::runtime_init();
    stet_test::digits_case task;
    const auto loading = [&](const stet::writer& out) {
      const auto file = out.save_to_memory();
      REQUIRE(outcome(file) == "ok");
      const auto weights = map_of(shared(stet::open(*file)));
      return executorch_method(stet_test::digits_program(1, digits_names), &weights).error();
    };
    CHECK(loading(task.writer()) == Error::Ok);
    const auto with = [&](const auto& kernel, stet::extents extents) {
      stet::writer out;
      for (const auto& each : digits::tensors(task.numbers)) {
        if (each.name != digits_names[0]) out.add(each.name, each.values, stet::extents(each.shape()));
      }
      out.add(digits_names[0], kernel, extents);
      return loading(out);
    };
    const std::vector<float> kernel(7840);
    const std::vector<stet::float16> halves(7840);
    CHECK(with(kernel, {784, 10}) == Error::Ok);
    CHECK(with(kernel, {10, 784}) == Error::InvalidExternalData);
    CHECK(with(kernel, {7840}) == Error::InvalidExternalData);
    CHECK(with(halves, {784, 10}) == Error::InvalidExternalData);
    stet::writer none;
    CHECK(loading(none) == Error::NotFound);
  }
}

#else

TEST_SUITE("ext/executorch") {
  TEST_CASE("programs of ExecuTorch are fed from stores") {
    MESSAGE("skipped: tests/interop/runtimes.py builds this test with ExecuTorch");
  }
}

#endif
