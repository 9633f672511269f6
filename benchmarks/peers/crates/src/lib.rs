// SPDX-License-Identifier: MIT
//! The C ABI that `peer_safetensors.h` and `peer_pytorch.h` declare and document, over the crates safetensors, memmap2 and
//! pytorch-reader.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::hint::black_box;
use std::path::Path;
use std::{ptr, slice, str};

use memmap2::Mmap;
use pytorch_reader::PytorchReader;
use safetensors::tensor::{Dtype, SafeTensors, View, serialize_to_file};
use serde::Deserialize;

/// An open file. Fields drop in the order written: the table goes before the mapping that it borrows.
pub struct OpenFile {
    table: SafeTensors<'static>,
    _mapping: Mmap,
}

/// `peer_safetensors_tensor`.
#[repr(C)]
pub struct Tensor {
    name: *const u8,
    name_size_bytes: usize,
    shape: *const usize,
    rank: usize,
    data: *const u8,
    size_bytes: usize,
    dtype: u32,
}

/// A tensor whose pointers have become slices of the caller's memory.
struct Borrowed<'a> {
    dtype: Dtype,
    shape: &'a [usize],
    data: &'a [u8],
}

impl View for Borrowed<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        self.data.into()
    }
    fn data_len(&self) -> usize {
        self.data.len()
    }
}

/// A C array as a slice; C may give null for an empty one, Rust may not.
unsafe fn borrow<'a, T>(first: *const T, count: usize) -> &'a [T] {
    if count == 0 { &[] } else { unsafe { slice::from_raw_parts(first, count) } }
}

/// Text without a UTF-8 check, since a Rust caller of the crate would hold a `str` already.
unsafe fn borrow_text<'a>(first: *const u8, size_bytes: usize) -> &'a str {
    unsafe { str::from_utf8_unchecked(borrow(first, size_bytes)) }
}

/// The values of `peer_safetensors_dtype`, in order.
const DTYPES: [Dtype; 2] = [Dtype::U8, Dtype::F32];

impl Tensor {
    /// Its name and view; panics unless `dtype` is one of `DTYPES`.
    unsafe fn borrow(&self) -> (&str, Borrowed<'_>) {
        let name = unsafe { borrow_text(self.name, self.name_size_bytes) };
        let shape = unsafe { borrow(self.shape, self.rank) };
        let data = unsafe { borrow(self.data, self.size_bytes) };
        (name, Borrowed { dtype: DTYPES[self.dtype as usize], shape, data })
    }
}

fn open(path: &Path) -> Option<OpenFile> {
    let mapping = unsafe { Mmap::map(&File::open(path).ok()?) }.ok()?;
    // Sound: the mapped bytes stay at their address when `mapping` moves, and outlive `table` (see OpenFile).
    let bytes: &'static [u8] = unsafe { slice::from_raw_parts(mapping.as_ptr(), mapping.len()) };
    let table = SafeTensors::deserialize(bytes).ok()?;
    Some(OpenFile { table, _mapping: mapping })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn peer_safetensors_open(path: *const u8, path_size_bytes: usize) -> *mut OpenFile {
    match open(Path::new(unsafe { borrow_text(path, path_size_bytes) })) {
        Some(file) => Box::into_raw(Box::new(file)),
        None => ptr::null_mut(),
    }
}

/// The index of a model in shards.
#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

fn open_shards(path: &Path) -> Option<Vec<OpenFile>> {
    let index: Index = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let folder = path.parent()?;
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut files: Vec<OpenFile> = Vec::new();
    for (name, shard) in &index.weight_map {
        let number = match numbers.get(shard.as_str()) {
            Some(number) => *number,
            None => {
                files.push(open(&folder.join(shard))?);
                numbers.insert(shard, files.len() - 1);
                files.len() - 1
            }
        };
        files[number].table.tensor(name).ok()?;
    }
    Some(files)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn peer_safetensors_open_shards(path: *const u8, path_size_bytes: usize) -> *mut Vec<OpenFile> {
    match open_shards(Path::new(unsafe { borrow_text(path, path_size_bytes) })) {
        Some(files) => Box::into_raw(Box::new(files)),
        None => ptr::null_mut(),
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn peer_safetensors_close_shards(files: *mut Vec<OpenFile>) -> usize {
    if files.is_null() {
        return 0;
    }
    unsafe { Box::from_raw(files) }.iter().map(|file| file.table.len()).sum()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn peer_safetensors_close(file: *mut OpenFile) {
    if !file.is_null() {
        drop(unsafe { Box::from_raw(file) });
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn peer_safetensors_tensor_count(file: *const OpenFile) -> usize {
    unsafe { &*file }.table.len()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn peer_safetensors_find(
    file: *const OpenFile,
    name: *const u8,
    name_size_bytes: usize,
    size_bytes: *mut usize,
) -> *const u8 {
    let name = unsafe { borrow_text(name, name_size_bytes) };
    match unsafe { &*file }.table.tensor(name) {
        Ok(view) => {
            // Keeps the view's copy of the shape: unused here, the optimiser could drop it, but not for a
            // caller who looks at it.
            black_box(view.shape());
            unsafe { *size_bytes = view.data().len() };
            view.data().as_ptr()
        }
        Err(_) => ptr::null(),
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn peer_safetensors_serialize_to_file(
    path: *const u8,
    path_size_bytes: usize,
    tensors: *const Tensor,
    tensor_count: usize,
) -> i32 {
    let path = Path::new(unsafe { borrow_text(path, path_size_bytes) });
    let tensors = unsafe { borrow(tensors, tensor_count) };
    if tensors.iter().any(|tensor| tensor.dtype as usize >= DTYPES.len()) {
        return 1;
    }
    let views = tensors.iter().map(|tensor| unsafe { tensor.borrow() });
    serialize_to_file(views, None, path).is_err().into()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn peer_pytorch_open(path: *const u8, path_size_bytes: usize) -> *mut PytorchReader {
    match PytorchReader::new(Path::new(unsafe { borrow_text(path, path_size_bytes) })) {
        Ok(file) => Box::into_raw(Box::new(file)),
        Err(_) => ptr::null_mut(),
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn peer_pytorch_close(file: *mut PytorchReader) {
    if !file.is_null() {
        drop(unsafe { Box::from_raw(file) });
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn peer_pytorch_tensor_count(file: *const PytorchReader) -> usize {
    unsafe { &*file }.len()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn peer_pytorch_first_byte(file: *const PytorchReader, name: *const u8, name_size_bytes: usize) -> i32 {
    let name = unsafe { borrow_text(name, name_size_bytes) };
    match unsafe { &*file }.get(name).and_then(|tensor| tensor.read().ok()) {
        Some(bytes) => bytes.first().map_or(-1, |byte| i32::from(*byte)),
        None => -1,
    }
}
