// SPDX-License-Identifier: MIT
// The syntax of HDF5 files: superblock, object headers, groups, attributes, datatypes, layouts, indexes of
// chunks.
#ifndef STET_WIRE_HDF5_HPP
#define STET_WIRE_HDF5_HPP

#include "hdf5/attribute.hpp"
#include "hdf5/chunks.hpp"
#include "hdf5/group.hpp"

// An HDF5 file is a graph of objects. The superblock names the root; every object has a header of messages,
// and a group's lead to further objects by name:
//
//   hdf5_file::open → root() → hdf5_object::read → read_links → hdf5_object::read …
//
// A dataset is an object with messages for its datatype, dataspace and layout; read_attributes gives the
// attributes of either. Everything is a view of the file's bytes. Files whose addresses are not of 8 bytes
// are not read; nobody writes them.

#endif
