// SPDX-License-Identifier: MIT
// Carries out a load: threads take batches of the plan, read them, and bring each piece to its place.
#ifndef STET_LOAD_DETAIL_RUN_HPP
#define STET_LOAD_DETAIL_RUN_HPP

#include "outcomes.hpp"
#include "plan.hpp"
#include "../load_request.hpp"
#include "../../store/store.hpp"

#include "../../bytes/crc32c.hpp"
#include "../../source/detail/parallel_handle.hpp"
#include "../../source/detail/helper_thread.hpp"
#include "../../source/detail/io_ring.hpp"
#include "../../source/detail/page_cache.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

#if STET_FILES
/// The file of a part, and how it is read.
struct load_file {
  source::streamed_file streamed;
  /// Most of what is wanted of it is not in the system's cache.
  bool is_cold = false;
  /// For reads past the cache, or in flight at once; none: the file's own serves.
  parallel_handle handle;
  bool is_past_cache = false;
};
#else
struct load_file {};
#endif

/// What the threads of a load share.
struct load_work {
  const store& from;
  const load_options& options;
  const load_plan& plan;
  load_outcomes& outcomes;
  /// By part; none where no file is streamed.
  load_file* files;
  /// The most bytes of a batch that is read at once, or of a piece of one that is serial.
  std::size_t most_bytes;
  /// Direct reads in flight of one thread.
  unsigned depth;
  std::atomic<std::size_t> next_batch{0};
  std::atomic<std::uint64_t> read_count{0}, direct_read_count{0};
};

/// One thread of a load.
class load_worker {
public:
  explicit load_worker(load_work& shared) noexcept : shared_(shared) {}

  void operator()() noexcept {
    for (;;) {
      const std::size_t number = shared_.next_batch.fetch_add(1, std::memory_order_relaxed);
      if (number >= shared_.plan.batches.size()) break;
      const load_batch& batch = shared_.plan.batches[number];
      if (is_cancelled()) {
        end(batch, errc::cancelled);
      } else if (shared_.from.tensor_file(batch.part).data() != nullptr) {
        use_resident(batch);
      } else if (batch.is_serial) {
        read_serially(batch);
      } else if (!begins_in_flight(batch)) {
        read(batch);
      }
    }
#if STET_SOURCE_IO_RING
    while (in_flight_ != 0) end_in_flight();
#endif
  }

private:
  static constexpr std::size_t page = load_plan::page_bytes;
  static constexpr unsigned most_depth = 64;

  /// A read in flight.
  struct slot {
    const load_batch* batch = nullptr;
    std::byte* into = nullptr; // what is read begins with whole pages
    std::size_t slack_bytes = 0, rounded_bytes = 0;
  };

  [[nodiscard]] bool is_cancelled() const noexcept {
    return shared_.options.cancel != nullptr && shared_.options.cancel->load(std::memory_order_relaxed);
  }

  // Bytes that are in memory, or in a mapping.

  void use_resident(const load_batch& batch) noexcept {
    const source& from = shared_.from.tensor_file(batch.part);
    if (from.is_mapped()) {
      (void)from.populate(batch.offset_bytes, batch.size_bytes);
      count_read(1, 0);
    }
    use(batch, from.data() + static_cast<std::size_t>(batch.offset_bytes));
  }

  // Bytes that a reader delivers.

  void read(const load_batch& batch) noexcept {
    std::byte* const into = batch.place != nullptr ? batch.place : memory_of(free_slot());
    if (into == nullptr) return end(batch, errc::out_of_memory);
#if STET_FILES
    if (shared_.files != nullptr && shared_.files[batch.part].is_cold) {
      const load_file& file = shared_.files[batch.part];
      os::read_ahead(file.streamed.from->handle(), file.streamed.offset_bytes + batch.offset_bytes,
                     static_cast<std::size_t>(batch.size_bytes));
    }
#endif
    count_read(1, 0);
    read_into(batch, into);
  }

  /// Reads all of the batch at once, and if that fails, each piece by itself: the error is of some of the tensors.
  void read_into(const load_batch& batch, std::byte* into) noexcept {
    const byte_reader& from = *shared_.from.tensor_file(batch.part).fetcher();
    const auto all = fetch(from, batch.offset_bytes, into, static_cast<std::size_t>(batch.size_bytes));
    if (all) return use(batch, into);
    if (batch.piece_count == 1) return end(batch, all.error());
    for (std::size_t i = 0; i < batch.piece_count; ++i) {
      load_piece& piece = shared_.plan.pieces[batch.first_piece + i];
      const std::uint64_t at = place_of(piece);
      std::byte* const bytes = into + static_cast<std::size_t>(at - batch.offset_bytes);
      count_read(1, 0);
      const auto done = fetch(from, at, bytes, piece.size_bytes);
      done ? use(piece, bytes) : shared_.outcomes.end_piece(piece, done);
    }
  }

  void read_serially(const load_batch& batch) noexcept {
    std::uint64_t at = batch.offset_bytes;
    result<void> done;
    for (std::size_t i = 0; i < batch.piece_count; ++i) {
      load_piece& piece = shared_.plan.pieces[batch.first_piece + i];
      std::byte* const into = batch.place != nullptr ? batch.place + static_cast<std::size_t>(at - batch.offset_bytes)
                                                     : memory_of(free_slot());
      if (done && into == nullptr) done = errc::out_of_memory;
      if (done && is_cancelled()) done = errc::cancelled;
      if (done) {
        count_read(1, 0);
        done = fetch(*shared_.from.tensor_file(batch.part).fetcher(), at, into, piece.size_bytes);
      }
      done ? use(piece, into) : shared_.outcomes.end_piece(piece, done);
      at += piece.size_bytes;
    }
  }

  // Reads in flight at once, some past the system's cache.

  /// Begins to read the batch by a handle for that, or has read it. @return false if its file has no such handle
  bool begins_in_flight([[maybe_unused]] const load_batch& batch) noexcept {
#if STET_FILES
    if (shared_.files == nullptr || !shared_.files[batch.part].handle) return false;
    const load_file& file = shared_.files[batch.part];
    slot& into = free_slot();
    const std::uint64_t at = file.streamed.offset_bytes + batch.offset_bytes;
    into.batch = &batch;
    into.slack_bytes = static_cast<std::size_t>(at % page);
    into.rounded_bytes = (into.slack_bytes + static_cast<std::size_t>(batch.size_bytes) + page - 1) / page * page;
    const bool is_straight = batch.has_pages && is_aligned(batch.place - into.slack_bytes, page);
    into.into = is_straight ? batch.place - into.slack_bytes : memory_of(into);
    if (into.into == nullptr) return end(batch, errc::out_of_memory), true;
    count_read(1, file.is_past_cache ? 1 : 0);
#if STET_SOURCE_IO_RING
    const auto number = static_cast<unsigned>(&into - slots_);
    if (shared_.depth > 1 && !has_tried_ring_) {
      has_tried_ring_ = true;
      has_ring_ = ring_.open(shared_.depth);
    }
    if (has_ring_ && ring_.begin(number, file.handle.handle(), at - into.slack_bytes, into.into, into.rounded_bytes)) {
      is_used_[number] = true;
      if (++in_flight_ == shared_.depth) end_in_flight();
      return true;
    }
#endif
    const auto count = os::read_in_flight(file.handle.handle(), at - into.slack_bytes, into.into, into.rounded_bytes);
    end_in_flight(into, count ? *count : 0);
    return true;
#else
    return false;
#endif
  }

#if STET_SOURCE_IO_RING
  /// Waits for a read in flight.
  void end_in_flight() noexcept {
    const io_ring::completion ended = ring_.wait();
    --in_flight_;
    is_used_[ended.slot] = false;
    end_in_flight(slots_[ended.slot], ended.outcome < 0 ? 0 : static_cast<std::size_t>(ended.outcome));
  }
#endif

  void end_in_flight(const slot& ended, std::size_t count) noexcept {
    std::byte* const bytes = ended.into + ended.slack_bytes;
    if (count >= ended.slack_bytes + static_cast<std::size_t>(ended.batch->size_bytes)) return use(*ended.batch, bytes);
    read_into(*ended.batch, bytes); // refused, or cut short: read in the ordinary way, which knows the error
  }

  // What has been read.

  void use(const load_batch& batch, const std::byte* bytes) noexcept {
    for (std::size_t i = 0; i < batch.piece_count; ++i) {
      load_piece& piece = shared_.plan.pieces[batch.first_piece + i];
      use(piece, bytes + static_cast<std::size_t>(place_of(piece) - batch.offset_bytes));
    }
  }

  /// The offset of a piece in its part.
  [[nodiscard]] std::uint64_t place_of(const load_piece& piece) const noexcept {
    return shared_.outcomes.request_of(piece).offset_bytes() + piece.offset_bytes;
  }

  void use(load_piece& piece, const std::byte* bytes) noexcept {
    const load_request& request = shared_.outcomes.request_of(piece);
    if (shared_.outcomes.is_verified(piece)) piece.crc = crc32c(bytes_at(bytes, piece.size_bytes));
    shared_.outcomes.end_piece(piece, request.take(piece.offset_bytes, bytes_at(bytes, piece.size_bytes)));
  }

  void end(const load_batch& batch, const error& why) noexcept {
    for (std::size_t i = 0; i < batch.piece_count; ++i)
      shared_.outcomes.end_piece(shared_.plan.pieces[batch.first_piece + i], why);
  }

  /// One whose memory no read in flight writes to: fewer are in flight than there are.
  [[nodiscard]] slot& free_slot() noexcept {
    unsigned number = 0;
    while (is_used_[number]) ++number;
    return slots_[number];
  }

  /// Memory for a read; nullptr if there is none. That of all slots is one block, so that its pages are large: a device writes to
  /// them at twice the speed of small ones.
  [[nodiscard]] std::byte* memory_of(const slot& of) noexcept {
    const std::size_t each = shared_.most_bytes + 2 * page;
    if (memory_.size_bytes() == 0) {
      auto made = source::allocate_pages(std::uint64_t{each} * shared_.depth, shared_.options.memory);
      if (!made) return nullptr;
      memory_ = std::move(*made);
    }
    return memory_.writable_data() + static_cast<std::size_t>(&of - slots_) * each;
  }

  void count_read(std::uint64_t all, std::uint64_t direct) noexcept {
    shared_.read_count.fetch_add(all, std::memory_order_relaxed);
    shared_.direct_read_count.fetch_add(direct, std::memory_order_relaxed);
  }

  load_work& shared_;
  source memory_;
  slot slots_[most_depth];
  bool is_used_[most_depth] = {};
#if STET_SOURCE_IO_RING
  unsigned in_flight_ = 0;
  io_ring ring_;
  bool has_ring_ = false, has_tried_ring_ = false;
#endif
};

/// One call of `load`, `load_all` or `prefetch`.
class load_run {
public:
  load_run(const store& from, const load_options& options) noexcept
      : from_(from), options_(options), items_(options.memory) {
    constexpr std::size_t page = load_plan::page_bytes, most = std::size_t{1} << 30;
    const std::size_t wanted = options.request_size_bytes == 0 ? std::size_t{1} << 20 : options.request_size_bytes;
    request_bytes_ = wanted > most ? most : (wanted + page - 1) / page * page;
  }

  /// Adds what `request`, the one with that number, asks for. @return false if no memory is left
  [[nodiscard]] bool add(const load_request& request, std::size_t number, bool has_pages = false) noexcept {
    if (!request.outcome() || request.size_bytes() == 0) return true; // has ended
    const source& bytes = from_.tensor_file(request.part());
    // What has no checksum may still be checked by its reader.
    const bool is_verified = options_.verify_checksums && (request.has_crc32c() || bytes.data() == nullptr);
    const bool is_looked_at = request.is_copied() || is_verified;
    is_any_looked_at_ = is_any_looked_at_ || is_looked_at;
    if (!is_looked_at && !bytes.is_mapped()) return true;
    const bool is_serial = bytes.fetcher() != nullptr && !bytes.fetcher()->reads_anywhere();
    return items_.push({request.part(), is_serial, has_pages, request.offset_bytes(), request.size_bytes(),
                        request.place(), request.unit_bytes(), number});
  }

  /// Carries out the requests that were added.
  [[nodiscard]] result<void> run(std::span<load_request> requests, load_report* report) noexcept {
    if (!options_.in_order) {
      sort_by_place(items_, [](const load_item& item) noexcept { return std::pair(item.part, item.offset_bytes); });
    }
    // Pages that the system's cache has are only entered into the process: fewer calls do so sooner, and nothing goes through memory.
    constexpr std::size_t large_request_bytes = std::size_t{64} << 20;
    if (!is_any_looked_at_ && options_.request_size_bytes == 0 && !look_at_parts(nullptr).waits)
      request_bytes_ = large_request_bytes;
    load_plan plan(options_.memory);
    std::size_t most_bytes = request_bytes_;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      if (!plan.add(items_[i], request_bytes_)) return give_up(requests);
    }
    for (std::size_t i = 0; i < plan.pieces.size(); ++i) {
      if (plan.pieces[i].size_bytes > most_bytes) most_bytes = plan.pieces[i].size_bytes;
    }
    load_outcomes outcomes(options_, requests, plan);
    if (!outcomes.prepare()) return give_up(requests);
    owned_block files;
    if (!open_files(files, plan.all_bytes)) return give_up(requests);
    outcomes.begin();

    load_work work{from_, options_, plan, outcomes, static_cast<load_file*>(files.get()), most_bytes, 1};
    auto each = [&work]() noexcept {
      load_worker one(work);
      one();
    };
    if (const unsigned threads = choose_threads(plan, work); threads != 0) run_on_threads(threads, each);

    load_report seen;
    result<void> done = outcomes.summarize(seen);
    seen.read_count = work.read_count.load(std::memory_order_relaxed);
    seen.direct_read_count = work.direct_read_count.load(std::memory_order_relaxed);
    if (report != nullptr) *report = seen;
    return done;
  }

  /// There is no memory for the plan.
  static error give_up(std::span<load_request> requests) noexcept {
    for (load_request& each : requests) {
      if (each.outcome_) each.outcome_ = error(errc::out_of_memory, each.of().name());
    }
    return errc::out_of_memory;
  }

private:
  static constexpr unsigned most_in_flight = 64;
  static constexpr std::uint64_t large_bytes = std::uint64_t{32} << 20;
  /// Descriptors are few.
  static constexpr unsigned most_handles = 64;

  /// Looks at the streamed files, and opens those once more that are read by another handle. @return false if no memory is left
  [[nodiscard]] bool open_files([[maybe_unused]] owned_block& files,
                                [[maybe_unused]] std::uint64_t all_bytes) const noexcept {
#if STET_FILES
    const std::uint32_t count = from_.index().part_count() == 0 ? 1 : from_.index().part_count();
    bool has_files = false;
    for (std::uint32_t part = 0; part < count && !has_files; ++part)
      has_files = from_.tensor_file(part).streamed().from != nullptr;
    if (!has_files) return true;
    files = owned_block::make<load_file>(count, options_.memory);
    if (files.get() == nullptr) return false;
    unsigned handle_count = 0;
    for (std::size_t first = 0, end; first < items_.size(); first = end) {
      const load_item& item = items_[first];
      for (end = first + 1; end < items_.size() && items_[end].part == item.part;) ++end;
      load_file& of = static_cast<load_file*>(files.get())[item.part];
      if (of.streamed.from != nullptr || from_.tensor_file(item.part).streamed().from == nullptr) continue;
      of.streamed = from_.tensor_file(item.part).streamed();
      const std::uint64_t begin = of.streamed.offset_bytes + item.offset_bytes;
      const load_item& last = items_[end - 1];
      of.is_cold =
          last.offset_bytes >= item.offset_bytes &&
          is_mostly_uncached(*of.streamed.from, begin, of.streamed.offset_bytes + last.offset_bytes + last.size_bytes);
      const bool is_direct = options_.direct == direct_reads::always ||
                             (options_.direct == direct_reads::when_cold && of.is_cold && all_bytes >= large_bytes);
      if (handle_count < most_handles) {
        of.handle = parallel_handle::open(*of.streamed.from, is_direct);
        of.is_past_cache = is_direct && static_cast<bool>(of.handle);
        if (of.handle) ++handle_count;
      }
    }
#endif
    return true;
  }

  /// Whether a device, or a reader of the program, has to be waited for, and whether files are read past the cache.
  struct nature {
    bool waits = false, is_direct = false;
  };
  /// What a few parts tell. @param files  as the plan opened them; nullptr: before it did
  [[nodiscard]] nature look_at_parts(const load_file* files) const noexcept {
    nature seen;
    unsigned looked_at = 0;
    for (std::size_t i = 0; i < items_.size() && looked_at < 64 && !(seen.waits && seen.is_direct); ++i) {
      const std::uint32_t part = items_[i].part;
      if (i != 0 && items_[i - 1].part == part) continue;
      ++looked_at;
      seen.waits = seen.waits || has_to_wait(i, files);
#if STET_FILES
      seen.is_direct = seen.is_direct || (files != nullptr && files[part].is_past_cache);
#endif
    }
    return seen;
  }

  /// The number of threads, and how many direct reads each has in flight.
  [[nodiscard]] unsigned choose_threads(const load_plan& plan, load_work& work) const noexcept {
    if (plan.batches.size() < 2) return static_cast<unsigned>(plan.batches.size()); // whatever the machine has
    const auto [waits, is_direct] = look_at_parts(work.files);
    unsigned in_flight = options_.requests_in_flight == 0 ? 16 : options_.requests_in_flight;
    if (in_flight > most_in_flight) in_flight = most_in_flight;
    const bool has_ring = STET_SOURCE_IO_RING && options_.io_ring && is_direct;
    const unsigned processors = processor_count();
    unsigned threads = options_.thread_count;
    if (threads == 0)
      threads = is_direct && !has_ring ? in_flight : waits && !has_ring && processors < 8 ? 8 : processors;
    // Starting a thread takes as long as copying this.
    constexpr std::uint64_t least_bytes = std::uint64_t{1} << 20;
    const std::uint64_t worthwhile = 1 + plan.all_bytes / least_bytes;
    if (!waits && threads > worthwhile) threads = static_cast<unsigned>(worthwhile);
    if (threads > most_threads) threads = most_threads;
    if (threads > plan.batches.size()) threads = static_cast<unsigned>(plan.batches.size());
    if (has_ring && threads != 0) work.depth = (in_flight + threads - 1) / threads;
    return threads;
  }

  /// Whether a device, or a reader of the program, has to be waited for, as far as the part of item number `first` is concerned.
  [[nodiscard]] bool has_to_wait(std::size_t first, [[maybe_unused]] const load_file* files) const noexcept {
    const load_item& item = items_[first];
    const source& from = from_.tensor_file(item.part);
#if STET_FILES
    if (files != nullptr && files[item.part].streamed.from != nullptr)
      return !is_cache_told || files[item.part].is_cold;
    if (from.is_mapped()) {
      std::size_t last = first;
      while (last + 1 < items_.size() && items_[last + 1].part == item.part) ++last;
      const std::uint64_t end = items_[last].offset_bytes + items_[last].size_bytes;
      const std::byte* const begin = from.data() + static_cast<std::size_t>(item.offset_bytes);
      return !is_cache_told || (end > item.offset_bytes && is_mostly_uncached(begin, end - item.offset_bytes));
    }
#endif
    return from.data() == nullptr;
  }

  const store& from_;
  const load_options& options_;
  plan_array<load_item> items_;
  std::size_t request_bytes_;
  bool is_any_looked_at_ = false;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
