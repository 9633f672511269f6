// SPDX-License-Identifier: MIT
// Native stores for the tests of the page, made and read by the specification alone (index/format.hpp): without an index, and
// with holes, so that a store of gigabytes costs a few pages of disk.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const zlib = require("node:zlib");

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let bits = byte;
  for (let i = 0; i < 8; ++i) bits = bits & 1 ? (bits >>> 1) ^ 0x82f63b78 : bits >>> 1;
  return bits;
});
function crc32c(bytes) {
  let crc = ~0;
  for (const byte of bytes) crc = table[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

const sizes = { float32: 4, float64: 8, int8: 1, uint8: 1, int64: 8, bool: 1, complex64: 8 };
const align = (offset) => Math.ceil(offset / 64) * 64;

/**
 * Writes a store.
 * @param tensors  [{name, dtype, shape, pieces: [{at, bytes}]}]: what is in no piece is a hole and so zero
 */
function write_store(path, tensors) {
  const size_of = ({ dtype, shape }) => shape.reduce((product, extent) => product * extent, sizes[dtype]);
  let data_size = 0;
  const placed = tensors.map((tensor) => {
    const place = data_size;
    data_size = align(place + size_of(tensor));
    return { ...tensor, place };
  });
  // Offsets are absolute, and how long the manifest is depends on them.
  let data_offset = 0, manifest = Buffer.alloc(0);
  for (;;) {
    manifest = Buffer.from(JSON.stringify({
      stet: { version: 1, minimum_reader: 1 },
      alignment_bytes: 64,
      tensors: Object.fromEntries(placed.map(({ name, dtype, shape, place }) => {
        const size_bytes = size_of({ dtype, shape });
        return [name, { dtype, shape, offset_bytes: size_bytes === 0 ? 0 : data_offset + place, size_bytes }];
      })),
    }));
    const next = align(128 + manifest.length);
    if (next === data_offset) break;
    data_offset = next;
  }
  const header = Buffer.alloc(128);
  Buffer.from([0x89, 0x53, 0x54, 0x45, 0x54, 0x0d, 0x0a, 0x1a]).copy(header);
  const end = data_offset + data_size;
  for (const [at, value] of [[8, 1], [12, 1], [24, 128], [28, 64], [80, crc32c(manifest)]]) header.writeUInt32LE(value, at);
  for (const [at, value] of [[16, end], [32, 128], [40, manifest.length], [64, data_offset], [72, data_size]]) header.writeBigUInt64LE(BigInt(value), at);
  header.writeUInt32LE(crc32c(header.subarray(0, 124)), 124);

  const file = fs.openSync(path, "w");
  fs.writeSync(file, header, 0, header.length, 0);
  fs.writeSync(file, manifest, 0, manifest.length, 128);
  for (const { place, pieces = [] } of placed) {
    for (const { at, bytes } of pieces) fs.writeSync(file, bytes, 0, bytes.length, data_offset + place + at);
  }
  fs.ftruncateSync(file, end);
  fs.closeSync(file);
}

/** The manifest of a store, and the bytes of each tensor of it. */
function read_store(path) {
  const bytes = fs.readFileSync(path);
  const offset = Number(bytes.readBigUInt64LE(32));
  const manifest = JSON.parse(bytes.subarray(offset, offset + Number(bytes.readBigUInt64LE(40))).toString());
  return { manifest, bytes_of: (name) => {
    const { offset_bytes, size_bytes } = manifest.tensors[name];
    return bytes.subarray(offset_bytes, offset_bytes + size_bytes);
  } };
}

// A checkpoint and its delta, as stet saves them: a manager with full_every = 5 saved the variables trunk, [2, 2] of 1, 2, 3, 4,
// and head, [2] of 5, 6; then head alone had changed to 7, 8. The digest of the base covers its index, which only stet makes.
const checkpoints = {
  "ckpt-1.stet":
    "H4sIAAAAAAACA+sMDnEN4eWSYmRgYABhD2YGMGgAYgcoDQLejFAGE4R6AeUyQNV7QLmM9xy+6PifzWQgAszY+oKxWqm4JLVEyapaqSy1qDgzP0/JylBHKTcz" +
    "LzO3NDe+KDUxJbUIKFSrw6WUmJOZnpebmlcSn1RZklqsZGVmAhQtSc0rzi8C8qqB7KLSvGyQWSkllQWpSlZKaTn5iSXGRko6SsUZiSCRaCMdo1gdpfy0tOJU" +
    "uDnmZhZABZlVqTABQzMdpeSiZGOjZKAZlqlJiWaWBolAQ0qKEjPzEpNygAYBrUoFOSoD6EICNmLYZ2FshGqfBZJ1ZuZGiaYWxqlYrOMCWVhckliSCrIxPSc/" +
    "KTEnHhh8BaAAquViIAcwIbFZgLiDRP1h9llXeYC0ghx3nCg2BdD0IYBkBwhwZe6ah6yMFeQWHgVGJjR3gaMUlBah5nCgydtFaKXDzGCEms+IZA4ofvD7oMEe" +
    "ktQdgLjBgfQQXADUc8ABAHzIft5IAwAA",
  "ckpt-2.stet":
    "H4sIAAAAAAACA6VSu07DMBRNKoYqwMjCgKo7sBBQ4jzcZAIhvoBKDAgqO3HaqHlUsYtUqkisbDAy8QH8AgMbfAZ/AnaUooqJx5Es+5xjH98r+/Z0cDLYNLZ1" +
    "TdPUeOtoDW7kOGxnhWO9XbT+XUtfWt5t+dlD7X3sToj2A7xudZ8WwAUTEC7gilU8LQsIbRPytEjzWT6sGIlZJaXaNIBk6ajIWSGGdC4Yh9B3pSpYwctKsoUB" +
    "Y7ldRcViPmUQQpKVRDgITOBjopRzdGFCmSScfYVgy5V2es2WQt+EqIocFMmAIAlsGiEqE0RF0oLQTKaIasZqQ5XEBRFM3TjKSkqyoexlCiFSFiW8cZJUHYFo" +
    "MhX79kHTbFMO8nwpI4pt7OIEu3ZMmc0QJgGKMPIYpjShkRdT3/JYHGPLlzsDN3DdvuUQJyLECZw+1LWh/Qf6yrrTvvlv0NtZv1yt4Pt/aKm293z/uHpuTd29" +
    "0dOXvnq6v3Xwrko++gR1PmDqyAIAAA==",
};

/** Writes both into a folder. */
function write_checkpoints(folder) {
  for (const [name, gzipped] of Object.entries(checkpoints))
    fs.writeFileSync(path.join(folder, name), zlib.gunzipSync(Buffer.from(gzipped, "base64")));
}

const bytes_of = (array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

module.exports = { write_store, read_store, write_checkpoints, bytes_of };
