// SPDX-License-Identifier: MIT
// What can go wrong: a stable number, a sentence, and what it is about.
#ifndef STET_VOCABULARY_ERROR_HPP
#define STET_VOCABULARY_ERROR_HPP

#include "config.hpp"

#include "detail/spans.hpp"
#include "detail/system_reason.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stet::inline STET_NAMESPACE {

/// Every way a call of stet can fail. The numbers never change meaning; new ones are added within their range, whose
/// `error_category` is the hundreds of the number. `error_table` gives each its name and sentence.
enum class errc : std::uint16_t {
  // 1xx: the call does not fit the store or the program's memory
  not_found = 100,
  dtype_mismatch = 101,
  shape_mismatch = 102,
  size_mismatch = 103,
  buffer_too_small = 104,
  misaligned = 105,
  wrong_byte_order = 106,
  not_resident = 107,
  read_only = 108,
  not_convertible = 109,
  bad_value = 110,
  binding_failed = 111,
  unsupported = 112,
  invalid_argument = 113,
  out_of_memory = 114,
  packed = 115,
  unpadded = 116,
  cancelled = 117,

  // 2xx: the operating system
  file_not_found = 200,
  access_denied = 201,
  not_a_regular_file = 202,
  io_error = 203,
  no_space = 204,
  bad_path = 205,
  file_exists = 206,
  bad_range = 207,
  locked = 208,
  not_durable = 209,
  changed = 210,
  unreachable = 211,
  bad_response = 212,
  no_ranges = 213,
  rank_lost = 214,

  // 3xx: the frame of a file
  truncated = 300,
  bad_magic = 301,
  newer_format = 302,
  bad_header = 303,
  header_checksum = 304,
  bad_alignment = 305,
  trailing_bytes = 306,
  bad_section = 307,
  no_index = 308,
  nonzero_padding = 309,

  // 4xx: the table of tensors
  index_checksum = 400,
  bad_index = 401,
  bad_name = 402,
  duplicate_name = 403,
  unknown_dtype = 404,
  bad_shape = 405,
  bad_size = 406,
  bad_offset = 407,
  overlap = 408,
  bad_alias = 409,
  bad_hash_table = 410,
  too_large = 411,

  // 5xx: the manifest
  manifest_checksum = 500,
  bad_json = 501,
  too_deep = 502,
  duplicate_key = 503,
  bad_number = 504,
  missing_field = 505,
  wrong_type = 506,
  bad_checksum_field = 507,
  bad_quantization = 508,
  manifest_mismatch = 509,
  bad_graph = 510,

  // 6xx: parts of a sharded or loose store
  missing_part = 600,
  part_size = 601,
  part_mismatch = 602,
  duplicate_part = 603,
  missing_base = 604,
  outdated = 605,

  // 7xx: the bytes of a tensor
  checksum_mismatch = 700,
  no_checksum = 701,
  bad_string_table = 702,

  // 8xx: writing
  source_too_short = 800,
  source_too_long = 801,
  source_failed = 802,
  not_expressible = 803,

  // 9xx: files of other formats
  unknown_format = 900,
  bad_protobuf = 901,
  bad_table = 902,
  table_checksum = 903,
  bad_compression = 904,
  bad_slice = 905,
  bad_state_file = 906,
  compressed = 907,
  bad_archive = 908,
  bad_hdf5 = 909,
  external_data = 910,
  malformed = 911,
};

/// What an error is about. The order is that of the numbers: up to `system` no file is at fault.
enum class error_category : std::uint8_t {
  none = 0,     ///< `errc{}`: success
  call = 1,     ///< the call does not fit the store or the program's memory
  system = 2,   ///< the operating system
  frame = 3,    ///< the frame of a file
  index = 4,    ///< the table of tensors
  manifest = 5, ///< the manifest
  parts = 6,    ///< parts of a sharded or loose store
  bytes = 7,    ///< the bytes of a tensor
  writing = 8,  ///< writing
  format = 9,   ///< files of other formats
};

/// The category of a code.
constexpr error_category category_of(errc code) noexcept {
  return static_cast<error_category>(static_cast<std::uint16_t>(code) / 100);
}

/// One row of `error_table`.
struct error_description {
  /// The code.
  errc code;
  /// The name of the enumerator.
  const char* name;
  /// A sentence.
  const char* message;
};

/// Every error with its name and one sentence that tells a person what it means: `errc{}` first, then every code in
/// ascending order, and last the row for all numbers that this version does not know.
inline constexpr error_description error_table[] = {
    {errc{}, "ok", "ok"},
    {errc::not_found, "not_found", "no tensor has this name"},
    {errc::dtype_mismatch, "dtype_mismatch", "the tensor has another dtype"},
    {errc::shape_mismatch, "shape_mismatch", "the tensor has another shape"},
    {errc::size_mismatch, "size_mismatch", "the sizes differ"},
    {errc::buffer_too_small, "buffer_too_small", "the destination is too small"},
    {errc::misaligned, "misaligned",
     "the bytes are not aligned for this type; copy_to, bind_model with copy_into or opening with backing::read give "
     "them"},
    {errc::wrong_byte_order, "wrong_byte_order", "the bytes have the other byte order; copy_to swaps them"},
    {errc::not_resident, "not_resident", "the bytes are not in memory; copy_to fetches them"},
    {errc::read_only, "read_only", "the store was opened read-only"},
    {errc::not_convertible, "not_convertible", "no conversion exists between these dtypes"},
    {errc::bad_value, "bad_value", "a stored value is not one of its type"},
    {errc::binding_failed, "binding_failed", "the store does not fit the model"},
    {errc::unsupported, "unsupported", "not supported here"},
    {errc::invalid_argument, "invalid_argument", "an argument is not valid"},
    {errc::out_of_memory, "out_of_memory", "memory is exhausted"},
    {errc::packed, "packed", "the elements are packed below a byte; as_packed views them, copy_to unpacks them"},
    {errc::unpadded, "unpadded", "too few bytes behind the tensor may be read; store::load copies it with padding"},
    {errc::cancelled, "cancelled", "the program cancelled the call"},
    {errc::file_not_found, "file_not_found", "no such file"},
    {errc::access_denied, "access_denied", "the file may not be accessed"},
    {errc::not_a_regular_file, "not_a_regular_file", "not a regular file"},
    {errc::io_error, "io_error", "the operating system reports an input/output error"},
    {errc::no_space, "no_space", "no space is left on the device"},
    {errc::bad_path, "bad_path", "this path may not be used here"},
    {errc::file_exists, "file_exists", "the file exists already"},
    {errc::bad_range, "bad_range", "the range does not lie within the file"},
    {errc::locked, "locked", "another writer holds the lock"},
    {errc::not_durable, "not_durable", "published, but its folder could not be synced; a power loss may take it back"},
    {errc::changed, "changed", "the file was replaced while it was open; open it again"},
    {errc::unreachable, "unreachable", "the server cannot be reached, or does not answer"},
    {errc::bad_response, "bad_response", "the server's answer is not what was asked for"},
    {errc::no_ranges, "no_ranges", "the server gives whole files only; download the file and open that"},
    {errc::rank_lost, "rank_lost", "another rank has ended, or cannot be reached"},
    {errc::truncated, "truncated", "the file is shorter than it says"},
    {errc::bad_magic, "bad_magic", "not a stet file"},
    {errc::newer_format, "newer_format", "the file needs a newer version of stet; update the library"},
    {errc::bad_header, "bad_header", "the header contradicts itself"},
    {errc::header_checksum, "header_checksum", "the header is damaged"},
    {errc::bad_alignment, "bad_alignment", "the alignment is not a power of two from 1 to 65536"},
    {errc::trailing_bytes, "trailing_bytes", "the file is longer than it says"},
    {errc::bad_section, "bad_section", "a section lies outside its place"},
    {errc::no_index, "no_index",
     "the file has no index; open it with open_options::read_manifest of stet/manifest.hpp"},
    {errc::nonzero_padding, "nonzero_padding", "bytes that must be zero are not"},
    {errc::index_checksum, "index_checksum", "the index is damaged"},
    {errc::bad_index, "bad_index", "the index contradicts itself"},
    {errc::bad_name, "bad_name", "a name is empty, too long, not UTF-8, or holds a NUL"},
    {errc::duplicate_name, "duplicate_name", "two tensors have the same name"},
    {errc::unknown_dtype, "unknown_dtype", "the dtype is not known"},
    {errc::bad_shape, "bad_shape", "the shape has a negative extent or too many dimensions, or its size overflows"},
    {errc::bad_size, "bad_size", "the size is not that of the shape and dtype"},
    {errc::bad_offset, "bad_offset", "the offset is misaligned or outside the data"},
    {errc::overlap, "overlap", "two tensors overlap or are out of order"},
    {errc::bad_alias, "bad_alias", "the alias does not name an earlier tensor with the same dtype, shape and place"},
    {errc::bad_hash_table, "bad_hash_table", "the hash table does not lead to every name"},
    {errc::too_large, "too_large", "larger than a limit of this reader"},
    {errc::manifest_checksum, "manifest_checksum", "the manifest is damaged"},
    {errc::bad_json, "bad_json", "the text is not valid JSON"},
    {errc::too_deep, "too_deep", "the contents are nested too deeply"},
    {errc::duplicate_key, "duplicate_key", "a key occurs twice in one object of the JSON"},
    {errc::bad_number, "bad_number", "a number of the JSON is not an unsigned 64-bit integer where one is due"},
    {errc::missing_field, "missing_field", "a field of the JSON is missing"},
    {errc::wrong_type, "wrong_type", "a field has the wrong JSON type"},
    {errc::bad_checksum_field, "bad_checksum_field",
     "a checksum of the manifest is not 8 lower-case hexadecimal digits"},
    {errc::bad_quantization, "bad_quantization", "the quantization does not fit its tensor"},
    {errc::manifest_mismatch, "manifest_mismatch", "the index does not say what the manifest says"},
    {errc::bad_graph, "bad_graph", "the graph is not valid"},
    {errc::missing_part, "missing_part", "a part of the store is missing"},
    {errc::part_size, "part_size", "a part of the store has another size than the manifest says"},
    {errc::part_mismatch, "part_mismatch", "a part belongs to another store or to an older save"},
    {errc::duplicate_part, "duplicate_part", "two parts of the store are the same file"},
    {errc::missing_base, "missing_base", "the file is a delta and its base is missing"},
    {errc::outdated, "outdated", "the file was made of other sources or in another way; it has to be made again"},
    {errc::checksum_mismatch, "checksum_mismatch", "the bytes of the tensor are damaged"},
    {errc::no_checksum, "no_checksum", "the tensor has no checksum to verify"},
    {errc::bad_string_table, "bad_string_table", "the offsets of the string tensor are not valid"},
    {errc::source_too_short, "source_too_short", "the source gave fewer bytes than the tensor has"},
    {errc::source_too_long, "source_too_long", "the source gave more bytes than the tensor has"},
    {errc::source_failed, "source_failed", "the source of a tensor's bytes failed"},
    {errc::not_expressible, "not_expressible", "the format to be written cannot express this"},
    {errc::unknown_format, "unknown_format", "not a format that is known here"},
    {errc::bad_protobuf, "bad_protobuf", "a message is not valid in the protocol buffers' encoding"},
    {errc::bad_table, "bad_table", "the sorted table contradicts itself"},
    {errc::table_checksum, "table_checksum", "a block of the sorted table is damaged"},
    {errc::bad_compression, "bad_compression", "compressed bytes are not valid"},
    {errc::bad_slice, "bad_slice", "the slices do not make up the tensor"},
    {errc::bad_state_file, "bad_state_file", "the state file of the folder is not valid"},
    {errc::compressed, "compressed",
     "the bytes are deflated: include <zlib.h> and <stet/ext/zlib.hpp>, and set open_options::inflate to "
     "stet::inflate_with_zlib"},
    {errc::bad_archive, "bad_archive", "the archive contradicts itself"},
    {errc::bad_hdf5, "bad_hdf5", "the HDF5 file contradicts itself"},
    {errc::external_data, "external_data", "the data is stored in another file, which is not opened"},
    {errc::malformed, "malformed", "the file is not valid in its format"},
    {static_cast<errc>(0xFFFF), "unknown", "an error that this version of stet does not know"},
};

/// The row of `error_table` for `code`. Cost: a walk over the table, no allocation.
constexpr const error_description& describe(errc code) noexcept {
  // No loop over a range here: Clang 19 gives its hidden variables other names in a module, and takes them for another body.
  constexpr std::size_t last = sizeof error_table / sizeof *error_table - 1;
  for (std::size_t row = 0; row < last; ++row) {
    if (error_table[row].code == code) return error_table[row];
  }
  return error_table[last];
}

namespace detail {

/// Whether `c` continues a UTF-8 character, so that text cannot be cut before it.
constexpr bool is_utf8_continuation(char c) noexcept { return (static_cast<unsigned char>(c) & 0xC0u) == 0x80u; }

} // namespace detail

/// Writes text into a caller's buffer and drops, at a character boundary, what does not fit. Allocates nothing.
class text_writer {
public:
  /// Writes into `capacity` bytes at `buffer`, which must outlive the writer.
  constexpr text_writer(char* buffer, std::size_t capacity) noexcept : buffer_(buffer), capacity_(capacity) {}

  /// Appends UTF-8 text.
  constexpr text_writer& append(std::string_view text) noexcept {
    std::size_t count = text.size();
    if (count > capacity_ - size_) {
      count = capacity_ - size_;
      while (count > 0 && detail::is_utf8_continuation(text[count])) --count;
      capacity_ = size_ + count; // nothing may follow a gap
    }
    for (std::size_t i = 0; i < count; ++i) buffer_[size_ + i] = text[i];
    size_ += count;
    return *this;
  }

  /// Appends an unsigned integer in decimal.
  constexpr text_writer& append(std::uint64_t value) noexcept {
    char digits[20];
    std::size_t first = sizeof digits;
    do digits[--first] = static_cast<char>('0' + value % 10);
    while ((value /= 10) != 0);
    return append(detail::text_at(digits + first, sizeof digits - first));
  }

  /// Appends text that came from a file: control characters, which could command a terminal, become `\xNN`.
  constexpr text_writer& append_escaped(std::string_view text) noexcept {
    constexpr char hex[] = "0123456789abcdef";
    std::size_t plain = 0;
    const auto append_plain = [&](std::size_t end) {
      append({text.data() + plain, end - plain});
    }; // substr could throw
    for (std::size_t i = 0; i < text.size(); ++i) {
      const unsigned char c = static_cast<unsigned char>(text[i]);
      const bool c1 = c == 0xC2u && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0u;
      if (c >= 0x20u && c != 0x7Fu && !c1) continue;
      append_plain(i);
      const unsigned char shown = c1 ? static_cast<unsigned char>(text[++i]) : c;
      const char escape[] = {'\\', 'x', hex[shown >> 4], hex[shown & 15u]};
      append(detail::text_at(escape, sizeof escape));
      plain = i + 1;
    }
    append_plain(text.size());
    return *this;
  }

  /// What has been written so far; lives as long as the buffer.
  [[nodiscard]] constexpr std::string_view text() const noexcept { return detail::text_at(buffer_, size_); }

private:
  char* buffer_;
  std::size_t capacity_;
  std::size_t size_ = 0;
};

namespace detail {

/// Appends `text`, or where it is longer than `max_bytes` (at least 10) its first third and its end, with "…" between: paths and
/// names differ at the end.
constexpr void append_shortened(text_writer& out, std::string_view text, std::size_t max_bytes) noexcept {
  if (text.size() > max_bytes) {
    constexpr std::string_view ellipsis = "\xE2\x80\xA6";
    std::size_t head = (max_bytes - ellipsis.size()) / 3;
    while (head > 0 && is_utf8_continuation(text[head])) --head;
    std::size_t tail = text.size() - (max_bytes - head - ellipsis.size());
    while (tail < text.size() && is_utf8_continuation(text[tail])) ++tail;
    out.append(text_at(text.data(), head)).append(ellipsis);
    text = text_at(text.data() + tail, text.size() - tail);
  }
  out.append(text);
}

} // namespace detail

/// What failed, and what about: the tensor, path or field, and the byte offset in the file where one is known.
/// A plain value without allocation; safe to copy between threads.
class error {
public:
  /// A longer subject keeps its first 30 bytes and its end, with "…" between: paths and names differ at the end.
  static constexpr std::size_t max_subject_bytes = 95;
  /// The size of a buffer that holds every line of `print`: a subject escaped, the longest sentence, two numbers and a NUL.
  static constexpr std::size_t max_text_bytes = 640;
  /// `offset_bytes()` of an error that is not about a place in a file.
  static constexpr std::uint64_t no_offset = ~std::uint64_t{0};

  /// An error about `subject` (a tensor's name, a path, a field), at byte `offset_bytes` of the file.
  constexpr error(errc code, std::string_view subject = {}, std::uint64_t offset_bytes = no_offset) noexcept
      : offset_bytes_(offset_bytes), code_(code) {
    text_writer writer(subject_, max_subject_bytes);
    detail::append_shortened(writer, subject, max_subject_bytes);
    subject_size_bytes_ = static_cast<std::uint8_t>(writer.text().size());
  }

  /// The stable number.
  [[nodiscard]] constexpr errc code() const noexcept { return code_; }
  /// What kind of error it is: `failure.category() == error_category::system`.
  [[nodiscard]] constexpr error_category category() const noexcept { return category_of(code_); }
  /// What the error is about, as it stands in the file; may be empty. Lives as long as this error.
  [[nodiscard]] constexpr std::string_view subject() const noexcept {
    return detail::text_at(subject_, subject_size_bytes_);
  }
  /// The byte of the file that the error is about, or `no_offset`.
  [[nodiscard]] constexpr std::uint64_t offset_bytes() const noexcept { return offset_bytes_; }
  /// The operating system's own number (errno, GetLastError), or 0.
  [[nodiscard]] constexpr std::int32_t system_code() const noexcept { return system_code_; }
  /// The fixed sentence that belongs to the code; static storage.
  [[nodiscard]] constexpr std::string_view message() const noexcept { return describe(code_).message; }

  /// The same error with the operating system's number.
  [[nodiscard]] constexpr error with_system_code(std::int32_t system_code) const noexcept {
    error copy = *this;
    copy.system_code_ = system_code;
    return copy;
  }
  /// The same error about `subject`.
  [[nodiscard]] constexpr error about(std::string_view subject) const noexcept {
    return error(code_, subject, offset_bytes_).with_system_code(system_code_);
  }

  /// Writes one line for a person, "SUBJECT: sentence (at byte N) (system error N: reason)", control characters escaped.
  /// The reason is left out where the system's number is not a common one.
  /// A NUL follows the text, so `buffer` can be passed to C functions. Text that does not fit is cut at a character boundary.
  /// @param capacity  the size of `buffer` in bytes, the NUL included; `max_text_bytes` always suffice
  /// @return the text without the NUL; lives as long as `buffer`
  constexpr std::string_view print(char* buffer, std::size_t capacity) const noexcept {
    if (capacity == 0) return {};
    text_writer out(buffer, capacity - 1);
    if (subject_size_bytes_ != 0) out.append_escaped(subject()).append(": ");
    out.append(message());
    if (offset_bytes_ != no_offset) out.append(" (at byte ").append(offset_bytes_).append(")");
    if (system_code_ != 0) {
      out.append(" (system error ").append(static_cast<std::uint64_t>(static_cast<std::uint32_t>(system_code_)));
      const char* const reason = detail::reason_of(system_code_);
      if (*reason != '\0') out.append(": ").append(reason);
      out.append(")");
    }
    buffer[out.text().size()] = '\0';
    return out.text();
  }

  /// Whether the error has this code.
  [[nodiscard]] friend constexpr bool operator==(const error& of, errc code) noexcept { return of.code_ == code; }

  /// Writes the line of `print` to a stream: std::ostream or anything else that takes a std::string_view.
  template <class Out> friend Out& operator<<(Out& out, const error& shown) {
    char text[max_text_bytes];
    out << shown.print(text, sizeof text);
    return out;
  }

private:
  std::uint64_t offset_bytes_;
  std::int32_t system_code_ = 0;
  errc code_;
  std::uint8_t subject_size_bytes_ = 0;
  char subject_[max_subject_bytes] = {};
};

/// The line of `error::print` as a value of its own, without the heap: `std::puts(to_text(failure).c_str())`.
class error_text {
public:
  /// The line of an error.
  constexpr explicit error_text(const error& shown) noexcept { size_ = shown.print(text_, sizeof text_).size(); }
  /// The text with a NUL behind it; lives as long as this object.
  [[nodiscard]] constexpr const char* c_str() const noexcept { return text_; }
  /// The text; lives as long as this object.
  [[nodiscard]] constexpr operator std::string_view() const noexcept { return detail::text_at(text_, size_); }

private:
  char text_[error::max_text_bytes] = {};
  std::size_t size_ = 0;
};

/// One line for a person, as `error::print` writes it.
[[nodiscard]] constexpr error_text to_text(const error& shown) noexcept { return error_text(shown); }

} // namespace stet::inline STET_NAMESPACE

#endif
