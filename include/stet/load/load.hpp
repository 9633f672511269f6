// SPDX-License-Identifier: MIT
// Loads many tensors at the speed of the device: large reads, many at once, in the order of the file, to where they are wanted.
#ifndef STET_LOAD_LOAD_HPP
#define STET_LOAD_LOAD_HPP

#include "load_request.hpp"
#include "detail/all.hpp"
#include "detail/run.hpp"

#include <span>
#include <string_view>

namespace stet::inline STET_NAMESPACE {

/// Carries out `requests`, all of whose tensors are of `from`: plans large reads over all of them, in the order of the file, and keeps many
/// in flight. The bytes may be anywhere: mapped, streamed, with a reader of the program, deflated, gathered of pieces.
/// @param report  if given, what was done
/// @return the first failure in the order of the requests; every request has its own outcome, and one's failure stops no other
/// @retval errc::out_of_memory  no memory is left for the plan: nothing was loaded, and that is the outcome of every request; or for reads
/// @retval errc::cancelled      `options.cancel` became true
/// @retval errc::checksum_mismatch  with `verify_checksums`: the bytes are damaged
/// or an error of the reader. Two requests may be of the same tensor, with places of their own. What a failed request's memory holds is
/// unspecified. Cost: reads each byte once; starts threads, and waits for them. Memory: the plan and the reads in flight, see `load_options`.
[[nodiscard]] inline result<void> load(const store& from, std::span<load_request> requests,
                                       const load_options& options = {}, load_report* report = nullptr) noexcept {
  return detail::load(from, requests, options, report);
}

/// Loads tensors into one block of memory of its own, each at a multiple of 64 bytes: those that are called `names`, once each.
/// An alias and its original share their bytes.
/// @retval errc::not_found      no tensor has one of the names
/// @retval errc::too_large      they do not fit the address space
/// @retval errc::out_of_memory
/// or the first failure of a tensor, as of `load`: then nothing is loaded. Cost: as of `load`, and the block.
[[nodiscard]] inline result<loaded_tensors> load_all(const store& from, std::span<const std::string_view> names,
                                                     const load_options& options = {},
                                                     load_report* report = nullptr) noexcept {
  return loaded_tensors::load(from, &names, options, report);
}
/// The same, for every tensor of the store.
[[nodiscard]] inline result<loaded_tensors> load_all(const store& from, const load_options& options = {},
                                                     load_report* report = nullptr) noexcept {
  return loaded_tensors::load(from, nullptr, options, report);
}

/// Brings the pages of tensors of a mapped store into memory, in the order of `names` if `options.in_order`, and waits until they are
/// there: `store::lock` keeps them there. `store::prefetch` asks for the same without waiting. At the speed of the device: many reads are in
/// flight, and no more of them than `options` say.
/// Errors: those of `load_all`; nothing to do for bytes that are not mapped.
[[nodiscard]] inline result<void> prefetch(const store& from, std::span<const std::string_view> names,
                                           const load_options& options = {}, load_report* report = nullptr) noexcept {
  return detail::prefetch(from, &names, options, report);
}
/// The same, for every tensor of the store.
[[nodiscard]] inline result<void> prefetch(const store& from, const load_options& options = {},
                                           load_report* report = nullptr) noexcept {
  return detail::prefetch(from, nullptr, options, report);
}

} // namespace stet::inline STET_NAMESPACE

#endif
