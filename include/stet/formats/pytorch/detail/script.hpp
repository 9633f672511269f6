// SPDX-License-Identifier: MIT
// Modules of TorchScript: which of their attributes are parameters and buffers.
#ifndef STET_FORMATS_PYTORCH_DETAIL_SCRIPT_HPP
#define STET_FORMATS_PYTORCH_DETAIL_SCRIPT_HPP

#include "../../common/open_member.hpp"

#include "../../../wire/pickle.hpp"
#include "../../../wire/zip.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// True if the global is a class that torch.jit made: __torch__.a.b.Name.
inline bool is_script_class(const pickle& of, pickle_ref number) noexcept {
  if (of[number].kind != pickle_kind::global) return false;
  const std::string_view module = of.module_of(of[number]);
  return module == "__torch__" || module.starts_with("__torch__.");
}

/// The names of parameters and buffers of a class, sorted.
struct script_names {
  bool is_known = false;
  std::vector<std::string> names;

  [[nodiscard]] bool has(std::string_view name) const noexcept {
    return std::binary_search(names.begin(), names.end(), name);
  }
};

/// Adds the names in `text`, from `list` on: `__parameters__ = ["weight", "bias", ]`.
inline void add_script_list(script_names& to, std::string_view text, std::string_view list) {
  std::size_t at = text.find(list);
  if (at == std::string_view::npos) return;
  text = text.substr(at + list.size());
  text = text.substr(0, text.find(']'));
  for (at = text.find('"'); at != std::string_view::npos; at = text.find('"', at + 1)) {
    const std::size_t end = text.find('"', at + 1);
    if (end == std::string_view::npos) return;
    to.names.emplace_back(text.substr(at + 1, end - at - 1));
    at = end;
  }
}

/// Finds the names of classes in the code of an archive: ROOT/code/__torch__/a/b.py has `class Name(Module):`, and in it the lists.
class script_classes {
public:
  script_classes(std::span<const std::byte> archive, const std::vector<zip_member>& members, std::string_view root,
                 const open_options& options)
      : archive_(archive), options_(options), work_(least_work + work_per_byte * archive.size()) {
    const std::string folder = std::string(root) + "code/";
    for (const zip_member& each : members) {
      if (each.name.starts_with(folder)) code_.emplace(each.name.substr(folder.size()), &each);
    }
  }

  /// The names of the class that a global is. `is_known` is false if there is no code of it; of a class that is no module, there are
  /// no names. nullptr: the code is longer, for each class anew, than that of a model.
  /// Cost: a search through the file of the class, the first time.
  const script_names* find(const pickle& of, pickle_ref number) {
    const auto [found, is_new] = classes_.try_emplace(number);
    if (is_new && !read(of.module_of(of[number]), of.name_of(of[number]), found->second)) return nullptr;
    return &found->second;
  }

private:
  static constexpr std::uint64_t least_work = std::uint64_t{1} << 20, work_per_byte = 64;

  bool read(std::string_view module, std::string_view name, script_names& into) {
    std::string path;
    for (const char c : module) path += c == '.' ? '/' : c;
    path += ".py";
    const auto found = code_.find(path);
    if (found == code_.end()) return true;
    const result<source> code = open_member(archive_, *found->second, options_.inflate, options_.memory);
    if (!code) return true;
    if (code->size_bytes() > work_) return false;
    work_ -= code->size_bytes();
    std::string_view text = text_at(code->data(), static_cast<std::size_t>(code->size_bytes()));
    const std::string head = "class " + std::string(name) + "(";
    std::size_t at = text.find(head);
    while (at != std::string_view::npos && at != 0 && text[at - 1] != '\n') at = text.find(head, at + 1);
    if (at == std::string_view::npos) return true;
    text = text.substr(at + head.size());
    text = text.substr(0, text.find("\nclass "));
    into.is_known = true;
    if (text.starts_with("Module)")) {
      add_script_list(into, text, "\n  __parameters__ = [");
      add_script_list(into, text, "\n  __buffers__ = [");
    }
    std::sort(into.names.begin(), into.names.end());
    return true;
  }

  std::span<const std::byte> archive_;
  const open_options& options_;
  std::uint64_t work_;
  std::map<std::string_view, const zip_member*> code_;
  std::map<pickle_ref, script_names> classes_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
