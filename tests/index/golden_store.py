# SPDX-License-Identifier: MIT
"""Writes golden_store.hpp: a small native store, field by field as the specification in index/format.hpp says.

Nothing of stet is used. The checksum is CRC-32C bit by bit (RFC 3720, B.4: polynomial 0x1EDC6F41, reflected); the hash is the
prose of format.hpp, "Hash table". Run: python3 golden_store.py > golden_store.hpp
"""

import struct

MASK = 2**64 - 1
K1, K2 = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283  # the check value of the CRC catalogues


def hash_name(name, seed):
    size = len(name)
    if size < 8:
        words = [int.from_bytes(name, "little")]
    else:
        words = [int.from_bytes(name[at : at + 8], "little") for at in range(0, size - 7, 8)]
        if size % 8:
            words.append(int.from_bytes(name[-8:], "little"))
    value = seed ^ size * K1 & MASK
    for word in words:
        value = (value ^ word) * K1 & MASK
        value ^= value >> 32
    value = value * K2 & MASK
    return value ^ value >> 29


def up(value, multiple):
    return -(-value // multiple) * multiple


rows = []  # (what it is, bytes)


def emit(what, data):
    rows.append((what, data))


def u16(what, value):
    emit(what, struct.pack("<H", value))


def u32(what, value):
    emit(what, struct.pack("<I", value))


def u64(what, value):
    emit(what, struct.pack("<Q", value))


def size():
    return sum(len(data) for _, data in rows)


def zeros(what, multiple):
    if size() % multiple:
        emit(what, bytes(-size() % multiple))


# The tensors: two floats, seven packed 4-bit integers (-1, 2, 7, 0, 1, -8, 3), two strings, and another name for the first.
weights = struct.pack("<2f", 1.0, -2.0)
nibbles = bytes([0x2F, 0x07, 0x81, 0x03])
strings = struct.pack("<3Q", 0, 2, 3) + b"noy"
FLOAT32, INT4, STRING = 12, 25, 34

# name, dtype, bits, shape, element count, bytes, the alias's original
tensors = [
    (b"layer_0/kernel", FLOAT32, 32, [2, 1], 2, weights, None),
    (b"w4", INT4, 4, [7], 7, nibbles, None),
    (b"labels", STRING, 0, [2], 2, strings, None),
    (b"tied", FLOAT32, 32, [2, 1], 2, weights, 0),
]
names = {FLOAT32: "float32", INT4: "int4", STRING: "string"}

slot_count = 8  # the least power of two that is at least 2 x 4
entry_sizes = [48 + 8 * len(shape) + up(len(name), 8) for name, _, _, shape, _, _, _ in tensors]
index_size = 64 + 8 * slot_count + sum(entry_sizes)


def manifest_for(offsets):
    text = '{"stet":{"version":1,"minimum_reader":1},\n"alignment_bytes":64,\n"tensors":{\n'
    lines = []
    for (name, dtype, _, shape, _, data, original), offset in zip(tensors, offsets):
        alias = ',"alias_of":"%s"' % tensors[original][0].decode() if original is not None else ""
        lines.append('"%s":{"dtype":"%s","shape":[%s],"offset_bytes":%d,"size_bytes":%d,"crc32c":"%08x"%s}'
                     % (name.decode(), names[dtype], ",".join(map(str, shape)), offset, len(data), crc32c(data), alias))
    return (text + ",\n".join(lines) + "\n}}\n").encode()


# Offsets of three digits each; the loop ends when the text fits them.
offsets = [0] * 4
while True:
    manifest = manifest_for(offsets)
    index_offset = up(128 + len(manifest), 64)
    data_offset = up(index_offset + index_size, 64)
    placed = [data_offset, data_offset + 64, data_offset + 128, data_offset]
    if placed == offsets:
        break
    offsets = placed
file_size = offsets[2] + len(strings)

# Index
u32("tensors", len(tensors))
u32("parts", 0)
u32("block types", 0)
u32("slots", slot_count)
u64("size of the entries", sum(entry_sizes))
u64("size of the names", 0)
u64("seed", 0)
emit("zero", bytes(24))
first_entry = 64 + 8 * slot_count
places = [(first_entry + sum(entry_sizes[:i])) // 8 for i in range(4)]
slots = [(0, 0)] * slot_count
slot_of = []
for (name, *_), place in zip(tensors, places):
    value = hash_name(name, 0)
    slot = value % slot_count
    while slots[slot][1]:
        slot = (slot + 1) % slot_count
    slots[slot] = (value >> 32, place)
    slot_of.append(slot + 1)
for number, (tag, place) in enumerate(slots):
    u32("slot %d: tag" % number, tag)
    u32("slot %d: place" % number, place)
for number, (name, dtype, bits, shape, count, data, original) in enumerate(tensors):
    text = name.decode()
    u64(text + ": offset", offsets[number])
    u64(text + ": size", len(data))
    u64(text + ": element count", count)
    u32(text + ": checksum", crc32c(data))
    u32(text + ": part", 0)
    u32(text + ": alias of the entry of slot, from 1", 0 if original is None else slot_of[original])
    u32(text + ": number", number)
    u16(text + ": size of the name", len(name))
    u16(text + ": block type", 0)
    emit(text + ": rank, dtype, bits, flags", bytes([len(shape), dtype, bits, 1]))
    for extent in shape:
        u64(text + ": extent", extent)
    emit(text + ": name", name)
    zeros(text + ": zeros", 8)
index = b"".join(data for _, data in rows)
assert len(index) == index_size
index_rows = rows

# Header
rows = []
emit("magic", bytes([0x89]) + b"STET\r\n" + bytes([0x1A]))
u32("version", 1)
u32("minimum reader", 1)
u64("size of the file", file_size)
u32("size of the header", 128)
u32("alignment", 64)
u64("offset of the manifest", 128)
u64("its size", len(manifest))
u64("offset of the index", index_offset)
u64("its size", index_size)
u64("offset of the data", data_offset)
u64("its size", file_size - data_offset)
u32("checksum of the manifest", crc32c(manifest))
u32("checksum of the index", crc32c(index))
u32("kind", 0)
u32("number of the part", 0)
u32("number of parts", 0)
u32("zero", 0)
u64("content id", 0)
emit("zero", bytes(12))
u32("checksum of the header", crc32c(b"".join(data for _, data in rows)))
assert size() == 128

for line in manifest.splitlines(keepends=True):
    emit(line.decode().strip(), line)
zeros("zeros up to the index", 64)
assert size() == index_offset
rows += index_rows
zeros("zeros up to the data", 64)
assert size() == data_offset
emit("1.0f, -2.0f", weights)
zeros("zeros up to the next tensor", 64)
emit("-1, 2, 7, 0, 1, -8, 3 from the low nibbles on", nibbles)
zeros("zeros up to the next tensor", 64)
emit("offsets 0, 2, 3", strings[:24])
emit('"no", "y"', strings[24:])
assert size() == file_size

print("""// SPDX-License-Identifier: MIT
// A small native store, byte by byte. Made by golden_store.py, which knows the specification in index/format.hpp and nothing
// of stet. The format never changes for files of version 1, and so neither does this file.
#ifndef STET_TESTS_INDEX_GOLDEN_STORE_HPP
#define STET_TESTS_INDEX_GOLDEN_STORE_HPP

#include <cstddef>

// clang-format off
namespace stet_test {

inline constexpr std::size_t golden_manifest_offset = 128, golden_manifest_size = %d;
inline constexpr std::size_t golden_index_offset = %d, golden_index_size = %d;
inline constexpr std::size_t golden_data_offset = %d;

alignas(64) inline constexpr unsigned char golden_store[%d] = {""" % (len(manifest), index_offset, index_size, data_offset, file_size))
at = 0
for what, data in rows:
    print("  // %4d  %s" % (at, what))
    for start in range(0, len(data), 24):
        print("  " + " ".join("0x%02x," % byte for byte in data[start : start + 24]))
    at += len(data)
print("""};

} // namespace stet_test
// clang-format on

#endif""")
