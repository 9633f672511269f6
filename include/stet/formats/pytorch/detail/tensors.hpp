// SPDX-License-Identifier: MIT
// Recognises the tensors among the values of a pickle.
#ifndef STET_FORMATS_PYTORCH_DETAIL_TENSORS_HPP
#define STET_FORMATS_PYTORCH_DETAIL_TENSORS_HPP

#include "types.hpp"

#include "../../../store/tensor.hpp"
#include "../../../vocabulary/detail/checked.hpp"
#include "../../../vocabulary/shape.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// A tensor as the pickle describes it: a view of a storage.
struct pytorch_tensor {
  /// The key of the storage, and its size.
  std::string key;
  std::uint64_t storage_size_bytes = 0;
  /// The part of the storage that it may lie in: all of it, unless the storage is itself a view of another.
  std::uint64_t begin_bytes = 0, end_bytes = 0;
  const pytorch_type* type = nullptr;
  /// The offset from `begin_bytes` and the strides, in elements.
  std::uint64_t offset = 0;
  std::vector<std::uint64_t> shape, strides;
  /// The size of the elements of the shape.
  std::uint64_t size_bytes = 0;
  /// The stored elements are the conjugates, or the negatives, of the tensor's.
  bool is_conjugate = false, is_negative = false;
  /// It needs a gradient: a model trains it.
  bool is_trainable = false;

  /// True if the elements are in row-major order without gaps. Axes of one element have no stride.
  [[nodiscard]] bool is_contiguous() const noexcept {
    if (size_bytes == 0) return true;
    std::uint64_t step = 1;
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      if (shape[axis] != 1 && strides[axis] != step) return false;
      step *= shape[axis];
    }
    return true;
  }
  /// True if all its elements lie within its part of the storage.
  [[nodiscard]] bool fits() const noexcept {
    std::uint64_t last = offset;
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
      if (shape[axis] == 0) return true;
      std::uint64_t reach = 0;
      if (!checked_multiply(shape[axis] - 1, strides[axis], reach) || !checked_add(last, reach, last)) return false;
    }
    std::uint64_t end = 0;
    return checked_add(last, 1, end) && checked_multiply(end, std::uint64_t{type->size_bytes}, end) &&
           range_fits(begin_bytes, end, end_bytes);
  }
};

/// Sets `size_bytes` of a tensor whose shape and type are known. @return false if the size overflows, whatever extents are 0
inline bool measure(pytorch_tensor& of) noexcept {
  element_counter counter;
  for (const std::uint64_t extent : of.shape) {
    if (!counter.multiply(extent)) return false;
  }
  const std::uint64_t item = of.type->size_bytes;
  std::uint64_t size = 0;
  if (!checked_multiply(counter.nonzero_product(), item, size) || size > ~std::uint64_t{0} >> 1) return false;
  of.size_bytes = counter.element_count() * item;
  return true;
}

/// What a value is.
enum class pytorch_kind : std::uint8_t {
  other,
  tensor,
  /// A tensor of a kind that the store cannot give, or a bare storage; `pytorch_values::reason` says which.
  omitted,
};

/// Reads the values of a pickle that torch.save wrote.
class pytorch_values {
public:
  explicit pytorch_values(const pickle& of) noexcept : of_(of) {}
  /// The same for a pickle of PyTorch before 0.1.10, whose tensors are persistent, by key.
  pytorch_values(const pickle& of, const std::map<std::string, pytorch_tensor>& tensors) noexcept
      : of_(of), tensors_(&tensors) {}

  [[nodiscard]] const pickle& values() const noexcept { return of_; }
  /// Why the last value was `omitted`.
  [[nodiscard]] const error& reason() const noexcept { return reason_; }

  /// Reads a value as a tensor.
  /// @param into  its parts, if it is one
  /// @retval errc::malformed      a tensor's arguments are not those of its function, or it has a state
  /// @retval errc::unknown_dtype  the class of its storage, or its dtype, the subject, is not known
  /// @retval errc::bad_shape      an extent or stride is negative, there is not one of each, or the size overflows
  /// @retval errc::bad_path       the key of the storage is no plain word
  result<pytorch_kind> read(pickle_ref number, pytorch_tensor& into) {
    bool is_trainable = false;
    // Parameters and subclasses are tensors within calls.
    for (unsigned depth = 0; depth < 8; ++depth) {
      const pickle_value& value = of_[number];
      if (value.kind == pickle_kind::persistent) return read_persistent(value, into);
      if (value.kind != pickle_kind::object) return pytorch_kind::other;
      const pickle_object& object = of_.object(value);
      pickle_ref function = object.callee;
      if (of_[function].kind != pickle_kind::global) return pytorch_kind::other;
      pickle_ref arguments = object.arguments;
      std::uint16_t id = of_[function].id;
      if (id == pytorch_tensor_of_type && argument(arguments, 2) != no_pickle_value) {
        function = argument(arguments, 0);
        arguments = argument(arguments, 2);
        id = of_[function].kind == pickle_kind::global ? of_[function].id : std::uint16_t{pytorch_unknown};
      }
      if (id == pytorch_parameter) {
        const pickle_ref wrapped = argument(arguments, 0), needs = argument(arguments, 1);
        if (wrapped == no_pickle_value) return pytorch_kind::other;
        is_trainable = is_trainable || is_true(needs);
        number = wrapped;
        continue;
      }
      if (id == pytorch_tensor_of_storage || id == pytorch_tensor_of_dtype) {
        if (object.state != no_pickle_value || object.elements != no_pickle_value || object.pairs != no_pickle_value)
          return bad("a tensor with a state");
        auto done = read_view(arguments, id == pytorch_tensor_of_dtype, into);
        if (!done) return done.error();
        into.is_trainable = into.is_trainable || is_trainable;
        return *done;
      }
      if (of_[function].kind == pickle_kind::global && of_.module_of(of_[function]) == "torch._utils" &&
          of_.name_of(of_[function]).starts_with("_rebuild_")) {
        reason_ = error_about(errc::unsupported, "torch._utils", of_.name_of(of_[function]));
        return pytorch_kind::omitted;
      }
      return pytorch_kind::other;
    }
    return pytorch_kind::other;
  }

  /// True if the value is a call of a function that makes a tensor of a storage: `read` gives the tensor, or its error.
  [[nodiscard]] bool is_view(pickle_ref number) const noexcept {
    if (of_[number].kind != pickle_kind::object) return false;
    const pickle_value& callee = of_[of_.object(of_[number]).callee];
    return callee.kind == pickle_kind::global &&
           (callee.id == pytorch_tensor_of_storage || callee.id == pytorch_tensor_of_dtype);
  }

  /// Element `number` of a tuple or list of the pickle; `no_pickle_value`: there is none.
  [[nodiscard]] pickle_ref argument(pickle_ref of, std::size_t number) const noexcept {
    const pickle_value& value = of_[of];
    if (value.kind != pickle_kind::tuple || number >= value.count) return no_pickle_value;
    return of_.element(value, number);
  }
  /// Reads a tuple of sizes, or a torch.Size.
  /// @return false if it is none, or one is negative
  bool read_sizes(pickle_ref number, std::vector<std::uint64_t>& into) const {
    into.clear();
    if (number == no_pickle_value) return false;
    if (of_[number].kind == pickle_kind::object) {
      const pickle_object& object = of_.object(of_[number]);
      if (of_[object.callee].id != pytorch_size || of_[object.callee].kind != pickle_kind::global) return false;
      if (of_[object.arguments].kind == pickle_kind::tuple && of_[object.arguments].count == 0) return true;
      number = argument(object.arguments, 0);
      if (number == no_pickle_value) return false;
    }
    const pickle_value& sizes = of_[number];
    if ((sizes.kind != pickle_kind::tuple && sizes.kind != pickle_kind::list) || sizes.count > max_rank) return false;
    for (pickle::walk each(of_, sizes); each.next();) {
      std::uint64_t size = 0;
      if (!read_count(each.value(), size)) return false;
      into.push_back(size);
    }
    return true;
  }
  /// Reads an integer that is not negative.
  bool read_count(pickle_ref number, std::uint64_t& into) const noexcept {
    if (number == no_pickle_value || of_[number].kind != pickle_kind::integer || of_[number].integer < 0) return false;
    into = static_cast<std::uint64_t>(of_[number].integer);
    return true;
  }
  /// Reads a text of at most `max_key_size` bytes, or an integer as its digits.
  bool read_key(pickle_ref number, std::string& into) const {
    if (number == no_pickle_value) return false;
    const pickle_value& value = of_[number];
    if (value.kind == pickle_kind::integer) {
      into = std::to_string(value.integer);
      return true;
    }
    if (value.kind != pickle_kind::text || value.count > max_key_size) return false;
    into = of_.text(value);
    return true;
  }
  [[nodiscard]] bool is_true(pickle_ref number) const noexcept {
    return number != no_pickle_value && of_[number].kind == pickle_kind::boolean && of_[number].integer != 0;
  }
  [[nodiscard]] bool is_text(pickle_ref number, std::string_view text) const noexcept {
    return number != no_pickle_value && of_[number].kind == pickle_kind::text && of_.text(number) == text;
  }

  /// Reads the persistent id of a storage: ('storage', class, key, location, element count[, view]). A view, of files before 1.6,
  /// is (key, offset, element count).
  /// @return the type of its elements; nullptr: the id is of another form
  result<const pytorch_type*> read_storage(pickle_ref number, pytorch_tensor& into) {
    const bool is_persistent = of_[number].kind == pickle_kind::persistent;
    if (!is_persistent && tensors_ == nullptr) return nullptr; // some tar archives have the id itself
    const pickle_ref id = is_persistent ? of_.persistent_id(of_[number]) : number;
    std::uint64_t count = 0;
    if (!is_text(argument(id, 0), "storage") || !read_key(argument(id, 2), into.key) ||
        !read_count(argument(id, 4), count))
      return nullptr;
    const pickle_value& of = of_[argument(id, 1)];
    if (of.kind != pickle_kind::global) return nullptr;
    const pytorch_type* const type = pytorch_storage_of(of.id);
    if (type == nullptr) return error_about(errc::unknown_dtype, of_.module_of(of), of_.name_of(of));
    for (const char c : into.key) {
      const bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
      if (!is_plain) return error(errc::bad_path, into.key);
    }
    if (into.key.empty()) return error(errc::bad_path, "data/");
    if (!checked_multiply(count, std::uint64_t{type->size_bytes}, into.storage_size_bytes))
      return error(errc::bad_size, into.key);
    into.begin_bytes = 0;
    into.end_bytes = into.storage_size_bytes;
    const pickle_ref view = argument(id, 5);
    if (view != no_pickle_value && of_[view].kind != pickle_kind::none) {
      std::uint64_t begin = 0, size = 0;
      if (!read_count(argument(view, 1), begin) || !read_count(argument(view, 2), size) ||
          !checked_multiply(begin, std::uint64_t{type->size_bytes}, begin) ||
          !checked_multiply(size, std::uint64_t{type->size_bytes}, size) || !range_fits(begin, size, into.end_bytes))
        return error(errc::bad_offset, into.key);
      into.begin_bytes = begin;
      into.end_bytes = begin + size;
    }
    return type;
  }

private:
  static constexpr std::uint32_t max_key_size = 255;

  static error bad(std::string_view what) noexcept { return error(errc::malformed, what); }

  result<pytorch_kind> read_persistent(const pickle_value& value, pytorch_tensor& into) {
    std::string key;
    if (tensors_ != nullptr && read_key(of_.persistent_id(value), key)) {
      const auto found = tensors_->find(key);
      if (found == tensors_->end()) return pytorch_kind::other;
      into = found->second;
      return pytorch_kind::tensor;
    }
    if (!is_text(argument(of_.persistent_id(value), 0), "storage")) return pytorch_kind::other;
    reason_ = error(errc::unsupported, "a storage without a tensor");
    return pytorch_kind::omitted;
  }

  result<pytorch_kind> read_view(pickle_ref arguments, bool has_dtype, pytorch_tensor& into) {
    const pickle_ref storage = argument(arguments, 0);
    if (storage == no_pickle_value) return bad("a tensor without a storage");
    const result<const pytorch_type*> type = read_storage(storage, into);
    if (!type) return type.error();
    if (*type == nullptr) return bad("a tensor without a storage");
    into.type = *type;
    if (has_dtype) {
      const pickle_ref number = argument(arguments, 6);
      if (number == no_pickle_value || of_[number].kind != pickle_kind::global) return bad("a tensor without a dtype");
      into.type = pytorch_dtype_of(of_[number].id);
      if (into.type == nullptr)
        return error_about(errc::unknown_dtype, of_.module_of(of_[number]), of_.name_of(of_[number]));
    } else if (into.type == &pytorch_bytes) {
      into.type = &pytorch_types[8]; // the bytes of an untyped storage are uint8
    }
    if (!read_count(argument(arguments, 1), into.offset)) return bad("the offset of a tensor");
    if (!read_sizes(argument(arguments, 2), into.shape) || !read_sizes(argument(arguments, 3), into.strides) ||
        into.shape.size() != into.strides.size() || !measure(into))
      return error(errc::bad_shape, into.key);
    into.is_trainable = is_true(argument(arguments, 4));
    into.is_conjugate = into.is_negative = false;
    const pickle_ref metadata = argument(arguments, has_dtype ? 7 : 6);
    if (metadata != no_pickle_value && of_[metadata].kind == pickle_kind::dict) {
      for (pickle::walk each(of_, of_[metadata]); each.next();) {
        if (is_text(each.key(), "conj")) into.is_conjugate = is_true(each.value());
        if (is_text(each.key(), "neg")) into.is_negative = is_true(each.value());
      }
    }
    return pytorch_kind::tensor;
  }

  const pickle& of_;
  const std::map<std::string, pytorch_tensor>* tensors_ = nullptr;
  error reason_ = error(errc{});
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
