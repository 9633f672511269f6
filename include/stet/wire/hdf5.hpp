// SPDX-License-Identifier: MIT
// The syntax of HDF5 files: superblock, object headers, groups, attributes, datatypes, layouts, chunk indexes.
#ifndef STET_WIRE_HDF5_HPP
#define STET_WIRE_HDF5_HPP

#include "hdf5/attribute.hpp"
#include "hdf5/chunks.hpp"
#include "hdf5/group.hpp"

// An HDF5 file is a graph of objects. The superblock has the address of the root. Every object has a header of
// messages; the messages of a group lead to other objects by name:
//
//   hdf5_file::open → root() → hdf5_object::read → read_links → hdf5_object::read …
//
// A dataset is an object with messages for its datatype, dataspace and layout. read_attributes reads the attributes of
// both. Everything is a view of the file's bytes. Files whose addresses do not have 8 bytes are not supported; no
// known program writes them.

#endif
