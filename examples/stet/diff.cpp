// SPDX-License-Identifier: MIT
// `stet diff`: the differences between the tensors of two models.
#include "chunk.hpp"
#include "commands.hpp"
#include "model.hpp"

#include <stet/store/copy_elements.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace command {

namespace {

/// One line of the table.
struct row {
  std::string what, detail;
  std::string_view name;
};

/// The differences between the elements of two tensors of the same shape.
struct element_differences {
  std::uint64_t count = 0;
  /// Those where one element is NaN; they are not in the figures below.
  std::uint64_t nan_count = 0;
  double max_absolute = 0, max_relative = 0;
};

/// The absolute difference of two elements, and the magnitude of the larger.
struct distance {
  double absolute, magnitude;
};
distance between(double a, double b) { return {std::abs(a - b), (std::max)(std::abs(a), std::abs(b))}; }
distance between(stet::complex128 a, stet::complex128 b) {
  return {std::hypot(a.real - b.real, a.imag - b.imag),
          (std::max)(std::hypot(a.real, a.imag), std::hypot(b.real, b.imag))};
}
distance between(std::uint64_t a, std::uint64_t b) {
  return {static_cast<double>(a < b ? b - a : a - b), static_cast<double>((std::max)(a, b))};
}
distance between(std::int64_t a, std::int64_t b) {
  // Unsigned: the difference of two 64-bit integers may have 64 bits.
  const std::uint64_t less = static_cast<std::uint64_t>((std::min)(a, b)),
                      more = static_cast<std::uint64_t>((std::max)(a, b));
  return {static_cast<double>(more - less),
          (std::max)(std::abs(static_cast<double>(a)), std::abs(static_cast<double>(b)))};
}

bool is_nan(double value) { return std::isnan(value); }
bool is_nan(stet::complex128 value) { return std::isnan(value.real) || std::isnan(value.imag); }
bool is_nan(std::int64_t) { return false; }
bool is_nan(std::uint64_t) { return false; }

/// The dtype in which the elements of both are compared: one that holds every value of either.
stet::dtype common_dtype(stet::dtype a, stet::dtype b) {
  const stet::dtype_kind kinds[] = {stet::describe(a).kind, stet::describe(b).kind};
  const auto is_all = [&](stet::dtype_kind kind) {
    return std::all_of(std::begin(kinds), std::end(kinds),
                       [&](stet::dtype_kind each) { return each == kind || each == stet::dtype_kind::boolean; });
  };
  if (is_all(stet::dtype_kind::unsigned_integer)) return stet::dtype::uint64;
  if (is_all(stet::dtype_kind::signed_integer)) return stet::dtype::int64;
  const bool is_complex = kinds[0] == stet::dtype_kind::complex || kinds[1] == stet::dtype_kind::complex;
  return is_complex ? stet::dtype::complex128 : stet::dtype::float64;
}

template <class T> void compare_values(T a, T b, element_differences& found) {
  ++found.count;
  if (is_nan(a) || is_nan(b)) {
    ++found.nan_count;
    return;
  }
  const distance apart = between(a, b);
  found.max_absolute = (std::max)(found.max_absolute, apart.absolute);
  if (apart.absolute == 0) return;
  const bool is_finite = std::isfinite(apart.absolute);
  found.max_relative = (std::max)(found.max_relative, is_finite ? apart.absolute / apart.magnitude : apart.absolute);
}

bool is_same_layout(const stet::tensor& a, const stet::tensor& b) {
  return a.dtype() == b.dtype() && a.layout().bits == b.layout().bits && a.layout().block == b.layout().block;
}

/// True if the stored bytes of two tensors are equal; the quick answer for most.
stet::result<bool> is_same_bytes(const stet::tensor& a, const stet::tensor& b) {
  if (a.size_bytes() != b.size_bytes() || a.entry().is_big_endian() || b.entry().is_big_endian()) return false;
  bool is_same = true;
  std::vector<std::byte> copy;
  stet::result<void> read;
  const stet::result<void> done = for_each_piece(a, [&](std::uint64_t offset, std::span<const std::byte> piece) {
    const std::byte* other = b.bytes().data();
    if (other != nullptr) {
      other += static_cast<std::size_t>(offset);
    } else {
      copy.resize(piece.size());
      read = b.read(offset, copy);
      other = copy.data();
    }
    is_same = read && std::memcmp(piece.data(), other, piece.size()) == 0;
    return is_same;
  });
  if (!done) return done.error();
  if (!read) return read.error();
  return is_same;
}

/// Compares elements that have a width, converted to T. Elements of the same layout are the same if their
/// bits are, so that NaN equals the same NaN, and 0 differs from -0; of others, the values decide.
template <class T>
stet::result<void> compare_elements(const stet::tensor& a, const stet::tensor& b, element_differences& found) {
  constexpr std::uint64_t step = 4096; // whole bytes, whatever the width
  const bool is_same_kind = is_same_layout(a, b);
  const std::size_t element_size = is_same_kind ? a.layout().bits / 8u : 0;
  std::vector<std::byte> left_bytes, right_bytes;
  std::vector<T> left_values(step), right_values(step);
  for (std::uint64_t first = 0; first < a.element_count(); first += step) {
    const auto count = static_cast<std::size_t>((std::min)(step, a.element_count() - first));
    if (is_same_kind) {
      const std::size_t size = (count * a.layout().bits + 7) / 8;
      left_bytes.resize(size);
      right_bytes.resize(size);
      if (auto read = read_little(a, first / 8 * a.layout().bits, left_bytes); !read) return read;
      if (auto read = read_little(b, first / 8 * b.layout().bits, right_bytes); !read) return read;
      if (left_bytes == right_bytes) continue;
    }
    const std::span<T> left(left_values.data(), count), right(right_values.data(), count);
    constexpr stet::dtype common = stet::dtype_of<T>::value;
    if (auto copied = stet::copy_elements(a, common, std::as_writable_bytes(left), first); !copied) return copied;
    if (auto copied = stet::copy_elements(b, common, std::as_writable_bytes(right), first); !copied) return copied;
    for (std::size_t i = 0; i < count; ++i) {
      const T x = left[i], y = right[i];
      const std::size_t at = i * element_size;
      const bool is_same = element_size != 0
                               ? std::memcmp(left_bytes.data() + at, right_bytes.data() + at, element_size) == 0
                               : x == y || (is_nan(x) && is_nan(y));
      if (!is_same) compare_values(x, y, found);
    }
  }
  return {};
}

/// Counts the strings that differ.
stet::result<void> compare_strings(const stet::tensor& a, const stet::tensor& b, element_differences& found) {
  const auto left = a.as_strings(), right = b.as_strings();
  if (!left) return left.error();
  if (!right) return right.error();
  for (std::size_t i = 0; i < left->size(); ++i) found.count += (*left)[i] != (*right)[i];
  return {};
}

/// Counts the blocks that differ: their elements are not known.
stet::result<void> compare_blocks(const stet::tensor& a, const stet::tensor& b, element_differences& found) {
  const std::size_t size = a.layout().block.size_bytes;
  std::vector<std::byte> left(size), right(size);
  for (std::uint64_t done = 0; done < a.size_bytes(); done += size) {
    if (auto read = a.read(done, left); !read) return read;
    if (auto read = b.read(done, right); !read) return read;
    found.count += left != right;
  }
  return {};
}

std::string number_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

std::string text_of(const element_differences& found, const stet::tensor& of) {
  const bool is_block = of.dtype() == stet::dtype::block;
  const std::uint64_t count = is_block ? of.size_bytes() / of.layout().block.size_bytes : of.element_count();
  std::string text = grouped(found.count) + " of " + counted(count, is_block ? "block" : "element");
  if (found.count == found.nan_count || of.layout().bits == 0)
    return found.nan_count == 0 ? text : text + ", all with NaN";
  text += ", max abs " + number_text(found.max_absolute) + ", max rel " + number_text(found.max_relative);
  return found.nan_count == 0 ? text : text + ", " + grouped(found.nan_count) + " with NaN";
}

std::string layout_text(const stet::tensor& of) {
  std::string text = escaped(dtype_name_of(of));
  if (of.layout().bits != stet::describe(of.dtype()).bits) text += " in " + std::to_string(of.layout().bits) + " bits";
  return text;
}

/// Adds a row for each thing in which two tensors of the same name differ.
stet::result<void> compare(const stet::tensor& a, const stet::tensor& b, std::vector<row>& rows) {
  const bool is_same_kind = is_same_layout(a, b);
  if (!is_same_kind) rows.push_back({"dtype", layout_text(a) + " -> " + layout_text(b), a.name()});
  if (!(a.shape() == b.shape())) {
    rows.push_back({"shape", shape_text_of(a) + " -> " + shape_text_of(b), a.name()});
    return {};
  }
  if (is_same_kind) {
    const stet::result<bool> is_same = is_same_bytes(a, b);
    if (!is_same || *is_same) return is_same ? stet::result<void>() : is_same.error();
  }
  element_differences found;
  stet::result<void> compared;
  if (a.layout().bits == 0 || b.layout().bits == 0) {
    if (!is_same_kind) return {};
    compared = a.dtype() == stet::dtype::string ? compare_strings(a, b, found) : compare_blocks(a, b, found);
  } else {
    switch (common_dtype(a.dtype(), b.dtype())) {
    case stet::dtype::uint64:
      compared = compare_elements<std::uint64_t>(a, b, found);
      break;
    case stet::dtype::int64:
      compared = compare_elements<std::int64_t>(a, b, found);
      break;
    case stet::dtype::complex128:
      compared = compare_elements<stet::complex128>(a, b, found);
      break;
    default:
      compared = compare_elements<double>(a, b, found);
      break;
    }
  }
  if (compared && found.count != 0) rows.push_back({"values", text_of(found, a), a.name()});
  return compared;
}

/// The tensor of `in` that has the name of `of`, or else one of its second names.
/// @param names  the second names of the model of `of`
/// @retval errc::not_found  there is none
stet::result<stet::tensor> find_same(const stet::tensor& of, const second_names& names, const stet::model& in) {
  const auto find = [&](std::string_view name) {
    stet::result<stet::tensor> found = in.store.find(name);
    return found && in.is_second_name(*found) ? in.store.original_of(*found) : std::move(found);
  };
  stet::result<stet::tensor> found = find(of.name());
  const auto further = names.find(of.entry().number());
  for (std::size_t i = 0; !found && further != names.end() && i < further->second.size(); ++i)
    found = find(further->second[i]);
  return found;
}

void print(const std::vector<row>& rows, console& out) {
  constexpr std::size_t widest = 72;
  std::size_t width = 0;
  for (const row& each : rows) {
    if (each.detail.size() <= widest) width = (std::max)(width, each.detail.size());
  }
  for (const row& each : rows) {
    const bool is_one_sided = each.what.starts_with("only");
    out.write(is_one_sided ? colour::cyan : colour::red, left_aligned(each.what, 9)).write("  ");
    out.write(left_aligned(each.detail, width)).write("  ").write_escaped(each.name).write("\n");
  }
}

} // namespace

status diff(const arguments& given, console& out) {
  const std::string_view left_path = given.operands[0], right_path = given.operands[1];
  const stet::result<stet::model> left = open_model(left_path), right = open_model(right_path);
  if (!left) return fail_to_open(left_path, left.error(), out);
  if (!right) return fail_to_open(right_path, right.error(), out);

  std::vector<row> rows;
  std::uint64_t equal_count = 0, different_count = 0;
  const second_names left_names = second_names_of(*left), right_names = second_names_of(*right);
  std::vector<bool> is_met(right->store.tensor_count());
  for (const stet::tensor each : left->store) {
    if (left->is_second_name(each)) continue;
    const auto other = find_same(each, left_names, *right);
    const std::size_t rows_before = rows.size();
    if (!other) {
      rows.push_back({"only in A", layout_text(each) + " " + shape_text_of(each), each.name()});
    } else if (const auto compared = compare(each, *other, rows); !compared) {
      return out.fail(left_path, compared.error());
    }
    if (other) is_met[other->entry().number()] = true;
    ++(rows.size() == rows_before ? equal_count : different_count);
  }
  for (const stet::tensor each : right->store) {
    if (right->is_second_name(each) || is_met[each.entry().number()]) continue;
    // Several tensors of B may be one of A: tied weights that B has twice.
    const auto other = find_same(each, right_names, *left);
    const std::size_t rows_before = rows.size();
    if (!other) {
      rows.push_back({"only in B", layout_text(each) + " " + shape_text_of(each), each.name()});
    } else if (const auto compared = compare(*other, each, rows); !compared) {
      return out.fail(left_path, compared.error());
    }
    ++(rows.size() == rows_before ? equal_count : different_count);
  }
  print(rows, out);
  if (different_count == 0) {
    out.write("no difference in ").write(counted(equal_count, "tensor")).write("\n");
    return status::done;
  }
  const std::string counts = grouped(different_count) + " of " + counted(equal_count + different_count, "tensor");
  return out.fail(left_path, "differs from " + escaped(right_path) + " in " + counts);
}

} // namespace command
