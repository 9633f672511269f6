// SPDX-License-Identifier: MIT
// A safetensors file in the flash of a microcontroller: opened in memory that the program gives, its tensors used in place; and
// that no truncation and no flipped bit crashes. Prints what failed and, in the end, "N passed, N failed".

// A broken precondition ends the run, also where NDEBUG is defined.
[[noreturn]] void precondition_failed(const char* condition);
#define STET_ASSERT(condition) ((condition) ? void() : precondition_failed(#condition))

#include "../../examples/firmware/board.hpp"

#include <stet/formats/safetensors.hpp>

#include <cstring>
#include <new>

// What stet would allocate without `open_options::memory`: there is no heap to take it from.
void* operator new(std::size_t, std::align_val_t, const std::nothrow_t&) noexcept { return nullptr; }
void operator delete(void*) noexcept {}
void operator delete(void*, std::size_t) noexcept {}
void operator delete(void*, std::align_val_t) noexcept {}
void operator delete(void*, std::size_t, std::align_val_t) noexcept {}

// Interfaces name it, and the library's own needs a heap.
extern "C" [[noreturn]] void __cxa_pure_virtual() { board::exit(3); }

namespace {

using stet::errc;

/// The example of the specification, in flash: F32 [3] a, F16 [] h and U8 [1] bb, with metadata.
constexpr std::size_t header_size = 200, data_size = 15, file_size = 8 + header_size + data_size;
struct flash_file {
  alignas(64) unsigned char bytes[file_size] = {};
};
constexpr flash_file make_file() {
  constexpr char header[] =
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},)"
      R"("h":{"dtype":"F16","shape":[],"data_offsets":[12,14]},"bb":{"dtype":"U8","shape":[1],"data_offsets":[14,15]}})";
  constexpr unsigned char data[data_size] = {0, 0, 0x80, 0x3F, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40, 0, 0x3C, 7};
  static_assert(sizeof header - 1 <= header_size);
  flash_file made;
  made.bytes[0] = header_size;
  for (std::size_t i = 0; i < header_size; ++i)
    made.bytes[8 + i] = i < sizeof header - 1 ? static_cast<unsigned char>(header[i]) : static_cast<unsigned char>(' ');
  for (std::size_t i = 0; i < data_size; ++i) made.bytes[8 + header_size + i] = data[i];
  return made;
}
constexpr flash_file file = make_file();

/// Memory of the program: a block at a time behind the other, all free again once nothing is allocated.
class block_memory final : public stet::memory_resource {
public:
  void* allocate(std::size_t size_bytes, std::size_t alignment_bytes) noexcept override {
    const std::size_t begin = (used_ + alignment_bytes - 1) & ~(alignment_bytes - 1);
    if (begin > sizeof bytes_ || size_bytes > sizeof bytes_ - begin) return nullptr;
    used_ = begin + size_bytes;
    most_ = used_ > most_ ? used_ : most_;
    ++count_;
    return bytes_ + begin;
  }
  void deallocate(void*, std::size_t, std::size_t) noexcept override {
    if (--count_ == 0) used_ = 0;
  }
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] std::size_t most_bytes() const noexcept { return most_; }

private:
  alignas(64) std::byte bytes_[16384] = {};
  std::size_t used_ = 0, most_ = 0, count_ = 0;
};
block_memory memory;

std::size_t passed = 0, failed = 0;

void check(bool is_right, std::string_view what, std::size_t number = 0) {
  ++(is_right ? passed : failed);
  if (!is_right && failed <= 20) board::line() << "FAILED: " << what << " (" << number << ")";
}

std::span<const std::byte> bytes_of(const flash_file& of, std::size_t size) {
  return {reinterpret_cast<const std::byte*>(of.bytes), size};
}

stet::result<stet::store> open_in_memory(std::span<const std::byte> bytes) {
  stet::open_options options;
  options.memory = &memory;
  return stet::open_safetensors(bytes, options);
}

void check_sound() {
  const auto store = open_in_memory(bytes_of(file, file_size));
  check(bool(store), "opens");
  if (!store) return;
  check(store->tensor_count() == 3, "has three tensors", store->tensor_count());
  const auto a = store->get<float>("a");
  check(a && a->size() == 3 && (*a)[2] == 3.0f, "a is there");
  check(a && reinterpret_cast<const unsigned char*>(a->data()) == file.bytes + 8 + header_size, "a is in place");
  const auto h = store->get<stet::float16>("h");
  check(h && float{(*h)[0]} == 1.0f, "h is there");
  const auto bb = store->get<std::uint8_t>("bb");
  check(bb && (*bb)[0] == 7, "bb is there");
  check(store->get<float>("bb").error().code() == errc::dtype_mismatch, "bb is no float");
  check(store->find("c").error().code() == errc::not_found, "there is no c");
}

/// What opens lies within the file; nothing else needs to hold of a damaged one.
void check_damaged(std::span<const std::byte> bytes, std::size_t number, std::size_t& refused) {
  const auto store = open_in_memory(bytes);
  if (!store) return void(++refused);
  for (const stet::tensor each : *store) {
    const std::byte* const begin = each.bytes().data();
    const bool fits = each.size_bytes() == 0 || (begin >= bytes.data() && each.size_bytes() <= bytes.size() &&
                                                 begin + each.size_bytes() <= bytes.data() + bytes.size());
    check(fits, "what opens lies within the file", number);
  }
}

void check_hostile() {
  // At the end of the RAM, behind which every access is a fault.
  const std::span<std::byte> ram = board::ram();
  std::size_t refused = 0;
  for (std::size_t size = 0; size < file_size; ++size) {
    std::byte* const copy = ram.data() + (ram.size() - size);
    if (size != 0) std::memcpy(copy, file.bytes, size);
    check_damaged({copy, size}, size, refused);
  }
  check(refused == file_size, "every truncation is refused", refused);
  std::byte* const copy = ram.data() + (ram.size() - file_size);
  std::memcpy(copy, file.bytes, file_size);
  refused = 0;
  for (std::size_t bit = 0; bit < (8 + header_size) * 8; ++bit) {
    const auto mask = static_cast<std::byte>(1u << bit % 8);
    copy[bit / 8] ^= mask;
    check_damaged({copy, file_size}, bit, refused);
    copy[bit / 8] ^= mask;
  }
  check(refused > header_size, "most flipped bits are refused", refused);
}

} // namespace

void precondition_failed(const char* condition) {
  board::line() << "FAILED: a precondition: " << condition;
  board::exit(1);
}

int board::run() {
  check_sound();
  check(memory.count() == 0, "all memory is given back", memory.count());
  check_hostile();
  check(memory.count() == 0, "all memory is given back", memory.count());
  {
    const auto store = stet::open_safetensors(bytes_of(file, file_size));
    check(!store && store.error().code() == errc::out_of_memory, "without memory of the program there is none");
  }
  const auto use = board::measure_memory();
  board::line() << "flash: " << use.code << " bytes of code; RAM: " << memory.most_bytes() << " bytes of memory, "
                << use.stack << " bytes of stack; heap: none";
  board::line() << passed << " passed, " << failed << " failed";
  return failed == 0 && passed > 0 ? 0 : 1;
}
