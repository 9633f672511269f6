// SPDX-License-Identifier: MIT
// `stet manifest`: the manifest with line breaks and indentation, every value as in the file.
#include "commands.hpp"
#include "model.hpp"

#include <stet/manifest.hpp>

#include <string>
#include <utility>

namespace command {

namespace {

/// Sets JSON text that is known to be sound: an object or array goes on one line where it fits, else one line
/// a member. Works on the characters, so that numbers keep the digits they have; control characters that JSON
/// allows in strings but that could command a terminal are escaped.
class json_setter {
public:
  json_setter(std::string_view text, console& out) : text_(text), out_(out) {}

  void run() {
    while (at_ < text_.size()) token();
    out_.write("\n");
  }

private:
  static constexpr std::size_t line_width = 160;

  static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

  void token() {
    const char c = text_[at_];
    if (is_space(c)) {
      ++at_;
    } else if (c == '"') {
      put(string());
    } else if (c == '{' || c == '[') {
      begin();
    } else if (c == '}' || c == ']') {
      --depth_;
      new_line();
      put(text_.substr(at_++, 1));
    } else if (c == ',') {
      put(text_.substr(at_++, 1));
      new_line();
    } else if (c == ':') {
      put(": ");
      ++at_;
    } else {
      put(word());
    }
  }

  /// An object or array: on one line if it fits, unless it is the whole.
  void begin() {
    if (const std::string line = depth_ == 0 ? std::string() : one_line(); !line.empty()) return put(line);
    ++depth_;
    put(text_.substr(at_++, 1));
    new_line();
  }

  /// The object or array that begins here on one line, which is then read over; empty if it is too long for
  /// the rest of the line.
  std::string one_line() {
    const std::size_t begin = at_;
    std::string line;
    for (std::size_t open = 0; (line.size() < 2 || line.size() + column_ < line_width) && at_ < text_.size();) {
      const char c = text_[at_];
      if (is_space(c)) {
        ++at_;
        continue;
      }
      if (c == '"') {
        line += string();
        continue;
      }
      line += c;
      ++at_;
      if (c == ',' || c == ':') line += ' ';
      if (c == '{' || c == '[') ++open;
      if ((c == '}' || c == ']') && --open == 0) return line;
    }
    at_ = begin;
    return {};
  }

  /// The string that begins here, which is then read over.
  std::string string() {
    std::size_t end = at_ + 1;
    while (text_[end] != '"') end += text_[end] == '\\' ? 2u : 1u;
    std::string_view inside = text_.substr(at_, end + 1 - at_);
    at_ = end + 1;
    std::string set;
    for (std::size_t i = 0; i < inside.size(); ++i) {
      const unsigned char c = static_cast<unsigned char>(inside[i]);
      const unsigned char next = i + 1 < inside.size() ? static_cast<unsigned char>(inside[i + 1]) : 0;
      if (c != 0x7Fu && !(c == 0xC2u && next < 0xA0u)) { // DEL, and U+0080 … U+009F in UTF-8
        set += inside[i];
        continue;
      }
      const unsigned char control = c == 0x7Fu ? c : (++i, next);
      set += {'\\', 'u', '0', '0', "0123456789abcdef"[control >> 4], "0123456789abcdef"[control & 15u]};
    }
    return set;
  }

  /// The number, true, false or null that begins here, which is then read over.
  std::string_view word() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && !is_space(text_[at_]) && text_[at_] != ',' && text_[at_] != '}' && text_[at_] != ']')
      ++at_;
    return text_.substr(begin, at_ - begin);
  }

  void put(std::string_view text) {
    out_.write(text);
    column_ += text.size();
  }
  void new_line() {
    out_.write("\n").write(std::string(depth_ * 2, ' '));
    column_ = depth_ * 2;
  }

  std::string_view text_;
  console& out_;
  std::size_t at_ = 0, depth_ = 0, column_ = 0;
};

/// The manifest of a head, with the tensors of the checkpoint: dtype, shape, size and attributes, but no place, since many have
/// several.
stet::result<std::string> with_tensors_of_shards(const stet::store& head) {
  namespace detail = stet::detail;
  const stet::result<stet::manifest> parsed = detail::parse_with_shards(head);
  if (!parsed) return parsed.error();
  if (parsed->tensors.size() != head.tensor_count()) return stet::errc::manifest_mismatch;
  std::string tensors;
  auto named = parsed->tensors.begin();
  for (const stet::tensor each : head) {
    std::string fields;
    detail::append_json_key(fields, std::string_view("dtype"));
    detail::append_json_string(fields, stet::name_of(each.dtype()));
    detail::append_json_key(fields, std::string_view("shape"));
    fields += shape_text_of(each);
    detail::append_json_key(fields, std::string_view("size_bytes"));
    fields += std::to_string(each.size_bytes());
    if (const auto original = head.original_of(each)) {
      detail::append_json_key(fields, std::string_view("alias_of"));
      detail::append_json_string(fields, original->name());
    }
    detail::append_json_key(tensors, each.name());
    tensors += detail::with_members_of(std::move(fields), (named++)->attributes).text();
  }
  std::string text;
  (void)detail::visit_members(head.manifest_text(), [&](const detail::json_string& key, std::string_view value) {
    detail::append_json_key(text, key);
    if (key == "tensors" && !tensors.empty())
      text.append(tensors) += '}';
    else
      text += value;
  });
  return text += '}';
}

} // namespace

status print_manifest(const arguments& given, console& out) {
  const std::string_view path = given.operands[0];
  const stet::result<stet::model> opened = open_model(path);
  if (!opened) return fail_to_open(path, opened.error(), out);
  if (!is_native(*opened)) return out.fail(path, "only stet's own files have a manifest");
  // Opening through an index does not read the manifest.
  const auto parsed = stet::parse_manifest(manifest_text_of(*opened));
  if (!parsed) return out.fail(path, parsed.error());
  std::string of_shards;
  if (const stet::store& own = *files_of(*opened).front().store; !shard_files_of(own).empty()) {
    stet::result<std::string> made = with_tensors_of_shards(own);
    if (!made) return out.fail(path, made.error());
    of_shards = std::move(*made);
  }
  json_setter(of_shards.empty() ? manifest_text_of(*opened) : std::string_view(of_shards), out).run();
  return status::done;
}

} // namespace command
