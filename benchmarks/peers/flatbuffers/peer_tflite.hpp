// SPDX-License-Identifier: MIT
// TFLite's tables by the library of FlatBuffers: verified and walked through as the code does that flatc makes of the schema.
#ifndef STET_PEER_TFLITE_HPP
#define STET_PEER_TFLITE_HPP

#include <flatbuffers/flatbuffers.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace peer {

namespace fb = flatbuffers;

/// The place of field `number` in a vtable.
constexpr fb::voffset_t field(int number) { return static_cast<fb::voffset_t>(4 + 2 * number); }

/// What generated code has in each table.
class table : private fb::Table {
protected:
  template <class T> T number(int at, T otherwise = T{}) const { return GetField<T>(field(at), otherwise); }
  template <class T> const T* pointer(int at) const { return GetPointer<const T*>(field(at)); }
  bool begins(fb::Verifier& by) const { return VerifyTableStart(by); }
  template <class T> bool has_number(fb::Verifier& by, int at) const {
    return VerifyField<T>(by, field(at), sizeof(T));
  }
  bool has_string(fb::Verifier& by, int at) const {
    return VerifyOffset(by, field(at)) && by.VerifyString(pointer<fb::String>(at));
  }
  template <class T> bool has_vector(fb::Verifier& by, int at) const {
    return VerifyOffset(by, field(at)) && by.VerifyVector(pointer<fb::Vector<T>>(at));
  }
  template <class T> bool has_tables(fb::Verifier& by, int at) const {
    const auto* const all = pointer<fb::Vector<fb::Offset<T>>>(at);
    return VerifyOffset(by, field(at)) && by.VerifyVector(all) && by.VerifyVectorOfTables(all);
  }
  template <class T> bool has_table(fb::Verifier& by, int at) const {
    return VerifyOffset(by, field(at)) && by.VerifyTable(pointer<T>(at));
  }
};

struct operator_code : table {
  bool Verify(fb::Verifier& by) const {
    return begins(by) && has_number<std::int8_t>(by, 0) && has_string(by, 1) && has_number<std::int32_t>(by, 2) &&
           has_number<std::int32_t>(by, 3) && by.EndTable();
  }
};
struct quantization : table {
  bool Verify(fb::Verifier& by) const {
    return begins(by) && has_vector<float>(by, 0) && has_vector<float>(by, 1) && has_vector<float>(by, 2) &&
           has_vector<std::int64_t>(by, 3) && has_number<std::uint8_t>(by, 4) && has_number<std::int32_t>(by, 6) &&
           by.EndTable();
  }
};
struct tensor : table {
  const fb::Vector<std::int32_t>* shape() const { return pointer<fb::Vector<std::int32_t>>(0); }
  std::int8_t type() const { return number<std::int8_t>(1); }
  std::uint32_t buffer() const { return number<std::uint32_t>(2); }
  const fb::String* name() const { return pointer<fb::String>(3); }
  bool Verify(fb::Verifier& by) const {
    return begins(by) && has_vector<std::int32_t>(by, 0) && has_number<std::int8_t>(by, 1) &&
           has_number<std::uint32_t>(by, 2) && has_string(by, 3) && has_table<quantization>(by, 4) &&
           has_number<std::uint8_t>(by, 5) && has_vector<std::int32_t>(by, 7) && has_number<std::uint8_t>(by, 8) &&
           by.EndTable();
  }
};
struct options : table {
  bool Verify(fb::Verifier& by) const { return begins(by) && has_number<std::int8_t>(by, 0) && by.EndTable(); }
};
struct operation : table {
  bool Verify(fb::Verifier& by) const {
    return begins(by) && has_number<std::uint32_t>(by, 0) && has_vector<std::int32_t>(by, 1) &&
           has_vector<std::int32_t>(by, 2) && has_number<std::uint8_t>(by, 3) && has_table<options>(by, 4) &&
           has_vector<std::uint8_t>(by, 5) && has_number<std::int8_t>(by, 6) && by.EndTable();
  }
};
struct subgraph : table {
  const fb::Vector<fb::Offset<tensor>>* tensors() const { return pointer<fb::Vector<fb::Offset<tensor>>>(0); }
  bool Verify(fb::Verifier& by) const {
    return begins(by) && has_tables<tensor>(by, 0) && has_vector<std::int32_t>(by, 1) &&
           has_vector<std::int32_t>(by, 2) && has_tables<operation>(by, 3) && has_string(by, 4) && by.EndTable();
  }
};
struct buffer : table {
  const fb::Vector<std::uint8_t>* data() const { return pointer<fb::Vector<std::uint8_t>>(0); }
  bool Verify(fb::Verifier& by) const {
    return begins(by) && has_vector<std::uint8_t>(by, 0) && has_number<std::uint64_t>(by, 1) &&
           has_number<std::uint64_t>(by, 2) && by.EndTable();
  }
};
struct model : table {
  const fb::Vector<fb::Offset<subgraph>>* subgraphs() const { return pointer<fb::Vector<fb::Offset<subgraph>>>(2); }
  const fb::Vector<fb::Offset<buffer>>* buffers() const { return pointer<fb::Vector<fb::Offset<buffer>>>(4); }
  bool Verify(fb::Verifier& by) const {
    return begins(by) && has_number<std::uint32_t>(by, 0) && has_tables<operator_code>(by, 1) &&
           has_tables<subgraph>(by, 2) && has_string(by, 3) && has_tables<buffer>(by, 4) && by.EndTable();
  }
};

/// A constant tensor, in place.
struct constant {
  std::string_view name;
  const fb::Vector<std::int32_t>* shape;
  std::int8_t type;
  const std::uint8_t* data;
  std::size_t size_bytes;
};

/// Verifies the model, and lists its constants. @return none if it is not valid
inline std::vector<constant> constants_of(const std::uint8_t* bytes, std::size_t size_bytes) {
  std::vector<constant> made;
  fb::Verifier by(bytes, size_bytes);
  if (!by.VerifyBuffer<model>("TFL3")) return made;
  const model* const of = fb::GetRoot<model>(bytes);
  for (const subgraph* const graph : *of->subgraphs()) {
    made.reserve(made.size() + graph->tensors()->size());
    for (const tensor* const each : *graph->tensors()) {
      if (each->buffer() >= of->buffers()->size()) return {};
      const auto* const data = of->buffers()->Get(each->buffer())->data();
      if (data == nullptr || data->size() == 0) continue;
      made.push_back({each->name()->string_view(), each->shape(), each->type(), data->data(), data->size()});
    }
  }
  return made;
}

} // namespace peer

#endif
