// SPDX-License-Identifier: MIT
// Tests of the digits demo: random numbers, unpacking, gradients, training that can be interrupted, its
// files, a second head, drawing.
#include "../../examples/digits/drawing.hpp"
#include "../../examples/digits/model_file.hpp"
#include "../../examples/digits/training.hpp"
#include "../../examples/digits/transfer.hpp"

#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

/// Images with a bar of ink in a place of its own for each digit, among noise: easy to learn.
struct made_up_images {
  static constexpr std::size_t image_size_bytes = digits::pixel_count / 2;
  std::vector<std::byte> packed;
  std::vector<std::uint8_t> labels;

  explicit made_up_images(std::size_t count) {
    digits::splitmix64 random{7};
    for (std::size_t at = 0; at < count; ++at) {
      const auto label = static_cast<std::uint8_t>(random.below(digits::class_count));
      for (std::size_t byte = 0; byte < image_size_bytes; ++byte) {
        const bool inked = byte / 39 == label;
        packed.push_back(static_cast<std::byte>(inked ? 0xEF : random.below(20) == 0 ? 0x30 : 0));
      }
      labels.push_back(label);
    }
  }
  digits::image_set view() const {
    return {stet::packed_span<stet::uint4>(packed.data(), labels.size() * digits::pixel_count, 4), labels};
  }
};

digits::training_plan short_plan() {
  digits::training_plan plan;
  plan.batch_size = 16;
  return plan;
}

/// Equal in every bit of every number, those that compare equal and are not alike (0 and -0) included.
bool same_bits(const digits::parameters& a, const digits::parameters& b) {
  const auto left = digits::tensors(a), right = digits::tensors(b);
  for (std::size_t tensor = 0; tensor < digits::tensor_count; ++tensor)
    for (std::size_t i = 0; i < left[tensor].values.size(); ++i)
      if (std::bit_cast<std::uint32_t>(left[tensor].values[i]) != std::bit_cast<std::uint32_t>(right[tensor].values[i]))
        return false;
  return true;
}

bool same_bits(const digits::training_state& a, const digits::training_state& b) {
  return same_bits(a.weights, b.weights) && same_bits(a.first_moment, b.first_moment) &&
         same_bits(a.second_moment, b.second_moment) && a.beta_1_power == b.beta_1_power &&
         a.beta_2_power == b.beta_2_power && a.random.state == b.random.state && a.step == b.step;
}

} // namespace

TEST_SUITE("digits") {

  TEST_CASE("splitmix64 gives the published sequence") {
    // Source: the values for seed 1234567 on Rosetta Code, "Pseudo-random numbers/Splitmix64".
    digits::splitmix64 random{1234567};
    CHECK(random.next() == 6457827717110365317u);
    CHECK(random.next() == 3203168211198807973u);
    CHECK(random.next() == 9817491932198370423u);
    CHECK(random.next() == 4593380528125082431u);
    CHECK(random.next() == 16408922859458223821u);
  }

  TEST_CASE("random numbers stay in their ranges") {
    digits::splitmix64 random{1};
    std::size_t counts[10] = {};
    for (int i = 0; i < 10000; ++i) {
      const std::uint64_t digit = random.below(10);
      REQUIRE(digit < 10);
      ++counts[digit];
      const float value = random.symmetric();
      CHECK((value >= -1.0f && value < 1.0f));
    }
    for (const std::size_t count : counts) CHECK((count > 850 && count < 1150));
  }

  TEST_CASE("the low four bits of a byte are the earlier pixel") {
    std::vector<std::byte> packed(digits::pixel_count, std::byte{0}); // two images
    packed[digits::pixel_count / 2 + 1] = std::byte{0xF6};
    const std::vector<std::uint8_t> labels = {3, 4};
    digits::image pixels;
    digits::unpack({stet::packed_span<stet::uint4>(packed.data(), 2 * digits::pixel_count, 4), labels}, 1, pixels);
    CHECK(pixels[1] == 0.0f);
    const volatile float six = 6.0f / 15.0f; // rounded to float on x87, too
    CHECK(pixels[2] == six);
    CHECK(pixels[3] == 1.0f);
    CHECK(pixels[4] == 0.0f);
  }

  TEST_CASE("back-propagation agrees with the slope of the loss") {
    const made_up_images images(3);
    digits::splitmix64 random{5};
    digits::parameters weights = digits::glorot_uniform(random);
    for (const auto& tensor : digits::tensors(weights))
      if (tensor.rank == 1)
        for (float& value : tensor.values) value = 0.3f * random.symmetric();

    digits::image pixels;
    digits::unpack(images.view(), 1, pixels);
    const std::uint8_t label = images.labels[1];
    digits::parameters gradient;
    digits::add_gradient(weights.view(), pixels, label, digits::forward(weights.view(), pixels), gradient);

    const auto values = digits::tensors(weights), slopes = digits::tensors(gradient);
    for (std::size_t tensor = 0; tensor < digits::tensor_count; ++tensor) {
      CAPTURE(values[tensor].name);
      double largest = 0.0;
      // A step prime to the ten outputs visits all of them.
      for (std::size_t i = 0; i < values[tensor].values.size(); i += tensor == 0 ? 7 : 1) {
        constexpr float nudge = 1.0f / 256.0f;
        float& value = values[tensor].values[i];
        const float kept = value;
        value = kept + nudge;
        const float above = digits::loss(digits::forward(weights.view(), pixels).probabilities, label);
        value = kept - nudge;
        const float below = digits::loss(digits::forward(weights.view(), pixels).probabilities, label);
        value = kept;
        const float slope = (above - below) / (2.0f * nudge);
        CHECK(std::abs(slopes[tensor].values[i] - slope) < 0.003f);
        largest = (std::max)(largest, static_cast<double>(std::abs(slope)));
      }
      CHECK(largest > 0.02); // the agreement is not about zeros
    }
  }

  TEST_CASE("training learns what can be learnt") {
    const made_up_images images(300);
    const auto plan = short_plan();
    digits::training_state state = digits::start(plan);
    const auto before = digits::evaluate(state.weights.view(), images.view());
    digits::train(plan, images.view(), 10 * digits::steps_per_epoch(plan, images.view()), state);
    const auto after = digits::evaluate(state.weights.view(), images.view());
    CHECK(before.accuracy() < 0.5);
    CHECK(after.right == 300);
    CHECK(after.mean_loss() < 0.2);
  }

  TEST_CASE("the same seed gives the same bits, another seed others") {
    const made_up_images images(100);
    auto plan = short_plan();
    digits::training_state first = digits::start(plan), second = digits::start(plan);
    digits::train(plan, images.view(), 20, first);
    digits::train(plan, images.view(), 20, second);
    CHECK(same_bits(first, second));
    plan.seed += 1;
    digits::training_state third = digits::start(plan);
    digits::train(plan, images.view(), 20, third);
    CHECK_FALSE(same_bits(first.weights, third.weights));
  }

  TEST_CASE("training interrupted at any step goes on as if it had not been") {
    const made_up_images images(100); // seven steps an epoch, the last one short
    const auto plan = short_plan();
    CHECK(digits::steps_per_epoch(plan, images.view()) == 7);
    digits::training_state whole = digits::start(plan);
    const auto whole_score = digits::train(plan, images.view(), 21, whole);
    CHECK(whole_score.total == 300);
    CHECK(whole.random.state != digits::start(plan).random.state); // each epoch has an order of its own
    for (std::uint64_t stop = 0; stop <= 21; ++stop) {
      CAPTURE(stop);
      digits::training_state state = digits::start(plan);
      const auto before = digits::train(plan, images.view(), stop, state);
      CHECK(state.step == stop);
      digits::training_state resumed = state; // all that a checkpoint would hold
      const auto after = digits::train(plan, images.view(), 21, resumed);
      CHECK(same_bits(whole, resumed));
      CHECK(before.total + after.total == 300);
    }
  }

  TEST_CASE("the exponential function is right to within one unit in the last place") {
    CHECK(digits::exponential(0.0f) == 1.0f);
    CHECK(digits::exponential(-87.5f) == 0.0f);
    for (float x = -86.9f; x < 0.0f; x += 0.00917f) {
      CAPTURE(x);
      const auto exact = static_cast<float>(std::exp(static_cast<double>(x)));
      const auto distance = std::bit_cast<std::int32_t>(digits::exponential(x)) - std::bit_cast<std::int32_t>(exact);
      CHECK(std::abs(distance) <= 1);
    }
  }

  TEST_CASE("training twice gives the same model file, byte for byte") {
    const stet_test::temp_folder folder;
    const made_up_images images(100);
    const auto plan = short_plan();
    for (const char* name : {"first.stet", "second.stet"}) {
      digits::training_state state = digits::start(plan);
      digits::train(plan, images.view(), 20, state);
      const auto saved = digits::save_model(folder.path(name).c_str(), plan, state,
                                            digits::evaluate(state.weights.view(), images.view()));
      REQUIRE(saved);
    }
    CHECK(folder.read("first.stet").size() > 3 * 31840);
    CHECK(folder.read("first.stet") == folder.read("second.stet"));
    CHECK(folder.names() == std::vector<std::string>{"first.stet", "second.stet"});
  }

  TEST_CASE("a saved model views the file and answers with the same bits as before") {
    const stet_test::temp_folder folder;
    const std::string path = folder.path("model.stet");
    const made_up_images images(100);
    const auto plan = short_plan();
    digits::training_state state = digits::start(plan);
    digits::train(plan, images.view(), 20, state);
    const digits::network before = state.weights.view();
    const auto score_before = digits::evaluate(before, images.view());
    REQUIRE(digits::save_model(path.c_str(), plan, state, score_before));

    auto model = digits::open_model(path.c_str());
    REQUIRE(model);
    if (!model) return;
    CHECK(model->copied_bytes() == 0);
    CHECK(model->right_before_saving == score_before.right);
    CHECK(model->net.description() == "784 > Dense 10 relu > Dense 10 softmax");
    const auto in_memory = before.values();
    const auto in_file = model->net.weights();
    REQUIRE(in_file.size() == digits::tensor_count);
    for (std::size_t tensor = 0; tensor < digits::tensor_count; ++tensor) {
      REQUIRE(in_file[tensor].size() == in_memory[tensor].size());
      CHECK(in_file[tensor].data() != in_memory[tensor].data());
      CHECK(std::memcmp(in_file[tensor].data(), in_memory[tensor].data(), in_memory[tensor].size_bytes()) == 0);
    }
    digits::image pixels;
    for (std::size_t at = 0; at < images.view().size(); ++at) {
      digits::unpack(images.view(), at, pixels);
      const auto one = digits::forward(before, pixels).probabilities;
      const auto other = model->net.run(pixels);
      REQUIRE(other.size() == one.size());
      CHECK(std::memcmp(one.data(), other.data(), sizeof one) == 0);
    }
    CHECK(stet::verify_store(model->store).is_sound());
  }

  TEST_CASE("weights that lie elsewhere are counted as copied") {
    const stet_test::temp_folder folder;
    const std::string path = folder.path("model.stet");
    const digits::training_state state = digits::start(short_plan());
    REQUIRE(digits::save_model(path.c_str(), short_plan(), state, {0, 1, 0.0}));
    auto model = digits::open_model(path.c_str());
    REQUIRE(model);
    if (!model) return;
    auto& bias = model->net.layers.back().numbers.bias;
    const std::vector<float> copy(bias.begin(), bias.end());
    const std::size_t extents[] = {copy.size()};
    bias = {copy.data(), extents};
    CHECK(model->copied_bytes() == 40);
  }

  TEST_CASE("graph and state say what a run needs to go on, in numbers as they were written") {
    const stet_test::temp_folder folder;
    const std::string path = folder.path("model.stet");
    const made_up_images images(100);
    const auto plan = short_plan();
    digits::training_state state = digits::start(plan);
    digits::train(plan, images.view(), 9, state);
    REQUIRE(digits::save_model(path.c_str(), plan, state, {0, 1, 0.0}));
    const auto model = digits::open_model(path.c_str());
    REQUIRE(model);
    if (!model) return;
    const auto manifest = stet::parse_manifest(model->store.manifest_text());
    REQUIRE(manifest);
    if (!manifest) return;

    const stet::json_value state_json = stet::to_json_value(manifest->state);
    const auto at = [](const char* pointer) { return stet::json_value::json_pointer(pointer); };
    CHECK(state_json[at("/global_step")] == 9);
    CHECK(state_json[at("/optimizer/learning_rate")].dump() == "0.003");
    CHECK(state_json[at("/optimizer/beta_2_power")].get<float>() == state.beta_2_power);
    CHECK(state_json[at("/random/state")] == state.random.state);
    CHECK(state_json[at("/optimizer/batch_size")] == plan.batch_size);
    const auto graph = stet::graph_from_json(stet::to_json_value(manifest->graph));
    REQUIRE(graph);
    if (!graph) return;
    CHECK(*graph == digits::describe_graph());
    stet::graph_rules rules;
    rules.has_variable = [&](std::string_view name) { return model->store.contains(name); };
    CHECK(stet::check_graph(*graph, rules));
    std::vector<std::string> variables;
    for (const auto& tensor : manifest->tensors)
      if (stet::to_json_value(tensor.attributes).value("trainable", false)) variables.push_back(tensor.name);
    CHECK(variables == std::vector<std::string>{"dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"});

    // The slots are those of the state.
    const auto slots = digits::tensors(state.second_moment);
    for (const auto& slot : slots) {
      const auto stored = model->store.get<float>(std::string(slot.name).append("/adam/v"));
      REQUIRE(stored);
      if (!stored) return;
      CHECK(std::memcmp(stored->data(), slot.values.data(), slot.values.size_bytes()) == 0);
    }
  }

  TEST_CASE("a checkpoint holds all that a run needs to end with the same bits") {
    const stet_test::temp_folder folder;
    const made_up_images images(100);
    const auto plan = short_plan();
    digits::training_state whole = digits::start(plan);
    digits::train(plan, images.view(), 21, whole);
    for (const std::uint64_t stop : {1u, 7u, 13u}) {
      digits::training_state before = digits::start(plan), after = digits::start(plan);
      digits::train(plan, images.view(), stop, before);
      const auto saved = digits::list_variables(before), restored = digits::list_variables(after);
      REQUIRE((saved && restored));
      if (!saved || !restored) return;
      CHECK(saved->size() == 3 * digits::tensor_count);
      auto manager = stet::checkpoint_manager::open_for_saving(folder.path());
      REQUIRE(manager);
      if (!manager) return;
      CHECK(manager->save(digits::describe_session(plan, before), *saved));
      const auto found = manager->restore_latest(*restored);
      REQUIRE(found);
      if (!found) return;
      CHECK(digits::resume(found->session, plan, after));
      CHECK(same_bits(before, after));
      digits::train(plan, images.view(), 21, after);
      CHECK(same_bits(whole, after));

      // What another run saved, or another program, is not gone on with.
      auto other = plan;
      other.learning_rate *= 2;
      digits::training_state state = digits::start(other);
      CHECK(digits::resume(found->session, other, state).error().code() == stet::errc::bad_value);
      for (const stet::json_value& strange : {stet::json_value(), stet::json_value(7), stet::json_value::object(),
                                              stet::json_value({{"beta_1_power", "x"}, {"state", {1}}})}) {
        stet::session_state session = found->session;
        session.optimizer = strange;
        CHECK(digits::resume(session, plan, state).error().code() == stet::errc::bad_value);
        session = found->session;
        session.random = strange;
        CHECK(digits::resume(session, plan, state).error().code() == stet::errc::bad_value);
      }
    }
  }

  TEST_CASE("a new head on a bound trunk: the delta holds the head alone, both networks share one mapping") {
    const stet_test::temp_folder folder;
    const std::string model = folder.path("model.stet"), delta = folder.path("odd_even.stet");
    const made_up_images images(300);
    auto plan = short_plan();
    digits::training_state state = digits::start(plan);
    digits::train(plan, images.view(), 10 * digits::steps_per_epoch(plan, images.view()), state);
    REQUIRE(digits::save_model(model.c_str(), plan, state, {0, 1, 0.0}));
    const auto bytes_before = folder.read("model.stet");

    auto bound = digits::bind_trunk(model.c_str());
    REQUIRE(bound);
    if (!bound) return;
    CHECK(bound->copied_bytes == 0);
    const void* const mapped = bound->model->find("dense/kernel")->bytes().data();
    CHECK(static_cast<const void*>(bound->numbers.hidden.kernel.data()) == mapped);
    CHECK(bound->model->find("dense/kernel")->is_writable());
    const auto seen = digits::look(bound->numbers, images.view());
    REQUIRE(seen.size() == 300);
    plan = digits::head_plan();
    digits::head_state head = digits::start<digits::head_parameters>(plan);
    CHECK(digits::evaluate(head.weights, seen).accuracy() < 0.8);
    digits::train(plan, seen, 10 * digits::steps_per_epoch(plan, seen), head);
    const digits::score held_out = digits::evaluate(head.weights, seen);
    CHECK(held_out.accuracy() > 0.95);

    const auto saved = digits::save_transfer(delta.c_str(), model.c_str(), *bound, head, held_out);
    REQUIRE(saved);
    if (!saved) return;
    CHECK(saved->difference.changed_bytes == 88);
    CHECK(saved->difference.unchanged_bytes == 4 * (digits::pixel_count * 10 + 10));
    CHECK(folder.read("odd_even.stet").size() < 3000);
    CHECK(folder.read("model.stet") == bytes_before);
    const auto alone = stet::open(delta);
    REQUIRE((alone && alone->tensor_count() == 2));

    auto both = digits::serve_both(delta.c_str());
    REQUIRE(both);
    if (!both) return;
    CHECK(both->share_trunk());
    CHECK(both->digits.net.description() == "784 > Dense 10 relu > Dense 10 softmax");
    CHECK(both->parity.net.description() == "784 > Dense 10 relu > Dense 2 softmax");
    CHECK(both->parity.right_before_saving == held_out.right);
    CHECK(stet::verify_store(*both->files, {.thread_count = 1}).is_sound());
    digits::image pixels;
    for (std::size_t at = 0; at < seen.size(); ++at) {
      digits::unpack(images.view(), at, pixels);
      const auto digit = digits::forward(state.weights.view(), pixels).probabilities;
      const auto parity = digits::forward(head.weights, seen.units[at]);
      CHECK(std::memcmp(both->digits.net.run(pixels).data(), digit.data(), sizeof digit) == 0);
      CHECK(std::memcmp(both->parity.net.run(pixels).data(), parity.data(), sizeof parity) == 0);
    }
    CHECK(digits::serve_both(model.c_str()).error().code() == stet::errc::wrong_type);
    // The delta is of no use without the model.
    CHECK(std::remove(model.c_str()) == 0);
    CHECK(digits::serve_both(delta.c_str()).error().code() == stet::errc::missing_base);
  }

  TEST_CASE("the head's gradient agrees with the slope of its loss") {
    digits::splitmix64 random{11};
    auto head = digits::glorot_uniform<digits::head_parameters>(random);
    digits::seen_images seen;
    for (auto& unit : seen.units.emplace_back()) unit = 1.0f + random.symmetric();
    seen.labels.push_back(1);
    digits::head_parameters gradient;
    digits::score ignored;
    digits::learn(seen, 0, head, gradient, ignored);
    const auto values = digits::tensors(head), slopes = digits::tensors(gradient);
    for (std::size_t tensor = 0; tensor < values.size(); ++tensor) {
      for (std::size_t i = 0; i < values[tensor].values.size(); ++i) {
        constexpr float nudge = 1.0f / 256.0f;
        float& value = values[tensor].values[i];
        const float kept = value;
        value = kept + nudge;
        const float above = digits::loss(digits::forward(head, seen.units[0]), 1);
        value = kept - nudge;
        const float below = digits::loss(digits::forward(head, seen.units[0]), 1);
        value = kept;
        CHECK(std::abs(slopes[tensor].values[i] - (above - below) / (2.0f * nudge)) < 0.003f);
      }
    }
  }

  TEST_CASE("a network that was never compiled in is built from its file alone") {
    // Three layers of other sizes, listed backwards; the second feeds nobody but the third.
    const std::vector<float> wide = {1, -1, 2, 0.5f, 0, 3}, wide_bias = {0, 1, -1}; // 2 inputs, 3 units
    const std::vector<float> narrow = {1, 2, -1}, narrow_bias = {0.5f};             // 3 inputs, 1 unit
    const std::vector<float> last = {4, -4}, last_bias = {1, 2};                    // 1 input, 2 units
    stet::writer out;
    out.add("wide/k", wide, {2, 3});
    out.add("wide/b", wide_bias, {3});
    out.add("narrow/k", narrow, {3, 1});
    out.add("narrow/b", narrow_bias, {1});
    out.add("last/k", last, {1, 2});
    out.add("last/b", last_bias, {2});
    const auto bytes = out.save_to_memory();
    REQUIRE(bytes);
    if (!bytes) return;
    const auto store = stet::open(std::span<const std::byte>(*bytes));
    REQUIRE(store);
    if (!store) return;

    stet::graph graph;
    graph.add("last", "Dense", {"narrow"}, {{"units", 2}, {"activation", "linear"}},
              {{"kernel", "last/k"}, {"bias", "last/b"}});
    graph.add("narrow", "Dense", {"wide"}, {{"units", 1}, {"activation", "linear"}},
              {{"kernel", "narrow/k"}, {"bias", "narrow/b"}});
    graph.add("wide", "Dense", {"x"}, {{"units", 3}, {"activation", "relu"}},
              {{"kernel", "wide/k"}, {"bias", "wide/b"}});
    graph.add("x", "Placeholder");
    graph.inputs = {{"x", "x", stet::dtype::float32, {{2}}}};
    graph.outputs = {{"y", "last", {}, {}}};

    auto net = digits::build_network(graph, *store);
    REQUIRE(net);
    if (!net) return;
    CHECK(net->description() == "2 > Dense 3 relu > Dense 1 linear > Dense 2 linear");
    // relu([2 + 0.5, -2 + 1, 4 + 3 - 1]) = [2.5, 0, 6]; 2.5 - 6 + 0.5 = -3; [-12 + 1, 12 + 2].
    const float input[] = {2, 1};
    const auto output = net->run(input);
    CHECK(std::vector<float>(output.begin(), output.end()) == std::vector<float>{-11, 14});
    CHECK(net->layers[0].numbers.kernel.data() == store->get<float>("wide/k")->data());

    // What does not fit is refused, by name.
    const auto refusal = [&](auto change) {
      stet::graph changed = graph;
      change(changed);
      const auto built = digits::build_network(changed, *store);
      if (built) return std::string("ok");
      return std::string(stet::describe(built.error().code()).name) + " " + std::string(built.error().subject());
    };
    CHECK(refusal([](auto&) {}) == "ok");
    CHECK(refusal([](auto& g) { g.nodes[0].inputs = {"wide"}; }) == "shape_mismatch last");
    CHECK(refusal([](auto& g) { g.nodes[1].attributes["units"] = 2; }) == "shape_mismatch narrow");
    CHECK(refusal([](auto& g) { g.nodes[1].attributes.erase("units"); }) == "shape_mismatch narrow");
    CHECK(refusal([](auto& g) { g.nodes[2].attributes["activation"] = "gelu"; }) == "unsupported wide");
    CHECK(refusal([](auto& g) { g.nodes[2].op = "Conv2D"; }) == "unsupported wide");
    CHECK(refusal([](auto& g) { g.nodes[2].inputs.push_back("x"); }) == "unsupported wide");
    CHECK(refusal([](auto& g) { g.nodes[2].inputs = {"last"}; }) == "bad_graph cycle through last");
    CHECK(refusal([](auto& g) { g.nodes[2].inputs = {{"x", 1}}; }) == "bad_graph input x of wide");
    CHECK(refusal([](auto& g) { g.nodes[2].variables[1].tensor = "none"; }) == "not_found none");
    CHECK(refusal([](auto& g) { g.nodes[2].variables[0].tensor = "wide/b"; }) ==
          "shape_mismatch wide/b: float32 [any, any] expected, float32 [3] found");
    CHECK(refusal([](auto& g) { g.nodes[2].variables[1].tensor = "last/b"; }) == "shape_mismatch wide");
    CHECK(refusal([](auto& g) { g.nodes[2].variables.pop_back(); }) == "unsupported wide");
    CHECK(refusal([](auto& g) { g.add("y", "Placeholder"); }) == "unsupported y");
    CHECK(refusal([](auto& g) { g.inputs[0].shape = {{3}}; }) == "shape_mismatch wide");
    CHECK(refusal([](auto& g) { g.inputs[0].shape = {{-1, 2}}; }) == "bad_shape x");
    CHECK(refusal([](auto& g) { g.inputs[0].shape.reset(); }) == "bad_shape x");
    CHECK(refusal([](auto& g) { g.inputs[0].shape = {{1 << 30, 1 << 30, 1 << 30}}; }) == "bad_shape x");
    CHECK(refusal([](auto& g) { g.outputs.clear(); }) == "unsupported graph");
    CHECK(refusal([](auto& g) { g.outputs[0].endpoint.node = "x"; }) == "unsupported y");
  }

  TEST_CASE("a store whose network does not read digits is no model") {
    const stet_test::temp_folder folder;
    const std::string path = folder.path("other.stet");
    const std::vector<float> kernel(4), bias(2);
    const auto outcome = [&](const char* graph) {
      stet::writer out;
      out.add("k", kernel, {2, 2});
      out.add("b", bias, {2});
      if (graph != nullptr) out.graph = stet::json_value::parse(graph);
      CHECK(out.save(path));
      const auto model = digits::open_model(path.c_str());
      return model ? stet::errc{} : model.error().code();
    };
    CHECK(outcome(nullptr) == stet::errc::wrong_type);
    CHECK(outcome("{}") == stet::errc::missing_field);
    CHECK(outcome(R"({"nodes": []})") == stet::errc::unsupported);
    CHECK(outcome(R"({"nodes": [{"name": "x", "op": "Placeholder"},
                                {"name": "y", "op": "Dense", "inputs": ["x"],
                                 "attributes": {"units": 2, "activation": "relu"},
                                 "variables": {"kernel": "k", "bias": "b"}}],
                      "inputs": {"x": {"node": "x", "shape": [2]}}, "outputs": {"y": "y"}})") ==
          stet::errc::shape_mismatch);
  }

  TEST_CASE("images are opened only if every label is a digit and has its pixels") {
    const stet_test::temp_folder folder;
    const std::string path = folder.path("images.stet");
    std::vector<std::byte> pixels(digits::pixel_count, std::byte{0x21}); // two images
    std::vector<std::uint8_t> labels = {7, 9};
    std::size_t count = 2;
    const auto open = [&] {
      stet::writer out;
      const auto uint4 = stet::element_layout::of(stet::dtype::uint4);
      for (const std::string set : {"train", "test"}) {
        const std::size_t images = set == "test" ? count : 2;
        out.add_bytes(set + "/images", uint4, {images, 28, 28},
                      std::span(pixels).first(images * digits::pixel_count / 2));
        out.add(set + "/labels", labels, {labels.size()});
      }
      CHECK(out.save(path));
      const auto opened = digits::open_images(path.c_str());
      return opened ? stet::errc{} : opened.error().code();
    };
    CHECK(open() == stet::errc{});
    count = 1;
    CHECK(open() == stet::errc::shape_mismatch);
    count = 2;
    labels[1] = 10;
    CHECK(open() == stet::errc::bad_value);
    CHECK(digits::open_images(folder.path("none.stet").c_str()).error().code() == stet::errc::file_not_found);
  }

  TEST_CASE("digits are drawn side by side, captions below, nothing past the last column") {
    std::vector<digits::picture> pictures(3);
    for (auto& each : pictures) each.pixels.fill(0.0f);
    const auto ink = [&](std::size_t picture, std::size_t y, std::size_t x) -> float& {
      return pictures[picture].pixels[y * digits::image_side + x];
    };
    ink(0, 10, 5) = 1.0f;
    ink(0, 11, 6) = 1.0f;
    ink(0, 10, 7) = 1.0f;
    ink(0, 11, 7) = 1.0f;
    ink(0, 10, 8) = 0.25f;
    ink(0, 11, 8) = 0.25f;
    ink(0, 13, 9) = 1.0f;
    pictures[0].caption = "1";
    ink(1, 0, 0) = 1.0f;
    ink(1, 3, 0) = 1.0f;
    pictures[1].caption = "abc";
    pictures[2].caption = "empty";

    using digits::drawing_style;
    CHECK(digits::draw(pictures, drawing_style::blocks) == "  ▀▄█░     ▀\n"
                                                           "      ▄    ▄\n"
                                                           "    1     abc   empty\n");
    CHECK(digits::draw(pictures, drawing_style::ascii) == "  ++@:     +\n"
                                                          "      +    +\n"
                                                          "    1     abc   empty\n");
    CHECK(digits::draw(pictures, drawing_style::ascii, 20) == "  ++@:     +\n"
                                                              "      +    +\n"
                                                              "    1     abc\n");
  }

} // TEST_SUITE
