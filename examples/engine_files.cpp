// SPDX-License-Identifier: MIT
// Weights in an engine's own archive: a model of several files opens in place, in the engine's memory, and is saved back.
#include "example.hpp"

#include <stet/formats/compiled.hpp>
#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

/// An archive of assets, all of it in memory, loaded or mapped by the engine. Files begin at multiples of 64 bytes.
class pak final : public stet::file_system {
public:
  void add(const std::string& path, std::span<const std::byte> bytes) {
    bytes_.resize((bytes_.size() + 63) / 64 * 64);
    files_[path] = {bytes_.size(), bytes.size()};
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }

  /// All that stet asks for. Bytes that are not in memory would be given as a reader: `source::keep(my_reader(…))`.
  stet::result<stet::source> open_file(std::string_view path) const noexcept override {
    const auto found = files_.find(path);
    if (found == files_.end()) return stet::error(stet::errc::file_not_found, path);
    return stet::source::borrow(std::span(bytes_).subspan(found->second.begin, found->second.size));
  }

private:
  struct place {
    std::size_t begin, size;
  };
  std::vector<std::byte> bytes_;
  std::map<std::string, place, std::less<>> files_;
};

/// An engine's allocator: an arena that is given up as a whole. stet allocates little here, since all is in place.
class arena final : public stet::memory_resource {
public:
  void* allocate(std::size_t size_bytes, std::size_t alignment_bytes) noexcept override {
    void* const block = std::align(alignment_bytes, size_bytes, free_, left_);
    if (block != nullptr) {
      free_ = static_cast<std::byte*>(block) + size_bytes;
      left_ -= size_bytes;
    }
    return block;
  }
  void deallocate(void*, std::size_t, std::size_t) noexcept override {}
  std::size_t used_bytes() const noexcept { return room_.size() - left_; }

private:
  std::array<std::byte, 16384> room_;
  void* free_ = room_.data();
  std::size_t left_ = room_.size();
};

/// A file of the engine that is being written: a save game, say.
class saved_asset final : public stet::byte_writer {
public:
  std::vector<std::byte> bytes;
  stet::result<void> write_at(std::uint64_t offset_bytes, std::span<const std::byte> piece) override {
    const auto begin = static_cast<std::size_t>(offset_bytes);
    if (begin + piece.size() > bytes.size()) bytes.resize(begin + piece.size());
    if (!piece.empty()) std::memcpy(bytes.data() + begin, piece.data(), piece.size());
    return {};
  }
};

/// What a build tool does: a model saved in parts, and all of its files put into the archive.
static stet::result<void> build(pak& archive) {
  const std::vector<float> weights(5000, 0.5f);
  stet::writer out;
  for (const char* const name : {"guard/hidden", "guard/answer"}) {
    out.add(name, weights, {50, 100});
  }
  const scratch_file table("brain.stet");
  auto saved = out.save(table.path(), {.form = stet::store_form::sharded, .max_part_size_bytes = 25000});
  if (!saved) return saved.error();
  auto store = stet::open(table.path());
  if (!store) return store.error();
  const auto add = [&archive](std::string_view name, const stet::source& from) {
    archive.add("assets/ai/" + std::string(name), {from.data(), static_cast<std::size_t>(from.size_bytes())});
  };
  add("brain.stet", store->data());
  for (std::uint32_t part = 0; part < store->index().part_count(); ++part) {
    const std::string name(store->index().part(part).path);
    add(name, store->part(part));
    const scratch_file removed(name.c_str());
  }
  return {};
}

int main() {
  pak archive;
  if (auto built = build(archive); !built) return failed(built.error());

  arena memory;
  const stet::open_options options{.files = &archive, .memory = &memory};
  auto brain = stet::open("assets/ai/brain.stet", options); // and its parts, by their names in the same folder
  if (!brain) return failed(brain.error());
  auto hidden = brain->view<float, 50, 100>("guard/hidden");
  if (!hidden) return failed(hidden.error());
  std::cout << brain->index().part_count() << " parts in place, the first value is " << (*hidden)(0, 0) << "; "
            << memory.used_bytes() << " bytes of the engine's memory\n";

  // Any other format opens the same way; which it is, its content says.
  auto model = stet::compiled::open_any("assets/ai/brain.stet", options);
  if (!model) return failed(model.error());

  stet::writer out;
  for (const stet::tensor each : model->store) {
    out.add(each.name(), each);
  }
  saved_asset saved;
  if (auto written = out.save_to(saved); !written) return failed(written.error());
  auto again = stet::open(std::span<const std::byte>(saved.bytes));
  if (!again) return failed(again.error());
  std::cout << "saved to the engine's file: " << saved.bytes.size() << " bytes, " << again->tensor_count()
            << " tensors\n";
  return again->verify_checksums() ? 0 : 1;
}
