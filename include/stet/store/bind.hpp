// SPDX-License-Identifier: MIT
// Binds a program's struct of typed views to a store: every name, dtype and shape checked in one call.
#ifndef STET_STORE_BIND_HPP
#define STET_STORE_BIND_HPP

#include "store.hpp"

// A model is a struct with a member function template `bind` that gives each field its name; a field may be a model
// itself, and the names of its fields then follow its own, separated by '/' or what `bind_options` say:
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
// Fields may be `view`, also of `dynamic_rank`, `std::span<const T>`, `packed_span<T>`, `string_span` and `tensor`.
// `field.optional(name, f)` leaves `f` as it is if there is no such tensor.

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
      const bool has_extents = !expected_extents.empty();
      detail::print_request(out, expected_dtype, has_extents ? expected_extents.data() : nullptr,
                            has_extents ? expected_extents.size() - 1 : 0);
      out.append(" expected, ");
    }
    found.print_layout(out);
    out.append(" found");
  }
};

namespace detail {

/// Each copy begins at a multiple of this.
inline constexpr std::size_t copy_alignment_bytes = 64;

/// Whether the elements of `found` can be converted to those of dtype `to`, by the rules of bytes/detail/convert.hpp.
inline bool is_convertible_to(const tensor& found, dtype to) noexcept {
  const dtype_kind from = describe(found.dtype()).kind;
  if (from == dtype_kind::string || from == dtype_kind::block) return false;
  return from != dtype_kind::complex || describe(to).kind == dtype_kind::complex;
}

} // namespace detail

/// Where `bind_model` copies what a field cannot view in place. `copy_into` makes one; by default there is none.
class bind_fallback {
public:
  constexpr bind_fallback() noexcept = default;

  /// Whether there is one.
  [[nodiscard]] constexpr explicit operator bool() const noexcept { return reserve_ != nullptr; }
  /// Memory for `size_bytes`, aligned to 64 bytes. Errors: those that `copy_into` names.
  [[nodiscard]] result<std::byte*> reserve(std::uint64_t size_bytes) const noexcept {
    return reserve_(*this, size_bytes);
  }

private:
  friend bind_fallback copy_into(std::span<std::byte> memory) noexcept;
  friend bind_fallback copy_into(source& owner, memory_resource* memory) noexcept;

  result<std::byte*> (*reserve_)(const bind_fallback& self, std::uint64_t size_bytes) noexcept = nullptr;
  std::byte* first_ = nullptr;
  std::size_t size_bytes_ = 0;
  source* owner_ = nullptr;
  memory_resource* memory_ = nullptr;
};

/// Copies go into `memory`, which must outlive the fields.
/// @retval errc::buffer_too_small  they have no room there; the subject says how many bytes they need
[[nodiscard]] inline bind_fallback copy_into(std::span<std::byte> memory) noexcept {
  bind_fallback made;
  made.first_ = memory.data();
  made.size_bytes_ = memory.size();
  made.reserve_ = [](const bind_fallback& self, std::uint64_t size_bytes) noexcept -> result<std::byte*> {
    const std::size_t skipped = (0 - reinterpret_cast<std::uintptr_t>(self.first_)) % detail::copy_alignment_bytes;
    if (skipped <= self.size_bytes_ && size_bytes <= self.size_bytes_ - skipped) return self.first_ + skipped;
    char text[error::max_subject_bytes];
    text_writer needed(text, sizeof text);
    needed.append("memory for copies: ").append(skipped + size_bytes).append(" bytes needed, ");
    return error(errc::buffer_too_small, needed.append(std::uint64_t{self.size_bytes_}).append(" given").text());
  };
  return made;
}

/// Copies go into memory that `owner` keeps from then on, if anything has to be copied; the fields are valid while it does. One
/// block, from `memory` or the heap. Both must outlive the call that binds.
/// @retval errc::out_of_memory
/// @retval errc::too_large      the copies do not fit the address space
[[nodiscard]] inline bind_fallback copy_into(source& owner, memory_resource* memory = nullptr) noexcept {
  bind_fallback made;
  made.owner_ = &owner;
  made.memory_ = memory;
  made.reserve_ = [](const bind_fallback& self, std::uint64_t size_bytes) noexcept -> result<std::byte*> {
    result<source> block = source::allocate(size_bytes, self.memory_);
    if (!block) return block.error();
    *self.owner_ = std::move(*block);
    return self.owner_->writable_data();
  };
  return made;
}

/// How `bind_model` looks for tensors, and what it does about those that cannot be viewed.
struct bind_options {
  /// Stands between the name of a field that is a model and those of its fields: '.' for PyTorch's names.
  char separator = '/';
  /// Stands before every name: "model.".
  std::string_view prefix{};
  /// Where fields of const elements, packed elements and strings get a copy of a tensor that is misaligned, packed, of the other
  /// byte order, not in memory, or, but for packed elements and strings, of another dtype. Shapes must fit all the same; fields
  /// that write (`view<float, …>`) are never given a copy.
  bind_fallback if_unusable{};
};

namespace detail {

/// What `model_binder` needs to know of a type of field: how to view a tensor as one, what to say if that fails, and how to
/// make one of a copy. `fits` and what follows it are there only for fields that may view a copy.
template <class Field> struct field_traits {};

/// A copy of elements of type `T`, converted.
template <class T> struct copied_elements {
  static std::uint64_t copy_size_bytes(const tensor& found) noexcept { return found.element_count() * sizeof(T); }
  static result<void> copy(const tensor& found, std::byte* into) noexcept {
    const std::span<T> elements(reinterpret_cast<T*>(into), static_cast<std::size_t>(found.element_count()));
    return found.copy_to(elements, convert);
  }
};
/// A copy of bytes as they are stored.
struct copied_bytes {
  static std::uint64_t copy_size_bytes(const tensor& found) noexcept { return found.size_bytes(); }
  static result<void> copy(const tensor& found, std::byte* into) noexcept {
    return found.read(0, writable_bytes_at(into, static_cast<std::size_t>(found.size_bytes())));
  }
};

template <class T, std::size_t... Extents>
struct field_traits<view<T, Extents...>> : copied_elements<std::remove_const_t<T>> {
  using field = view<T, Extents...>;
  static constexpr bool has_dtype = true;
  static constexpr stet::dtype dtype = dtype_of<T>::value;
  /// One more than there are dimensions, so that a scalar has an array, too.
  static std::span<const std::size_t> extents() noexcept { return field::static_extents; }
  static result<field> from(const tensor& found) noexcept { return found.as_view<T, Extents...>(); }

  static errc fits(const tensor& found) noexcept
    requires std::is_const_v<T>
  {
    std::size_t extents[field::rank + 1];
    if (!is_convertible_to(found, dtype)) return errc::dtype_mismatch;
    return has_extents(found.shape(), field::static_extents, field::rank, extents) ? errc{} : errc::shape_mismatch;
  }
  static field at(const std::byte* copy, const tensor& found) noexcept {
    std::size_t extents[field::rank + 1];
    (void)has_extents(found.shape(), field::static_extents, field::rank, extents);
    return field(reinterpret_cast<T*>(copy), extents);
  }
};
template <class T> struct field_traits<view<T, dynamic_rank>> : copied_elements<std::remove_const_t<T>> {
  using field = view<T, dynamic_rank>;
  static constexpr bool has_dtype = true;
  static constexpr stet::dtype dtype = dtype_of<T>::value;
  static std::span<const std::size_t> extents() noexcept { return {}; }
  static result<field> from(const tensor& found) noexcept { return found.as_view<T, dynamic_rank>(); }

  static errc fits(const tensor& found) noexcept
    requires std::is_const_v<T>
  {
    return is_convertible_to(found, dtype) ? errc{} : errc::dtype_mismatch;
  }
  static field at(const std::byte* copy, const tensor& found) noexcept {
    return field(reinterpret_cast<T*>(copy), found.shape());
  }
};
template <class T> struct field_traits<std::span<T>> : copied_elements<std::remove_const_t<T>> {
  static constexpr bool has_dtype = true;
  static constexpr stet::dtype dtype = dtype_of<T>::value;
  static std::span<const std::size_t> extents() noexcept { return {}; }
  static result<std::span<T>> from(const tensor& found) noexcept {
    if constexpr (std::is_const_v<T>) {
      return found.as<std::remove_const_t<T>>();
    } else {
      return found.as_writable<T>();
    }
  }

  static errc fits(const tensor& found) noexcept
    requires std::is_const_v<T>
  {
    return is_convertible_to(found, dtype) ? errc{} : errc::dtype_mismatch;
  }
  static std::span<T> at(const std::byte* copy, const tensor& found) noexcept {
    return {reinterpret_cast<T*>(copy), static_cast<std::size_t>(found.element_count())};
  }
};
template <class T> struct field_traits<packed_span<T>> : copied_bytes {
  static constexpr bool has_dtype = true;
  static constexpr stet::dtype dtype = dtype_of<T>::value;
  static std::span<const std::size_t> extents() noexcept { return {}; }
  static result<packed_span<T>> from(const tensor& found) noexcept { return found.as_packed<T>(); }

  static errc fits(const tensor& found) noexcept { return found.dtype() == dtype ? errc{} : errc::dtype_mismatch; }
  static packed_span<T> at(const std::byte* copy, const tensor& found) noexcept {
    return {copy, found.element_count(), found.layout().bits};
  }
};
template <> struct field_traits<string_span> : copied_bytes {
  static constexpr bool has_dtype = true;
  static constexpr stet::dtype dtype = stet::dtype::string;
  static std::span<const std::size_t> extents() noexcept { return {}; }
  static result<string_span> from(const tensor& found) noexcept { return found.as_strings(); }

  static errc fits(const tensor& found) noexcept { return found.dtype() == dtype ? errc{} : errc::dtype_mismatch; }
  static result<void> copy(const tensor& found, std::byte* into) noexcept {
    if (auto read = copied_bytes::copy(found, into); !read) return read;
    const auto valid = validated(into, found);
    return valid ? result<void>() : valid.error();
  }
  static string_span at(const std::byte* copy, const tensor& found) noexcept { return *validated(copy, found); }

private:
  static result<string_span> validated(const std::byte* copy, const tensor& found) noexcept {
    return string_span::validate(bytes_at(copy, static_cast<std::size_t>(found.size_bytes())), found.element_count());
  }
};
template <> struct field_traits<tensor> {
  static constexpr bool has_dtype = false;
  static constexpr stet::dtype dtype{};
  static std::span<const std::size_t> extents() noexcept { return {}; }
  static result<tensor> from(const tensor& found) noexcept { return found; }
};

/// Visits the fields of a model: first to compare, then to copy what has to be, then, if nothing was wrong, to assign.
template <class OnMismatch, bool copies> class model_binder {
public:
  model_binder(const store& from, const bind_options& options, OnMismatch& on_mismatch) noexcept
      : store_(from), options_(options), on_mismatch_(on_mismatch), names_(names_buffer_, sizeof names_buffer_) {
    // With a prefix that is too long, no name has room.
    size_ = options.prefix.size() < sizeof name_ ? options.prefix.size() : sizeof name_;
    if (size_ != sizeof name_ && size_ != 0) std::memcpy(name_, options.prefix.data(), size_);
  }

  /// Names a field that the store must have.
  template <class Field> void operator()(std::string_view name, Field& field) noexcept { visit(name, field, false); }
  /// Names a field that is left as it is if the store does not have it.
  template <class Field> void optional(std::string_view name, Field& field) noexcept { visit(name, field, true); }

  template <class Model> result<void> run(Model& model) noexcept {
    model.bind(*this);
    if (mismatch_count_ == 0 && copied_bytes_ != 0) {
      const result<std::byte*> memory = options_.if_unusable.reserve(copied_bytes_);
      if (!memory) return memory.error();
      memory_ = *memory;
      again(model, step::copy);
    }
    if (mismatch_count_ != 0) return error(errc::binding_failed, mismatch_count_ == 1 ? first() : names_.text());
    again(model, step::assign);
    return {};
  }

private:
  enum class step : std::uint8_t { compare, copy, assign };

  template <class Model> void again(Model& model, step next) noexcept {
    step_ = next;
    copied_bytes_ = 0;
    model.bind(*this);
  }

  template <class Field> void visit(std::string_view name, Field& field, bool is_optional) noexcept {
    const std::size_t outer_size = size_;
    if (name.size() >= sizeof name_ - size_) { // one byte stays free for a separator
      report({name, errc::bad_name});
      return;
    }
    std::memcpy(name_ + size_, name.data(), name.size());
    size_ += name.size();
    if constexpr (requires { field.bind(*this); }) {
      name_[size_++] = options_.separator;
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
    mismatch.found = *found;
    if (viewed) {
      if (step_ == step::assign) field = *viewed;
      return;
    }
    mismatch.code = viewed.error().code();
    if constexpr (copies && requires { traits::fits(*found); }) {
      // A shape that differs stays an error; a value that is not one of its type would not become one.
      const bool is_curable = mismatch.code != errc::bad_value && mismatch.code != errc::bad_string_table;
      if (is_curable && options_.if_unusable) mismatch.code = traits::fits(*found);
      if (mismatch.code == errc{}) mismatch.code = bind_copy<traits>(field, *found);
      if (mismatch.code == errc{}) return;
    }
    report(mismatch);
  }

  /// Finds a place for a copy, makes the copy, or assigns it.
  template <class traits, class Field> errc bind_copy(Field& field, const tensor& found) noexcept {
    constexpr std::uint64_t mask = copy_alignment_bytes - 1;
    const std::uint64_t begin = copied_bytes_, size_bytes = traits::copy_size_bytes(found);
    if (size_bytes > max_tensor_size_bytes - begin) return errc::too_large;
    copied_bytes_ = (begin + size_bytes + mask) & ~mask;
    if (step_ == step::compare) return errc{};
    std::byte* const place = memory_ + static_cast<std::size_t>(begin);
    if (step_ == step::assign) {
      field = traits::at(place, found);
      return errc{};
    }
    const result<void> copied = traits::copy(found, place);
    return copied ? errc{} : copied.error().code();
  }

  void report(const binding_mismatch& mismatch) noexcept {
    if (mismatch_count_ == 0) {
      text_writer line(first_, sizeof first_);
      mismatch.print(line);
      first_size_ = line.text().size();
    }
    names_.append(mismatch_count_++ == 0 ? "" : ", ").append(mismatch.name);
    on_mismatch_(mismatch);
  }
  [[nodiscard]] std::string_view first() const noexcept { return text_at(first_, first_size_); }

  const store& store_;
  const bind_options& options_;
  OnMismatch& on_mismatch_;
  std::size_t mismatch_count_ = 0;
  step step_ = step::compare;
  std::byte* memory_ = nullptr;
  std::uint64_t copied_bytes_ = 0;
  std::size_t size_ = 0;
  char name_[1024];
  char names_buffer_[error::max_subject_bytes];
  text_writer names_;
  char first_[256];
  std::size_t first_size_ = 0;
};

} // namespace detail

/// Points every field of `model` at its tensor in `from`, or changes nothing and reports every field that does not fit.
/// @param on_mismatch  called with a `binding_mismatch` for each of them, in order; must not throw
/// @retval errc::binding_failed  one or more fields do not fit; the subject is the line of `binding_mismatch::print` where it is
///                               one, else it lists their names as far as they have room
/// Lifetime: the fields are valid while the store is open. Cost: a `find` and a few comparisons a field, twice; allocates
/// nothing. Names longer than 1,023 bytes cannot be bound (reported as bad_name).
template <class Model, class OnMismatch>
  requires requires(OnMismatch& call, const binding_mismatch& mismatch) { call(mismatch); }
result<void> bind_model(Model& model, const store& from, OnMismatch&& on_mismatch) noexcept {
  const bind_options options;
  return detail::model_binder<std::remove_reference_t<OnMismatch>, false>(from, options, on_mismatch).run(model);
}
/// The same, without a report of the fields that do not fit.
template <class Model> result<void> bind_model(Model& model, const store& from) noexcept {
  return bind_model(model, from, [](const binding_mismatch&) noexcept {});
}

/// As above, with other names and copies:
///
///     stet::source copies; // must outlive `net`
///     auto bound = stet::bind_model(net, store, {.separator = '.', .prefix = "model.", .if_unusable = stet::copy_into(copies)});
///
/// Errors: those of above, and of the memory for copies. Where a tensor cannot be read, its mismatch has the reader's code.
/// Lifetime: a field of a copy is valid while the memory is, whether or not the store is open. Cost: also reads and converts
/// what has to be copied, once.
template <class Model, class OnMismatch>
result<void> bind_model(Model& model, const store& from, const bind_options& options,
                        OnMismatch&& on_mismatch) noexcept {
  return detail::model_binder<std::remove_reference_t<OnMismatch>, true>(from, options, on_mismatch).run(model);
}
/// As above; mismatches are not listed.
template <class Model> result<void> bind_model(Model& model, const store& from, const bind_options& options) noexcept {
  return bind_model(model, from, options, [](const binding_mismatch&) noexcept {});
}

} // namespace stet::inline STET_NAMESPACE

#endif
