// SPDX-License-Identifier: MIT
// Weights that oneDNN has packed, kept in a file: the second start packs nothing, and computes from the mapped file.
// packed_onednn: saves a model and its packed weights in the current folder.
#include <oneapi/dnnl/dnnl.hpp>

#include <stet/cache/packed_cache.hpp>
#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include "fail.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace {

constexpr const char *model_path = "layers.stet", *cache_path = "layers.onednn.stet";
constexpr std::int64_t layer_count = 8, channels = 256, width = 8;
constexpr std::size_t pixel_count = static_cast<std::size_t>(channels * width * width);

using dnnl::memory;
constexpr memory::data_type f32 = memory::data_type::f32;

std::string name_of(std::int64_t layer) { return "conv_" + std::to_string(layer) + "/kernel"; }

/// Saves a model of convolutions of 3 × 3, whose kernels are [out, in, height, width].
stet::result<stet::save_report> save_model() {
  std::vector<std::vector<float>> kernels;
  std::uint32_t random = 1;
  stet::writer out;
  for (std::int64_t layer = 0; layer < layer_count; ++layer) {
    std::vector<float>& kernel = kernels.emplace_back(static_cast<std::size_t>(channels * channels * 9));
    for (float& each : kernel) {
      random = random * 1664525 + 1013904223;
      each = (static_cast<float>(random >> 8) / 16777216.0f - 0.5f) * 0.07f; // which keeps values of one size
    }
  }
  for (std::int64_t layer = 0; layer < layer_count; ++layer)
    out.add(name_of(layer), kernels[static_cast<std::size_t>(layer)], {channels, channels, 3, 3});
  return out.save(model_path);
}

/// The convolutions, each in the layout that oneDNN prefers on this processor.
struct network {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::vector<dnnl::convolution_forward::primitive_desc> layers;

  network() {
    constexpr auto any = memory::format_tag::any;
    const memory::desc image({1, channels, width, width}, f32, any), kernel({channels, channels, 3, 3}, f32, any);
    const dnnl::convolution_forward::desc wanted(dnnl::prop_kind::forward_inference,
                                                 dnnl::algorithm::convolution_direct, image, kernel, image, {1, 1},
                                                 {1, 1}, {1, 1});
    for (std::int64_t layer = 0; layer < layer_count; ++layer) layers.emplace_back(wanted, engine);
  }

  /// A memory like `from` in another layout.
  memory arranged(memory& from, const memory::desc& layout) {
    if (from.get_desc() == layout) return from;
    memory to(layout, engine);
    reorder(from, to);
    return to;
  }
  void reorder(memory& from, memory& to) {
    dnnl::reorder(from, to).execute(stream, from, to);
    stream.wait();
  }

  /// What the network makes of an image with the weights that `weights_of(layer)` gives, already packed.
  std::vector<float> run(const auto& weights_of) {
    std::vector<float> pixels(pixel_count);
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(i % 17) / 17.0f;
    const memory::desc plain({1, channels, width, width}, f32, memory::format_tag::nchw);
    memory image(plain, engine, pixels.data());
    for (std::size_t layer = 0; layer < layers.size(); ++layer) {
      const auto& how = layers[layer];
      memory from = arranged(image, how.src_desc()), to(how.dst_desc(), engine);
      memory weights(how.weights_desc(), engine,
                     const_cast<std::byte*>(static_cast<const std::byte*>(weights_of(layer))));
      dnnl::convolution_forward(how).execute(stream,
                                             {{DNNL_ARG_SRC, from}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, to}});
      stream.wait();
      image = to;
    }
    memory result = arranged(image, plain);
    const float* const values = static_cast<const float*>(result.get_data_handle());
    return {values, values + pixel_count};
  }

  /// Packs a kernel of the model into memory.
  stet::result<void> pack(const stet::store& model, std::size_t layer, std::span<std::byte> into) {
    const auto kernel = model.view<float, channels, channels, 3, 3>(name_of(static_cast<std::int64_t>(layer)));
    if (!kernel) return kernel.error();
    memory plain({{channels, channels, 3, 3}, f32, memory::format_tag::oihw}, engine,
                 const_cast<float*>(kernel->data()));
    memory packed(layers[layer].weights_desc(), engine, into.data());
    reorder(plain, packed);
    return {};
  }
  std::size_t packed_size(std::size_t layer) const { return layers[layer].weights_desc().get_size(); }

  std::size_t all_packed_size() const {
    std::size_t size = 0;
    for (std::size_t layer = 0; layer < layers.size(); ++layer) size += packed_size(layer);
    return size;
  }

  /// The processor as oneDNN sees it, and the layouts of weights that it prefers: what decides how they are packed.
  std::string features() const {
    std::string text = "isa " + std::to_string(static_cast<unsigned>(dnnl::get_effective_cpu_isa()));
    for (const auto& each : layers) {
      const dnnl_memory_desc_t& layout = each.weights_desc().data;
      text += each.weights_desc().data.format_kind == dnnl_blocked ? "; blocked" : "; other";
      const dnnl_blocking_desc_t& blocks = layout.format_desc.blocking;
      for (int axis = 0; axis < layout.ndims; ++axis) text += ' ' + std::to_string(blocks.strides[axis]);
      for (int block = 0; block < blocks.inner_nblks; ++block)
        text += ' ' + std::to_string(blocks.inner_blks[block]) + ':' + std::to_string(blocks.inner_idxs[block]);
    }
    return text;
  }
};

/// The memory of this process that no file is behind; nothing where the system does not tell it.
std::optional<std::int64_t> private_bytes() {
  std::ifstream smaps("/proc/self/smaps_rollup");
  for (std::string word; smaps >> word;) {
    std::int64_t kibibytes = 0;
    if (word == "Anonymous:" && smaps >> kibibytes) return kibibytes * 1024;
  }
  return std::nullopt;
}

/// What a start of the program came to.
struct outcome {
  int packed_count = 0;
  stet::packed_state state{};
  std::int64_t private_growth_bytes = 0;
  std::vector<float> answers;
};

/// Starts with the cache.
stet::result<outcome> start_with_cache(network& net, const stet::store& model) {
  outcome made;
  const std::int64_t before = private_bytes().value_or(0);
  const dnnl_version_t& version = *dnnl::version();
  const std::string number =
      std::to_string(version.major) + '.' + std::to_string(version.minor) + '.' + std::to_string(version.patch);
  const std::string features = net.features();
  const auto cache = stet::packed_cache::open(
      cache_path, model, {"oneDNN", number, features}, [&](stet::packed_weights& to) -> stet::result<void> {
        for (std::size_t layer = 0; layer < net.layers.size(); ++layer) {
          to.add(name_of(static_cast<std::int64_t>(layer)), net.packed_size(layer),
                 [&net, &model, &made, layer](std::span<std::byte> into) {
                   ++made.packed_count;
                   return net.pack(model, layer, into);
                 });
        }
        return {};
      });
  if (!cache) return cache.error();
  made.state = cache->state();
  std::vector<const std::byte*> weights;
  for (std::size_t layer = 0; layer < net.layers.size(); ++layer) {
    const auto packed = cache->bytes(name_of(static_cast<std::int64_t>(layer)), net.packed_size(layer));
    if (!packed) return packed.error();
    weights.push_back(packed->data());
  }
  made.answers = net.run([&](std::size_t layer) { return weights[layer]; });
  made.private_growth_bytes = private_bytes().value_or(0) - before;
  return made;
}

/// Starts as programs do without one: packs all weights into memory of its own.
stet::result<outcome> start_without_cache(network& net, const stet::store& model) {
  outcome made;
  const std::int64_t before = private_bytes().value_or(0);
  // One block, which comes fresh from the system: parts of it could be memory that the program had before.
  constexpr std::size_t alignment = 64;
  std::vector<std::byte> block(net.all_packed_size() + alignment * net.layers.size());
  std::vector<std::byte*> weights;
  void* at = block.data();
  std::size_t room = block.size();
  for (std::size_t layer = 0; layer < net.layers.size(); ++layer) {
    const std::size_t size = net.packed_size(layer);
    std::byte* const into = static_cast<std::byte*>(std::align(alignment, size, at, room));
    if (auto packed = net.pack(model, layer, {into, size}); !packed) return packed.error();
    weights.push_back(into);
    at = into + size;
    room -= size;
    ++made.packed_count;
  }
  made.answers = net.run([&](std::size_t layer) { return weights[layer]; });
  made.private_growth_bytes = private_bytes().value_or(0) - before;
  return made;
}

int run() {
  if (auto saved = save_model(); !saved) return runtimes::fail(saved.error());
  const auto model = stet::open(model_path);
  if (!model) return runtimes::fail(model.error());
  network net;
  if (net.layers[0].weights_desc() == memory::desc({channels, channels, 3, 3}, f32, memory::format_tag::oihw))
    return std::puts("skipped: oneDNN packs no weights on this machine"), 0;
  std::remove(cache_path);
  const auto first = start_with_cache(net, *model);
  if (!first) return runtimes::fail(first.error());
  const auto second = start_with_cache(net, *model);
  if (!second) return runtimes::fail(second.error());
  const auto without = start_without_cache(net, *model);
  if (!without) return runtimes::fail(without.error());
  if (first->packed_count != layer_count || first->state != stet::packed_state::saved)
    return runtimes::fail("the first start has not packed and saved");
  if (second->packed_count != 0 || second->state != stet::packed_state::found)
    return runtimes::fail("the second start has packed again");
  if (first->answers != without->answers || second->answers != without->answers)
    return runtimes::fail("the packed weights of the file give other answers than those in memory");
  const std::size_t packed_size = net.all_packed_size();
  constexpr double mebibyte = 1024 * 1024;
  if (private_bytes()) {
    std::printf(
        "private memory for %.1f MiB of packed weights: %.1f MiB in memory of the program, %.1f MiB in the mapped "
        "file\n",
        static_cast<double>(packed_size) / mebibyte, static_cast<double>(without->private_growth_bytes) / mebibyte,
        static_cast<double>(second->private_growth_bytes) / mebibyte);
    const std::int64_t saved_bytes = without->private_growth_bytes - second->private_growth_bytes;
    if (static_cast<double>(saved_bytes) < 0.95 * static_cast<double>(packed_size))
      return runtimes::fail("private memory has not fallen by the packed size");
  } else {
    std::puts("the system does not tell the private memory of a process");
  }
  std::printf("oneDNN: %d layers packed by the first start, %d by the second; the same answers\n", first->packed_count,
              second->packed_count);
  return 0;
}

} // namespace

int main() {
  try {
    return run();
  } catch (const dnnl::error& failure) {
    return runtimes::fail(failure.what());
  }
}
