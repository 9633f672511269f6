// SPDX-License-Identifier: MIT
// Checks of the reading core on a microcontroller: what a sound store gives, and that no damage to one goes unnoticed or crashes.
// Prints what failed and, in the end, "N passed, N failed".

// A broken precondition ends the run, also where NDEBUG is defined.
[[noreturn]] void precondition_failed(const char* condition);
#define STET_ASSERT(condition) ((condition) ? void() : precondition_failed(#condition))

#include "every_dtype.hpp"
#include "index/golden_store.hpp"

#include "../../examples/firmware/board.hpp"

#include <stet/stet.hpp>

#include <cstring>

using stet::dtype;
using stet::errc;

namespace {

std::size_t passed = 0, failed = 0;

/// Counts a check; a failed one is printed with what it was about.
void check(bool is_right, std::string_view what, std::string_view about = {}, std::size_t number = 0) {
  ++(is_right ? passed : failed);
  if (!is_right && failed <= 20) board::line() << "FAILED: " << what << " (" << about << ", " << number << ")";
}

template <class T> errc code_of(const stet::result<T>& made) { return made ? errc{} : made.error().code(); }

/// The same bits, or both not a number: which bits a NaN has after a conversion is up to the machine.
bool is_same(double left, double right) {
  return std::memcmp(&left, &right, sizeof left) == 0 || (left != left && right != right);
}

// ---- what a sound store gives ----

/// Views `found` as elements of type T in every way that its dtype allows, and compares them with the file.
template <class T> void check_views(const stet::store& store, const stet::tensor& found) {
  const std::string_view name = found.name();
  const auto viewed = found.as<T>();
  const auto with_extents = found.as_view<const T, stet_test::every_count>();
  T copied[stet_test::every_count];
  check(code_of(found.copy_to(std::span<T>(copied))) == errc{}, "copies", name);
  if constexpr (requires { found.as_packed<T>(); }) {
    const auto packed = found.as_packed<T>();
    bool same = packed && packed->element_count() == stet_test::every_count;
    for (std::size_t at = 0; same && at < stet_test::every_count; ++at)
      same = (*packed)[at].bits() == copied[at].bits();
    check(same, "packed elements are those that are copied", name);
  }
  if (stet::describe(found.dtype()).bits < 8) {
    check(code_of(viewed) == errc::packed && code_of(with_extents) == errc::packed, "what is packed has no span", name);
  } else {
    const void* const in_flash = board::store_in_flash().data() + found.entry().offset_bytes();
    check(viewed && viewed->data() == in_flash && viewed->size() == stet_test::every_count, "views in place", name);
    check(with_extents && with_extents->data() == in_flash, "views with extents", name);
    check(viewed && std::memcmp(viewed->data(), copied, sizeof copied) == 0, "views what is copied", name);
  }
  check(code_of(found.as_view<const T, stet_test::every_count + 1>()) == errc::shape_mismatch ||
            code_of(viewed) == errc::packed,
        "another extent is a mismatch", name);
  check(code_of(found.as_strings()) == errc::dtype_mismatch, "these are no strings", name);

  char of_numbers[64];
  stet::text_writer name_of_numbers(of_numbers, sizeof of_numbers);
  const auto expected = store.get<double>(name_of_numbers.append(name).append(stet_test::as_float64).text());
  double numbers[stet_test::every_count];
  const auto converted = found.copy_to(std::span<double>(numbers), stet::convert);
  if (!expected) {
    check(code_of(converted) == errc::not_convertible, "complex numbers are not real ones", name);
    return;
  }
  check(code_of(converted) == errc{}, "converts", name);
  for (std::size_t at = 0; at < stet_test::every_count; ++at)
    check(is_same(numbers[at], (*expected)[at]), "converts to what the host makes of it", name, at);
}

void check_every_dtype() {
  const auto store = stet::open(board::store_in_flash());
  check(code_of(store) == errc{}, "opens");
  if (!store) return;
  check(code_of(store->verify_checksums()) == errc{}, "verifies");
  for (const stet::dtype_description& row : stet::dtype_table) {
    const auto found = store->find(row.name);
    check(found && found->dtype() == row.dtype && found->name() == row.name, "finds", row.name);
    if (!found) continue;
    const auto bytes = found->bytes();
    check(bytes.data() == board::store_in_flash().data() + found->entry().offset_bytes(), "lies in flash", row.name);
    check(code_of(found->verify_checksum()) == errc{}, "has its checksum", row.name);
    if (row.dtype != dtype::string) {
      bool same = !bytes.empty();
      for (std::size_t at = 0; at < bytes.size(); ++at) {
        std::byte expected{stet_test::every_byte(static_cast<std::size_t>(row.dtype), at)};
        if (row.dtype == dtype::boolean) expected &= std::byte{1};
        same = same && bytes[at] == expected;
      }
      check(same, "holds the bytes that were saved", row.name);
    }
    const bool has_elements =
        stet::visit_dtype(row.dtype, [&]<class T>(std::type_identity<T>) { check_views<T>(*store, *found); });
    check(has_elements == (row.dtype != dtype::string && row.dtype != dtype::block), "has a type", row.name);
    if (row.dtype != dtype::float32)
      check(code_of(found->as<float>()) == errc::dtype_mismatch, "is not float32", row.name);
  }
  const auto strings = store->find("string")->as_strings();
  check(strings && strings->size() == std::size(stet_test::every_string), "views strings");
  for (std::size_t at = 0; strings && at < strings->size(); ++at)
    check((*strings)[at] == stet_test::every_string[at], "string", {}, at);
  check(code_of(store->find("no such tensor")) == errc::not_found, "does not find what is not there");

  std::uint32_t count = 0;
  for (const stet::tensor each : *store) count += store->contains(each.name());
  check(count == store->tensor_count(), "finds every tensor that it lists");
}

// ---- damage ----

/// Copies the first bytes of the small store to the very end of the RAM, behind which every access is a fault.
std::span<std::byte> copy_to_end_of_ram(std::size_t size_bytes) {
  const std::span<std::byte> copy = board::ram().last(size_bytes);
  if (size_bytes != 0) std::memcpy(copy.data(), stet_test::golden_store, size_bytes);
  return copy;
}

void check_truncations() {
  for (std::size_t size = 0; size < sizeof stet_test::golden_store; ++size)
    check(code_of(stet::open(copy_to_end_of_ram(size))) == errc::truncated, "a truncation is noticed", "size", size);
}

/// The errors of opening and of comparing checksums that a flipped bit in byte `at` of the small store causes.
struct damage {
  errc at_open{}, at_verify{};
  friend bool operator==(const damage&, const damage&) = default;
};
damage expected_damage(std::size_t at, const stet::store& sound) {
  using namespace stet_test;
  if (at < 8) return {errc::bad_magic, {}};
  if (at < 128) return {errc::header_checksum, {}};
  if (at - golden_manifest_offset < golden_manifest_size) return {errc::manifest_checksum, {}};
  if (at >= golden_index_offset && at - golden_index_offset < golden_index_size) return {errc::index_checksum, {}};
  for (const stet::tensor each : sound) {
    const std::uint64_t begin = each.entry().offset_bytes();
    if (at >= begin && at - begin < each.size_bytes()) return {{}, errc::checksum_mismatch};
  }
  return {}; // the zeros between the parts, which nothing reads
}

void check_flipped_bits() {
  constexpr std::size_t size = sizeof stet_test::golden_store;
  const auto sound = stet::open(std::as_bytes(std::span(stet_test::golden_store)));
  check(code_of(sound) == errc{}, "the small store opens");
  if (!sound) return;
  alignas(64) static std::byte copy[size];
  std::memcpy(copy, stet_test::golden_store, size);
  for (std::size_t at = 0; at < size; ++at) {
    for (std::uint32_t bit = 0; bit < 8; ++bit) {
      copy[at] ^= std::byte{1} << bit;
      const auto store = stet::open(copy);
      const damage seen = store ? damage{{}, code_of(store->verify_checksums())} : damage{store.error().code(), {}};
      check(seen == expected_damage(at, *sound), "a flipped bit is noticed", "byte", at);
      copy[at] ^= std::byte{1} << bit;
    }
  }
  check(code_of(stet::open(copy)) == errc{}, "the copy is whole again");
}

/// Overwrites each byte of the index with values that attackers like, and makes the checksums fit again, so that only the checks
/// of the index are left to notice. Whatever opens has to be safe to read.
void check_hostile_index() {
  using namespace stet_test;
  constexpr std::size_t index_crc32c_at = 84, header_crc32c_at = 124; // index/format.hpp
  constexpr std::size_t size = sizeof golden_store;
  std::size_t refused = 0;
  for (std::size_t at = golden_index_offset; at < golden_index_offset + golden_index_size; ++at) {
    for (const std::byte value :
         {std::byte{0x00}, std::byte{0x01}, std::byte{0x7F}, std::byte{0x80}, std::byte{0xFF}}) {
      // 64 bytes below the end, so that tensors are aligned; the zeros after the store belong to nothing.
      constexpr std::size_t room = (size + 63) / 64 * 64;
      const auto copy = board::ram().last(room).first(size);
      std::memcpy(copy.data(), golden_store, size);
      copy[at] = value;
      const auto seal = [&](std::size_t place, std::uint32_t crc) {
        std::memcpy(copy.data() + place, &crc, sizeof crc);
      };
      seal(index_crc32c_at, stet::crc32c(copy.subspan(golden_index_offset, golden_index_size)));
      seal(header_crc32c_at, stet::crc32c(copy.first(header_crc32c_at)));
      const auto store = stet::open(copy);
      if (!store) {
        ++refused;
        const errc code = store.error().code();
        check(code != errc::header_checksum && code != errc::index_checksum, "the checksums fit", "byte", at);
        continue;
      }
      bool is_inside = true;
      for (const stet::tensor each : *store) {
        (void)each.verify_checksum(); // reads every byte
        const std::byte *const begin = each.bytes().data(), *const end = copy.data() + size;
        const bool fits =
            begin >= copy.data() && begin <= end && each.size_bytes() <= static_cast<std::size_t>(end - begin);
        is_inside = is_inside && (fits || each.size_bytes() == 0);
      }
      check(is_inside, "what opens lies within the file", "byte", at);
    }
  }
  check(refused > golden_index_size, "most of the attacks are refused", "refused", refused);
}

} // namespace

void precondition_failed(const char* condition) {
  board::line() << "FAILED: a precondition: " << condition;
  board::exit(1);
}

int board::run() {
  check_every_dtype();
  check_truncations();
  check_flipped_bits();
  check_hostile_index();
  const auto memory = board::measure_memory();
  board::line() << "RAM: " << memory.data << " bytes of variables, " << memory.stack << " bytes of stack; heap: none";
  board::line() << passed << " passed, " << failed << " failed";
  return failed == 0 && passed > 0 ? 0 : 1;
}
