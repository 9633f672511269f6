// SPDX-License-Identifier: MIT
// Binds a program's struct of typed views to a store: every name, dtype and shape checked in one call.
#ifndef STET_STORE_BIND_HPP
#define STET_STORE_BIND_HPP

#include "store.hpp"

// A model is a struct with a member function template `bind` that gives each field its name; a field may be a model
// itself, and the names of its fields then follow its own, separated by '/':
//
//     struct dense {
//       stet::view<const float, stet::dynamic, stet::dynamic> kernel;
//       stet::view<const float, stet::dynamic> bias;
//       void bind(auto& field) { field("kernel", kernel); field("bias", bias); }
//     };
//     struct network {
//       dense hidden, answer;
//       void bind(auto& field) { field("dense", hidden); field("dense_1", answer); }
//     };
//
//     network net;
//     auto bound = stet::bind_model(net, store);   // reads "dense/kernel", "dense/bias", "dense_1/kernel" …
//
// Fields may be `view`, `std::span<const T>`, `packed_span<T>`, `string_span` and `tensor`. `field.optional(name, f)`
// leaves `f` as it is if there is no such tensor.

namespace stet::inline STET_NAMESPACE {

/// One field of a model that a store does not fit.
struct binding_mismatch {
  /// The name of the tensor that the field asks for; valid during the call that reports it.
  std::string_view name;
  /// not_found, dtype_mismatch, shape_mismatch, or what else keeps the tensor from being viewed.
  errc code;
  /// What the field is: its dtype, and its extents (`dynamic` where any will do), if it has any.
  bool has_dtype = false;
  /// The dtype of the field.
  stet::dtype expected_dtype{};
  /// The extents of the field; `dynamic` for an extent that may be any.
  std::span<const std::size_t> expected_extents{};
  /// What the store has under that name; names no tensor for not_found.
  tensor found{};

  /// Writes a line such as "dense/kernel: float32 [784, 10] expected, float32 [784, 20] found".
  void print(text_writer& out) const noexcept {
    out.append_escaped(name).append(": ");
    if (!found.entry()) {
      out.append(describe(code).message);
      return;
    }
    if (code != errc::dtype_mismatch && code != errc::shape_mismatch) out.append(describe(code).message).append("; ");
    if (has_dtype) {
      out.append(name_of(expected_dtype));
      if (!expected_extents.empty()) {
        out.append(" [");
        for (std::size_t axis = 0; axis + 1 < expected_extents.size(); ++axis) {
          out.append(axis == 0 ? "" : ", ");
          if (expected_extents[axis] == dynamic) {
            out.append("any");
          } else {
            out.append(std::uint64_t{expected_extents[axis]});
          }
        }
        out.append("]");
      }
      out.append(" expected, ");
    }
    out.append(name_of(found.dtype())).append(" ");
    found.shape().print(out);
    out.append(" found");
  }
};

namespace detail {

/// What `model_binder` needs to know of a type of field: how to view a tensor as one, and what to say if that fails.
template <class Field> struct field_traits {};

template <class T, std::size_t... Extents> struct field_traits<view<T, Extents...>> {
  static constexpr bool has_dtype = true;
  static constexpr stet::dtype dtype = dtype_of<std::remove_const_t<T>>::value;
  /// One more than there are dimensions, so that a scalar has an array, too.
  static std::span<const std::size_t> extents() noexcept { return view<T, Extents...>::static_extents; }
  static result<view<T, Extents...>> from(const tensor& found) noexcept { return found.as_view<T, Extents...>(); }
};
template <class T> struct field_traits<std::span<T>> {
  static constexpr bool has_dtype = true;
  static constexpr stet::dtype dtype = dtype_of<std::remove_const_t<T>>::value;
  static std::span<const std::size_t> extents() noexcept { return {}; }
  static result<std::span<T>> from(const tensor& found) noexcept {
    if constexpr (std::is_const_v<T>) {
      return found.as<std::remove_const_t<T>>();
    } else {
      return found.as_writable<T>();
    }
  }
};
template <class T> struct field_traits<packed_span<T>> {
  static constexpr bool has_dtype = true;
  static constexpr stet::dtype dtype = dtype_of<T>::value;
  static std::span<const std::size_t> extents() noexcept { return {}; }
  static result<packed_span<T>> from(const tensor& found) noexcept { return found.as_packed<T>(); }
};
template <> struct field_traits<string_span> {
  static constexpr bool has_dtype = true;
  static constexpr stet::dtype dtype = stet::dtype::string;
  static std::span<const std::size_t> extents() noexcept { return {}; }
  static result<string_span> from(const tensor& found) noexcept { return found.as_strings(); }
};
template <> struct field_traits<tensor> {
  static constexpr bool has_dtype = false;
  static constexpr stet::dtype dtype{};
  static std::span<const std::size_t> extents() noexcept { return {}; }
  static result<tensor> from(const tensor& found) noexcept { return found; }
};

/// Visits the fields of a model: first to compare, then, if nothing was wrong, to assign.
template <class OnMismatch> class model_binder {
public:
  model_binder(const store& from, OnMismatch& on_mismatch) noexcept
      : store_(from), on_mismatch_(on_mismatch), summary_(summary_buffer_, sizeof summary_buffer_) {}

  /// Names a field that the store must have.
  template <class Field> void operator()(std::string_view name, Field& field) noexcept { visit(name, field, false); }
  /// Names a field that is left as it is if the store does not have it.
  template <class Field> void optional(std::string_view name, Field& field) noexcept { visit(name, field, true); }

  template <class Model> result<void> run(Model& model) noexcept {
    model.bind(*this);
    if (mismatch_count_ != 0) return error(errc::binding_failed, summary_.text());
    assigns_ = true;
    model.bind(*this);
    return {};
  }

private:
  template <class Field> void visit(std::string_view name, Field& field, bool is_optional) noexcept {
    const std::size_t outer_size = size_;
    if (name.size() >= sizeof name_ - size_) { // one byte stays free for a '/'
      report({name, errc::bad_name});
      return;
    }
    std::memcpy(name_ + size_, name.data(), name.size());
    size_ += name.size();
    if constexpr (requires { field.bind(*this); }) {
      name_[size_++] = '/';
      field.bind(*this);
    } else {
      bind_field(field, is_optional);
    }
    size_ = outer_size;
  }

  template <class Field> void bind_field(Field& field, bool is_optional) noexcept {
    using traits = field_traits<Field>;
    binding_mismatch mismatch{{name_, size_}, errc::not_found, traits::has_dtype, traits::dtype, traits::extents(), {}};
    const result<tensor> found = store_.find(mismatch.name);
    if (!found) {
      if (!is_optional) report(mismatch);
      return;
    }
    auto viewed = traits::from(*found);
    if (!viewed) {
      mismatch.code = viewed.error().code();
      mismatch.found = *found;
      report(mismatch);
    } else if (assigns_) {
      field = *viewed;
    }
  }

  void report(const binding_mismatch& mismatch) noexcept {
    summary_.append(mismatch_count_++ == 0 ? "" : ", ").append(mismatch.name);
    on_mismatch_(mismatch);
  }

  const store& store_;
  OnMismatch& on_mismatch_;
  std::size_t mismatch_count_ = 0;
  bool assigns_ = false;
  std::size_t size_ = 0;
  char name_[1024];
  char summary_buffer_[error::max_subject_bytes];
  text_writer summary_;
};

} // namespace detail

/// Points every field of `model` at its tensor in `from`, or changes nothing and reports every field that does not fit.
/// @param on_mismatch  called with a `binding_mismatch` for each of them, in order; must not throw
/// @retval errc::binding_failed  one or more fields do not fit; the subject lists their names as far as they have room
/// Lifetime: the fields are valid while the store is open. Cost: a `find` and a few comparisons a field, twice; allocates
/// nothing. Names longer than 1,023 bytes cannot be bound (reported as bad_name).
template <class Model, class OnMismatch>
result<void> bind_model(Model& model, const store& from, OnMismatch&& on_mismatch) noexcept {
  return detail::model_binder<std::remove_reference_t<OnMismatch>>(from, on_mismatch).run(model);
}
/// The same, without a report of the fields that do not fit.
template <class Model> result<void> bind_model(Model& model, const store& from) noexcept {
  return bind_model(model, from, [](const binding_mismatch&) noexcept {});
}

} // namespace stet::inline STET_NAMESPACE

#endif
