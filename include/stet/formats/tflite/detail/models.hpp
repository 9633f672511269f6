// SPDX-License-Identifier: MIT
// The models of a TFLite file: the file itself, or the members of a bundle.
#ifndef STET_FORMATS_TFLITE_DETAIL_MODELS_HPP
#define STET_FORMATS_TFLITE_DETAIL_MODELS_HPP

#include "schema.hpp"

#include "../../../wire/flatbuffers.hpp"
#include "../../../wire/zip.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// True if a member is a TFLite model that is stored.
inline bool is_tflite_member(std::span<const std::byte> archive, const zip_member& member) noexcept {
  if (member.method != zip_member::is_stored) return false;
  return flatbuffer::has_identifier(archive.subspan(static_cast<std::size_t>(member.offset_bytes),
                                                    static_cast<std::size_t>(member.stored_size_bytes)),
                                    tflite_identifier);
}

/// A model in a file.
struct tflite_model {
  /// Where it begins.
  std::uint64_t offset_bytes = 0;
  std::span<const std::byte> bytes;
  /// What the names of its tensors begin with: "" for a file that is a model, "MEMBER/" in a bundle.
  std::string prefix;
};

/// The models of a bundle, whose members are `members`.
inline std::vector<tflite_model> tflite_models_of(std::span<const std::byte> archive,
                                                  const std::vector<zip_member>& members) {
  std::vector<tflite_model> made;
  for (const zip_member& each : members) {
    if (!is_tflite_member(archive, each)) continue;
    made.push_back(
        {each.offset_bytes,
         archive.subspan(static_cast<std::size_t>(each.offset_bytes), static_cast<std::size_t>(each.stored_size_bytes)),
         std::string(each.name) + "/"});
  }
  return made;
}
/// The models of a file. Errors: those of read_zip, for a bundle.
inline result<std::vector<tflite_model>> find_tflite_models(std::span<const std::byte> file) {
  if (!is_zip(file)) return std::vector<tflite_model>{{0, file, {}}};
  const result<std::vector<zip_member>> members = read_zip(file);
  if (!members) return members.error();
  return tflite_models_of(file, *members);
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
