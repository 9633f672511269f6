// SPDX-License-Identifier: MIT
// Opens any bytes as a store and uses all of it: every tensor touched, sliced, cast, copied and bound, the
// store verified, saved, opened again and compared. Whatever opens must work to the end, and the same from
// memory and through a reader.
//
// The first byte of the input says what is done to the rest, which is the file: bit 0, its checksums are made
// to fit; bit 1, so are its size and the end of its data; bit 2, so is the hash table; bit 3, its manifest is
// read, too; bits 4 … 6, how far from alignment it lies in memory.
#include "require.hpp"
#include "support/native_bytes.hpp"

#include <stet/manifest.hpp>
#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

namespace {

/// Elements that may still be converted for one input: a file may name one tensor thousands of times.
struct budget {
  std::uint64_t elements = 1 << 16;
  std::uint32_t tensors = 64;
  bool take(std::uint64_t count) {
    if (count > elements) return false;
    elements -= count;
    return true;
  }
};

class memory_reader final : public stet::byte_reader {
public:
  explicit memory_reader(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return bytes_.size(); }
  [[nodiscard]] stet::result<void> read(std::uint64_t offset, std::span<std::byte> into) const noexcept override {
    if (offset > bytes_.size() || into.size() > bytes_.size() - offset)
      std::abort(); // never asked for what is not there
    if (!into.empty()) std::memcpy(into.data(), bytes_.data() + offset, into.size());
    return {};
  }

private:
  std::span<const std::byte> bytes_;
};

template <class T> stet::errc code_of(const stet::result<T>& made) { return made ? stet::errc{} : made.error().code(); }

volatile unsigned char sink;
void touch(std::byte value) { sink = static_cast<unsigned char>(value); }

/// Reads slices of a tensor; those outside must be refused.
void slice(const stet::tensor& tensor) {
  const std::uint64_t size = tensor.size_bytes();
  std::byte piece[16];
  for (const std::uint64_t offset : {std::uint64_t{0}, size / 2, size - (size != 0 ? 1u : 0u), size}) {
    const std::uint64_t left = size - offset;
    const std::span<std::byte> into(piece, left < sizeof piece ? static_cast<std::size_t>(left) : sizeof piece);
    require(static_cast<bool>(tensor.read(offset, into)));
    if (!tensor.bytes().empty() && !into.empty()) {
      require(std::memcmp(piece, tensor.bytes().data() + offset, into.size()) == 0);
    }
  }
  require(!tensor.read(size, std::span(piece, 1)));
  require(!tensor.read(size + 1, {}));
  require(!tensor.read(~std::uint64_t{0}, std::span(piece, 1)));
}

/// Room for the elements of a tensor as `T`, which need not be what a vector can hold.
template <class T> class elements {
public:
  explicit elements(std::uint64_t count)
      : count_(static_cast<std::size_t>(count)),
        bytes_(new(std::align_val_t{alignof(T)}) std::byte[count_ * sizeof(T)]) {}
  elements(const elements&) = delete;
  elements& operator=(const elements&) = delete;
  ~elements() { ::operator delete[](bytes_, std::align_val_t{alignof(T)}); }
  [[nodiscard]] std::span<T> span() const { return {reinterpret_cast<T*>(bytes_), count_}; }
  [[nodiscard]] bool equal(const void* other) const {
    return count_ == 0 || std::memcmp(bytes_, other, count_ * sizeof(T)) == 0;
  }

private:
  std::size_t count_;
  std::byte* bytes_;
};

/// Converts to one type, the same from memory and through the reader; a room too small is refused.
template <class T> void convert(const stet::tensor& tensor, const stet::tensor& fetched) {
  const elements<T> first(tensor.element_count()), second(tensor.element_count());
  const auto converted = tensor.copy_to(first.span(), stet::convert);
  require(code_of(fetched.copy_to(second.span(), stet::convert)) == code_of(converted));
  if (converted) require(first.equal(second.span().data()));
  if (!first.span().empty()) require(!tensor.copy_to(first.span().first(first.span().size() - 1), stet::convert));
}

/// Views and copies as one type; both must agree on what the elements are.
template <class T> void cast(const stet::tensor& tensor, const stet::tensor& fetched) {
  const elements<T> first(tensor.element_count()), second(tensor.element_count());
  const auto copied = tensor.copy_to(first.span());
  require(code_of(fetched.copy_to(second.span())) == code_of(copied));
  if (copied) require(first.equal(second.span().data()));
  const auto viewed = tensor.as<T>();
  if (viewed) {
    require(copied && viewed->size() == tensor.element_count());
    require(tensor.layout().bits != stet::describe(tensor.dtype()).bits || first.equal(viewed->data()));
    for (const std::byte each : std::as_bytes(*viewed)) touch(each);
  }
  const auto flat = tensor.as_view<const T, stet::dynamic>();
  if (flat) require(flat->extent(0) == tensor.element_count());
  const auto rows = tensor.as_view<const T, 2, stet::dynamic>();
  if (rows) require(rows->element_count() == tensor.element_count());
}

void use(const stet::tensor& tensor, const stet::tensor& fetched, budget& left) {
  require(tensor.name() == fetched.name() && tensor.size_bytes() == fetched.size_bytes());
  if (!tensor.bytes().empty()) {
    touch(tensor.bytes().front());
    touch(tensor.bytes().back());
  }
  slice(tensor);
  slice(fetched);
  const auto strings = tensor.as_strings();
  if (strings) {
    for (std::size_t i = 0; i < strings->size(); ++i) {
      for (const char c : (*strings)[i]) touch(static_cast<std::byte>(c));
    }
  }
  if (left.take(tensor.element_count() * 40)) {
    for (const stet::dtype_description& row : stet::dtype_table) {
      (void)stet::visit_dtype(row.dtype, [&]<class T>(std::type_identity<T>) { cast<T>(tensor, fetched); });
    }
    convert<bool>(tensor, fetched);
    convert<std::int8_t>(tensor, fetched);
    convert<std::uint64_t>(tensor, fetched);
    convert<stet::bfloat16>(tensor, fetched);
    convert<float>(tensor, fetched);
    convert<stet::complex128>(tensor, fetched);
    convert<stet::int4>(tensor, fetched);
    const auto packed = tensor.as_packed<stet::uint4>();
    for (std::uint64_t i = 0; packed && i < packed->element_count(); ++i)
      touch(static_cast<std::byte>((*packed)[i].bits()));
    const auto sixes = tensor.as_packed<stet::float6_e3m2fn>();
    for (std::uint64_t i = 0; sixes && i < sixes->element_count(); ++i)
      touch(static_cast<std::byte>((*sixes)[i].bits()));
  }
  char text[256];
  stet::text_writer out(text, sizeof text);
  out.append_escaped(tensor.name());
  tensor.shape().print(out);
  require(code_of(tensor.verify_checksum()) == code_of(fetched.verify_checksum()));
}

struct layer {
  stet::view<const float, stet::dynamic, stet::dynamic> kernel;
  stet::view<const float, 2> bias;
  void bind(auto& field) {
    field.optional("kernel", kernel);
    field.optional("bias", bias);
  }
};
struct model {
  layer dense;
  std::span<const std::int64_t> step;
  stet::packed_span<stet::int4> packed;
  stet::string_span labels;
  stet::tensor tied;
  void bind(auto& field) {
    field("dense", dense);
    field.optional("step", step);
    field.optional("packed", packed);
    field.optional("labels", labels);
    field.optional("tied", tied);
  }
};

/// Saves the store, opens what was saved, and compares.
void save_and_reopen(const stet::store& store) {
  stet::writer out;
  for (const stet::tensor each : store) {
    const auto original = store.original_of(each);
    original ? out.add_alias(each.name(), original->name()) : out.add(each.name(), each);
  }
  const auto saved = out.save_to_memory();
  require(static_cast<bool>(saved));
  const auto again = stet::open(std::span<const std::byte>(*saved));
  require(again && again->tensor_count() == store.tensor_count());
  // The bytes of a tensor are saved as they are, with whatever stands behind its last element.
  const stet::verify_report report = stet::verify_store(*again, {.thread_count = 1});
  for (const stet::error& problem : report.problems) require(problem.code() == stet::errc::nonzero_padding);
  for (const stet::tensor each : store) {
    const auto copy = again->find(each.name());
    require(copy && copy->dtype() == each.dtype() && copy->layout().bits == each.layout().bits &&
            copy->layout().block == each.layout().block && copy->shape() == each.shape() &&
            copy->size_bytes() == each.size_bytes());
    require(each.bytes().empty() || std::memcmp(copy->bytes().data(), each.bytes().data(), each.bytes().size()) == 0);
  }
}

void use(const stet::store& store, const stet::store& fetched, bool with_manifest) {
  budget left;
  require(store.tensor_count() == fetched.tensor_count());
  auto other = fetched.begin();
  std::uint32_t count = 0;
  for (const stet::tensor each : store) {
    require(store.find(each.name())->entry() == each.entry());
    require(static_cast<std::uint64_t>(each.bytes().size()) == each.size_bytes());
    require(each.bytes().empty() ||
            (each.bytes().data() >= store.data().data() &&
             each.bytes().data() + each.bytes().size() <= store.data().data() + store.data().size_bytes()));
    if (count < left.tensors) use(each, *other, left);
    ++other;
    ++count;
  }
  require(count == store.tensor_count() && !store.contains("never there"));
  model bound;
  (void)stet::bind_model(bound, store);
  require(code_of(store.verify_checksums()) == code_of(fetched.verify_checksums()));
  (void)stet::verify_store(store, {.manifest = with_manifest, .thread_count = 1});
  if (count <= left.tensors) save_and_reopen(store);
}

/// Enters the names of an index into its hash table anew, as far as its entries can be followed.
void enter_names(std::span<std::byte> file) {
  using stet::detail::load_little;
  using layout = stet::detail::index_layout;
  const std::uint64_t offset = load_little<std::uint64_t>(file.data() + 48),
                      size = load_little<std::uint64_t>(file.data() + 56);
  if (!stet::detail::range_fits(offset, size, file.size()) || size < layout::header_size) return;
  const std::span<std::byte> index = file.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
  const std::uint64_t slots = layout::header_size + load_little<std::uint32_t>(index.data() + 4) * layout::part_size +
                              load_little<std::uint32_t>(index.data() + 8) * layout::block_size;
  const std::uint64_t slot_count = load_little<std::uint32_t>(index.data() + 12);
  const std::uint32_t tensor_count = load_little<std::uint32_t>(index.data());
  if (tensor_count >= slot_count || !stet::detail::range_fits(slots, slot_count * layout::slot_size, size)) return;
  std::byte* const table = index.data() + slots;
  std::memset(table, 0, static_cast<std::size_t>(slot_count * layout::slot_size));
  std::uint64_t at = slots + slot_count * layout::slot_size;
  for (std::uint32_t number = 0; number < tensor_count; ++number) {
    if (!stet::detail::range_fits(at, layout::entry_size, size)) return;
    std::byte* const entry = index.data() + at;
    const std::uint64_t rank = static_cast<std::uint64_t>(entry[44]),
                        name_size = load_little<std::uint16_t>(entry + 40);
    const std::uint64_t entry_size = layout::size_of_entry(rank, name_size);
    if (!stet::detail::range_fits(at, entry_size, size)) return;
    const std::string_view name(reinterpret_cast<const char*>(entry + layout::entry_size + rank * 8),
                                static_cast<std::size_t>(name_size));
    const std::uint64_t hash = stet::detail::hash_name(name, load_little<std::uint64_t>(index.data() + 32));
    std::uint64_t slot = hash % slot_count;
    while (load_little<std::uint64_t>(table + slot * layout::slot_size) != 0) slot = (slot + 1) % slot_count;
    stet::detail::store_little(table + slot * layout::slot_size, (at / 8) << 32 | hash >> 32);
    at += entry_size;
  }
}

stet::result<stet::store> open(stet::source&& from, bool with_manifest) {
  return stet::open(std::move(from), {.read_manifest = with_manifest ? stet::read_manifest : nullptr});
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const unsigned how = data[0];
  --size;
  const bool with_manifest = (how & 8) != 0;
  const std::size_t distance = how >> 4 & 7;
  // In a block of exactly its size, at a distance from alignment.
  const auto block = std::make_unique<std::byte[]>(size + distance);
  const std::span<std::byte> file(block.get() + distance, size);
  if (size != 0) std::memcpy(file.data(), data + 1, size);
  if (size >= stet::file_header::size_bytes) {
    if ((how & 2) != 0) {
      const std::uint64_t data_offset = stet::detail::load_little<std::uint64_t>(file.data() + 64);
      stet::detail::store_little(file.data() + 16, std::uint64_t{size});
      if (data_offset <= size) stet::detail::store_little(file.data() + 72, size - data_offset);
    }
    if ((how & 4) != 0) enter_names(file);
    if ((how & 1) != 0) stet_test::seal(file);
  }

  const memory_reader reader(file);
  const auto store = open(stet::source::borrow(file), with_manifest);
  const auto fetched = open(stet::source::stream(reader), with_manifest);
  require(code_of(store) == code_of(fetched));
  if (store && store->index().part_count() == 0) use(*store, *fetched, with_manifest);
  return 0;
}
