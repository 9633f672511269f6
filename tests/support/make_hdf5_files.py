#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes hdf5_files.hpp: small HDF5 files of every generation, made by h5py (3.14 with HDF5 1.14.6), as compact text.

    make_hdf5_files.py > hdf5_files.hpp

h5py sets no sizes of blocks and nodes as small as these files want; those it leaves to the HDF5 library are set there directly.
"""
import ctypes, glob, os, re, sys, tempfile

import h5py
import numpy as np
from h5py import h5d, h5f, h5p, h5s, h5t

library = ctypes.CDLL(glob.glob(os.path.join(os.path.dirname(h5py.__file__), '..', 'h5py.libs', 'libhdf5-*.so*'))[0])


def set_property(name, plist, *values):
    types = {'H5Pset_small_data_block_size': [ctypes.c_uint64], 'H5Pset_istore_k': [ctypes.c_uint], 'H5Pset_sym_k': [ctypes.c_uint] * 2,
             'H5Pset_link_phase_change': [ctypes.c_uint] * 2, 'H5Pset_local_heap_size_hint': [ctypes.c_size_t],
             'H5Pset_fletcher32': [], 'H5Pset_deflate': [ctypes.c_uint], 'H5Pset_shared_mesg_nindexes': [ctypes.c_uint],
             'H5Pset_shared_mesg_index': [ctypes.c_uint] * 3}[name]
    function = getattr(library, name)
    function.argtypes = [ctypes.c_int64] + types
    function.restype = ctypes.c_int
    assert function(plist.id, *values) >= 0, name


def create(path, low, high=None, chunk_nodes=None, user_block=0, shared=()):
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_libver_bounds(low, high or low)
    access.set_meta_block_size(0)
    set_property('H5Pset_small_data_block_size', access, 0)
    creation = h5p.create(h5p.FILE_CREATE)
    creation.set_obj_track_times(False)
    creation.set_link_creation_order(h5p.CRT_ORDER_TRACKED)
    if low == h5f.LIBVER_EARLIEST:
        creation = h5p.create(h5p.FILE_CREATE)
        set_property('H5Pset_sym_k', creation, 2, 2)
        set_property('H5Pset_local_heap_size_hint', creation, 64)
    if chunk_nodes:
        set_property('H5Pset_istore_k', creation, chunk_nodes)
    if user_block:
        creation.set_userblock(user_block)
    if shared:
        set_property('H5Pset_shared_mesg_nindexes', creation, len(shared))
    for number, types in enumerate(shared):
        set_property('H5Pset_shared_mesg_index', creation, number, types, 1)
    return h5py.File(h5f.create(path.encode(), h5f.ACC_TRUNC, creation, access))


def chunked(group, name, data, chunk, limits=None, filters=(), early=False, write=True):
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_chunk(chunk)
    properties.set_obj_track_times(False)
    if early:
        properties.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    for each in filters:
        {'shuffle': properties.set_shuffle, 'fletcher32': properties.set_fletcher32,
         'deflate': lambda: properties.set_deflate(6), 'lzf': lambda: properties.set_filter(h5py.h5z.FILTER_LZF, h5py.h5z.FLAG_OPTIONAL),
         'scaleoffset': lambda: properties.set_scaleoffset(2, 0)}[each]()
    limits = tuple(h5s.UNLIMITED if each is None else each for each in (limits or data.shape))
    space = h5s.create_simple(data.shape, limits)
    made = h5d.create(group.id, name.encode(), h5t.py_create(data.dtype, logical=True), space, properties)
    if write:
        made.write(h5s.ALL, h5s.ALL, data)


def contiguous(group, name, data):
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    data = np.asarray(data)
    made = h5d.create(group.id, name.encode(), h5t.py_create(data.dtype, logical=True), h5s.create_simple(data.shape), properties)
    made.write(h5s.ALL, h5s.ALL, data)


def compact(group, name, data):
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_layout(h5d.COMPACT)
    properties.set_obj_track_times(False)
    made = h5d.create(group.id, name.encode(), h5t.py_create(data.dtype), h5s.create_simple(data.shape), properties)
    made.write(h5s.ALL, h5s.ALL, data)


def count(dtype, *shape):
    """1, 2, 3 …"""
    return np.arange(1, 1 + int(np.prod(shape)), dtype=dtype).reshape(shape)


def symbols(path):
    """Superblock 0, object headers 1, groups as symbol tables of several nodes."""
    with create(path, h5f.LIBVER_EARLIEST, h5f.LIBVER_V18) as f:
        contiguous(f, 'w', count('<f4', 2, 3))
        contiguous(f, 'big', count('>i2', 3))
        contiguous(f, 'true', np.array([True, False]))
        contiguous(f, 'z', np.array([1 + 2j], 'c8'))
        compact(f, 'compact', count('<u1', 4))
        g = f.create_group('g')
        contiguous(g, 'bf', np.array([b'\x80\x3f'], 'V2'))
        g['bf'].attrs.create('dtype', b'bfloat16', dtype='S8')
        g['up'] = f['/']
        f['again'] = f['w']
        f['h'] = g
        f['soft'] = h5py.SoftLink('/w')


def chunks1(path):
    """Superblock 1, chunks by version 1 B-trees of several levels, filters that need no adapter."""
    with create(path, h5f.LIBVER_EARLIEST, h5f.LIBVER_V18, chunk_nodes=1) as f:
        chunked(f, 'plain', count('<i2', 3, 3), (2, 2))
        chunked(f, 'lzf', np.full(40, 7, '<i4'), (40,), filters=['shuffle', 'lzf', 'fletcher32'])
        chunked(f, 'never', count('<i2', 4), (2,), write=False)


def links(path):
    """Superblock 2, object headers 2, groups as link messages, attributes in the header, a user block."""
    with create(path, h5f.LIBVER_V18, user_block=512) as f:
        contiguous(f, 'z', count('<f8', 2))
        contiguous(f, 'a', count('<i8', 2))
        compact(f, 'compact', count('<u1', 4))
        f.create_dataset('filled', shape=(3,), dtype='<i2', fillvalue=5)
        f.create_dataset('nothing', data=h5py.Empty('f4'))
        f['a'].attrs.create('fixed', np.array([b'ab', b'c'], 'S3'))
        f['a'].attrs['number'] = np.int32(7)
        f['type'] = np.dtype('<i4')
        f['outside'] = h5py.ExternalLink('other.h5', '/x')


def dense(path):
    """Links and attributes in fractal heaps, found by version 2 B-trees."""
    with create(path, h5f.LIBVER_V18) as f:
        properties = h5p.create(h5p.GROUP_CREATE)
        set_property('H5Pset_link_phase_change', properties, 0, 0)
        properties.set_attr_phase_change(0, 0) if hasattr(properties, 'set_attr_phase_change') else None
        g = h5py.Group(h5py.h5g.create(f.id, b'g', gcpl=properties))
        for name in 'bac':
            contiguous(g, name, count('<u1', 2))
        made = h5p.create(h5p.DATASET_CREATE)
        made.set_attr_phase_change(0, 0)
        made.set_obj_track_times(False)
        h5d.create(f.id, b'noted', h5t.STD_U8LE, h5s.create_simple((1,)), made)
        f['noted'].attrs['one'] = np.int8(1)
        f['noted'].attrs['two'] = np.array([b'x', b'yz'], 'S2')


def rows(path):
    """A fractal heap whose root is an indirect block: more names than one block holds."""
    with create(path, h5f.LIBVER_V18) as f:
        g = f.create_group('g')
        contiguous(f, 'only', count('<u1', 1))
        for i in range(24):
            g['n%02d' % i + 'x' * 40] = f['only']


def arrays(path):
    """Superblock 3 and the indexes of chunks that layouts of version 4 have, but for trees."""
    with create(path, h5f.LIBVER_V110) as f:
        chunked(f, 'single', count('<i2', 3), (3,))
        chunked(f, 'implicit', count('<i2', 3), (2,), early=True)
        chunked(f, 'fixed', count('<i2', 5), (2,))
        chunked(f, 'fixed_filtered', count('<i2', 5), (2,), filters=['fletcher32'])
        chunked(f, 'single_filtered', count('<i2', 3), (3,), filters=['shuffle', 'fletcher32'])


def growing(path):
    """Chunks of datasets that may grow: extensible arrays, and version 2 B-trees."""
    with create(path, h5f.LIBVER_V110) as f:
        chunked(f, 'one', count('<i1', 30), (1,), limits=(None,))
        chunked(f, 'filtered', count('<i2', 5), (2,), limits=(None,), filters=['fletcher32'])
        chunked(f, 'two', count('<i1', 2, 3), (1, 2), limits=(None, None))
        chunked(f, 'two_filtered', count('<i2', 2, 2), (1, 2), limits=(None, None), filters=['fletcher32'])


def strings(path):
    """Strings in a global heap."""
    with create(path, h5f.LIBVER_V110) as f:
        f.create_dataset('s', data=['one', '', 'three'], dtype=h5py.string_dtype())
        f.create_dataset('fixed', data=np.array([b'ab', b'c'], 'S3'))
        f['fixed'].attrs['list'] = ['x', 'yz']


def deflated(path):
    """Filters that need an adapter, or that nobody undoes."""
    with create(path, h5f.LIBVER_V110) as f:
        chunked(f, 'deflate', np.zeros(100, '<i4'), (50,), filters=['shuffle', 'deflate'])
        chunked(f, 'scaleoffset', count('<i4', 4), (4,), filters=['scaleoffset'])


def elsewhere(path):
    """Data that are not in the file."""
    with create(path, h5f.LIBVER_V110) as f:
        layout = h5py.VirtualLayout(shape=(2,), dtype='<i2')
        layout[:] = h5py.VirtualSource('other.h5', 'x', shape=(2,))
        f.create_virtual_dataset('virtual', layout)
        f.create_dataset('external', shape=(2,), dtype='<i2', external=[('other.bin', 0, 4)])


def dense_group(f, name, *filters):
    """A group whose links and attributes are in heaps; the links' go through filters."""
    properties = h5p.create(h5p.GROUP_CREATE)
    set_property('H5Pset_link_phase_change', properties, 0, 0)
    properties.set_attr_phase_change(0, 0)
    for each in filters:
        set_property(*each[:1], properties, *each[1:])
    return h5py.Group(h5py.h5g.create(f.id, name, gcpl=properties))


def huge(path):
    """Objects too large for the blocks of a heap: an attribute and a link of more than 4 KiB, found by B-trees."""
    with create(path, h5f.LIBVER_V18) as f:
        g = dense_group(f, b'g')
        g.attrs['names'] = np.array([b'n' * 4100, b'', b'last'], 'S4104')
        g.attrs['short'] = np.int8(1)
        contiguous(g, 'l' * 4100, count('<u1', 2))
        contiguous(g, 'z', count('<u1', 1))


def filtered_groups(path):
    """Groups whose links went through filters: in one block, in rows of blocks, and too large for a block."""
    with create(path, h5f.LIBVER_V18) as f:
        one = dense_group(f, b'one', ['H5Pset_fletcher32'])
        for name in 'ba':
            contiguous(one, name, count('<u1', 2))
        one['l' * 4100] = one['a']
        one.attrs['short'] = np.int8(1)
        rows = dense_group(f, b'rows', ['H5Pset_fletcher32'])
        for i in range(24):
            rows['n%02d' % i + 'x' * 40] = one['a']
        deflated = dense_group(f, b'deflated', ['H5Pset_deflate', 6])
        deflated['c'] = one['a']


def shared(path):
    """Messages that objects share, in two heaps: datatypes, dataspaces, fill values and filters; attributes."""
    with create(path, h5f.LIBVER_V18, shared=[1 << 1 | 1 << 3 | 1 << 5 | 1 << 11, 1 << 12]) as f:
        for name in 'ab':
            chunked(f, name, count('<i2', 3), (2,), filters=['shuffle', 'fletcher32'])
            f[name].attrs['number'] = np.int32(7)
        f.create_dataset('filled', shape=(3,), dtype='<i2', fillvalue=5)
        g = dense_group(f, b'g')
        g.attrs['number'] = np.int32(7)
        g.attrs['text'] = np.array([b'x', b'yz'], 'S2')


def text_of(data):
    """Hexadecimal digits; runs of zeros as z40z, of 0xFF as u8u, of 'l' as l4100l, of 'n' as n4100n."""
    def pack(match):
        mark = {0: 'z', 255: 'u', 108: 'l', 110: 'n'}[match.group()[0]]
        return mark + str(len(match.group())) + mark
    made, at = [], 0
    for run in re.finditer(rb'\x00{3,}|\xff{3,}|l{9,}|n{9,}', data):
        made.append(data[at:run.start()].hex())
        made.append(pack(run))
        at = run.end()
    made.append(data[at:].hex())
    text = ''.join(made)
    return '\n'.join('    "%s"' % text[i:i + 100] for i in range(0, len(text), 100))


def main():
    print('''// SPDX-License-Identifier: MIT
// Small HDF5 files of every generation. Written by make_hdf5_files.py, which says what is in them.
#ifndef STET_TESTS_SUPPORT_HDF5_FILES_HPP
#define STET_TESTS_SUPPORT_HDF5_FILES_HPP

#include <cstddef>
#include <string>
#include <string_view>

namespace stet_test {

/// A file as text: hexadecimal digits, runs of zeros as z40z, of 0xFF as u8u, of 'l' and 'n' likewise.
struct hdf5_sample {
  const char* name;
  std::string_view text;

  [[nodiscard]] std::string bytes() const {
    const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    std::string made;
    for (std::size_t at = 0; at < text.size();) {
      if (text[at] > 'f') {
        std::size_t count = 0, end = at + 1;
        for (; text[end] != text[at]; ++end)
          count = count * 10 + static_cast<std::size_t>(digit(text[end]));
        made.append(count, text[at] == 'z' ? '\\0' : text[at] == 'u' ? '\\xff' : text[at]);
        at = end + 1;
      } else {
        made.push_back(static_cast<char>(digit(text[at]) * 16 + digit(text[at + 1])));
        at += 2;
      }
    }
    return made;
  }
};

namespace hdf5_files {
''')
    names = []
    with tempfile.TemporaryDirectory() as folder:
        for make in (symbols, chunks1, links, dense, rows, arrays, growing, strings, deflated, elsewhere, huge, filtered_groups,
                     shared):
            path = os.path.join(folder, 'made.h5')
            make(path)
            data = open(path, 'rb').read()
            print('%s: %d bytes' % (make.__name__, len(data)), file=sys.stderr)
            print('/// %s\ninline constexpr hdf5_sample %s{\n    "%s",\n%s};\n' % (make.__doc__, make.__name__, make.__name__, text_of(data)))
            names.append(make.__name__)
    print('inline constexpr hdf5_sample all[] = {%s};\n' % ', '.join(names))
    print('''} // namespace hdf5_files

} // namespace stet_test

#endif''')


main()
