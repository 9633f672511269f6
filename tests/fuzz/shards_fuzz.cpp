// SPDX-License-Identifier: MIT
// Opens a head with shards whose tensors say anything of their places, mapped and streamed; what opens is compared with its pieces.
//
// Each line of the input is a tensor: a letter, i for int32, b for uint8, 4 for int4, s for strings; a digit, its rank; as many digits, its
// extents; and its attributes. An empty line begins the next shard. "slice_0f" stands for "slice_of", which a writer would check.
#include "require.hpp"
#include "support/native_bytes.hpp"
#include "support/temp_folder.hpp"

#include <stet/manifest.hpp>
#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

/// A shard in the making. Elements are numbered through all shards.
class shard {
public:
  /// Adds the tensor of a line. @return false if it is none
  bool add(std::string_view line, std::uint32_t& next_value) {
    if (line.size() < 2 || line[1] < '0' || line[1] > '9') return false;
    const auto rank = static_cast<std::size_t>(line[1] - '0');
    if (line.size() < 2 + rank) return false;
    std::vector<std::uint64_t> shape;
    std::uint64_t count = 1;
    for (const char digit : line.substr(2, rank)) {
      if (digit < '0' || digit > '9') return false;
      shape.push_back(static_cast<std::uint64_t>(digit - '0'));
      count *= shape.back();
    }
    if (count > 4096) return false;
    const stet::dtype dtype = line[0] == 'b'   ? stet::dtype::uint8
                              : line[0] == '4' ? stet::dtype::int4
                              : line[0] == 's' ? stet::dtype::string
                                               : stet::dtype::int32;
    stet::json_text attributes(std::string(line.substr(2 + rank)));
    const std::string name = "t" + std::to_string(out_.tensor_count());
    if (dtype == stet::dtype::string) {
      out_.add(name, texts_.emplace_back(static_cast<std::size_t>(count), "text"), stet::extents(shape),
               std::move(attributes));
      return true;
    }
    const stet::element_layout layout = stet::element_layout::of(dtype);
    std::vector<std::byte>& bytes = bytes_.emplace_back(static_cast<std::size_t>((count * layout.bits + 7) / 8));
    for (std::size_t at = 0; at + layout.bits / 8 <= bytes.size() && layout.bits >= 8;
         at += layout.bits / 8, ++next_value) {
      if (layout.bits == 32)
        stet::detail::store_little(bytes.data() + at, next_value);
      else
        bytes[at] = static_cast<std::byte>(next_value);
    }
    out_.add_bytes(name, layout, stet::extents(shape), bytes, std::move(attributes));
    return true;
  }

  /// The file; nothing if no writer makes it.
  [[nodiscard]] std::optional<std::vector<std::byte>> make() const {
    auto made = out_.save_to_memory();
    if (!made) return std::nullopt;
    constexpr std::string_view written = "slice_0f";
    for (auto at = made->begin();;) {
      at = std::search(at, made->end(), written.begin(), written.end(),
                       [](std::byte a, char b) { return a == static_cast<std::byte>(b); });
      if (at == made->end()) break;
      *(at + 6) = static_cast<std::byte>('o');
    }
    stet_test::seal(*made);
    return std::move(*made);
  }

private:
  stet::writer out_;
  std::deque<std::vector<std::byte>> bytes_;
  std::deque<std::vector<std::string>> texts_;
};

std::vector<std::byte> bytes_of(const stet::tensor& from) {
  std::vector<std::byte> whole(static_cast<std::size_t>(from.size_bytes()));
  require(static_cast<bool>(from.read(0, whole)));
  return whole;
}

/// Compares the tensors of a store with the pieces of its shards, of which the first of two that are the same counts.
void compare_with_pieces(const stet::store& all) {
  struct gathered {
    std::vector<std::byte> bytes;
    std::vector<bool> is_there;
  };
  std::map<std::string, gathered, std::less<>> tensors;
  const auto shards = stet::shards_of(all);
  require(static_cast<bool>(shards));
  for (std::size_t number = 0; number < shards->size(); ++number) {
    const auto shard = stet::open_shard(all, number);
    require(static_cast<bool>(shard));
    const auto pieces = stet::pieces_of(*shard);
    require(pieces && pieces->size() == shard->tensor_count());
    auto piece = pieces->begin();
    for (const stet::tensor each : *shard) {
      const auto whole = all.find(piece->tensor);
      require(whole && whole->layout().dtype == each.layout().dtype);
      gathered& into = tensors[piece->tensor];
      const std::vector<std::byte> bytes = bytes_of(each);
      const std::size_t element =
          each.layout().bits < 8 || each.dtype() == stet::dtype::string ? 0 : each.layout().bits / 8u;
      if (!piece->place || element == 0) { // whole: nothing narrower than a byte is cut
        if (!piece->place && into.bytes.empty()) into = {bytes, std::vector<bool>(bytes.size(), true)};
      } else {
        into.bytes.resize(static_cast<std::size_t>(whole->size_bytes()));
        into.is_there.resize(into.bytes.size());
        for (std::size_t from = 0; from < bytes.size(); from += element) {
          std::uint64_t rest = from / element, at = 0, step = 1;
          for (std::size_t axis = piece->place->shape.size(); axis-- > 0;) {
            const std::uint64_t extent = each.shape()[axis];
            at += (rest % extent + piece->place->start[axis]) * step;
            rest /= extent;
            step *= piece->place->shape[axis];
          }
          const std::size_t to = static_cast<std::size_t>(at) * element;
          require(to + element <= into.bytes.size());
          if (into.is_there[to]) continue;
          std::memcpy(into.bytes.data() + to, bytes.data() + from, element);
          std::fill_n(into.is_there.begin() + static_cast<std::ptrdiff_t>(to), element, true);
        }
      }
      ++piece;
    }
  }
  require(tensors.size() == all.tensor_count());
  for (const auto& [name, expected] : tensors) {
    const auto found = all.find(name);
    const bool is_cut_in_bits = found->layout().bits < 8 && expected.bytes.empty();
    if (is_cut_in_bits) continue;
    require(std::find(expected.is_there.begin(), expected.is_there.end(), false) == expected.is_there.end());
    require(bytes_of(*found) == expected.bytes);
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const stet_test::temp_folder folder(stet_test::temp_folder::in_memory());
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  std::deque<shard> shards(1);
  std::uint32_t next_value = 1;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix((std::min)(rest.size(), line.size() + 1));
    if (line.empty())
      shards.emplace_back();
    else if (!shards.back().add(line, next_value))
      return 0;
  }
  if (shards.size() > 8) return 0;
  std::vector<stet::shard_reference> listed;
  for (const shard& each : shards) {
    const auto bytes = each.make();
    if (!bytes) return 0;
    const std::string name = "s" + std::to_string(listed.size()) + ".stet";
    folder.write(name, std::string_view(reinterpret_cast<const char*>(bytes->data()), bytes->size()));
    const auto opened = stet::open(std::span<const std::byte>(*bytes));
    require(static_cast<bool>(opened));
    listed.push_back({name, stet::content_digest(*opened)});
  }
  stet::writer head;
  head.set_shards(listed);
  const auto head_bytes = head.save_to_memory();
  require(static_cast<bool>(head_bytes));
  const std::string path = folder.write(
      "head.stet", std::string_view(reinterpret_cast<const char*>(head_bytes->data()), head_bytes->size()));

  const auto mapped = stet::open(path, {.read_manifest = stet::read_manifest});
  const auto streamed = stet::open(path, {.backing = stet::backing::stream, .read_manifest = stet::read_manifest});
  require(stet_test::code_of(mapped) == stet_test::code_of(streamed));
  if (!mapped) return 0;
  compare_with_pieces(*mapped);
  compare_with_pieces(*streamed);
  require(stet::verify_store(*mapped, {.manifest = true, .thread_count = 1}).problems.size() ==
          stet::verify_store(*streamed, {.manifest = true, .thread_count = 1}).problems.size());
  return 0;
}
