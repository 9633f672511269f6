// SPDX-License-Identifier: MIT
// Weights that are not a file: linked into the program, or an asset in the archive of an engine.
#include "example.hpp"

#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <cstring>
#include <vector>

/// An engine's own file system. Whatever it does to find bytes, stet asks for ranges of them.
class asset final : public stet::byte_reader {
public:
  explicit asset(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}

  std::uint64_t size_bytes() const noexcept override { return bytes_.size(); }
  stet::result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    if (offset_bytes > bytes_.size() || into.size() > bytes_.size() - offset_bytes) return stet::errc::truncated;
    if (!into.empty()) std::memcpy(into.data(), &bytes_[static_cast<std::size_t>(offset_bytes)], into.size());
    return {};
  }

private:
  std::span<const std::byte> bytes_;
};

int main() {
  const std::vector<float> weights = {1, 2, 3, 4};
  stet::writer out;
  out.add("weights", weights, {4});
  const auto saved = out.save_to_memory();
  if (!saved) return failed(saved.error());

  // Bytes of the program. Firmware would have them in flash, as `alignas(64) const unsigned char model[] =
  // {…}` or by the linker; the alignment lets views point straight at them. Opening allocates nothing.
  const std::span<const std::byte> linked(*saved);
  auto store = stet::open(linked);
  if (!store) return failed(store.error());
  auto in_place = store->get<float>("weights");
  if (!in_place) return failed(in_place.error());
  std::cout << "in place: " << in_place->front() << " to " << in_place->back() << '\n';

  // An asset at any offset of an archive: the table is read now, a tensor when it is copied out.
  std::vector<std::byte> archive(1001);
  archive.insert(archive.end(), linked.begin(), linked.end());
  const asset model(std::span<const std::byte>(archive).subspan(1001));
  auto streamed = stet::open(model);
  if (!streamed) return failed(streamed.error());
  auto found = streamed->find("weights");
  if (!found) return failed(found.error());
  std::vector<float> copy(static_cast<std::size_t>(found->element_count()));
  if (auto copied = found->copy_to(std::span(copy)); !copied) return failed(copied.error());
  std::cout << "fetched: " << copy.front() << " to " << copy.back() << '\n';

  // Or all of it is read at once, after which views work as above.
  auto resident = stet::open(model, {.backing = stet::backing::read});
  if (!resident) return failed(resident.error());
  return copy == weights && resident->get<float>("weights") ? 0 : 1;
}
