// SPDX-License-Identifier: MIT
// What ranks of MPI save with, beside stet: a file for each by pwrite, MPI-IO, and HDF5, where it is built for MPI.
#ifndef STET_BENCHMARKS_SHARDED_PEERS_HPP
#define STET_BENCHMARKS_SHARDED_PEERS_HPP

#include "sharded_model.hpp"

#include <mpi.h>

#if defined(STET_BENCHMARKS_HDF5)
#include <hdf5.h>
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

namespace bench {

/// Ends all ranks when something is not as expected: what failed has no speed.
inline void require_on_rank(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "failed: %s\n", what);
  MPI_Abort(MPI_COMM_WORLD, 1);
}

/// The ranks that save, or load, together.
struct rank_group {
  MPI_Comm all = MPI_COMM_NULL;
  int rank = 0, size = 1;
};

// ---- a file for each rank ----

/// Saves what each rank has into a file of its own, a block after the other: the floor, which only as many ranks with the same blocks load.
struct file_per_rank {
  static constexpr std::size_t piece_bytes = std::size_t{1} << 20;
  static std::string path_of(const std::string& path, int rank) { return path + "." + std::to_string(rank); }

  static void save(const rank_group& ranks, const std::string& path, held_model& model) {
    const int file = ::open(path_of(path, ranks.rank).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    require_on_rank(file >= 0, "open");
    off_t at = 0;
    for (held_matrix& each : model.blocks())
      for_pieces(each.bytes(), at,
                 [&](std::byte* some, std::size_t size, off_t to) { return ::pwrite(file, some, size, to); });
    require_on_rank(::fsync(file) == 0 && ::close(file) == 0, "fsync");
  }
  /// Reads as many bytes as the model has, in the order of the files. They are the model where the ranks are those that saved.
  static void load(const rank_group& ranks, const std::string& path, held_model& model, int saved_by) {
    const int files_each = saved_by / ranks.size;
    int number = ranks.rank * files_each, file = -1;
    off_t at = 0, end = 0;
    const auto next = [&] {
      if (file >= 0) ::close(file);
      file = ::open(path_of(path, number++).c_str(), O_RDONLY | O_CLOEXEC);
      require_on_rank(file >= 0, "open");
      at = 0;
      end = ::lseek(file, 0, SEEK_END);
    };
    for (held_matrix& each : model.blocks()) {
      for (std::span<std::byte> left = each.bytes(); !left.empty();) {
        if (at == end && (number == (ranks.rank + 1) * files_each))
          break; // of replicas, there are more in memory than in files
        if (at == end) next();
        const std::size_t size = (std::min)({left.size(), piece_bytes, static_cast<std::size_t>(end - at)});
        const ssize_t got = ::pread(file, left.data(), size, at);
        require_on_rank(got > 0, "pread");
        at += got;
        left = left.subspan(static_cast<std::size_t>(got));
      }
    }
    ::close(file);
  }

private:
  template <class Transfer> static void for_pieces(std::span<std::byte> bytes, off_t& at, Transfer transfer) {
    while (!bytes.empty()) {
      const ssize_t done = transfer(bytes.data(), (std::min)(bytes.size(), piece_bytes), at);
      require_on_rank(done > 0, "pwrite");
      at += done;
      bytes = bytes.subspan(static_cast<std::size_t>(done));
    }
  }
};

// ---- MPI-IO ----

/// One file. Each matrix is row-major, or where ranks hold columns, their blocks follow each other, so that saving writes runs only, as
/// stet does. Every matrix is one collective call.
struct mpi_io {
  static void save(const rank_group& ranks, const std::string& path, held_model& model) {
    MPI_File file = MPI_FILE_NULL;
    check(MPI_File_open(ranks.all, path.c_str(), MPI_MODE_WRONLY | MPI_MODE_CREATE, MPI_INFO_NULL, &file));
    MPI_Offset at = 0;
    for (held_matrix& each : model.blocks()) {
      const auto size = static_cast<MPI_Offset>(each.bytes().size());
      const bool writes = each.how != cut::replica || ranks.rank == 0;
      const MPI_Offset own = each.how == cut::replica ? 0 : size * ranks.rank;
      check(MPI_File_write_at_all(file, at + own, each.elements.data(),
                                  writes ? static_cast<int>(each.elements.size()) : 0, MPI_FLOAT, MPI_STATUS_IGNORE));
      at += static_cast<MPI_Offset>(each.of->size_bytes());
    }
    check(MPI_File_sync(file));
    check(MPI_File_close(&file));
  }
  static void load(const rank_group& ranks, const std::string& path, held_model& model, int saved_by) {
    MPI_File file = MPI_FILE_NULL;
    check(MPI_File_open(ranks.all, path.c_str(), MPI_MODE_RDONLY, MPI_INFO_NULL, &file));
    MPI_Offset at = 0;
    for (held_matrix& each : model.blocks()) {
      if (each.how == each.of->saved_as) {
        const auto size = static_cast<MPI_Offset>(each.bytes().size());
        const MPI_Offset own = each.how == cut::replica ? 0 : size * ranks.rank;
        check(MPI_File_read_at_all(file, at + own, each.elements.data(), static_cast<int>(each.elements.size()),
                                   MPI_FLOAT, MPI_STATUS_IGNORE));
      } else if (each.how == cut::columns) {
        load_columns(file, at, each);
      } else {
        load_rows(file, at, each, static_cast<std::uint64_t>(saved_by));
      }
      at += static_cast<MPI_Offset>(each.of->size_bytes());
    }
    check(MPI_File_close(&file));
  }

private:
  static void check(int code) { require_on_rank(code == MPI_SUCCESS, "MPI-IO"); }

  /// Columns of a row-major matrix: a view that shows only them.
  static void load_columns(MPI_File file, MPI_Offset at, held_matrix& into) {
    const int whole[2] = {static_cast<int>(into.of->rows), static_cast<int>(into.of->columns)};
    const int part[2] = {static_cast<int>(into.rows), static_cast<int>(into.columns)};
    const int start[2] = {static_cast<int>(into.first_row), static_cast<int>(into.first_column)};
    MPI_Datatype shown = MPI_DATATYPE_NULL;
    check(MPI_Type_create_subarray(2, whole, part, start, MPI_ORDER_C, MPI_FLOAT, &shown));
    check(MPI_Type_commit(&shown));
    char native[] = "native";
    check(MPI_File_set_view(file, at, MPI_FLOAT, shown, native, MPI_INFO_NULL));
    check(MPI_File_read_at_all(file, 0, into.elements.data(), static_cast<int>(into.elements.size()), MPI_FLOAT,
                               MPI_STATUS_IGNORE));
    check(MPI_File_set_view(file, 0, MPI_BYTE, MPI_BYTE, native, MPI_INFO_NULL));
    MPI_Type_free(&shown);
  }
  /// Rows of blocks of columns: from each block a run, into a part of each row in memory.
  static void load_rows(MPI_File file, MPI_Offset at, held_matrix& into, std::uint64_t block_count) {
    const std::uint64_t columns = into.of->columns / block_count;
    MPI_Datatype part = MPI_DATATYPE_NULL;
    check(MPI_Type_vector(static_cast<int>(into.rows), static_cast<int>(columns), static_cast<int>(into.columns),
                          MPI_FLOAT, &part));
    check(MPI_Type_commit(&part));
    for (std::uint64_t block = 0; block < block_count; ++block) {
      const std::uint64_t first = (block * into.of->rows + into.first_row) * columns;
      check(MPI_File_read_at_all(file, at + static_cast<MPI_Offset>(first * sizeof(float)),
                                 into.elements.data() + block * columns, 1, part, MPI_STATUS_IGNORE));
    }
    MPI_Type_free(&part);
  }
};

// ---- HDF5 ----

#if defined(STET_BENCHMARKS_HDF5)
/// One file, a contiguous dataset for each matrix, collective transfers of hyperslabs.
struct parallel_hdf5 {
  static void save(const rank_group& ranks, const std::string& path, held_model& model) {
    const hid_t access = access_of(ranks), transfer = transfer_all(), creation = check(H5Pcreate(H5P_DATASET_CREATE));
    check(H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER));
    const hid_t file = check(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access));
    const hid_t links = check(H5Pcreate(H5P_LINK_CREATE));
    check(H5Pset_create_intermediate_group(links, 1));
    for (held_matrix& each : model.blocks()) {
      const hsize_t shape[2] = {each.of->rows, each.of->columns};
      const hid_t space = check(H5Screate_simple(2, shape, nullptr));
      const hid_t set =
          check(H5Dcreate2(file, each.of->name.c_str(), H5T_NATIVE_FLOAT, space, links, creation, H5P_DEFAULT));
      const hid_t memory = select(space, each);
      if (each.how == cut::replica && ranks.rank != 0) {
        check(H5Sselect_none(space));
        check(H5Sselect_none(memory));
      }
      check(H5Dwrite(set, H5T_NATIVE_FLOAT, memory, space, transfer, each.elements.data()));
      check(H5Sclose(memory));
      check(H5Dclose(set));
      check(H5Sclose(space));
    }
    check(H5Fflush(file, H5F_SCOPE_GLOBAL)); // MPI_File_sync
    check(H5Fclose(file));
    for (const hid_t each : {access, transfer, creation, links}) check(H5Pclose(each));
  }
  static void load(const rank_group& ranks, const std::string& path, held_model& model, int) {
    const hid_t access = access_of(ranks), transfer = transfer_all();
    const hid_t file = check(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access));
    for (held_matrix& each : model.blocks()) {
      const hid_t set = check(H5Dopen2(file, each.of->name.c_str(), H5P_DEFAULT)), space = check(H5Dget_space(set));
      const hid_t memory = select(space, each);
      check(H5Dread(set, H5T_NATIVE_FLOAT, memory, space, transfer, each.elements.data()));
      check(H5Sclose(memory));
      check(H5Sclose(space));
      check(H5Dclose(set));
    }
    check(H5Fclose(file));
    for (const hid_t each : {access, transfer}) check(H5Pclose(each));
  }

private:
  template <class T> static T check(T made) {
    require_on_rank(made >= 0, "HDF5");
    return made;
  }
  static hid_t access_of(const rank_group& ranks) {
    const hid_t made = check(H5Pcreate(H5P_FILE_ACCESS));
    check(H5Pset_fapl_mpio(made, ranks.all, MPI_INFO_NULL));
    check(H5Pset_all_coll_metadata_ops(made, true));
    check(H5Pset_coll_metadata_write(made, true));
    return made;
  }
  static hid_t transfer_all() {
    const hid_t made = check(H5Pcreate(H5P_DATASET_XFER));
    check(H5Pset_dxpl_mpio(made, H5FD_MPIO_COLLECTIVE));
    return made;
  }
  /// Selects what a rank has of a dataset. @return the space of its memory
  static hid_t select(hid_t space, const held_matrix& of) {
    const hsize_t start[2] = {of.first_row, of.first_column}, count[2] = {of.rows, of.columns};
    check(H5Sselect_hyperslab(space, H5S_SELECT_SET, start, nullptr, count, nullptr));
    return check(H5Screate_simple(2, count, nullptr));
  }
};
#endif

} // namespace bench

#endif
