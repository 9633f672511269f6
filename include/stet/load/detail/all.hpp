// SPDX-License-Identifier: MIT
// Loads tensors into one block of memory, placed so that reads past the cache go straight there.
#ifndef STET_LOAD_DETAIL_ALL_HPP
#define STET_LOAD_DETAIL_ALL_HPP

#include "run.hpp"

#include "../../vocabulary/detail/checked.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// Some tensors of a store, or all.
/// @param names  nullptr: all
/// @retval errc::not_found, out_of_memory
inline result<void> choose_tensors(const store& from, const std::span<const std::string_view>* names,
                                   plan_array<tensor>& into) noexcept {
  for (std::size_t i = 0; names != nullptr && i < names->size(); ++i) {
    const result<tensor> of = from.find((*names)[i]);
    if (!of) return of.error();
    if (!into.push(*of)) return errc::out_of_memory;
  }
  if (names != nullptr) return {};
  for (const tensor of : from) {
    if (!into.push(of)) return errc::out_of_memory;
  }
  return {};
}

/// `stet::load`.
inline result<void> load(const store& from, std::span<load_request> requests, const load_options& options,
                         load_report* report) noexcept {
  load_run run(from, options);
  bool has_memory = true;
  for (std::size_t i = 0; has_memory && i < requests.size(); ++i) has_memory = run.add(requests[i], i);
  return has_memory ? run.run(requests, report) : run.give_up(requests);
}

/// `stet::prefetch`.
inline result<void> prefetch(const store& from, const std::span<const std::string_view>* names,
                             const load_options& options, load_report* report) noexcept {
  plan_array<tensor> chosen(options.memory);
  if (auto done = choose_tensors(from, names, chosen); !done) return done;
  plan_array<load_request> requests(options.memory);
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    // Of all tensors, aliases have no bytes of their own.
    const bool is_alias = names == nullptr && from.index().original_of(chosen[i].entry());
    if (!is_alias && !requests.push(load_request(chosen[i]))) return errc::out_of_memory;
  }
  return load(from, {requests.data(), requests.size()}, options, report);
}

} // namespace stet::inline STET_NAMESPACE::detail

namespace stet::inline STET_NAMESPACE {

/// `stet::load_all`.
inline result<loaded_tensors> loaded_tensors::load(const store& from, const std::span<const std::string_view>* names,
                                                   const load_options& options, load_report* report) noexcept {
  using namespace detail;
  loaded_tensors made;
  made.from_ = &from;
  made.places_ = owned_block::make<std::byte*>(from.tensor_count(), options.memory);
  if (made.places_.get() == nullptr && from.tensor_count() != 0) return errc::out_of_memory;
  plan_array<tensor> named(options.memory), chosen(options.memory);
  if (auto done = choose_tensors(from, names, named); !done) return done.error();

  // Each once, in the order of the files. No place is known yet: a pointer that is not null marks what has been chosen.
  std::byte nowhere[1];
  for (std::size_t i = 0; i < named.size(); ++i) {
    const index_entry entry = named[i].entry(), original = from.index().original_of(entry);
    std::byte*& place = made.place_of(original ? original : entry);
    if (place != nullptr) continue;
    place = nowhere;
    if (!chosen.push(original ? from.at(original) : named[i])) return errc::out_of_memory;
  }
  sort_by_place(chosen,
                [](const tensor& of) noexcept { return std::pair(of.entry().part(), of.entry().offset_bytes()); });

  // Tensors that follow each other in a file do so in memory, at the same offsets in a page, as long as these are aligned.
  constexpr std::uint64_t page = load_plan::page_bytes, alignment = 64;
  struct placement {
    std::uint64_t offset_bytes;
    bool has_pages;
  };
  plan_array<placement> places(options.memory);
  std::uint64_t end = 0;      // of what has been placed
  std::uint64_t file_end = 0; // of the last tensor in its file
  bool is_run = false;        // whether the last tensor lies as in its file
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const index_entry entry = chosen[i].entry();
    const std::uint64_t at = entry.offset_bytes();
    const bool follows =
        is_run && entry.part() == chosen[i - 1].entry().part() && at >= file_end && at - file_end <= page;
    placement where{0, at % alignment == 0};
    if (where.has_pages && follows) {
      where.offset_bytes = end + (at - file_end);
    } else {
      where.offset_bytes = (end + page - 1) / page * page + (where.has_pages ? at % page : 0);
      if (!where.has_pages && !is_run) where.offset_bytes = (end + alignment - 1) / alignment * alignment;
    }
    is_run = where.has_pages;
    if (!checked_add(where.offset_bytes, entry.size_bytes(), end) || end > PTRDIFF_MAX - 2 * page)
      return errc::too_large;
    file_end = at + entry.size_bytes();
    if (!places.push(where)) return errc::out_of_memory;
  }

  auto arena = source::allocate_pages((end + page - 1) / page * page, options.memory);
  if (!arena) return arena.error();
  made.arena_ = std::move(*arena);
  plan_array<load_request> requests(options.memory);
  load_run run(from, options);
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    std::byte* const at = made.arena_.writable_data() == nullptr
                              ? const_cast<std::byte*>(no_bytes) // all of them are empty
                              : made.arena_.writable_data() + static_cast<std::size_t>(places[i].offset_bytes);
    const auto size = static_cast<std::size_t>(chosen[i].size_bytes());
    made.place_of(chosen[i].entry()) = at;
    if (!requests.push(load_request(chosen[i], writable_bytes_at(at, size)))) return errc::out_of_memory;
    if (!run.add(requests.last(), i, places[i].has_pages)) return errc::out_of_memory;
  }
  if (auto done = run.run({requests.data(), requests.size()}, report); !done) return done.error();
  for (std::size_t i = 0; i < named.size(); ++i) {
    const index_entry original = from.index().original_of(named[i].entry());
    if (original) made.place_of(named[i].entry()) = made.place_of(original);
  }
  return made;
}

} // namespace stet::inline STET_NAMESPACE

#endif
