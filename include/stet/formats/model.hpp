// SPDX-License-Identifier: MIT
// An open model of any format. Includes little: programs that call compiled.hpp pay for no more.
#ifndef STET_FORMATS_MODEL_HPP
#define STET_FORMATS_MODEL_HPP

#include "../bytes/sha1.hpp"
#include "../manifest/detail/gathered_path.hpp"
#include "../store/open.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// A tensor, constant or link of a file that is missing in the store, where it cannot be listed.
struct omitted_item {
  /// The name in the file.
  std::string name;
  /// The reason: errc::unknown_dtype for a dtype that stet does not have, errc::external_data for a link to another file, …
  error reason;
};

/// The checksum that a model states for a range of its files: the CRC-32 of a member of a zip archive, or the SHA-1 of a file of an
/// ONNX model. The range may hold many tensors.
struct range_check {
  /// The number of the part.
  std::uint32_t part = 0;
  /// Where the range begins in the part.
  std::uint64_t offset_bytes = 0;
  /// The size of the range.
  std::uint64_t size_bytes = 0;
  /// The CRC-32.
  std::uint32_t crc32 = 0;
  /// The name of the range: that of the member.
  std::string name;
  /// For a deflated range (RFC 1951), the decompressed size. The checksum is then that of the decompressed bytes.
  std::optional<std::uint64_t> inflated_size_bytes = std::nullopt;
  /// The SHA-1 digest; `crc32` then means nothing.
  std::optional<sha1_digest> sha1 = std::nullopt;
};

struct format;
class checkpoint_store;

namespace detail {

/// An object on the heap, or nullptr: one owner, which may see nothing but the declaration of its type.
template <class T> class kept {
public:
  kept(std::nullptr_t = nullptr) noexcept {}
  /// Takes over the value `from`.
  template <class Value> static kept of(Value&& from) {
    kept made;
    made.object_ = new T(static_cast<Value&&>(from));
    made.destroy_ = [](T* object) noexcept { delete object; };
    return made;
  }
  kept(kept&& other) noexcept : object_(std::exchange(other.object_, nullptr)), destroy_(other.destroy_) {}
  kept& operator=(kept&& other) noexcept {
    std::swap(object_, other.object_);
    std::swap(destroy_, other.destroy_);
    return *this;
  }
  ~kept() {
    if (object_ != nullptr) destroy_(object_);
  }

  [[nodiscard]] T* get() const noexcept { return object_; }
  [[nodiscard]] T& operator*() const noexcept { return *object_; }
  [[nodiscard]] T* operator->() const noexcept { return object_; }
  friend bool operator==(const kept& a, std::nullptr_t) noexcept { return a.object_ == nullptr; }

private:
  T* object_ = nullptr;
  void (*destroy_)(T*) noexcept = nullptr;
};

} // namespace detail

/// An open model of any format.
struct model {
  /// A `result` of this type gives no access to its value where it is a temporary.
  using owns_views = void;
  /// The tensors.
  stet::store store;
  /// The row of the table of formats by which it was opened.
  const stet::format* format = nullptr;
  /// How many files it consists of: the store's own one, if it has one, and parts. Further parts hold decoded bytes.
  std::uint32_t file_count = 0;
  /// What it was opened with, for what `describe` reads.
  open_options options = {};
  /// What the files contain and the store cannot give, with the reason of each.
  std::vector<omitted_item> omitted = {};
  /// The checksums of ranges of its parts. `check_ranges` (check_model.hpp) compares them; opening does not.
  std::vector<range_check> checks = {};
  /// The numbers of the second names among the tensors of the store, ascending.
  std::vector<std::uint32_t> second_names = {};
  /// For a native delta: its own file, then each that it builds on. The store views them. nullptr for a model of one file.
  detail::kept<const checkpoint_store> files = nullptr;
  /// For a selection of the tensors of another model (select.hpp): that model, which the store views. Else nullptr.
  detail::kept<const model> whole = nullptr;
  /// Where it was opened: the path that `open_any` was given.
  std::string path = {};

  /// Whether the bytes of a tensor of the store are in one of its files, not decoded or gathered.
  [[nodiscard]] bool is_in_file(const tensor& of) const noexcept {
    const std::uint32_t part = of.entry().part();
    return store.index().part_count() == 0 ||
           (part < file_count && detail::is_file_part(store.index().part(part).path));
  }

  /// True for an alias that only gives a tensor a further name to be found by: "hidden/kernel" of "/layers/dense/vars/0". The
  /// readers of foreign formats make them; in a native file they have the field `second_name` (manifest/manifest.hpp). Other
  /// aliases are of the file itself: tied weights, hard links of HDF5. Cost: a binary search.
  [[nodiscard]] bool is_second_name(const tensor& of) const noexcept {
    const std::uint32_t number = of.entry().number();
    std::size_t first = 0, end = second_names.size();
    while (first < end) {
      const std::size_t middle = first + (end - first) / 2;
      if (second_names[middle] == number) return true;
      if (second_names[middle] < number) {
        first = middle + 1;
      } else {
        end = middle;
      }
    }
    return false;
  }
};

/// The names that `add_model` gives a tensor with second names.
enum class tensor_names : std::uint8_t {
  /// The name in the file; second names become aliases.
  both,
  /// The name in the file alone. Savers of other formats then do not know the names of layers.
  of_file,
  /// The last second name ("hidden/kernel") alone: with Keras LAYER/VARIABLE, with TensorFlow the full name of the variable. The
  /// graph, the state and attributes name the tensor so, too. A tensor without second names keeps its name and its aliases.
  of_layers,
};

} // namespace stet::inline STET_NAMESPACE

#endif
