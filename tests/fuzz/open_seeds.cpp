// SPDX-License-Identifier: MIT
// Writes the seeds of open_fuzz into the folder it is given: sound stores of each kind, and attacks on them.
#include "fuzz/seed_folder.hpp"
#include "index/golden_store.hpp"
#include "support/native_bytes.hpp"

#include <string>

namespace {

using stet_test::native_file;
using stet_test::native_tensor;
using stet_test::tensor_of;

/// Stores as seeds: each once as it is, and with checksums, sizes and hash table that the target makes fit, its manifest left
/// alone or read.
class store_seeds {
public:
  explicit store_seeds(stet_test::seed_folder& into) : into_(into) {}
  void add(const std::string& name, std::string_view file) {
    into_.add(name, '\0', file);
    into_.add(name + "-sealed", '\7', file);
    into_.add(name + "-manifest", '\x0F', file);
  }
  void add(const std::string& name, std::span<const std::byte> file) {
    add(name, std::string_view(reinterpret_cast<const char*>(file.data()), file.size()));
  }

private:
  stet_test::seed_folder& into_;
};

} // namespace

int main(int count, char** arguments) {
  stet_test::seed_folder folder(count, arguments);
  store_seeds seeds(folder);
  seeds.add("golden", std::as_bytes(std::span(stet_test::golden_store)));
  seeds.add("mixed", stet_test::mixed_store().bytes);
  seeds.add("none", native_file(std::vector<native_tensor>{}).bytes);
  seeds.add("empty", std::string_view());

  std::vector<native_tensor> each;
  for (const stet::dtype_description& row : stet::dtype_table) {
    if (row.bits == 0) continue;
    stet_test::byte_vector bytes(row.bits * std::size_t{8} / 8);
    for (std::size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<std::byte>(row.dtype == stet::dtype::boolean ? i % 2 : i * 37);
    each.push_back(
        tensor_of(std::string("t/") + std::string(row.name), stet::element_layout::of(row.dtype), {2, 4}, bytes));
  }
  native_file::options tight;
  tight.alignment_bytes = 1;
  seeds.add("every_dtype", native_file(each, tight).bytes);
  for (native_tensor& tensor : each) {
    seeds.add(std::string("dtype_") + std::to_string(static_cast<int>(tensor.layout.dtype)),
              native_file({tensor}, tight).bytes);
  }

  seeds.add("strings", native_file({stet_test::strings_of("labels", {"zero", "", "two"})}).bytes);
  seeds.add(
      "blocks",
      native_file({tensor_of("q", {stet::dtype::block, 0, {"q8_0", 32, 34}}, {64}, stet_test::byte_vector(68)),
                   tensor_of("r", {stet::dtype::block, 0, {"q4_k", 256, 144}}, {256}, stet_test::byte_vector(144))})
          .bytes);
  seeds.add("unpacked", native_file({tensor_of("i", {stet::dtype::int4, 8, {}}, {3},
                                               stet_test::bytes_of<unsigned char>({1, 2, 0xFF}))})
                            .bytes);
  seeds.add("deep",
            native_file({tensor_of("d", stet::element_layout::of(stet::dtype::uint8),
                                   std::vector<std::uint64_t>(254, 1), stet_test::bytes_of<unsigned char>({7}))})
                .bytes);
  std::vector<native_tensor> tied{tensor_of<float>("w", {2, 2}, {1, 2, 3, 4})};
  for (int i = 0; i < 12; ++i) tied.push_back(stet_test::alias_of("tied" + std::to_string(i), tied, 0));
  seeds.add("tied", native_file(tied).bytes);
  std::vector<native_tensor> empty;
  for (int i = 0; i < 20; ++i)
    empty.push_back(tensor_of<float>(std::string(static_cast<std::size_t>(i) + 1, 'e'), {0, 1ull << i}, {}));
  seeds.add("no_elements", native_file(empty).bytes);

  // Attacks, sealed: fields of the mixed store's index at their limits.
  const native_file good = stet_test::mixed_store();
  const std::uint64_t values[] = {0,
                                  1,
                                  0x7FFFFFFF,
                                  0x80000000,
                                  0xFFFFFFFF,
                                  0x100000000,
                                  0x7FFFFFFFFFFFFFFF,
                                  0x8000000000000000,
                                  0xFFFFFFFFFFFFFFF8,
                                  ~0ull};
  for (const std::size_t field : {std::size_t{0}, std::size_t{8}, std::size_t{16}, std::size_t{32}, std::size_t{48}}) {
    for (const std::uint64_t value : values) {
      native_file file = good;
      file.set(file.entry_at(0) + field, value).seal();
      seeds.add("attack_" + std::to_string(field) + "_" + std::to_string(value), file.bytes);
    }
  }
  // Without an index, and the loose form.
  native_file no_index = good;
  no_index.set(48, std::uint64_t{0}).set(56, std::uint64_t{0}).seal();
  seeds.add("no_index", no_index.bytes);
  native_file::options with;
  with.manifest =
      R"({"stet":{"version":1,"minimum_reader":1},"alignment_bytes":64,"tensors":{"w":{"dtype":"float32","shape":[2],"offset_bytes":512,"size_bytes":8},)"
      R"("s":{"dtype":"string","shape":[1],"offset_bytes":576,"size_bytes":17},"q":{"dtype":"block","shape":[32],"offset_bytes":640,"size_bytes":34,)"
      R"("block":{"name":"q8_0","elements":32,"size_bytes":34}},"t":{"dtype":"float32","shape":[2],"offset_bytes":512,"size_bytes":8,"alias_of":"w"}}})";
  std::vector<native_tensor> described{
      tensor_of<float>("w", {2}, {1, 2}), stet_test::strings_of("s", {"x"}),
      tensor_of("q", {stet::dtype::block, 0, {"q8_0", 32, 34}}, {32}, stet_test::byte_vector(34))};
  described.push_back(stet_test::alias_of("t", described, 0));
  native_file json(described, with);
  seeds.add("with_manifest", json.bytes);
  json.set(48, std::uint64_t{0}).set(56, std::uint64_t{0}).seal();
  seeds.add("manifest_only", json.bytes);
  seeds.add("loose", with.manifest);
  return folder.status();
}
