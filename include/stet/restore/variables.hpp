// SPDX-License-Identifier: MIT
// The variables of a program: registered once, saved and restored by the same registration.
#ifndef STET_RESTORE_VARIABLES_HPP
#define STET_RESTORE_VARIABLES_HPP

#include "../store/store.hpp"
#include "../vocabulary/detail/borrowed.hpp"
#include "../vocabulary/extents.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// One variable of a program: a name, and memory of the program that holds its elements.
class variable {
public:
  /// The name, as `tf.Variable.name` without ":0": "dense/kernel", or "dense/kernel/Adam/m" for a slot.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// The variable whose slot this is; empty for a variable of its own.
  [[nodiscard]] const std::string& slot_of() const noexcept { return slot_of_; }
  /// The layout of the elements.
  [[nodiscard]] const element_layout& layout() const noexcept { return layout_; }
  /// Extents in elements, outermost first.
  [[nodiscard]] const std::vector<std::uint64_t>& shape() const noexcept { return shape_; }
  /// True if training changes the variable.
  [[nodiscard]] bool is_trainable() const noexcept { return is_trainable_; }

  /// The elements where they are now; read-only memory for a variable bound to a read-only store. They are `size_bytes()`, but
  /// none while the program's view views nothing, and another number while it has other extents than it was added with.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return memory(); }
  /// How many bytes the shape makes.
  [[nodiscard]] std::size_t size_bytes() const noexcept { return size_bytes_; }
  /// Whether the program views the variable through an object that can be pointed elsewhere.
  [[nodiscard]] bool can_be_pointed() const noexcept { return point_ != nullptr; }
  /// Whether its elements may only be read: the program's view is of const elements.
  [[nodiscard]] bool is_const() const noexcept { return is_const_; }
  /// Whether the program can do without it: a store need not have it.
  [[nodiscard]] bool is_optional() const noexcept { return is_optional_; }
  /// Whether there is anything to save: not where an optional view views nothing.
  [[nodiscard]] bool has_storage() const noexcept { return !is_optional_ || data() != nullptr; }

private:
  friend class variable_list;
  friend class restore_run;
  friend class snapshot;
  [[nodiscard]] std::span<std::byte> memory() const noexcept {
    if (get_ != nullptr) return get_(view_);
    return {memory_, memory_ == nullptr ? 0 : size_bytes_};
  }
  [[nodiscard]] std::byte* data() const noexcept { return memory().data(); }
  /// The view gets the extents it was added with, whatever it has now.
  void point_at(const std::byte* data) const noexcept { point_(view_, const_cast<std::byte*>(data), shape_.data()); }
  /// Becomes plain memory of the same size, or a variable without elements (nullptr).
  void move_to(std::byte* memory) noexcept {
    memory_ = memory;
    view_ = nullptr;
    get_ = nullptr;
    point_ = nullptr;
  }

  std::string name_, slot_of_;
  element_layout layout_;
  std::vector<std::uint64_t> shape_;
  std::size_t size_bytes_ = 0, alignment_ = 1;
  bool is_trainable_ = true, is_const_ = false, is_optional_ = false;
  std::byte* memory_ = nullptr;
  // A view of the program, and how to read and move it; null for plain memory.
  void* view_ = nullptr;
  std::span<std::byte> (*get_)(void*) noexcept = nullptr;
  void (*point_)(void*, void*, const std::uint64_t*) noexcept = nullptr;
};

/// The variables of a program, in the order in which they were added. Memory and views are the program's, which keeps them
/// in place while the list is used. Not for use by several threads at once.
///
///     stet::variable_list variables;
///     if (auto added = variables.add("dense/kernel", kernel, {784, 10}); !added) return added.error();
///     if (auto added = variables.add_slot("dense/kernel", "Adam/m", first_moment); !added) return added.error();
///
/// Memory is any range of elements in a row: a vector, an array, a span. A container that ends with the call does not compile.
/// Errors of every `add`, the name being the subject: errc::bad_name, errc::duplicate_name, errc::bad_shape if an extent is
/// negative or the size overflows, and errc::size_mismatch if the memory is not as many elements as the shape makes.
class variable_list {
public:
  /// Adds a variable whose elements are `memory`. Its one extent is their number; those of a view are its own.
  template <class Memory>
    requires detail::borrowed_elements<Memory>
  result<void> add(std::string_view name, Memory&& memory) {
    const std::span elements(memory);
    return insert_memory(name, detail::own_extents(memory, elements.size()), true, elements);
  }
  /// Adds a variable whose elements are `memory`, row-major.
  template <class Memory>
    requires detail::borrowed_elements<Memory>
  result<void> add(std::string_view name, Memory&& memory, const extents& shape, bool is_trainable = true) {
    return insert_memory(name, shape, is_trainable, std::span(memory));
  }
  /// Adds a variable of one element, `value`. Its shape is that of a scalar unless given.
  template <element T>
  result<void> add(std::string_view name, T& value, const extents& shape = {}, bool is_trainable = true) {
    return insert_memory(name, shape, is_trainable, std::span<T>(&value, 1));
  }

  /// Adds a variable that the program reads through `through`, which a restore may point at the bytes of a store instead of
  /// copying them. The view has a fixed rank. It may view nothing yet if all its extents are fixed.
  template <class T, std::size_t... Extents>
    requires((Extents != dynamic_rank) && ...)
  result<void> add_view(std::string_view name, view<T, Extents...>& through, bool is_trainable = true) {
    using view_type = view<T, Extents...>;
    variable made = describe_as<T>(name, extents(through.extents()), is_trainable);
    made.view_ = &through;
    made.get_ = [](void* at) noexcept -> std::span<std::byte> {
      const std::span<T> seen = static_cast<view_type*>(at)->flat();
      return {reinterpret_cast<std::byte*>(const_cast<std::remove_const_t<T>*>(seen.data())), seen.size_bytes()};
    };
    made.point_ = [](void* at, void* data, const std::uint64_t* to) noexcept {
      std::size_t extents[view_type::rank + 1] = {};
      for (std::size_t axis = 0; axis < view_type::rank; ++axis) extents[axis] = static_cast<std::size_t>(to[axis]);
      *static_cast<view_type*>(at) = view_type(static_cast<T*>(data), extents);
    };
    return insert(std::move(made), through.element_count());
  }

  /// Adds a slot, such as an optimizer's moment, of the variable called `of`: "OF/SLOT", of its shape, not trainable.
  /// @retval errc::not_found  no variable is called `of`
  template <class Memory>
    requires detail::borrowed_elements<Memory>
  result<void> add_slot(std::string_view of, std::string_view slot, Memory&& memory) {
    const variable* const owner = find(of);
    if (owner == nullptr) return error(errc::not_found, of);
    return insert_memory(std::string(of) + "/" + std::string(slot), owner->shape(), false, std::span(memory), of);
  }

  /// Adds every field of a model (see store/bind.hpp) as a variable; all of them are views. Those that the model calls
  /// optional are optional variables.
  template <class Model> result<void> add_model(Model& model, bool is_trainable = true) {
    collector visit{*this, {}, is_trainable, {}};
    model.bind(visit);
    return visit.failed;
  }

  /// The number of variables.
  [[nodiscard]] std::size_t size() const noexcept { return variables_.size(); }
  /// Variable `number` < size(), in the order of registration.
  [[nodiscard]] const variable& operator[](std::size_t number) const noexcept { return variables_[number]; }
  /// The first variable.
  [[nodiscard]] auto begin() const noexcept { return variables_.begin(); }
  /// The end of the variables.
  [[nodiscard]] auto end() const noexcept { return variables_.end(); }
  /// The variable called `name`, or nullptr.
  [[nodiscard]] const variable* find(std::string_view name) const {
    const auto found = numbers_.find(std::string(name));
    return found == numbers_.end() ? nullptr : &variables_[found->second];
  }

private:
  struct collector {
    variable_list& into;
    std::string prefix;
    bool is_trainable;
    result<void> failed;

    template <class Field> void operator()(std::string_view name, Field& field) {
      if constexpr (requires { field.bind(*this); }) {
        const std::size_t outer = prefix.size();
        prefix += std::string(name) + "/";
        field.bind(*this);
        prefix.resize(outer);
      } else if (failed) {
        failed = into.add_view(prefix + std::string(name), field, is_trainable);
      }
    }
    template <class Field> void optional(std::string_view name, Field& field) {
      const std::size_t first = into.size();
      (*this)(name, field);
      for (std::size_t i = first; i < into.size(); ++i) into.variables_[i].is_optional_ = true;
    }
  };

  template <class T>
  static variable describe_as(std::string_view name, std::span<const std::uint64_t> shape, bool is_trainable) {
    using value = std::remove_const_t<T>;
    variable made;
    made.name_ = name;
    made.layout_ = element_layout::of(dtype_of<value>::value);
    made.layout_.bits = sizeof(value) * 8; // in memory, every element has bytes of its own
    made.shape_.assign(shape.begin(), shape.end());
    made.is_trainable_ = is_trainable;
    made.is_const_ = std::is_const_v<T>;
    made.alignment_ = alignof(value);
    return made;
  }

  template <class T, std::size_t Count>
  result<void> insert_memory(std::string_view name, const extents& shape, bool is_trainable, std::span<T, Count> memory,
                             std::string_view slot_of = {}) {
    variable made = describe_as<T>(name, shape, is_trainable);
    made.slot_of_ = slot_of;
    made.memory_ = reinterpret_cast<std::byte*>(const_cast<std::remove_const_t<T>*>(memory.data()));
    return insert(std::move(made), memory.size());
  }

  result<void> insert(variable&& made, std::size_t element_count) {
    if (!detail::is_valid_name(made.name_)) return error(errc::bad_name, made.name_);
    if (find(made.name_) != nullptr) return error(errc::duplicate_name, made.name_);
    detail::element_counter counter;
    std::uint64_t size_bytes = 0;
    for (const std::uint64_t extent : made.shape_) {
      if (!counter.multiply(extent)) return error(errc::bad_shape, made.name_);
    }
    if (!checked_size_bytes(counter, made.layout_, size_bytes)) return error(errc::bad_shape, made.name_);
    if (counter.element_count() != element_count) return error(errc::size_mismatch, made.name_);
    if (size_bytes > PTRDIFF_MAX) return error(errc::bad_shape, made.name_); // no memory of this machine
    made.size_bytes_ = static_cast<std::size_t>(size_bytes);
    numbers_.emplace(made.name_, variables_.size());
    variables_.push_back(std::move(made));
    return {};
  }

  friend class snapshot;
  /// Becomes a list of the same variables. Allocates only where names or shapes became longer.
  void assign(const variable_list& other) {
    bool has_same_names = size() == other.size();
    for (std::size_t i = 0; has_same_names && i < size(); ++i)
      has_same_names = variables_[i].name_ == other.variables_[i].name_;
    if (!has_same_names) {
      variables_.clear(); // no names without their numbers, should memory run out between the two
      numbers_ = other.numbers_;
    }
    variables_ = other.variables_;
  }

  std::vector<variable> variables_;
  std::unordered_map<std::string, std::size_t> numbers_;
};

} // namespace stet::inline STET_NAMESPACE

#endif
