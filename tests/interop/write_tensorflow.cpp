// SPDX-License-Identifier: MIT
// Saves checkpoints for stet_to_tensorflow.py, which knows what is in them: write_tensorflow FOLDER
#include <stet/formats/tensorflow/format.hpp>
#include <stet/formats/tensorflow/save.hpp>

#include <array>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace {

bool failed = false;

template <class Value> void require(const stet::result<Value>& done) {
  if (done) return;
  char text[256];
  const std::string_view line = done.error().print(text, sizeof text);
  std::fprintf(stderr, "write_tensorflow: %.*s\n", static_cast<int>(line.size()), line.data());
  failed = true;
}

/// Elements 0, 1, 2 … as `T`, modulo `modulus`.
template <class T> std::vector<T> counted(std::size_t count, int modulus) {
  std::vector<T> values;
  for (std::size_t i = 0; i < count; ++i)
    values.push_back(static_cast<T>(static_cast<float>(static_cast<int>(i) % modulus)));
  return values;
}

/// A tensor [3, 5] of 0 … 14 (modulo what fits) of each dtype, called by the dtype's name.
class every_dtype {
public:
  void add_to(stet::writer& out) {
    add<float>(out), add<double>(out), add<std::int8_t>(out), add<std::int16_t>(out), add<std::int32_t>(out);
    add<std::int64_t>(out), add<std::uint8_t>(out), add<std::uint16_t>(out), add<std::uint32_t>(out);
    add<std::uint64_t>(out), add<stet::float16>(out), add<stet::bfloat16>(out);
    add<stet::float8_e4m3fn>(out), add<stet::float8_e5m2>(out);
    add_narrow<stet::int4>(out, 8), add_narrow<stet::uint4>(out, 16);
    out.add("string", strings_, {3});
    out.add("no_strings", std::span<const std::string_view>(), {0});
    out.add("empty", std::span<const float>(), {0, 3});
    out.add("scalar", scalar_, {});
    out.add_alias("tied", "float32");
  }

private:
  template <class T> void add(stet::writer& out) {
    static std::vector<T> values = counted<T>(15, 15);
    out.add(stet::name_of(stet::dtype_of<T>::value), values, {3, 5});
  }
  template <class T> void add_narrow(stet::writer& out, int modulus) {
    static std::vector<T> values;
    values.clear();
    for (int i = 0; i < 15; ++i) values.emplace_back(i % modulus);
    out.add(stet::name_of(stet::dtype_of<T>::value), values, {3, 5});
  }

  std::array<std::string_view, 3> strings_ = {"a", "", std::string_view("b\0c", 3)};
  std::array<float, 1> scalar_ = {2.5f};
};

} // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const std::string folder = std::string(arguments[1]) + "/";
  stet::tensorflow_save_options options;
  {
    stet::writer out;
    every_dtype all;
    all.add_to(out);
    options.state = stet::tensorflow_state{"by_name", {"by_name"}, {}, 0};
    require(save_tensorflow_checkpoint(folder + "by_name", out, options));
    options.state.reset();
    options.max_shard_size_bytes = 200;
    require(save_tensorflow_checkpoint(folder + "sharded", out, options));
    options.alignment_bytes = 1;
    require(save_tensorflow_checkpoint(folder + "dense", out, options));
  }
  options = {};
  options.naming = stet::tensorflow_naming::by_object;
  const std::vector<float> kernel = counted<float>(6, 6), bias = counted<float>(3, 3);
  const std::array<std::int64_t, 1> step = {7};
  {
    stet::writer out;
    out.add("net/kernel", kernel, {2, 3});
    out.add("net/bias.with.dots", bias, {3});
    out.add("step", step, {});
    require(save_tensorflow_checkpoint(folder + "objects-1", out, options));
  }
  {
    // The layers of a Keras model, by the paths on which tf.train.Checkpoint(model=…) finds them.
    stet::writer out;
    out.add("model/_operations/1/_kernel", kernel, {2, 3});
    out.add("model/_operations/1/bias", bias, {3});
    require(save_tensorflow_checkpoint(folder + "keras-1", out, options));
  }
  {
    stet::writer out;
    std::vector<float> values(20000);
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(i);
      char name[64];
      std::snprintf(name, sizeof name, "layer_%05u/a_rather_long_name/variable", static_cast<unsigned>(i));
      out.add(name, std::span<const float>(values).subspan(i, 1), {1});
    }
    require(save_tensorflow_checkpoint(folder + "many", out));
  }
  return failed ? 1 : 0;
}
