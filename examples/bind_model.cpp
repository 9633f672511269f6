// SPDX-License-Identifier: MIT
// Binds a struct of typed views to a store in one call: every name, dtype and shape is checked, and nothing
// is copied.
#include "example.hpp"

#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <vector>

template <std::size_t Inputs, std::size_t Outputs> struct dense {
  stet::view<const float, Inputs, Outputs> kernel;
  stet::view<const float, Outputs> bias;
  std::span<const float> scale; // may be absent

  void bind(auto& field) noexcept {
    field("kernel", kernel);
    field("bias", bias);
    field.optional("scale", scale);
  }
};

/// Two layers; the names of their tensors begin with "hidden/" and "answer/".
template <std::size_t Width> struct network {
  dense<4, Width> hidden;
  dense<Width, 2> answer;

  void bind(auto& field) noexcept {
    field("hidden", hidden);
    field("answer", answer);
  }
};

static stet::result<stet::save_report> make_file(const char* path) {
  const std::vector<float> numbers(12, 0.25f);
  const std::span<const float> all(numbers);
  stet::writer out;
  out.add("hidden/kernel", all, {4, 3});
  out.add("hidden/bias", all.first(3), {3});
  out.add("answer/kernel", all.first(6), {3, 2});
  out.add("answer/bias", all.first(2), {2});
  return out.save(path);
}

int main() {
  const scratch_file file("bind_model.stet");
  if (auto made = make_file(file.path()); !made) return failed(made.error());
  auto store = stet::open(file.path());
  if (!store) return failed(store.error());

  network<3> model;
  if (auto bound = stet::bind_model(model, *store); !bound) return failed(bound.error());
  std::cout << "hidden/kernel(3, 2) is " << model.hidden.kernel(3, 2) << ", scale has " << model.hidden.scale.size()
            << " elements\n";

  // A model that the file does not fit stays as it was, and every field that is wrong is reported.
  network<5> other;
  const auto print = [](const stet::binding_mismatch& mismatch) noexcept {
    char line[256];
    stet::text_writer out(line, sizeof line);
    mismatch.print(out);
    std::cout << out.text() << '\n';
  };
  const auto bound = stet::bind_model(other, *store, print);
  return bound ? 1 : 0;
}
