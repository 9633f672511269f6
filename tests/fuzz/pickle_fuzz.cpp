// SPDX-License-Identifier: MIT
// Reads any bytes as a pickle: an error, or values all of whose references are values, and whose text lies in the bytes.
#include "require.hpp"
#include "support/counted_memory.hpp"
#include "support/exact_text.hpp"

#include <stet/wire/pickle.hpp>

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stet::detail;
  const stet_test::exact_text block({reinterpret_cast<const char*>(data), size});
  stet_test::counted_memory memory;
  pickle made(&memory);
  const auto done = made.run(block.bytes(), {});
  require(memory.bytes() <= 96 * std::uint64_t{size} + 65536);
  if (!done) {
    require(done.error().offset_bytes() <= size);
    return 0;
  }
  require(made.size_bytes() <= size && made.root() < made.value_count());
  const auto is_value = [&](pickle_ref number) { return number < made.value_count(); };
  std::size_t bytes = 0;
  for (pickle_ref number = 0; number < made.value_count(); ++number) {
    const pickle_value& value = made[number];
    switch (value.kind) {
    case pickle_kind::text:
    case pickle_kind::bytes:
    case pickle_kind::long_integer:
      for (const char c : made.text(value)) bytes += static_cast<unsigned char>(c);
      break;
    case pickle_kind::global:
      require(is_value(value.refs.first) && is_value(value.refs.last));
      require(made[value.refs.first].kind == pickle_kind::text && made[value.refs.last].kind == pickle_kind::text);
      break;
    case pickle_kind::persistent:
      require(is_value(made.persistent_id(value)));
      break;
    case pickle_kind::object: {
      const pickle_object& object = made.object(value);
      require(is_value(object.callee) && is_value(object.arguments));
      for (const pickle_ref part : {object.keywords, object.state, object.elements, object.pairs})
        require(part == no_pickle_value || is_value(part));
      break;
    }
    case pickle_kind::none:
    case pickle_kind::boolean:
    case pickle_kind::integer:
    case pickle_kind::real:
      break;
    default:
      for (pickle::walk each(made, value); each.next();) {
        require(is_value(each.value()));
        require(value.kind != pickle_kind::dict || is_value(each.key()));
      }
    }
  }
  return bytes == ~std::size_t{0} ? 1 : 0;
}
