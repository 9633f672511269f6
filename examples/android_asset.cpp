// SPDX-License-Identifier: MIT
// A model within an APK, as Android and iOS ship it: uncompressed in an archive, opened by descriptor, offset and length.
//
// On Android these three come from the asset manager, and the rest is as below:
//
//   AAsset* asset = AAssetManager_open(manager, "model.stet", AASSET_MODE_UNKNOWN); // stored: noCompress += "stet"
//   off64_t offset, length;
//   int descriptor = AAsset_openFileDescriptor64(asset, &offset, &length);
#include "example.hpp"

#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

/// A zip archive of one stored entry, whose bytes begin at a multiple of `alignment`, as `zipalign -p -f 16384` or Gradle leave
/// it; 1: wherever they come to lie.
class package {
public:
  package(const std::string& name, std::span<const std::byte> content, std::size_t alignment) {
    std::uint32_t crc = 0xFFFFFFFFu;
    for (const std::byte each : content) {
      crc ^= static_cast<std::uint32_t>(each);
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    const std::size_t plain = 30 + name.size();
    const std::size_t padding = (alignment - plain % alignment) % alignment; // zipalign puts zeros into the extra field
    std::string fields = number(0x00210000, 4) + number(~crc, 4) + number(content.size(), 4) +
                         number(content.size(), 4) + number(name.size(), 2);
    bytes_ = "PK\3\4" + number(20, 2) + number(0, 4) + fields + number(padding, 2) + name + std::string(padding, '\0');
    offset_ = bytes_.size();
    bytes_.append(reinterpret_cast<const char*>(content.data()), content.size());
    const std::size_t directory = bytes_.size();
    bytes_ += "PK\1\2" + number(20, 2) + number(20, 2) + number(0, 4) + fields + number(0, 16) + name;
    const std::size_t directory_size = bytes_.size() - directory;
    bytes_ += "PK\5\6" + number(0, 4) + number(1, 2) + number(1, 2) + number(directory_size, 4) + number(directory, 4) +
              number(0, 2);
    size_ = content.size();
  }
  bool write(const char* path) const { return static_cast<bool>(std::ofstream(path, std::ios::binary) << bytes_); }
  /// What AAsset_openFileDescriptor64 says of the entry.
  stet::file_range entry() const { return {offset_, size_}; }

private:
  static std::string number(std::uint64_t value, int size) {
    std::string made;
    for (; size > 0; --size, value >>= 8) made += static_cast<char>(value & 0xFF);
    return made;
  }
  std::string bytes_;
  std::uint64_t offset_ = 0, size_ = 0;
};

int main() {
  const std::vector<float> weights = {1, 2, 3, 4};
  stet::writer out;
  out.add("weights", weights, {4});
  const auto model = out.save_to_memory();
  if (!model) return failed(model.error());

  for (const std::size_t alignment : {std::size_t{1}, std::size_t{16384}}) {
    const package apk("assets/model.stet", *model, alignment);
    const scratch_file path("base.apk");
    if (!apk.write(path.path())) return 1;
    std::optional<stet::store> store;
    {
      auto opened = stet::file::open(path.path()); // here the descriptor comes from; it stays the program's
      if (!opened) return failed(opened.error());
      auto mapped = stet::open(opened->handle(), {.range = apk.entry()}); // one mapping, of the pages of this entry
      if (!mapped) return failed(mapped.error());
      store.emplace(std::move(*mapped));
    } // and may be closed now

    std::cout << "at byte " << apk.entry().offset_bytes << " of the archive: ";
    auto view = store->get<float>("weights");
    if (view) {
      std::cout << "in place, the last value is " << view->back() << '\n';
    } else if (view.error().code() == stet::errc::misaligned) {
      // The packer did not align the entry: copy what is needed, or open with backing::read, which aligns all of it.
      std::vector<float> copy(4);
      auto found = store->find("weights");
      if (!found) return failed(found.error());
      if (auto copied = found->copy_to(std::span(copy)); !copied) return failed(copied.error());
      std::cout << "misaligned, copied, the last value is " << copy.back() << '\n';
    } else {
      return failed(view.error());
    }
  }
  return 0;
}
