# SPDX-License-Identifier: MIT
"""Saves and opens stet files: the weights of a model, used where they are in the file.

    import numpy, stet

    stet.save_file({"kernel": numpy.zeros((784, 10), "float32")}, "model.stet", metadata={"epochs": 12})
    store = stet.open("model.stet")    # maps the file and checks its table; reads no tensor
    kernel = store["kernel"]           # a read-only array that views the file
    arrays = stet.load_file("model.stet")    # copies in memory, compared with their checksums

`save_file` takes NumPy arrays of any strides and byte order, PyTorch tensors, state dicts and modules, Keras models, and whatever
NumPy makes an array of. bfloat16, the float8, float6 and float4 types and the 4-bit and 2-bit integers are those of ml_dtypes.
Names that share their memory become aliases: the bytes are stored once. The file is the one that stet's C++ writer makes of the same
tensors, byte for byte. include/stet/index/format.hpp and include/stet/manifest/manifest.hpp of stet specify it.

Needs NumPy alone. Uses ml_dtypes, google-crc32c, PyTorch and Keras where a call needs them and they are installed.
"""

from __future__ import annotations

import builtins
import collections
import concurrent.futures
import contextlib
import errno
import functools
import io
import itertools
import json
import math
import mmap
import os
import stat
import struct
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

__version__ = "0.1.0"
__all__ = ["Block", "Error", "Raw", "Store", "Tensor", "crc32c", "keras_checkpoint", "load_file", "load_keras", "load_torch", "open",
           "save", "save_file"]


# ---- errors ----

_SENTENCES = {
    "not_found": "no tensor has this name",
    "unsupported": "not supported here",
    "invalid_argument": "an argument is not valid",
    "not_a_regular_file": "not a regular file",
    "bad_path": "this path may not be used here",
    "not_durable": "published, but its folder could not be synced; a power loss may take it back",
    "truncated": "the file is shorter than it says",
    "bad_magic": "not a stet file",
    "newer_format": "the file needs a newer version of stet",
    "bad_header": "the header contradicts itself",
    "header_checksum": "the header is damaged",
    "bad_alignment": "the alignment is not a power of two from 1 to 65536",
    "trailing_bytes": "the file is longer than it says",
    "bad_section": "a section lies outside its place",
    "nonzero_padding": "bytes that must be zero are not",
    "index_checksum": "the index is damaged",
    "bad_index": "the index contradicts itself",
    "bad_name": "a name is empty, too long, not UTF-8, or holds a NUL",
    "duplicate_name": "two tensors have the same name",
    "unknown_dtype": "the dtype is not known",
    "bad_shape": "the shape has a negative extent or too many dimensions, or its size overflows",
    "bad_size": "the size is not that of the shape and dtype",
    "bad_offset": "the offset is misaligned or outside the data",
    "overlap": "two tensors overlap or are out of order",
    "bad_alias": "the alias does not name an earlier tensor with the same dtype, shape and place",
    "bad_hash_table": "the hash table does not lead to every name",
    "too_large": "larger than a limit of this reader",
    "manifest_checksum": "the manifest is damaged",
    "bad_json": "the text is not valid JSON",
    "too_deep": "the JSON is nested too deeply",
    "duplicate_key": "a key occurs twice in one object of the JSON",
    "bad_number": "a number of the JSON is not one that may stand there",
    "missing_field": "a field of the JSON is missing",
    "wrong_type": "a field has the wrong JSON type",
    "bad_checksum_field": "a checksum of the manifest is not lower-case hexadecimal digits",
    "bad_quantization": "the quantization does not fit its tensor",
    "manifest_mismatch": "the index does not say what the manifest says",
    "missing_part": "a part of the store is missing",
    "part_size": "a part of the store has another size than the manifest says",
    "part_mismatch": "a part belongs to another store or to an older save",
    "duplicate_part": "two parts of the store are the same file",
    "checksum_mismatch": "the bytes of the tensor are damaged",
    "bad_string_table": "the offsets of the string tensor are not valid",
}


class Error(ValueError):
    """A file that is not valid, or an argument that cannot be saved.

    `code` is the name of the error in stet's table (vocabulary/error.hpp); `subject` is what it is about: a tensor, a path, a field.
    Errors of the operating system are OSError, as everywhere in Python.
    """

    def __init__(self, code: str, subject: object = "", detail: str = "") -> None:
        self.code, self.subject = code, str(subject)
        sentence = detail or _SENTENCES[code]
        super().__init__(f"{self.subject}: {sentence}" if self.subject else sentence)


# ---- element types ----


class _Dtype(NamedTuple):
    number: int
    name: str
    bits: int  # of an element; 0 for strings and blocks


_NAMES = (
    "bool:8 int8:8 int16:16 int32:32 int64:64 uint8:8 uint16:16 uint32:32 uint64:64 float16:16 bfloat16:16 float32:32 float64:64 "
    "complex64:64 complex128:128 float8_e4m3fn:8 float8_e5m2:8 float8_e4m3fnuz:8 float8_e5m2fnuz:8 float8_e4m3b11fnuz:8 "
    "float8_e8m0fnu:8 float6_e2m3fn:6 float6_e3m2fn:6 float4_e2m1fn:4 int4:4 uint4:4 int2:2 uint2:2 qint8:8 quint8:8 qint16:16 "
    "quint16:16 qint32:32 string:0 block:0"
)
_DTYPES = [_Dtype(number, name, int(bits)) for number, (name, bits) in enumerate((row.split(":") for row in _NAMES.split()), 1)]
_DTYPE_OF = {row.name: row for row in _DTYPES}
_OWN_BITS = np.array([0] + [row.bits for row in _DTYPES], np.uint64)
_STRING, _BLOCK = _DTYPE_OF["string"].number, _DTYPE_OF["block"].number
#: What NumPy lacks and ml_dtypes has.
_NARROW = frozenset(row.name for row in _DTYPES[:28] if row.name == "bfloat16" or row.name.startswith("float") and row.bits < 16 or row.bits < 8)
_MAX_RANK, _MAX_SIZE, _MAX_WORD = 254, (1 << 63) - 1, (1 << 64) - 1


@functools.lru_cache(maxsize=None)
def _array_dtype(name: str) -> np.dtype[Any]:
    """The NumPy dtype, little-endian, of the elements of an array."""
    if name not in _NARROW:
        return np.dtype(name[1:] if name.startswith("q") else name).newbyteorder("<")
    try:
        import ml_dtypes

        narrow: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return narrow
    except (ImportError, AttributeError):
        raise Error("unsupported", name, "install a newer ml_dtypes for arrays of this dtype, or use Store.raw") from None


@functools.lru_cache(maxsize=256)
def _stored_dtype(dtype: np.dtype[Any]) -> _Dtype | None:
    """The dtype that the elements of an array are stored as."""
    found = _DTYPE_OF.get(dtype.name)
    is_other = found is not None and (dtype.kind == "V" or found.name in _NARROW) and dtype != _array_dtype(found.name)
    return None if is_other else found


class Block(NamedTuple):
    """A block of a quantized tensor: `elements` elements in `size_bytes` bytes, and the name of their type, such as "q4_k"."""

    name: str
    elements: int
    size_bytes: int


class Part(NamedTuple):
    """A file that holds tensors of a store of several files."""

    path: str
    size_bytes: int
    content_id: int | None


class Tensor(NamedTuple):
    """What the table of a store says of a tensor. The fields are those of stet's manifest."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset_bytes: int
    size_bytes: int
    crc32c: int | None = None
    part: int = 0
    bits: int = 0
    block: Block | None = None
    alias_of: str | None = None


@dataclass(frozen=True)
class Raw:
    """The stored bytes of a tensor, for dtypes that NumPy lacks, and for blocks: `data` is saved as it is.

    Elements are row-major and little-endian; those of less than a byte are packed from the least significant bit, unless `bits` is 8.
    """

    dtype: str
    shape: tuple[int, ...]
    data: Any
    bits: int | None = None
    block: Block | None = None


def _size_bytes(subject: str, shape: Sequence[int], dtype: _Dtype, bits: int, block: Block | None) -> int:
    """The size of a tensor; of strings, that of the offsets. Zero extents count as one, so that they hide no overflow."""
    product, upper = math.prod(extent or 1 for extent in shape), 0
    count = 0 if 0 in shape else product
    if len(shape) > _MAX_RANK or product > _MAX_WORD or any(extent < 0 for extent in shape):
        raise Error("bad_shape", subject)
    if dtype.number == _BLOCK:
        assert block is not None
        size, rest = divmod(count, block.elements)
        upper = -(-product // block.elements) * block.size_bytes
        if rest or upper > _MAX_SIZE:
            raise Error("bad_shape", subject)
        return size * block.size_bytes
    upper = (product + 1) * 8 if dtype.number == _STRING else (product * bits + 7) // 8
    if upper > _MAX_SIZE:
        raise Error("bad_shape", subject)
    return (count + 1) * 8 if dtype.number == _STRING else (count * bits + 7) // 8


def _are_bits_valid(dtype: _Dtype, bits: int) -> bool:
    return bits == dtype.bits or (bits == 8 and 0 < dtype.bits < 8)


def _pack(elements: np.ndarray[Any, Any], bits: int) -> np.ndarray[Any, Any]:
    """Packs the low bits of bytes, from the least significant bit on."""
    flat = elements.reshape(-1).view(np.uint8)
    pieces = []
    for at in range(0, len(flat), 1 << 20):  # a multiple of 8 elements, so that a piece fills its last byte
        each = np.unpackbits(flat[at : at + (1 << 20), None], axis=1, count=bits, bitorder="little")
        pieces.append(np.packbits(each.reshape(-1), bitorder="little"))
    return np.concatenate(pieces) if pieces else flat


def _unpack(stored: np.ndarray[Any, Any], bits: int, count: int) -> np.ndarray[Any, Any]:
    """The opposite of `_pack`: a byte for each of `count` elements."""
    elements = np.empty(count, np.uint8)
    for at in range(0, count, 1 << 20):
        size = min(1 << 20, count - at)
        each = np.unpackbits(stored[at * bits // 8 :][: (size * bits + 7) // 8], count=size * bits, bitorder="little")
        elements[at : at + size] = np.packbits(each.reshape(size, bits), axis=1, bitorder="little")[:, 0]
    return elements


# ---- CRC-32C ----
#
# A CRC is the remainder of the bytes as a polynomial. A multiple of the CRC's own polynomial may be added to it at any place, and
# x^(64·5685) + x^(64·1362) + x^(64·426) + 1 is one. With it a word is moved to the words 4323, 5259 and 5685 behind it: three
# exclusive-ors of long arrays, at the speed of memory, leave the last 5685 words. So do the same distances times any power of two,
# since the square of a polynomial over two elements has the squares of its terms. Zeros in front change nothing, so what is left, and
# short tensors, are the rows of an array, whose words' remainders are then combined in pairs.

_MOVES = (4323, 5259, 5685)
_SCALE = 2  # of the moves for long inputs: 182 KB, which a second-level cache holds
_Words = Any  # np.ndarray of unsigned integers


def _byte_table() -> _Words:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1).astype(np.uint32)
    return table


def _look_up(tables: Iterable[_Words], octets: _Words) -> _Words:
    """The exclusive-or of what each table has for its octet, the last axis."""
    return functools.reduce(np.bitwise_xor, (table.take(octets[..., at], mode="wrap") for at, table in enumerate(tables)))


def _apply(tables: _Words, crcs: _Words) -> _Words:
    return _look_up(tables, np.ascontiguousarray(crcs, "<u4").view(np.uint8).reshape(*crcs.shape, 4))


@functools.lru_cache(maxsize=None)
def _zeros_tables(level: int) -> _Words:
    """Tables that append 2^level zero bytes to what a CRC is of, one for each of its bytes."""
    if level:
        half = _zeros_tables(level - 1)
        return _apply(half, half)
    crcs = np.arange(256, dtype=np.uint32) << (np.arange(4, dtype=np.uint32) * 8)[:, None]
    return _byte_table()[crcs & 255] ^ crcs >> 8


@functools.lru_cache(maxsize=None)
def _word_tables() -> list[_Words]:
    """The remainders of the 8 bytes of a word."""
    tables = [_byte_table()]
    while len(tables) < 8:
        tables.insert(0, _apply(_zeros_tables(0), tables[0]))
    return tables


@functools.lru_cache(maxsize=None)
def _zeros_lists(level: int) -> list[list[int]]:
    lists: list[list[int]] = _zeros_tables(level).tolist()
    return lists


@functools.lru_cache(maxsize=1024)
def _append_zeros(crc: int, size: int) -> int:
    """The remainder of the same with `size` zero bytes behind it."""
    for level in range(size.bit_length()):
        if size >> level & 1:
            first, second, third, fourth = _zeros_lists(level)
            crc = first[crc & 255] ^ second[crc >> 8 & 255] ^ third[crc >> 16 & 255] ^ fourth[crc >> 24]
    return crc


@functools.lru_cache(maxsize=None)
def _steps(scale: int) -> list[tuple[int, int, int, int]]:
    """One turn of a ring of as many words as the longest move has: place, place of the two other sources, count."""
    first, second, size = (move << scale for move in _MOVES)
    ends = (0, first, second, size)
    return [(at, (at - first) % size, (at - second) % size, end - at) for at, end in zip(ends, ends[1:])]


def _fold(words: _Words, scale: int) -> _Words:
    """A ring's size of words with the same remainder. There are at least as many."""
    size = _MOVES[2] << scale
    ring, room, xor, at = np.zeros(size, np.uint64), np.empty(_MOVES[0] << scale, np.uint64), np.bitwise_xor, 0
    end = 0
    steps = [(ring[to : to + n], ring[a : a + n], ring[b : b + n], room[:n], n) for to, a, b, n in _steps(scale)]
    for into, a, b, some, count in itertools.cycle(steps):
        count = min(count, len(words) - at)
        if count != len(some):
            into, a, b, some = into[:count], a[:count], b[:count], some[:count]
        xor(a, b, some)
        xor(some, words[at : at + count], some)
        xor(into, some, into)
        at, end = at + count, (end + count) % size
        if at == len(words):
            break
    # The last words were moved behind the end: they are moved back.
    moved = np.concatenate((ring[end:], ring[:end]))
    left = moved.copy()
    for move in _MOVES[:2]:
        left[move << scale :] ^= moved[: size - (move << scale)]
    return left


def _row_crcs(rows: _Words) -> _Words:
    """The remainders of the rows of an array of words, a power of two of them in each."""
    crcs = _look_up(_word_tables(), rows.view(np.uint8).reshape(*rows.shape, 8))
    for level in itertools.count(3):
        if crcs.shape[1] == 1:
            return crcs[:, 0]
        crcs = _apply(_zeros_tables(level), crcs[:, 0::2]) ^ crcs[:, 1::2]


def _short_crcs(pieces: Sequence[_Words], values: Sequence[int]) -> list[int]:
    """`crc32c` of many arrays of bytes at once, none longer than some ten thousand."""
    found = [0] * len(pieces)
    by_size: dict[int, list[int]] = {}
    for number, piece in enumerate(pieces):
        by_size.setdefault(max(len(piece) - 1, 0).bit_length(), []).append(number)
    for bits, numbers in by_size.items():
        row_size = max(8, 1 << bits)
        for first in range(0, len(numbers), max(1, (1 << 20) // row_size)):
            some = numbers[first : first + max(1, (1 << 20) // row_size)]
            rows = np.zeros((len(some), row_size), np.uint8)
            for row, number in zip(rows, some):
                row[row_size - len(pieces[number]) :] = pieces[number]
            for number, crc in zip(some, _row_crcs(rows.view(np.uint64)).tolist()):
                found[number] = crc ^ _append_zeros(values[number] ^ 0xFFFFFFFF, len(pieces[number])) ^ 0xFFFFFFFF
    return found


def _numpy_crc32c(octets: _Words, value: int) -> int:
    count = len(octets) // 8
    words, tail = octets[: count * 8], octets[count * 8 :]
    if count <= 2 * _MOVES[2]:
        return _short_crcs([octets], [value])[0]
    if words.ctypes.data % 8:
        words = words.copy()
    words = words.view(np.uint64)
    if count > 2 * _MOVES[2] << _SCALE:
        words = _fold(words, _SCALE)
    left = np.concatenate((_fold(words, 0).view(np.uint8), tail))
    # `left` has the remainder of all, but not the size, from which the part of the value follows.
    return _short_crcs([left], [0xFFFFFFFF])[0] ^ _append_zeros(value ^ 0xFFFFFFFF, len(octets))


_google: Any = None
try:
    import google_crc32c

    if google_crc32c.implementation == "c":
        _google = google_crc32c
except ImportError:
    pass
#: Up to this size many checksums are computed at once.
_SHORT = 0 if _google else 1 << 15


def crc32c(data: Any, value: int = 0) -> int:
    """The CRC-32C of bytes, or of what follows the bytes whose CRC-32C is `value`. By google-crc32c where it is installed, else by NumPy."""
    octets = np.frombuffer(data, np.uint8)
    if _google:
        for at in range(0, len(octets), 1 << 30):
            value = _google.extend(value, octets[at : at + (1 << 30)])
        return value
    return _numpy_crc32c(octets, value)


def _crcs(pieces: Sequence[_Words]) -> list[int]:
    """The CRC-32C of each array of bytes."""
    short = [number for number, piece in enumerate(pieces) if len(piece) <= _SHORT]
    found = dict(zip(short, _short_crcs([pieces[number] for number in short], [0] * len(short))))
    return [found[number] if number in found else crc32c(piece) for number, piece in enumerate(pieces)]


# ---- JSON ----

_MAX_DEPTH, _MAX_MANIFEST, _MAX_INDEX = 64, 64 << 20, 256 << 20
_RESERVED = ("dtype", "shape", "offset_bytes", "size_bytes", "crc32c", "data", "bits", "block", "alias_of")


def _number_text(number: float) -> str:
    """A finite number with the fewest digits that give it again, spelled as stet's C++ writer does."""
    for precision in range(17):
        text = f"{number:.{precision}e}"
        if float(text) == number:
            break
    mantissa, exponent = text.split("e")
    digits, power, sign = mantissa.lstrip("-").replace(".", ""), int(exponent), "-" * (mantissa[0] == "-")
    if not -4 <= power < 15:
        return f"{sign}{digits[0]}{'.' * (len(digits) > 1)}{digits[1:]}e{power:+03}"
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    digits = digits.ljust(power + 1, "0")
    return f"{sign}{digits[: power + 1]}.{digits[power + 1 :] or '0'}"


def _json_text(value: Any, subject: str, depth: int) -> str:
    """JSON as a manifest has it: without spaces, with the fewest escapes. `depth` is that of the value if it has members."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int):
        if not -(1 << 63) <= value <= _MAX_WORD:
            raise Error("bad_number", subject)
        return str(int(value))
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Error("bad_number", subject)
        return _number_text(value)
    if isinstance(value, str):
        _utf8(value, subject, "bad_json")
        return json.dumps(str(value), ensure_ascii=False)
    if not isinstance(value, (Mapping, list, tuple)):
        raise Error("wrong_type", subject, f"{type(value).__name__} is not a type of JSON")
    if depth > _MAX_DEPTH:
        raise Error("too_deep", subject)
    if not isinstance(value, Mapping):
        return f"[{','.join(_json_text(each, subject, depth + 1) for each in value)}]"
    if not all(isinstance(key, str) for key in value):
        raise Error("wrong_type", subject, "the keys of an object of JSON are strings")
    members = (f"{_json_text(key, subject, depth)}:{_json_text(each, subject, depth + 1)}" for key, each in value.items())
    return f"{{{','.join(members)}}}"


def _utf8(text: str, subject: object, code: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Error(code, repr(subject)) from None


def _parse_json(text: bytes) -> Any:
    """Strict JSON: no key twice, no integer that 64 bits do not hold, no NaN, no lone surrogate, bounded depth."""

    def integer(digits: str) -> float:
        number = int(digits) if len(digits) < 30 else 1 << 64
        if not -(1 << 63) <= number <= _MAX_WORD:
            raise Error("bad_number", digits[:30])
        return number or math.copysign(0, float(digits)) if digits[0] == "-" else number

    def floating(digits: str) -> float:
        if math.isinf(float(digits)):
            raise Error("bad_number", digits[:30])
        return float(digits)

    def constant(name: str) -> None:
        raise Error("bad_json", name)

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            seen: set[str] = set()
            raise Error("duplicate_key", next(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
        return made

    try:
        decoded = text.decode()
        value = json.loads(decoded, parse_int=integer, parse_float=floating, parse_constant=constant, object_pairs_hook=members)
    except RecursionError:
        raise Error("too_deep") from None
    except Error:
        raise
    except ValueError as failure:
        raise Error("bad_json", failure) from None
    layer, depth = [value], 0
    has_escaped_surrogates = "\\ud" in decoded or "\\uD" in decoded
    while layer := [each for each in layer if isinstance(each, (dict, list))]:
        depth += 1
        if depth > _MAX_DEPTH:
            raise Error("too_deep")
        layer = [each for holder in layer for each in (holder.values() if isinstance(holder, dict) else holder)]
    if has_escaped_surrogates:
        _utf8(json.dumps(value, ensure_ascii=False), "manifest", "bad_json")
    return value


def _take(owner: Mapping[str, Any], key: str, kind: type | tuple[type, ...], subject: object, default: Any = Error) -> Any:
    """A field of an object of JSON, of the type that it must have. An `int` is unsigned."""
    if key not in owner:
        if default is Error:
            raise Error("missing_field", f"{key} of {subject}")
        return default
    value = owner[key]
    if kind is int and isinstance(value, (int, float)) and not isinstance(value, bool):
        if not isinstance(value, int) or not 0 <= value <= _MAX_WORD:
            raise Error("bad_number", f"{key} of {subject}")
    elif not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise Error("wrong_type", f"{key} of {subject}")
    return value


def _take_hexadecimal(owner: Mapping[str, Any], key: str, digits: int, subject: object) -> int | None:
    text = _take(owner, key, str, subject, None)
    if text is None:
        return None
    if len(text) != digits or not set(text) <= set("0123456789abcdef"):
        raise Error("bad_checksum_field", subject)
    return int(text, 16)


def _check_attributes(attributes: Mapping[str, Any], name: str, dtype: _Dtype, shape: Sequence[int]) -> None:
    """Checks the further fields of a tensor that stet knows."""
    _take(attributes, "trainable", bool, name, None)
    piece = _take(attributes, "slice_of", dict, name, None)
    if piece is not None:  # of a tensor of a sharded checkpoint, whose attributes these are
        shape = _take(piece, "shape", list, name)
        if not all(isinstance(each, int) and not isinstance(each, bool) for each in shape):
            raise Error("wrong_type", f"shape of {name}")
    quantization = _take(attributes, "quantization", dict, name, None)
    if quantization is None:
        return

    def is_integer(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool)

    kind, extent, count = dtype.name.lstrip("q").rstrip("0123456789"), 1, None
    least, most = {"int": (-(1 << dtype.bits - 1), (1 << dtype.bits - 1) - 1), "uint": (0, (1 << dtype.bits) - 1)}.get(
        kind, (-math.inf, math.inf)) if dtype.bits else (-math.inf, math.inf)
    valid = True
    if "axis" in quantization:
        axis = quantization["axis"]
        valid = is_integer(axis) and 0 <= axis < len(shape)
        extent = shape[axis] if valid else 1
    if "scales" in quantization and not isinstance(quantization["scales"], str):
        scales = quantization["scales"] if isinstance(quantization["scales"], list) else [quantization["scales"]]
        valid = valid and all((is_integer(each) or isinstance(each, float)) and 0 < each < math.inf for each in scales)
        count = len(scales)
        valid = valid and count in (1, extent)
    if "zero_points" in quantization and not isinstance(quantization["zero_points"], str):
        points = quantization["zero_points"] if isinstance(quantization["zero_points"], list) else [quantization["zero_points"]]
        valid = valid and all((is_integer(each) or each == 0 and isinstance(each, float) and math.copysign(1, each) < 0) and
                              least <= each <= most for each in points)
        valid = valid and (len(points) == count if count is not None else len(points) in (1, extent))
    if not valid:
        raise Error("bad_quantization", name)


# ---- the header ----

_MAGIC = b"\x89STET\r\n\x1a"
_HEADER = struct.Struct("<8sIIQIIQQQQQQIIIIIIQ12x")
_HEADER_SIZE = 128


class _Header(NamedTuple):
    magic: bytes
    version: int
    minimum_reader: int
    file_size: int
    header_size: int
    alignment: int
    manifest_offset: int
    manifest_size: int
    index_offset: int
    index_size: int
    data_offset: int
    data_size: int
    manifest_crc: int
    index_crc: int
    kind: int
    part_number: int
    part_count: int
    zero: int
    content_id: int


def _is_alignment(number: int) -> bool:
    return 1 <= number <= 65536 and number & (number - 1) == 0


def _align_up(number: int, alignment: int) -> int:
    return -(-number // alignment) * alignment


def _read_header(start: bytes, size: int) -> _Header:
    """Reads and checks the header of a file of `size` bytes, of which `start` are the first 128, or fewer if it is shorter."""
    if not _MAGIC.startswith(start[:8]) or (not start and size):
        raise Error("bad_magic")
    if len(start) < _HEADER_SIZE:
        raise Error("truncated")
    if struct.unpack_from("<I", start, 124)[0] != crc32c(start[:124]):
        raise Error("header_checksum")
    header = _Header(*_HEADER.unpack_from(start))
    if not 1 <= header.minimum_reader <= header.version:
        raise Error("bad_header", "version")
    if header.minimum_reader > 1:
        raise Error("newer_format")
    if not _is_alignment(header.alignment):
        raise Error("bad_alignment")
    if header.header_size < _HEADER_SIZE:
        raise Error("bad_header", "header size")
    if size != header.file_size:
        raise Error("truncated" if size < header.file_size else "trailing_bytes")
    if header.kind > 1:
        raise Error("bad_header", "kind")
    if header.kind == 1:
        is_right = header.part_number < header.part_count and header.manifest_size == header.index_size == 0
    else:
        is_right = header.part_number == header.part_count == header.content_id == 0
    if not is_right:
        raise Error("bad_header", "part")
    end = header.manifest_offset + header.manifest_size
    if header.manifest_offset < header.header_size or end > size:
        raise Error("bad_section", "manifest")
    if header.index_size:
        if header.index_offset < end or header.index_offset % 64 or header.index_size % 8:
            raise Error("bad_section", "index")
        end = header.index_offset + header.index_size
    elif header.index_offset:
        raise Error("bad_section", "index")
    if end > size:
        raise Error("bad_section", "index")
    if header.data_offset < end or header.data_offset % header.alignment or header.data_offset + header.data_size != size:
        raise Error("bad_section", "data")
    return header


# ---- the index ----

_INDEX = struct.Struct("<IIIIQQQ")
_PART = struct.Struct("<IIQQII")
_BLOCK_TYPE = struct.Struct("<IIII")
_ENTRY = struct.Struct("<QQQIIIIHHBBBB")
_K1, _K2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_MAX_PROBES = 128


def _slot_count(tensors: int) -> int:
    return max(2, 1 << max(2 * tensors - 1, 0).bit_length())


def _hash_names(words: _Words, starts: _Words, sizes: _Words, seed: int) -> _Words:
    """The hashes of names, each of which begins at a word of `words` and is padded with zeros."""
    hashes = np.uint64(seed) ^ sizes.astype(np.uint64) * _K1
    whole, rest = sizes >> 3, (sizes & 7).astype(np.uint64)

    def mix(which: _Words, word: _Words) -> None:
        mixed = (hashes[which] ^ word) * _K1
        hashes[which] = mixed ^ mixed >> np.uint64(32)

    which = np.arange(len(sizes))
    for number in range(int(whole.max(initial=0))):
        which = which[whole[which] > number]
        mix(which, words[starts[which] + number])
    which = np.flatnonzero(whole == 0)
    mix(which, words[starts[which]])
    which = np.flatnonzero((whole > 0) & (rest > 0))
    last, bits = starts[which] + whole[which], rest[which] * np.uint64(8)
    mix(which, words[last - 1] >> bits | words[last] << (np.uint64(64) - bits))
    hashes *= _K2
    return hashes ^ hashes >> np.uint64(29)


def _build_index(rows: Sequence[Tensor], parts: Sequence[Part] = ()) -> bytes:
    """The index of these tensors, which have different names."""
    names = [row.name.encode() for row in rows]
    padded = [name + bytes(-len(name) % 8) for name in names]
    sizes = np.array([len(name) for name in names], np.int64)
    word_counts = np.array([len(name) // 8 for name in padded], np.int64)
    pool = np.frombuffer(b"".join(padded), "<u8").astype(np.uint64)
    starts = np.cumsum(word_counts) - word_counts

    blocks: dict[Block, int] = {}
    for row in rows:
        if row.block is not None:
            blocks.setdefault(row.block, len(blocks))
    if len(blocks) > 65536:
        raise Error("too_large", "block types")
    slot_count = _slot_count(len(rows))
    entries = _INDEX.size + 24 + 32 * len(parts) + 16 * len(blocks) + 8 * slot_count
    places, at = [], entries // 8
    for row, count in zip(rows, word_counts.tolist()):
        places.append(at)
        at += 6 + len(row.shape) + count

    for seed in range(64):
        hashes = _hash_names(pool, starts, sizes, seed).tolist()
        slots, slot_of = [0] * slot_count, []
        for place, hashed in zip(places, hashes):
            slot = first = hashed & (slot_count - 1)
            while slots[slot & (slot_count - 1)]:
                slot += 1
            if slot - first > _MAX_PROBES:
                break
            slot &= slot_count - 1
            slots[slot] = hashed >> 32 | place << 32
            slot_of.append(slot)
        else:
            break
    else:
        raise Error("bad_hash_table")

    number_of = {row.name: number for number, row in enumerate(rows)}
    body = []
    for number, row in enumerate(rows):
        dtype = _DTYPE_OF[row.dtype]
        alias = 0 if row.alias_of is None else slot_of[number_of[row.alias_of]] + 1
        count = 0 if 0 in row.shape else math.prod(row.shape)
        block = 0 if row.block is None else blocks[row.block]
        body.append(_ENTRY.pack(row.offset_bytes, row.size_bytes, count, row.crc32c or 0, row.part, alias, number, len(names[number]),
                                block, len(row.shape), dtype.number, row.bits, row.crc32c is not None))
        body.append(struct.pack(f"<{len(row.shape)}Q", *row.shape))
        body.append(padded[number])

    texts = [part.path.encode() for part in parts] + [block.name.encode() for block in blocks]
    text_ends = list(itertools.accumulate(map(len, texts), initial=0))
    references = list(zip(text_ends, map(len, texts)))
    head = [_INDEX.pack(len(rows), len(parts), len(blocks), slot_count, at * 8 - entries, text_ends[-1], seed), bytes(24)]
    for part, reference in zip(parts, references):
        head.append(_PART.pack(*reference, part.size_bytes, part.content_id or 0, part.content_id is not None, 0))
    for block_type, reference in zip(blocks, references[len(parts) :]):
        head.append(_BLOCK_TYPE.pack(*reference, block_type.elements, block_type.size_bytes))
    return b"".join([*head, np.array(slots, "<u8").tobytes(), *body, *texts, bytes(-text_ends[-1] % 8)])


class _Table:
    """The tensors of a store, by number."""

    names: list[str]
    parts: list[Part]

    def row(self, number: int) -> Tensor:
        raise NotImplementedError


class _ManifestTable(_Table):
    def __init__(self, rows: list[Tensor], parts: list[Part]) -> None:
        self._rows, self.parts, self.names = rows, parts, [row.name for row in rows]

    def row(self, number: int) -> Tensor:
        return self._rows[number]


class _IndexTable(_Table):
    """A checked index. All entries are checked at once, as columns; a row is made when it is asked for.

    `data` is where tensors may be if there are no parts: begin and end.
    """

    def __init__(self, index: bytes, alignment: int, data: tuple[int, int]) -> None:
        size = len(index)
        if size < 64 or size % 8:
            raise Error("bad_index")
        tensors, part_count, block_count, slot_count, entries_size, names_size, seed = _INDEX.unpack_from(index)
        entries = 64 + 32 * part_count + 16 * block_count + 8 * slot_count
        end = entries + entries_size
        if (any(index[40:64]) or block_count > 65536 or entries_size % 8 or slot_count != _slot_count(tensors) or
                end + _align_up(names_size, 8) != size):
            raise Error("bad_index")
        self._index, self._slots = index, 64 + 32 * part_count + 16 * block_count
        self._read_names(part_count, block_count, end, names_size)
        words = np.frombuffer(index, "<u8").astype(np.uint64, copy=False)
        self._check_entries(words, tensors, slot_count, entries // 8, end // 8, seed, alignment, data)

    def _read_names(self, part_count: int, block_count: int, pool: int, pool_size: int) -> None:
        index, at = self._index, 0

        def take(offset: int, size: int) -> str:
            nonlocal at
            if offset != at or size > pool_size - at:
                raise Error("bad_index", "names")
            at += size
            return _decode_name(index[pool + offset : pool + at])

        self.parts, self._blocks = [], []
        for where in range(64, 64 + 32 * part_count, 32):
            name_at, name_size, size, content_id, flags, zero = _PART.unpack_from(index, where)
            if flags > 1 or zero:
                raise Error("bad_index", "parts")
            self.parts.append(Part(take(name_at, name_size), size, content_id if flags else None))
        for where in range(64 + 32 * part_count, self._slots, 16):
            name_at, name_size, elements, size = _BLOCK_TYPE.unpack_from(index, where)
            if not elements or not size:
                raise Error("bad_index", "block types")
            self._blocks.append(Block(take(name_at, name_size), elements, size))
        if at != pool_size:
            raise Error("bad_index", "names")
        if any(index[pool + pool_size :]):
            raise Error("nonzero_padding")

    def _check_entries(self, words: _Words, tensors: int, slot_count: int, begin: int, end: int, seed: int, alignment: int,
                       data: tuple[int, int]) -> None:
        low32, zero = np.uint64(0xFFFFFFFF), np.uint64(0)

        def require(holds: _Words, code: str) -> None:
            if not np.all(holds):
                names = getattr(self, "names", None)
                raise Error(code, names[int(np.argmin(holds))] if names and len(holds) == len(names) else "")

        # Entries have no fixed size. The slots lead to all of them: in ascending order, each must end where the next begins.
        slots = words[begin - slot_count : begin]
        used = np.flatnonzero(slots)
        if len(used) != tensors:
            raise Error("bad_hash_table")
        order = np.argsort(slots[used] >> np.uint64(32), kind="stable")
        used = used[order]
        place = (slots[used] >> np.uint64(32)).astype(np.int64)
        if tensors:
            require(place[:1] == begin, "bad_index")
            require(place <= end - 6, "bad_index")
        elif begin != end:
            raise Error("bad_index")
        entry = [words[place + number] for number in range(6)]
        offset, size, count, (crc, part), (alias, number), tail = (
            entry[0], entry[1], entry[2], (entry[3] & low32, entry[3] >> np.uint64(32)), (entry[4] & low32, entry[4] >> np.uint64(32)), entry[5])
        name_size, block, rank, dtype, bits, flags = ((tail >> np.uint64(shift) & np.uint64(mask)).astype(np.int64) for shift, mask in (
            (0, 65535), (16, 65535), (32, 255), (40, 255), (48, 255), (56, 255)))
        name_at = place + 6 + rank
        behind = name_at + (name_size + 7) // 8
        require(behind == np.append(place[1:], end)[:tensors], "bad_index")
        require(number == np.arange(tensors, dtype=np.uint64), "bad_index")

        # Names: valid, padded with zeros, different, and each where its hash leads.
        require(name_size > 0, "bad_name")
        rest = (name_size & 7).astype(np.uint64) * np.uint64(8)
        require((rest == zero) | (words[behind - 1] >> rest == zero), "bad_index")
        self._place = place.tolist()
        self.names = _decode_names(self._index, (name_at * 8).tolist(), name_size.tolist())
        if len(set(self.names)) != tensors:
            raise Error("duplicate_name")
        hashes = _hash_names(words, name_at, name_size, seed)
        require(hashes >> np.uint64(32) == slots[used] & low32, "bad_hash_table")
        first = (hashes & np.uint64(slot_count - 1)).astype(np.int64)
        require((used - first) % slot_count <= _MAX_PROBES, "bad_hash_table")
        free = np.append(0, np.cumsum(slots == zero))  # the free slots in front of each
        require(free[used] - free[first] + np.where(used < first, free[-1], 0) == 0, "bad_hash_table")

        # Elements: the size and the count that shape and dtype make.
        require(rank <= _MAX_RANK, "bad_shape")
        require((dtype >= 1) & (dtype <= _BLOCK), "unknown_dtype")
        own = _OWN_BITS[dtype].astype(np.int64)
        require((bits == own) | ((bits == 8) & (own < 8) & (own > 0)), "unknown_dtype")
        require(np.where(dtype == _BLOCK, block < len(self._blocks), block == 0), "bad_index")
        product, has_zero = np.ones(tensors, np.uint64), np.zeros(tensors, bool)
        which = np.arange(tensors)
        for axis in range(int(rank.max(initial=0))):
            which = which[rank[which] > axis]
            extent = words[place[which] + 6 + axis]
            has_zero[which] |= extent == zero
            extent = np.maximum(extent, np.uint64(1))
            fits = np.ones(tensors, bool)
            fits[which] = product[which] <= np.uint64(_MAX_WORD) // extent
            require(fits, "bad_shape")
            product[which] *= extent
        width = np.where(dtype == _STRING, 64, np.maximum(bits, 1)).astype(np.uint64)
        whole = product >> np.uint64(3)
        require(whole <= np.uint64(_MAX_SIZE) // width, "bad_shape")
        expected = whole * width + ((product & np.uint64(7)) * width + np.uint64(7) >> np.uint64(3))
        require(expected <= np.uint64(_MAX_SIZE), "bad_shape")
        expected[has_zero] = 0
        at_most = expected.copy()
        for which_one in np.flatnonzero(dtype >= _STRING).tolist():
            row = self._row(which_one, None)
            expected[which_one] = _size_bytes(row.name, row.shape, _DTYPE_OF[row.dtype], row.bits, row.block)
            at_most[which_one] = _MAX_SIZE if row.dtype == "string" else expected[which_one]
        require((expected <= size) & (size <= at_most) & (count == np.where(has_zero, zero, product)), "bad_size")

        # Places: in their part, aligned, in order, apart; an alias has that of its original.
        require((flags <= 1) & ((flags == 1) | (crc == zero)), "bad_index")
        is_alias = alias != zero
        require(is_alias | (part == zero) | (part < np.uint64(len(self.parts))), "bad_index")
        placed = ~is_alias & (size != zero)
        require(is_alias | placed | (offset == zero), "bad_offset")
        part_begin = np.array([128 if each.content_id is not None else 0 for each in self.parts] or [data[0]], np.uint64)
        part_end = np.array([each.size_bytes for each in self.parts] or [data[1]], np.uint64)
        its_part = np.where(placed, part, zero).astype(np.int64)
        in_part = (offset >= part_begin[its_part]) & (offset <= part_end[its_part])
        in_part &= size <= part_end[its_part] - np.where(in_part, offset, zero)
        require(~placed | (in_part & (offset & np.uint64(alignment - 1) == zero)), "bad_offset")
        chosen = np.flatnonzero(placed)
        before, after = chosen[:-1], chosen[1:]
        ordered = np.ones(tensors, bool)
        ordered[after] = (part[before] < part[after]) | ((part[before] == part[after]) & (offset[before] + size[before] <= offset[after]))
        require(ordered, "overlap")
        chosen = np.flatnonzero(is_alias)
        if len(chosen):
            require(alias <= np.uint64(slot_count), "bad_alias")
            original_place = (slots[alias[chosen].astype(np.int64) - 1] >> np.uint64(32)).astype(np.int64)
            original = np.minimum(np.searchsorted(place, original_place), tensors - 1)
            same = (place[original] == original_place) & (original < chosen) & ~is_alias[original]
            for number_of_word in range(4):
                same &= entry[number_of_word][original] == entry[number_of_word][chosen]
            same &= tail[original] >> np.uint64(16) == tail[chosen] >> np.uint64(16)
            for axis in range(int(rank[chosen].max())):
                has_axis = same & (rank[chosen] > axis)
                same[has_axis] = (words[place[original] + 6 + axis] == words[place[chosen] + 6 + axis])[has_axis] if has_axis.all() else (
                    words[place[original[has_axis]] + 6 + axis] == words[place[chosen[has_axis]] + 6 + axis])
            is_right = np.ones(tensors, bool)
            is_right[chosen] = same
            require(is_right, "bad_alias")

    def _row(self, number: int, alias_of: str | None) -> Tensor:
        at = self._place[number] * 8
        offset, size, _, crc, part, _, _, _, block, rank, dtype, bits, flags = _ENTRY.unpack_from(self._index, at)
        shape = struct.unpack_from(f"<{rank}Q", self._index, at + _ENTRY.size)
        return Tensor(self.names[number], _DTYPES[dtype - 1].name, shape, offset, size, crc if flags & 1 else None, part, bits,
                      self._blocks[block] if dtype == _BLOCK else None, alias_of)

    def row(self, number: int) -> Tensor:
        (slot,) = struct.unpack_from("<I", self._index, self._place[number] * 8 + 32)
        if not slot:
            return self._row(number, None)
        (place,) = struct.unpack_from("<I", self._index, self._slots + 8 * (slot - 1) + 4)
        (original,) = struct.unpack_from("<I", self._index, place * 8 + 36)
        return self._row(number, self.names[original])


def _decode_name(name: bytes) -> str:
    try:
        text = name.decode()
    except UnicodeDecodeError:
        raise Error("bad_name", repr(name[:80])) from None
    if not text or len(name) > 65535 or "\0" in text:
        raise Error("bad_name", repr(text[:80]))
    return text


def _decode_names(index: bytes, starts: list[int], sizes: list[int]) -> list[str]:
    text = index.decode("latin-1")
    names = [text[start : start + size] for start, size in zip(starts, sizes)]
    joined = "".join(names)
    if not joined.isascii():
        return [_decode_name(index[start : start + size]) for start, size in zip(starts, sizes)]
    if "\0" in joined:
        raise Error("bad_name", repr(next(name for name in names if "\0" in name)[:80]))
    return names


# ---- the manifest ----


def _check_part_name(name: str) -> None:
    """A plain file name on every platform."""
    octets = _utf8(name, name, "bad_path")
    stem = name.split(".")[0].rstrip(" ").upper()
    device = stem in ("CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$") or (stem[:3] in ("COM", "LPT") and stem[3:] in "0123456789¹²³" and
                                                                         len(stem) == 4)
    control = any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "/\\:" for c in name)
    if not 1 <= len(octets) <= 255 or name[-1] in ". " or device or control:
        raise Error("bad_path", name)


def _parse_manifest(text: bytes) -> tuple[dict[str, Any], list[Tensor], list[Part | tuple[str, None, int | None]]]:
    """Parses a manifest and checks each of its fields. The size of a part may be missing. `_check_places` checks what concerns several
    tensors."""
    manifest = _parse_json(text)
    if not isinstance(manifest, dict):
        raise Error("wrong_type", "manifest")
    versions = _take(manifest, "stet", dict, "manifest")
    version, minimum = _take(versions, "version", int, "stet"), _take(versions, "minimum_reader", int, "stet")
    if not 1 <= minimum <= version:
        raise Error("bad_header", "stet")
    if minimum > 1:
        raise Error("newer_format", "stet")
    if not _is_alignment(_take(manifest, "alignment_bytes", int, "manifest", 1)):
        raise Error("bad_alignment", "alignment_bytes")
    for key in ("graph", "state", "metadata"):
        _take(manifest, key, dict, "manifest", None)
    parts: list[Any] = []
    for part in _take(manifest, "data", list, "manifest", []):
        fields = {"path": part} if isinstance(part, str) else part
        if not isinstance(fields, dict):
            raise Error("wrong_type", "data")
        path = _take(fields, "path", str, "data")
        _check_part_name(path)
        parts.append((path, _take(fields, "size_bytes", int, path, None), _take_hexadecimal(fields, "content_id", 16, path)))
    if len({path for path, _, _ in parts}) != len(parts):
        raise Error("duplicate_part")

    rows: dict[str, Tensor] = {}
    for name, fields in _take(manifest, "tensors", dict, "manifest").items():
        _decode_name(_utf8(name, name, "bad_name"))
        if not isinstance(fields, dict):
            raise Error("wrong_type", name)
        dtype = _DTYPE_OF.get(_take(fields, "dtype", str, name))
        if dtype is None:
            raise Error("unknown_dtype", name)
        shape = _take(fields, "shape", list, name)
        if len(shape) > _MAX_RANK:
            raise Error("bad_shape", name)
        shape = tuple(_take({"shape": extent}, "shape", int, name) for extent in shape)
        bits = _take(fields, "bits", int, name, dtype.bits)
        described = _take(fields, "block", dict, name, None)
        if not _are_bits_valid(dtype, bits) or (described is not None and dtype.number != _BLOCK):
            raise Error("unknown_dtype", name)
        block = None
        if dtype.number == _BLOCK:
            if described is None:
                raise Error("missing_field", f"block of {name}")
            block = Block(_take(described, "name", str, name), _take(described, "elements", int, name), _take(described, "size_bytes", int, name))
            _decode_name(_utf8(block.name, name, "bad_name"))
            if not 1 <= block.elements < 1 << 32 or not 1 <= block.size_bytes < 1 << 32:
                raise Error("bad_number", f"block of {name}")
        size = _take(fields, "size_bytes", int, name)
        least = _size_bytes(name, shape, dtype, bits, block)
        if size != least and not (dtype.number == _STRING and least < size <= _MAX_SIZE):
            raise Error("bad_size", name)
        part = _take(fields, "data", int, name, 0)
        if part and part >= len(parts):
            raise Error("missing_part", name)
        row = Tensor(name, dtype.name, shape, _take(fields, "offset_bytes", int, name), size, _take_hexadecimal(fields, "crc32c", 8, name),
                     part, bits, block, _take(fields, "alias_of", str, name, None))
        if row.alias_of is not None:
            original = rows.get(row.alias_of)
            if original is None or original.alias_of is not None or original != row._replace(name=original.name, alias_of=None):
                raise Error("bad_alias", name)
        _check_attributes({key: value for key, value in fields.items() if key not in _RESERVED}, name, dtype, shape)
        rows[name] = row
    return manifest, list(rows.values()), parts


def _check_places(rows: Sequence[Tensor], parts: Sequence[Part], alignment: int, data: tuple[int, int], in_any_order: bool) -> None:
    """Checks that tensors lie in the data, and apart."""
    limits = [(128 if part.content_id is not None else 0, part.size_bytes) for part in parts] or [data]
    for row in rows:
        begin, end = limits[row.part]
        if row.size_bytes == 0 and row.offset_bytes != 0:
            raise Error("bad_offset", row.name)
        if row.size_bytes and (row.offset_bytes % alignment or row.offset_bytes < begin or row.offset_bytes + row.size_bytes > end):
            raise Error("bad_offset", row.name)
    placed = [row for row in rows if row.size_bytes and row.alias_of is None]
    if in_any_order:
        placed.sort(key=lambda row: (row.part, row.offset_bytes))
    for before, after in zip(placed, placed[1:]):
        if (before.part, before.offset_bytes + before.size_bytes) > (after.part, after.offset_bytes):
            raise Error("overlap", after.name)


# ---- opening ----


def _map(path: str, follow: bool = True) -> Any:
    """The bytes of a regular file, mapped. A part of a store is not followed if it is a link."""
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if not follow:
        flags |= getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as failure:
        if not follow and failure.errno == errno.ELOOP:
            raise Error("bad_path", path, "a part of a store must not be a link") from None
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Error("not_a_regular_file", path)
        if not follow and status.st_nlink > 1:
            raise Error("bad_path", path, "a part of a store must not be a link")
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) if status.st_size else b""
    finally:
        os.close(descriptor)


class Store(Mapping[str, np.ndarray[Any, Any]]):
    """An open store: its tensors by name, each a read-only array that views the file.

    Opening checks the header, the checksums of manifest and index, and every entry of the table; it reads no tensor. Arrays keep the
    mapping; the store may be closed before them. A file must not be cut or changed in place while it is open; `save_file` and stet's
    C++ writer replace files, which is safe.

    Opens native files, with and without an index, sharded stores by the file that lists the parts, and the loose form by its JSON
    manifest. Delta files open as what they hold themselves, shards of a sharded checkpoint as their pieces; its head does not open.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fsdecode(path)
        self._manifest: dict[str, Any] | None = None
        self._index = b""
        self._file = file = _map(self._path)
        start = file[:_HEADER_SIZE]
        self._header = None if start[:8].lstrip(b" \t\r\n")[:1] == b"{" else _read_header(start, len(file))
        if self._header is None:
            if len(file) > _MAX_MANIFEST:
                raise Error("too_large", "manifest")
            self._text = file[:]
            self._read_manifest(file, (0, 0))
        else:
            self._read_native(file, self._header)
        self._numbers = dict(zip(self._table.names, range(len(self._table.names))))

    def _read_native(self, file: Any, header: _Header) -> None:
        if header.kind == 1:
            raise Error("bad_header", self._path, "the file is a part of a store; open the file that lists the parts")
        if header.manifest_size > _MAX_MANIFEST or header.index_size > _MAX_INDEX:
            raise Error("too_large", "manifest" if header.manifest_size > _MAX_MANIFEST else "index")
        # Copies: what is checked cannot change afterwards.
        self._text = file[header.manifest_offset : header.manifest_offset + header.manifest_size]
        self._index = file[header.index_offset : header.index_offset + header.index_size]
        if crc32c(self._text) != header.manifest_crc:
            raise Error("manifest_checksum")
        data = (header.data_offset, header.file_size)
        if not self._index:
            self._read_manifest(file, data)
            return
        if crc32c(self._index) != header.index_crc:
            raise Error("index_checksum")
        self.alignment_bytes = header.alignment
        table = _IndexTable(self._index, header.alignment, data)
        self._table: _Table = table
        self._buffers = self._open_parts(table.parts) or [file]

    def _read_manifest(self, file: Any, data: tuple[int, int]) -> None:
        self._manifest, rows, found = _parse_manifest(self._text)
        if self._header is not None and "shards" in self._manifest:
            raise Error("unsupported", self._path, "the head of a sharded checkpoint; its shards open one by one")
        self.alignment_bytes = self._manifest.get("alignment_bytes", 1)
        if self._header is not None and self._header.alignment != self.alignment_bytes:
            raise Error("manifest_mismatch", "alignment_bytes")
        self._buffers = self._open_parts(found) or [file]
        parts = [Part(path, len(buffer), content_id) for (path, _, content_id), buffer in zip(found, self._buffers)]
        _check_places(rows, parts, self.alignment_bytes, data, self._header is None)
        self._table = _ManifestTable(rows, parts)

    def _open_parts(self, parts: Sequence[Any]) -> list[Any]:
        buffers: list[Any] = []
        folder = os.path.dirname(self._path)
        if len({path for path, _, _ in parts}) != len(parts):
            raise Error("duplicate_part")
        for number, (path, size, content_id) in enumerate(parts):
            _check_part_name(path)
            if path == os.path.basename(self._path):
                raise Error("bad_path", path, "a part of a store is the store itself")
            try:
                buffer = _map(os.path.join(folder, path), follow=False)
            except FileNotFoundError:
                raise Error("missing_part", path) from None
            if size is not None and len(buffer) != size or content_id is not None and len(buffer) < _HEADER_SIZE:
                raise Error("part_size", path)
            if content_id is not None:
                header = _read_header(buffer[:_HEADER_SIZE], len(buffer))
                if (header.kind, header.part_number, header.part_count, header.content_id) != (1, number, len(parts), content_id):
                    raise Error("part_mismatch", path)
            buffers.append(buffer)
        return buffers

    # ---- tensors ----

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        return _array_of(self.tensor(name), self._buffers)

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.names)

    def __len__(self) -> int:
        return len(self._table.names)

    def __contains__(self, name: object) -> bool:
        return name in self._numbers

    def tensor(self, name: str) -> Tensor:
        """What the table says of a tensor. KeyError if no tensor has this name."""
        return self._table.row(self._numbers[name])

    def tensors(self) -> Iterator[Tensor]:
        """All tensors, in the order of the manifest."""
        return map(self._table.row, range(len(self)))

    def raw(self, name: str) -> Raw:
        """The stored bytes of a tensor, of any dtype. They view the file."""
        row = self.tensor(name)
        return Raw(row.dtype, row.shape, _bytes_of(row, self._buffers), row.bits, row.block)

    # ---- what the manifest holds besides ----

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest, parsed when it is first asked for."""
        if self._manifest is None:
            self._manifest = _parse_manifest(self._text)[0]
        return self._manifest

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata of the model; empty if there is none."""
        return self._object("metadata")

    @property
    def state(self) -> dict[str, Any]:
        """The state of the session that saved the model: "global_step" and more."""
        return self._object("state")

    @property
    def graph(self) -> dict[str, Any]:
        """The graph of the model."""
        return self._object("graph")

    def _object(self, key: str) -> dict[str, Any]:
        found: dict[str, Any] = self.manifest.get(key, {})
        return found

    def attributes(self, name: str) -> dict[str, Any]:
        """The further fields of a tensor: "trainable", "quantization", and more."""
        return {key: value for key, value in self.manifest["tensors"][name].items() if key not in _RESERVED}

    # ---- checking ----

    def verify(self) -> list[str]:
        """Reads everything: compares every checksum, the index with the manifest, and the padding with zero.

        Returns the names of tensors that have no checksum, which cannot be verified.
        """
        rows = list(self.tensors())
        if self._header is not None:
            manifest, expected, _ = _parse_manifest(self._text)
            if self._index and (manifest.get("alignment_bytes", 1) != self.alignment_bytes or
                                _build_index(expected, self._table.parts) != self._index):
                raise Error("manifest_mismatch")
            self._verify_padding(rows, self._header)
        return self._verify_tensors(rows)

    def _verify_tensors(self, rows: Iterable[Tensor]) -> list[str]:
        checked = [row for row in rows if row.alias_of is None]
        stored = [_bytes_of(row, self._buffers) for row in checked]
        for row, found in zip(checked, _crcs(stored)):
            if row.crc32c is not None and row.crc32c != found:
                raise Error("checksum_mismatch", row.name)
            if row.dtype == "string":
                _strings_of(row, self._buffers)
        return [row.name for row in checked if row.crc32c is None]

    def _verify_padding(self, rows: Iterable[Tensor], header: _Header) -> None:
        sections = [(0, header.header_size), (header.manifest_offset, header.manifest_size), (header.index_offset, header.index_size)]
        files = [(self._file, sections)]
        if self._table.parts:
            files += [(buffer, [(0, len(buffer) if part.content_id is None else _HEADER_SIZE)])
                      for buffer, part in zip(self._buffers, self._table.parts)]
        for row in rows:
            if row.alias_of is None:
                files[row.part + (1 if self._table.parts else 0)][1].append((row.offset_bytes, row.size_bytes))
        for buffer, ranges in files:
            octets, end = np.frombuffer(buffer, np.uint8), 0
            for offset, size in [*ranges, (len(octets), 0)]:
                if offset > end and octets[end:offset].any():
                    raise Error("nonzero_padding")
                end = max(end, offset + size)

    def close(self) -> None:
        """Lets go of the file. Arrays that view it keep it open for themselves."""
        self._file, self._buffers, self._numbers = b"", [], {}
        self._table = _ManifestTable([], [])

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<stet.Store {self._path!r}: {len(self)} tensors>"


def _bytes_of(row: Tensor, buffers: Sequence[Any]) -> np.ndarray[Any, Any]:
    if row.size_bytes == 0:
        return np.empty(0, np.uint8)
    return np.ndarray((row.size_bytes,), np.uint8, buffers[row.part], row.offset_bytes)


def _strings_of(row: Tensor, buffers: Sequence[Any]) -> np.ndarray[Any, Any]:
    stored, count = _bytes_of(row, buffers), math.prod(row.shape)
    offsets = stored[: (count + 1) * 8].view("<u8")
    text = stored[(count + 1) * 8 :].tobytes()
    if offsets[0] or offsets[-1] != len(text) or np.any(offsets[1:] < offsets[:-1]):
        raise Error("bad_string_table", row.name)
    ends = offsets.tolist()
    strings = np.empty(count, object)
    strings[:] = [text[begin:end] for begin, end in zip(ends, ends[1:])]
    return strings.reshape(row.shape)


def _array_of(row: Tensor, buffers: Sequence[Any]) -> np.ndarray[Any, Any]:
    """The array of a tensor: a view where there is one, else a copy."""
    try:
        if row.block is not None:
            return _bytes_of(row, buffers).reshape(-1, row.block.size_bytes)
        if row.dtype == "string":
            return _strings_of(row, buffers)
        dtype = _array_dtype(row.dtype)
        if row.size_bytes == 0:
            return np.empty(row.shape, dtype)
        if row.bits < 8:
            return _unpack(_bytes_of(row, buffers), row.bits, math.prod(row.shape)).view(dtype).reshape(row.shape)
        if row.dtype == "bfloat16" and sys.byteorder == "big":
            return _bytes_of(row, buffers).view("<u2").astype(np.uint16).view(dtype).reshape(row.shape)
        return np.ndarray(row.shape, dtype, buffers[row.part], row.offset_bytes)
    except Error:
        raise
    except ValueError as failure:  # more dimensions than NumPy has, or an extent that it cannot hold
        raise Error("unsupported", row.name, str(failure)) from None


def open(path: str | os.PathLike[str]) -> Store:
    """Opens a store and maps it: `store[name]` is an array that views the file. See `Store`."""
    return Store(path)


def load_file(path: str | os.PathLike[str], *, verify: bool = True) -> dict[str, np.ndarray[Any, Any]]:
    """All tensors of a store as arrays in memory, after a comparison of their checksums. Names that are aliases share one array.

    Strings are arrays of bytes objects. Blocks are arrays of bytes, one row for each block.
    """
    with Store(path) as store:
        return _load(store, verify, lambda row: np.array(_array_of(row, store._buffers), _array_dtype(row.dtype).newbyteorder("=")
                                                         if row.dtype not in ("string", "block") else None))


def _load(store: Store, verify: bool, make: Callable[[Tensor], Any]) -> dict[str, Any]:
    rows = list(store.tensors())
    if verify:
        store._verify_tensors(rows)
    loaded: dict[str, Any] = {}
    for row in rows:
        loaded[row.name] = make(row) if row.alias_of is None else loaded[row.alias_of]
    return loaded


# ---- saving ----

_PIECE = 16 << 20
#: The zeros behind the last tensor: at least as many bytes are readable behind every tensor.
_TAIL = 128


class _Item(NamedTuple):
    """A tensor to save. `pieces` gives its stored bytes, in arrays of bytes."""

    dtype: _Dtype
    shape: tuple[int, ...]
    bits: int
    block: Block | None
    size: int
    pieces: Callable[[], Iterable[Any]]
    key: object  # equal for tensors that share their memory; None if that is unknown
    keeps: object  # the memory that the key is about must live until all keys are made


def _octets(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The bytes of an array as they are stored: row-major and little-endian."""
    if array.dtype.kind == "V" and array.dtype.itemsize == 2:  # bfloat16, whose byte order NumPy does not know
        array = array.view(np.uint16)
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1).view(np.uint8)


def _array_pieces(array: np.ndarray[Any, Any]) -> Iterator[np.ndarray[Any, Any]]:
    """The bytes of an array, in pieces: what must be copied needs little memory."""
    is_stored_so = array.flags.c_contiguous and array.dtype == array.dtype.newbyteorder("<")
    if is_stored_so or array.nbytes <= _PIECE or array.ndim == 0:
        yield _octets(array)
        return
    rows = _PIECE * len(array) // array.nbytes
    if rows == 0:
        for row in array:
            yield from _array_pieces(row)
        return
    for at in range(0, len(array), rows):
        yield _octets(array[at : at + rows])


def _array_item(name: str, array: np.ndarray[Any, Any], dtype: _Dtype, keeps: object) -> _Item:
    shape = tuple(array.shape)
    size = _size_bytes(name, shape, dtype, dtype.bits, None)
    key = (array.__array_interface__["data"][0], dtype, shape, array.strides) if size else None

    def pieces() -> Iterable[Any]:
        return [_pack(_octets(array), dtype.bits)] if dtype.bits < 8 else _array_pieces(array)

    return _Item(dtype, shape, dtype.bits, None, size, pieces, key, keeps)


def _string_item(name: str, array: np.ndarray[Any, Any]) -> _Item:
    def stored(text: Any) -> bytes:
        if isinstance(text, str):
            return _utf8(text, name, "invalid_argument")
        if not isinstance(text, bytes):
            raise Error("invalid_argument", name, f"an array of objects may hold str and bytes, not {type(text).__name__}")
        return text

    texts = [stored(text) for text in array.reshape(-1).tolist()]
    ends = np.cumsum([0] + [len(text) for text in texts], dtype=np.uint64)
    content = np.frombuffer(ends.astype("<u8").tobytes() + b"".join(texts), np.uint8)
    dtype = _DTYPE_OF["string"]
    _size_bytes(name, array.shape, dtype, 0, None)
    return _Item(dtype, tuple(array.shape), 0, None, len(content), lambda: [content], ("string", id(array)), array)


def _raw_item(name: str, raw: Raw) -> _Item:
    dtype, content = _DTYPE_OF.get(raw.dtype), np.frombuffer(raw.data, np.uint8) if len(raw.data) else np.empty(0, np.uint8)
    if dtype is None:
        raise Error("unknown_dtype", name)
    bits = dtype.bits if raw.bits is None else raw.bits
    shape = tuple(int(extent) for extent in raw.shape)
    if not _are_bits_valid(dtype, bits) or (raw.block is not None) != (dtype.number == _BLOCK):
        raise Error("unknown_dtype", name)
    if raw.block is not None:
        _decode_name(_utf8(raw.block.name, name, "bad_name"))
        if not 1 <= raw.block.elements < 1 << 32 or not 1 <= raw.block.size_bytes < 1 << 32:
            raise Error("unknown_dtype", name)
    least = _size_bytes(name, shape, dtype, bits, raw.block)
    if len(content) < least or (dtype.number != _STRING and len(content) != least):
        raise Error("bad_size", name)
    key = (content.__array_interface__["data"][0], dtype, shape, bits, raw.block) if len(content) else None
    return _Item(dtype, shape, bits, raw.block, len(content), lambda: [content], key, raw)


def _is_torch(value: object) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _torch_item(name: str, tensor: Any) -> _Item:
    import torch

    dtype = _DTYPE_OF.get(str(tensor.dtype)[len("torch.") :])
    if dtype is None or dtype.bits < 8 or tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type == "meta":
        raise Error("unsupported", name, f"a tensor of {tensor.dtype}, {tensor.layout} on {tensor.device} cannot be saved")

    def bits() -> np.ndarray[Any, Any]:
        plain = tensor.detach().cpu().resolve_conj().resolve_neg()
        if dtype.name in _NARROW:
            plain = plain.view(torch.int16 if dtype.bits == 16 else torch.uint8)
        array: np.ndarray[Any, Any] = plain.numpy()
        return array

    on_host = bits() if tensor.device.type == "cpu" else None
    if on_host is not None and not tensor.is_conj() and not tensor.is_neg():
        # The same memory as NumPy's view of it, so that a tensor and such a view are tied, too.
        return _array_item(name, on_host, dtype, (tensor, on_host))
    key = (str(tensor.device), tensor.data_ptr(), dtype, tuple(tensor.shape), tensor.stride(), tensor.is_conj(), tensor.is_neg())
    size = _size_bytes(name, tensor.shape, dtype, dtype.bits, None)
    return _Item(dtype, tuple(tensor.shape), dtype.bits, None, size, lambda: _array_pieces(bits()), key if size else None, tensor)


def _item_of(name: str, value: Any) -> _Item:
    if isinstance(value, Raw):
        return _raw_item(name, value)
    if _is_torch(value):
        return _torch_item(name, value)
    if isinstance(value, np.ma.MaskedArray):
        raise Error("unsupported", name, "a masked array has no place for its mask: save value.filled() and value.mask")
    if not isinstance(value, (np.ndarray, np.generic)) and not hasattr(value, "__array__"):
        raise Error("invalid_argument", name, f"{type(value).__name__} is no array: numpy.asarray makes one of numbers and lists")
    array = np.asarray(value)
    if array.dtype.kind in "SUOT":
        return _string_item(name, array)
    dtype = _stored_dtype(array.dtype)
    if dtype is None:
        raise Error("unknown_dtype", name, f"stet has no dtype {array.dtype}")
    return _array_item(name, array, dtype, (value, array))


def _named_tensors(tensors: Any, attributes: Mapping[str, Mapping[str, Any]]) -> tuple[Mapping[str, Any], Mapping[str, Mapping[str, Any]]]:
    """The tensors of whatever `save_file` takes, by name, and their attributes."""
    of = {name: dict(fields) for name, fields in attributes.items()}
    if isinstance(tensors, Store):
        for name in tensors:
            of[name] = {**tensors.attributes(name), **of.get(name, {})}
        return {name: tensors.raw(name) for name in tensors}, of
    if isinstance(tensors, Mapping):
        return tensors, of
    # Before PyTorch: a model of Keras may be a module, too.
    if any(isinstance(tensors, sys.modules[name].layers.Layer) for name in ("keras", "tf_keras") if name in sys.modules):
        variables = _keras_variables(tensors)
        for name, variable in variables.items():
            of[name] = {"trainable": bool(variable.trainable), **of.get(name, {})}
        return variables, of
    if hasattr(tensors, "state_dict"):
        return tensors.state_dict(), of
    raise Error("invalid_argument", type(tensors).__name__, "save_file takes a dictionary of tensors, a torch.nn.Module or a Keras model")


def _crc32c_behind(before: Any, piece: Any) -> int:
    return crc32c(piece, 0 if before is None else before.result())


class _Plan:
    """One save: every offset before the first byte is written, then the tensors, then the table in front of them."""

    def __init__(self, tensors: Any, objects: Mapping[str, Mapping[str, Any] | None], attributes: Mapping[str, Mapping[str, Any]],
                 alignment: int) -> None:
        if not _is_alignment(alignment):
            raise Error("bad_alignment")
        self._alignment = alignment
        named, attributes = _named_tensors(tensors, attributes)
        unknown = set(attributes) - set(named)
        if unknown:
            raise Error("not_found", min(unknown))
        for key, value in objects.items():
            if value is not None and not isinstance(value, Mapping):
                raise Error("wrong_type", key)
        self._tail = "\n}" + "".join(f',\n"{key}":{_json_text(value, key, 2)}' for key, value in objects.items() if value is not None) + "}\n"
        self._items: list[_Item] = []
        self._names: list[str] = []
        self._originals: list[int] = []  # of each tensor, its own number or that of the tensor it is an alias of
        self._offsets: list[int] = []
        self._crcs: list[int] = []
        self._lines: list[tuple[str, str]] = []  # of the manifest: in front of the offset, and behind the checksum
        seen: dict[object, int] = {}
        self._data_size = 0
        for name, value in named.items():
            if not isinstance(name, str):
                raise Error("bad_name", repr(name))
            _decode_name(_utf8(name, name, "bad_name"))
            item = _item_of(name, value)
            number = len(self._items)
            original = number if item.key is None else seen.setdefault(item.key, number)
            place = 0 if original == number else self._offsets[original]
            if original == number and item.size:
                place = _align_up(self._data_size, alignment)
                self._data_size = place + item.size
            self._items.append(item)
            self._names.append(name)
            self._originals.append(original)
            self._offsets.append(place)
            self._crcs.append(0)
            self._lines.append(self._line(number, attributes.get(name, {})))
        self._data_size += _TAIL if self._data_size else 0
        self._place_table()

    def _line(self, number: int, attributes: Mapping[str, Any]) -> tuple[str, str]:
        name, item, original = self._names[number], self._items[number], self._originals[number]
        further = ""
        if attributes:
            reserved = set(attributes) & set(_RESERVED)
            if reserved:
                raise Error("duplicate_key", f"{min(reserved)} of {name}")
            text = _json_text(attributes, name, 4)
            _check_attributes(_parse_json(text.encode()), name, item.dtype, item.shape)
            further = "," + text[1:-1]
        block = ""
        if item.block is not None:
            block = (f',"block":{{"name":{json.dumps(item.block.name, ensure_ascii=False)},"elements":{item.block.elements},'
                     f'"size_bytes":{item.block.size_bytes}}}')
        bits = f',"bits":{item.bits}' if item.bits != item.dtype.bits else ""
        alias = f',"alias_of":{json.dumps(self._names[original], ensure_ascii=False)}' if original != number else ""
        shape = ",".join(map(str, item.shape))
        return (f'{json.dumps(name, ensure_ascii=False)}:{{"dtype":"{item.dtype.name}","shape":[{shape}],"offset_bytes":',
                f'"{bits}{block}{alias}{further}}}')

    def _manifest(self, offsets: Iterable[object]) -> bytes:
        head = f'{{"stet":{{"version":1,"minimum_reader":1}},\n"alignment_bytes":{self._alignment},\n"tensors":{{'
        lines = [f'{front}{offset},"size_bytes":{item.size},"crc32c":"{crc:08x}{back}'
                 for (front, back), offset, item, crc in zip(self._lines, offsets, self._items, self._crcs)]
        return (head + ("\n" if lines else "") + ",\n".join(lines) + self._tail).encode()

    def _place_table(self) -> None:
        """Places the sections. The size of the manifest depends on the digits of the offsets, and these on the size."""
        blocks = {item.block for item in self._items if item.block is not None}
        index_size = 64 + 16 * len(blocks) + 8 * _slot_count(len(self._items)) + _align_up(sum(len(each.name.encode()) for each in blocks), 8)
        index_size += sum(_ENTRY.size + 8 * len(item.shape) + _align_up(len(name.encode()), 8) for name, item in zip(self._names, self._items))
        without_offsets, relative, base, size = len(self._manifest([""] * len(self._items))), self._offsets, 0, -1
        while True:
            self._offsets = [offset + base if item.size else 0 for offset, item in zip(relative, self._items)]
            manifest_size = without_offsets + sum(len(str(offset)) for offset in self._offsets)
            if manifest_size == size:
                break
            size = manifest_size
            if size > _MAX_MANIFEST or index_size > _MAX_INDEX:
                raise Error("too_large", "manifest" if size > _MAX_MANIFEST else "index")
            self._index_offset = _align_up(_HEADER_SIZE + size, 64)
            base = _align_up(self._index_offset + index_size, max(64, self._alignment))
        self.data_offset, self.file_size = base, base + self._data_size
        if self.file_size > _MAX_SIZE:
            raise Error("too_large")

    def write_tensors(self, write: Callable[[Any], Any]) -> None:
        """Writes the tensors in order, with the padding between them, and keeps their checksums."""
        at = self.data_offset
        short: list[tuple[int, Any]] = []
        later: list[tuple[int, Any]] = []  # checksums that another thread computes: NumPy and the system let it run
        running: collections.deque[Any] = collections.deque()
        with concurrent.futures.ThreadPoolExecutor(1) as other:
            for number, (item, offset) in enumerate(zip(self._items, self._offsets)):
                if self._originals[number] != number or not item.size:
                    continue
                if offset > at:
                    write(bytes(offset - at))
                at, crc, written, before = offset + item.size, 0, 0, None
                for piece in (whole[first : first + _PIECE] for whole in item.pieces() for first in range(0, len(whole), _PIECE)):
                    written += len(piece)
                    if item.size >= 1 << 18:
                        before = other.submit(_crc32c_behind, before, piece)
                        running.append(before)
                        if len(running) > 4:  # so that few copies of strided arrays wait
                            running.popleft().result()
                    elif len(piece) == item.size <= _SHORT:
                        short.append((number, piece))
                    else:
                        crc = crc32c(piece, crc)
                    write(piece)
                if written != item.size:
                    raise Error("bad_size", self._names[number], "the tensor changed while it was saved")
                self._crcs[number] = crc
                if before is not None:
                    later.append((number, before))
            write(bytes(self.file_size - at))
            for number, computed in later:
                self._crcs[number] = computed.result()
        for (number, _), crc in zip(short, _crcs([piece for _, piece in short])):
            self._crcs[number] = crc
        self._crcs = [self._crcs[original] for original in self._originals]

    def table(self) -> bytes:
        """All that is in front of the tensors, which are written."""
        rows = [Tensor(name, item.dtype.name, item.shape, offset, item.size, crc, 0, item.bits, item.block,
                       self._names[original] if original != number else None)
                for number, (name, item, offset, crc, original) in enumerate(zip(self._names, self._items, self._offsets, self._crcs, self._originals))]
        manifest, index = self._manifest(self._offsets), _build_index(rows)
        header = _HEADER.pack(_MAGIC, 1, 1, self.file_size, _HEADER_SIZE, self._alignment, _HEADER_SIZE, len(manifest), self._index_offset,
                              len(index), self.data_offset, self._data_size, crc32c(manifest), crc32c(index), 0, 0, 0, 0, 0)
        table = header + struct.pack("<I", crc32c(header)) + manifest
        table += bytes(self._index_offset - len(table)) + index
        return table + bytes(self.data_offset - len(table))


def save(tensors: Any, metadata: Mapping[str, Any] | None = None, *, state: Mapping[str, Any] | None = None,
         graph: Mapping[str, Any] | None = None, attributes: Mapping[str, Mapping[str, Any]] | None = None,
         alignment_bytes: int = 64) -> bytes:
    """The file that `save_file` writes, as bytes."""
    plan = _Plan(tensors, {"graph": graph, "state": state, "metadata": metadata}, attributes or {}, alignment_bytes)
    data = io.BytesIO()
    plan.write_tensors(data.write)
    return plan.table() + data.getvalue()


def save_file(tensors: Any, path: str | os.PathLike[str], metadata: Mapping[str, Any] | None = None, *,
              state: Mapping[str, Any] | None = None, graph: Mapping[str, Any] | None = None,
              attributes: Mapping[str, Mapping[str, Any]] | None = None, alignment_bytes: int = 64, durable: bool = True) -> None:
    """Saves tensors as a native file of stet, in place of what is at `path`.

    A reader sees the old file or the new one, whole. After a failure the old one is there, and nothing else. `durable` waits until the
    bytes and the name are on the disk. The same tensors give the same bytes everywhere.

    tensors     a dictionary by name, in the order of which they are stored; or a torch.nn.Module, a Keras model, an open `Store`.
                Values are NumPy arrays of any strides and byte order, PyTorch tensors, `Raw`, or have `__array__`. Arrays of str, bytes
                and objects are strings. Values that share memory, shape and strides become aliases
    metadata, state, graph   JSON as dictionaries: typed, of any depth up to 64, NumPy's numbers included
    attributes  by the name of a tensor: "trainable", "quantization", anything
    alignment_bytes  of every tensor: a power of two up to 65536
    """
    plan = _Plan(tensors, {"graph": graph, "state": state, "metadata": metadata}, attributes or {}, alignment_bytes)
    path = os.path.realpath(os.fsdecode(path))
    descriptor, temporary = _create_temporary(path)
    try:
        with builtins.open(descriptor, "wb", buffering=1 << 20) as file:
            _copy_access(path, descriptor)
            file.seek(plan.data_offset)
            plan.write_tensors(file.write)
            if plan.file_size == plan.data_offset:
                file.truncate(plan.file_size)
            file.seek(0)
            file.write(plan.table())
            file.flush()
            if durable:
                _sync(descriptor)
            if os.name != "nt":  # the lock is kept until the file has its name
                os.replace(temporary, path)
        if os.name == "nt":  # which renames no open file
            os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        _sync_folder(os.path.dirname(path), path)


def _create_temporary(path: str) -> tuple[int, str]:
    """Creates the unfinished file for `path`, locked and named as stet's C++ writer does; that of a killed program is removed."""
    folder, name = os.path.split(path)
    if not name or os.path.isdir(path):
        raise Error("bad_path", path)
    stem = f".{name}." if len(os.fsencode(name)) <= 200 else f".{name[:40]}~."
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    number, tries = 0, 0
    while True:
        temporary = os.path.join(folder, f"{stem}{number}.stet-tmp")
        tries += 1
        try:
            descriptor = os.open(temporary, flags, 0o666)
        except FileExistsError:
            if tries > 1000:
                raise
            if not _remove_unlocked(temporary):
                number += 1
            continue
        if _lock(descriptor, temporary):
            return descriptor, temporary
        os.close(descriptor)  # another program took it for abandoned


def _lock(descriptor: int, path: str) -> bool:
    """Takes the lock of an open file, without waiting; false if another program has it, or has removed the file."""
    try:
        import fcntl
    except ImportError:
        return True  # on Windows an open file cannot be removed
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # the file system has no locks
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove_unlocked(path: str) -> bool:
    """Removes the unfinished file of a program that was killed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        if os.name == "nt" or not _lock(descriptor, path):
            return False
        os.unlink(path)
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _copy_access(path: str, descriptor: int) -> None:
    """Gives the new file the owner and the permissions of the file that it replaces, as far as that is allowed."""
    try:
        old = os.stat(path)
    except FileNotFoundError:
        return
    if os.name == "nt" or not stat.S_ISREG(old.st_mode):
        return
    mode = old.st_mode & 0o777
    with contextlib.suppress(OSError):  # only an administrator may change the owner
        if os.fstat(descriptor).st_uid != old.st_uid:
            os.fchown(descriptor, old.st_uid, old.st_gid)
    with contextlib.suppress(OSError):
        if os.fstat(descriptor).st_gid != old.st_gid:
            os.fchown(descriptor, -1, old.st_gid)
    if os.fstat(descriptor).st_gid != old.st_gid:  # another group gets only the rights of all users
        mode &= 0o707 | (mode & 0o7) << 3
    if mode != stat.S_IMODE(os.fstat(descriptor).st_mode):
        os.fchmod(descriptor, mode)


def _sync(descriptor: int) -> None:
    if sys.platform == "darwin":  # there fsync leaves the bytes in the cache of the disk
        import fcntl

        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
        except OSError:
            pass
    os.fsync(descriptor)


def _sync_folder(folder: str, path: str) -> None:
    if os.name == "nt":
        return
    try:
        descriptor = os.open(folder or ".", os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except PermissionError:
        os.sync()
        return
    try:
        os.fsync(descriptor)
    except OSError as failure:
        if failure.errno != errno.EINVAL:  # a file system that cannot sync folders
            raise Error("not_durable", path) from failure
    finally:
        os.close(descriptor)


# ---- PyTorch ----


def load_torch(path: str | os.PathLike[str], *, verify: bool = True) -> dict[str, Any]:
    """All tensors of a store as PyTorch tensors in memory: `module.load_state_dict(stet.load_torch(path))`. Aliases share one tensor."""
    import torch

    with Store(path) as store:

        def make(row: Tensor) -> Any:
            dtype = getattr(torch, row.dtype, None)
            if not isinstance(dtype, torch.dtype) or row.bits < 8:
                raise Error("unsupported", row.name, f"PyTorch has no dtype {row.dtype}")
            if row.dtype not in _NARROW:
                return torch.from_numpy(np.array(_array_of(row, store._buffers), _array_dtype(row.dtype).newbyteorder("=")))
            word = np.dtype(f"<u{row.bits // 8}")
            bits = np.array(_bytes_of(row, store._buffers).view(word), f"i{row.bits // 8}" if row.bits == 16 else "u1")
            return torch.from_numpy(bits).view(dtype).reshape(row.shape)

        return _load(store, verify, make)


# ---- Keras ----


def _keras_variables(model: Any) -> dict[str, Any]:
    """The weights of a model by the paths that Keras gives them, without the name of the model: "hidden/kernel"."""
    named: dict[str, Any] = {}
    for variable in model.weights:
        path = getattr(variable, "path", variable.name)
        name = path[len(model.name) + 1 :] if path.startswith(f"{model.name}/") else path
        if name in named:
            raise Error("duplicate_name", name, "two variables of the model have the same path; name their layers")
        named[name] = variable
    return named


def _keras_optimizer_variables(model: Any) -> dict[str, Any]:
    """The variables of the optimizer by number, as in files of Keras: their paths have the name of the model in them."""
    optimizer = getattr(model, "optimizer", None)
    return {f"optimizer/vars/{number}": variable for number, variable in enumerate(optimizer.variables if optimizer else [])}


def load_keras(model: Any, path: str | os.PathLike[str], *, verify: bool = True) -> None:
    """Restores a Keras model from a store that `save_file(model, path)` or `keras_checkpoint` saved.

    Every variable of the model must be in the store, in its shape; nothing is assigned otherwise. The optimizer is restored if the
    model is compiled and the store has it: "optimizer/vars/0" and so on.
    """
    with Store(path) as store:
        has_optimizer = "optimizer/vars/0" in store
        if has_optimizer and getattr(model, "optimizer", None) is not None and not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        named = {**_keras_variables(model), **(_keras_optimizer_variables(model) if has_optimizer else {})}
        for name, variable in named.items():
            if name not in store:
                raise Error("not_found", name, "the store lacks this variable of the model")
            if store.tensor(name).shape != tuple(variable.shape):
                raise Error("bad_shape", name, f"the store has {store.tensor(name).shape}, the model {tuple(variable.shape)}")
        if verify:
            store._verify_tensors(map(store.tensor, named))
        for name, variable in named.items():
            variable.assign(np.array(store[name]))


def keras_checkpoint(path: str | os.PathLike[str], *, every_epochs: int = 1, optimizer: bool = True, monitor: str | None = None,
                     mode: str = "min", durable: bool = True) -> Any:
    """A `keras.callbacks.Callback` that saves the model after epochs; `load_keras` restores it.

    path          of the store; it may hold {epoch}, counted from 1: "run/model-{epoch:04}.stet"
    every_epochs  saves after every so many epochs
    optimizer     saves the variables of the optimizer, too
    monitor       saves only if this value of the logs is the best so far: the least, or with `mode` "max" the largest
    """
    import keras

    if every_epochs < 1 or mode not in ("min", "max"):
        raise Error("invalid_argument", "every_epochs" if every_epochs < 1 else "mode")

    class StetCheckpoint(keras.callbacks.Callback):  # type: ignore[misc, name-defined, unused-ignore]
        best: float | None = None

        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            values = {key: float(value) for key, value in (logs or {}).items()}
            if monitor is not None:
                if monitor not in values:
                    raise Error("not_found", monitor, f"the logs have {', '.join(values) or 'no values'}")
                value = values[monitor]
                if self.best is not None and not (value < self.best if mode == "min" else value > self.best):
                    return
                self.best = value
            if (epoch + 1) % every_epochs:
                return
            step = getattr(self.model.optimizer, "iterations", None)
            state = {"global_step": int(np.asarray(step)) if step is not None else epoch + 1,
                     "user": {"epoch": epoch + 1, "logs": {key: value for key, value in values.items() if math.isfinite(value)}}}
            weights = _keras_variables(self.model)
            trainable = {name: {"trainable": bool(variable.trainable)} for name, variable in weights.items()}
            save_file({**weights, **(_keras_optimizer_variables(self.model) if optimizer else {})}, os.fspath(path).format(epoch=epoch + 1),
                      state=state, attributes=trainable, durable=durable)

    return StetCheckpoint()
