// SPDX-License-Identifier: MIT
// Transfer learning: restores the trunk of a trained model into a network with another head, and prints what
// became of all.
#include "example.hpp"

#include <stet/restore.hpp>
#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <vector>

/// A model that someone trained: a trunk, a head for ten classes, an optimizer's slot.
static stet::result<stet::save_report> make_file(const char* path) {
  const std::vector<float> kernel(12, 0.5f), head(30, 0.25f);
  stet::writer out;
  out.add("model/trunk/kernel", kernel, {4, 3});
  out.add("model/trunk/kernel/Adam/m", kernel, {4, 3});
  out.add("model/head/kernel", head, {3, 10});
  return out.save(path);
}

int main() {
  const scratch_file file("partial_restore.stet");
  if (auto made = make_file(file.path()); !made) return failed(made.error());
  auto store = stet::open(file.path());
  if (!store) return failed(store.error());

  // The program: the same trunk under another name, and a head for two classes that is to learn anew.
  std::vector<float> trunk(12, 0.0f), head(6, -1.0f);
  stet::variable_list variables;
  if (auto added = variables.add("trunk/kernel", trunk, {4, 3}); !added) return failed(added.error());
  if (auto added = variables.add("head/kernel", head, {3, 2}); !added) return failed(added.error());

  stet::restore_rules rules;
  rules.renames = {stet::rename_rule::assignment("model/", "/")}; // as tf.compat.v1.train.init_from_checkpoint
  rules.exclude = {"head/**"};
  std::cout << "Nothing is taken for granted:\n" << stet::plan_restore(*store, variables, rules).to_text();

  rules.ignore = {"**/Adam/*"};
  stet::restore_report report;
  if (auto restored = stet::restore(*store, variables, rules, &report); !restored) return failed(restored.error());
  std::cout << "\nWith the optimizer's slots left where they are:\n" << report.to_text();
  std::cout << "\nThe same for a machine:\n" << report.to_json();
  return trunk[11] == 0.5f && head[0] == -1.0f ? 0 : 1;
}
