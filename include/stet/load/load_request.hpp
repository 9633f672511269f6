// SPDX-License-Identifier: MIT
// What to load and where to, how, and what became of it: the arguments of `load`.
#ifndef STET_LOAD_LOAD_REQUEST_HPP
#define STET_LOAD_LOAD_REQUEST_HPP

#include "../source/memory.hpp"
#include "../store/copy_elements.hpp"
#include "../store/store.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace stet::inline STET_NAMESPACE {

namespace detail {
class block_loader;
class load_outcomes;
class load_run;
class load_worker;
/// Whether elements of another dtype are converted.
enum class loaded_as : std::uint8_t { same_dtype, any_dtype };

/// A run of a tensor's bytes that has been read, as a reader of the tensor's file.
class read_run final : public byte_reader {
public:
  read_run(std::uint64_t offset_bytes, std::span<const std::byte> bytes) noexcept
      : offset_bytes_(offset_bytes), bytes_(bytes) {}
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return offset_bytes_ + bytes_.size(); }
  [[nodiscard]] result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    if (offset_bytes < offset_bytes_ || !range_fits(offset_bytes - offset_bytes_, into.size(), bytes_.size()))
      return errc::bad_range;
    const auto at = static_cast<std::size_t>(offset_bytes - offset_bytes_);
    if (!into.empty()) std::memcpy(into.data(), bytes_.data() + at, into.size());
    return {};
  }

private:
  std::uint64_t offset_bytes_;
  std::span<const std::byte> bytes_;
};

} // namespace detail

/// A tensor that `load` is to bring somewhere, and what became of it.
class load_request {
public:
  /// Into the system's memory only, ahead of use: the pages of a mapping, as `prefetch` brings them. With
  /// `load_options::verify_checksums`, the bytes are compared on the way, wherever they are.
  /// @param of  a tensor of the store that is loaded from
  explicit load_request(const tensor& of) noexcept : of_(of) {}

  /// To `into`, elements as the program uses them: unpacked, in this machine's byte order.
  /// @param into  as many elements as the tensor has, or more; valid until the call has returned
  /// Outcomes: errc::dtype_mismatch, buffer_too_small, bad_value, as of `tensor::copy_to`
  template <element T>
    requires(!std::is_const_v<T>)
  load_request(const tensor& of, std::span<T> into) noexcept : load_request(of, into, detail::loaded_as::same_dtype) {}
  /// The same, and elements of another dtype are converted, by the rules of bytes/detail/convert.hpp.
  /// Outcomes: errc::not_convertible, buffer_too_small, bad_value
  template <element T>
    requires(!std::is_const_v<T>)
  load_request(const tensor& of, std::span<T> into, convert_t) noexcept
      : load_request(of, into, detail::loaded_as::any_dtype) {}
  /// The same, and `conversion` makes the elements, a run at a time: `stet::dequantize<float>` of formats/gguf/dequantize.hpp.
  /// Outcomes: errc::buffer_too_small, and those of the conversion
  template <element T>
    requires(!std::is_const_v<T>)
  load_request(const tensor& of, std::span<T> into,
               result<void> (*conversion)(const tensor&, std::span<T>, std::uint64_t first_element) noexcept) noexcept
      : of_(of), into_(reinterpret_cast<std::byte*>(into.data())), element_bytes_(sizeof(T)),
        function_(reinterpret_cast<void (*)()>(conversion)),
        convert_([](const load_request& by, const tensor& from, std::span<std::byte> to, std::uint64_t first) noexcept {
          const auto call =
              reinterpret_cast<result<void> (*)(const tensor&, std::span<T>, std::uint64_t) noexcept>(by.function_);
          return call(from, std::span<T>(reinterpret_cast<T*>(to.data()), to.size() / sizeof(T)), first);
        }) {
    require_room(into.size());
  }
  /// To `into`, elements of the C++ type of `as`, converted if that is not the tensor's dtype: `copy_elements`.
  /// Outcomes: errc::not_convertible, buffer_too_small, bad_value
  load_request(const tensor& of, std::span<std::byte> into, stet::dtype as) noexcept
      : load_request(of, into.data(), as, (std::size_t{describe(as).bits} + 7) / 8) {
    if (element_bytes_ != 0) require_room(into.size() / element_bytes_);
  }
  /// To `into`, the bytes as they are stored, of any dtype.
  /// Outcomes: errc::buffer_too_small
  load_request(const tensor& of, std::span<std::byte> into) noexcept : of_(of), into_(into.data()) {
    if (into.size() < of.size_bytes()) outcome_ = error(errc::buffer_too_small, of.name());
  }

  /// To `into`, as many bytes of the tensor as it has room for, as they are stored, from `offset_bytes` of the tensor on. They are compared
  /// with no checksum.
  /// Outcomes: errc::bad_range if the tensor has not so many
  load_request(const tensor& of, std::uint64_t offset_bytes, std::span<std::byte> into) noexcept
      : of_(of), into_(into.data()), first_byte_(offset_bytes), size_bytes_(into.size()) {
    if (!detail::range_fits(offset_bytes, into.size(), of.size_bytes())) outcome_ = error(errc::bad_range, of.name());
  }

  /// The tensor.
  [[nodiscard]] const tensor& of() const noexcept { return of_; }
  /// What became of it: it is loaded, or why not. Before `load` has returned, or called the observer for it: of no meaning.
  [[nodiscard]] const result<void>& outcome() const noexcept { return outcome_; }

private:
  friend class detail::block_loader;
  friend class detail::load_outcomes;
  friend class detail::load_run;
  friend class detail::load_worker;

  // What the loader asks of a request.

  /// Whether bytes are brought anywhere.
  [[nodiscard]] bool is_copied() const noexcept { return into_ != nullptr; }
  /// Where the bytes go as they are; nullptr if they do not.
  [[nodiscard]] std::byte* place() const noexcept { return convert_ == nullptr ? into_ : nullptr; }
  /// The part of the store with the bytes, where they begin in it, and how many they are.
  [[nodiscard]] std::uint32_t part() const noexcept { return part_; }
  [[nodiscard]] std::uint64_t offset_bytes() const noexcept { return begin_bytes_ + first_byte_; }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }
  /// Whether there is a checksum of these bytes.
  [[nodiscard]] bool has_crc32c() const noexcept {
    return of_.entry().has_crc32c() && size_bytes_ == of_.size_bytes() && !is_elsewhere_;
  }
  /// So many bytes of the tensor are dealt with together, or a multiple of them.
  [[nodiscard]] std::uint64_t unit_bytes() const noexcept {
    const element_layout& layout = of_.layout();
    if (convert_ == nullptr) return 1;
    return layout.bits != 0 ? layout.bits : layout.block.size_bytes != 0 ? layout.block.size_bytes : of_.size_bytes();
  }
  /// Brings a run of the bytes, from byte `offset_bytes` of them on, to its place.
  [[nodiscard]] result<void> take(std::uint64_t offset_bytes, std::span<const std::byte> bytes) const noexcept {
    if (convert_ != nullptr) return convert_run(offset_bytes, bytes);
    if (into_ == nullptr) return {};
    std::byte* const to = into_ + static_cast<std::size_t>(offset_bytes);
    if (to != bytes.data()) std::memcpy(to, bytes.data(), bytes.size());
    return {};
  }

  /// To `into`, bytes of the tensor that are elsewhere: in part `part` of the store from `begin_bytes` on. The caller has checked that.
  load_request(const tensor& of, std::uint32_t part, std::uint64_t begin_bytes, std::span<std::byte> into) noexcept
      : of_(of), into_(into.data()), part_(part), begin_bytes_(begin_bytes), size_bytes_(into.size()),
        is_elsewhere_(true) {}

  using convert_function = result<void> (*)(const load_request&, const tensor&, std::span<std::byte>,
                                            std::uint64_t) noexcept;

  template <element T>
  load_request(const tensor& of, std::span<T> into, detail::loaded_as how) noexcept
      : load_request(of, reinterpret_cast<std::byte*>(into.data()), dtype_of<T>::value, sizeof(T)) {
    if (of.dtype() != as_ && how == detail::loaded_as::same_dtype) outcome_ = error(errc::dtype_mismatch, of.name());
    require_room(into.size());
  }
  load_request(const tensor& of, std::byte* into, stet::dtype as, std::size_t element_bytes) noexcept
      : of_(of), into_(into), element_bytes_(element_bytes), as_(as) {
    const bool is_swapped =
        describe(as).word_size_bytes > 1 && of.entry().is_big_endian() == detail::host_is_little_endian;
    if (of.dtype() == as && of.layout().bits == element_bytes * 8 && !is_swapped && as != dtype::boolean) return;
    convert_ = [](const load_request& by, const tensor& from, std::span<std::byte> to, std::uint64_t first) noexcept {
      return copy_elements(from, by.as_, to, first);
    };
  }

  [[nodiscard]] result<void> convert_run(std::uint64_t offset_bytes, std::span<const std::byte> bytes) const noexcept {
    const element_layout& layout = of_.layout();
    const std::uint64_t unit_elements = layout.bits != 0 ? 8 : layout.block.element_count;
    const std::uint64_t first = offset_bytes / unit_bytes() * unit_elements;
    std::uint64_t count = (bytes.size() + unit_bytes() - 1) / unit_bytes() * unit_elements;
    if (count > of_.element_count() - first) count = of_.element_count() - first;
    const std::span<std::byte> to(into_ + static_cast<std::size_t>(first) * element_bytes_,
                                  static_cast<std::size_t>(count) * element_bytes_);
    if (of_.bytes().size() == of_.size_bytes()) return convert_(*this, of_, to, first);
    const detail::read_run read(of_.entry().offset_bytes() + offset_bytes, bytes);
    return convert_(*this, of_.delivered_by(read), to, first);
  }

  void require_room(std::size_t element_count) noexcept {
    if (outcome_ && element_count < of_.element_count()) outcome_ = error(errc::buffer_too_small, of_.name());
  }

  tensor of_;
  std::byte* into_ = nullptr;
  std::uint32_t part_ = of_.entry().part();
  std::uint64_t begin_bytes_ = of_.entry().offset_bytes(), first_byte_ = 0, size_bytes_ = of_.size_bytes();
  std::size_t element_bytes_ = 1;
  dtype as_{};
  void (*function_)() = nullptr;
  /// Brings elements from `first` on to their places; nullptr: bytes go as they are.
  convert_function convert_ = nullptr;
  bool is_elsewhere_ = false;
  result<void> outcome_;
};

/// What a program learns while `load` runs. Derive from it. The functions are called from threads of `load`, one at a time.
class load_observer {
public:
  /// A request has ended; its outcome is known, and `load` uses it no more.
  virtual void ended([[maybe_unused]] load_request& request) noexcept {}
  /// So many bytes of so many that are to be read have been dealt with.
  virtual void progressed([[maybe_unused]] std::uint64_t done_bytes,
                          [[maybe_unused]] std::uint64_t all_bytes) noexcept {}

protected:
  load_observer() noexcept = default;
  load_observer(const load_observer&) noexcept = default;
  load_observer& operator=(const load_observer&) noexcept = default;
  ~load_observer() noexcept = default;
};

/// Whether bytes are read past the system's cache.
enum class direct_reads : std::uint8_t {
  /// If that is faster, which was measured: for at least 32 MiB of streamed files, most of which are not in the cache.
  when_cold,
  never,
  /// Wherever the system can.
  always,
};

/// How to load.
struct load_options {
  /// How many threads read, at most 64. 0: eight, or as many as the machine has processors where that is more, if files are read; as many
  /// as processors where the bytes are in memory. Fewer where the system has no more to give.
  unsigned thread_count = 0;
  /// The size of a read, rounded up to 4096, at most 1 GiB. 0: 1 MiB, or 64 MiB for a `prefetch` of what the system has in its cache; so
  /// much, and two pages, is the memory that each read in flight takes, unless the bytes go straight to their places.
  std::size_t request_size_bytes = 0;
  /// How many reads are in flight past the cache, at most 64. 0: 16.
  unsigned requests_in_flight = 0;
  /// Whether streamed files are read past the system's cache: `backing::stream` streams them. What is read so does not stay there for
  /// the next program.
  direct_reads direct = direct_reads::when_cold;
  /// Whether io_uring may be used for that, where the kernel has it; else threads do.
  bool io_ring = true;
  /// Compares the checksum of each tensor that has one. Those that have none and are not in memory are read all the same, since their
  /// readers may find out that they are damaged.
  bool verify_checksums = false;
  /// Whether tensors are read, and end, in the order of the requests. Else they are read in the order of the files, and end in any.
  bool in_order = false;
  /// Is told of what has ended; nullptr: nobody.
  load_observer* observer = nullptr;
  /// Ends the call early once it is true: reads in flight are waited for, what is left is errc::cancelled. nullptr: never.
  const std::atomic<bool>* cancel = nullptr;
  /// Where memory comes from: for the plan (about 100 bytes for each tensor, and for each read), for reads, and for what
  /// `load_all` loads. nullptr: from the heap; of large blocks there the pages are large ones.
  memory_resource* memory = nullptr;
};

/// What a load did.
struct load_report {
  /// Requests that were carried out.
  std::size_t loaded_count = 0;
  /// Requests that failed.
  std::size_t failed_count = 0;
  /// Bytes of tensors that were read.
  std::uint64_t size_bytes = 0;
  /// Reads that they took.
  std::uint64_t read_count = 0;
  /// How many of the reads went past the system's cache.
  std::uint64_t direct_read_count = 0;
};

/// Tensors in memory of their own, that `load_all` brought there. Move-only; tensors stay valid when it is moved. The store has to stay
/// open.
class loaded_tensors {
public:
  /// A `result` of this type gives no access to its value where it is a temporary.
  using owns_views = void;

  /// The tensor called `name`, which may be written to; it lives as long as this object. Bytes are as stored: `copy_to` unpacks and swaps.
  /// @retval errc::not_found  it was not loaded
  [[nodiscard]] result<tensor> find(std::string_view name) const noexcept {
    const index_entry entry = from_->index().find(name);
    if (!entry || place_of(entry) == nullptr) return error(errc::not_found, name);
    return tensor(from_->index(), entry, place_of(entry), true, nullptr);
  }
  /// The elements of the tensor called `name`, in place. Errors: those of `find` and `tensor::as`.
  template <element T> [[nodiscard]] result<std::span<const T>> get(std::string_view name) const noexcept {
    const result<tensor> found = find(name);
    if (!found) return found.error();
    return found->as<T>();
  }
  /// The tensor called `name` in place, with its extents, as `store::view`. Errors: those of `find` and `tensor::as_view`.
  template <class T, std::size_t... Extents>
    requires element<T>
  [[nodiscard]] result<stet::view<const T, Extents...>> view(std::string_view name) const noexcept {
    const result<tensor> found = find(name);
    if (!found) return found.error();
    return found->as_view<const T, Extents...>();
  }
  /// All the bytes, with what lies between the tensors.
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return arena_.size_bytes(); }

  /// What `load_all` does; nullptr: all tensors.
  [[nodiscard]] static result<loaded_tensors> load(const store& from, const std::span<const std::string_view>* names,
                                                   const load_options& options, load_report* report) noexcept;

private:
  [[nodiscard]] std::byte*& place_of(index_entry entry) const noexcept {
    return static_cast<std::byte**>(places_.get())[entry.number()];
  }

  const store* from_ = nullptr;
  source arena_;
  detail::owned_block places_; // a pointer for each tensor of the store, nullptr for those that were not loaded
};

} // namespace stet::inline STET_NAMESPACE

#endif
