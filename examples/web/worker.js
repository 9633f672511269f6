// SPDX-License-Identifier: MIT
// Holds the open model: reads the dropped files piece by piece for stet, and measures and samples tensors for the page.
//
// A message is {id, call, ...arguments}; the answer {id, result}, or {id, error}. `progress` messages may come before. A newer
// message, unless it is about the same tensor, ends a measurement that is under way; its answer is then {id, is_cancelled}.
//
// All is one function, because the page makes the worker of its text: a worker of a blob is bound by the page's policy, where one
// of an address would have none; and it can be made of pages that lie in a folder, too.
"use strict";

/**
 * @param load_stet  what Emscripten made of web.cpp
 * @param connects  whether this is the page that opens URLs, whose policy allows connections
 */
function stet_worker(load_stet, connects) {
  const network = connects ? { fetch: self.fetch.bind(self), request: self.XMLHttpRequest } : null;
  // Nothing else here needs the network. The other page's policy forbids it; without these, Emscripten's loader does not even try.
  self.fetch = self.XMLHttpRequest = undefined;

  // ---- files ----

  const megabyte = 1 << 20;

  /** The dropped files, by number; and what lay around the last small read, so that stet's many small reads are few of the browser's. */
  const files = [];
  let ahead = { file: -1, offset: 0, bytes: new Uint8Array(0) };
  let ahead_size = 1 << 16;
  let bytes_read = 0;
  const reader = new FileReaderSync();

  function slice(file, offset, size) {
    const bytes = new Uint8Array(reader.readAsArrayBuffer(files[file].slice(offset, offset + size)));
    bytes_read += bytes.length;
    return bytes;
  }

  /** Fills `into` from `offset` on, as far as the file goes. Returns how many bytes there were. */
  function read(file, offset, into) {
    const size = Math.max(0, Math.min(into.length, files[file].size - offset));
    if (files[file].url) return read_remote(files[file], offset, into.subarray(0, size));
    if (size >= ahead_size) {
      into.set(slice(file, offset, size));
      return size;
    }
    const is_there = ahead.file === file && offset >= ahead.offset && offset + size <= ahead.offset + ahead.bytes.length;
    if (!is_there) ahead = { file, offset, bytes: slice(file, offset, ahead_size) };
    into.set(ahead.bytes.subarray(offset - ahead.offset, offset - ahead.offset + size));
    return size;
  }

  // ---- files at URLs ----
  //
  // A file at a URL is {path, url, size, tag, time, kept}. stet waits for what it reads, so a worker's own requests that wait are used; but
  // the first one for a URL can be broken off, since a server without ranges answers with everything. Each answer has to be the range that was
  // asked for, of the same file: status 206, Content-Range, the size, and ETag and Last-Modified as far as the server lets a page see
  // them. The worker sends no If-Range, since servers would have to allow it to pages; browsers do, for what is in their cache.

  const first_size = 1 << 16, tail_size = 1 << 15, largest_small_read = 1 << 17, most_kept_pieces = 12;
  let folder = null; // the URL that names beside the model are relative to
  let missing = new Set(); // names that are not there
  let remote_failure = null; // the newest, which says more than that a read failed

  /** Checks the answer to a request of the bytes from `first` to `last`. Returns how many there are. */
  function check_range(file, status, field, first, last) {
    const refuse = (why) => {
      throw Object.assign(new Error(`${file.url.split("?")[0]}: ${why}`), { status });
    };
    if (status === 404 || status === 410) refuse("no such file");
    const [tag, time] = [field("ETag"), field("Last-Modified")];
    const is_known = file.size !== undefined;
    const differs = (before, now) => before !== null && now !== null && before !== now;
    const is_another = is_known && (differs(file.tag, tag) || differs(file.time, time));
    if (is_another && (status === 200 || status === 206)) refuse("the file was replaced; open it again");
    if (status === 200) refuse("the server gives whole files only; download the file and drop it here");
    if (status !== 206) refuse(`the server answers with status ${status}`);
    const range = field("Content-Range");
    if (range === null) refuse("the server does not let this page see Content-Range (Access-Control-Expose-Headers)");
    const [, from, to, total] = (/^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(range) ?? refuse("the Content-Range is not valid")).map(Number);
    if (is_known && total !== file.size) refuse("the file was replaced; open it again");
    if (from !== first || to !== Math.min(last, total - 1)) refuse("the server gave another range than was asked for");
    if (!is_known) Object.assign(file, { size: total, tag, time });
    return to - from + 1;
  }

  /** Bytes of a file at a URL; waits for them. */
  function ask_range(file, first, last) {
    const request = new network.request();
    request.open("GET", file.url, false);
    request.responseType = "arraybuffer";
    request.setRequestHeader("Range", `bytes=${first}-${last}`);
    try {
      request.send();
    } catch {
      throw new Error(`${file.url.split("?")[0]}: the server cannot be reached, or allows no requests of pages (CORS)`);
    }
    const size = check_range(file, request.status, (name) => request.getResponseHeader(name), first, last);
    const bytes = new Uint8Array(request.response);
    if (bytes.length !== size) throw new Error(`${file.url.split("?")[0]}: the server gave ${bytes.length} bytes in place of ${size}`);
    bytes_read += size;
    return bytes;
  }

  /** At most `most` bytes of an answer; null if there are more, which are not waited for. */
  async function body_of(response, most, stop) {
    const parts = [], from = response.body.getReader();
    let size = 0;
    for (;;) {
      const { done, value } = await from.read();
      if (done) break;
      size += value.length;
      if (size > most) return stop.abort(), null;
      parts.push(value);
    }
    const all = new Uint8Array(size);
    parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
    return all;
  }

  /** The file at a URL, with its first bytes. */
  async function open_remote(url) {
    const path = decodeURIComponent(url.pathname.split("/").pop()) || url.host;
    const file = { path, url: url.href, kept: [] };
    const stop = new AbortController();
    let response;
    try {
      response = await network.fetch(file.url, { headers: { Range: `bytes=0-${first_size - 1}` }, cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer", signal: stop.signal });
    } catch {
      throw new Error(`${file.url.split("?")[0]}: the server cannot be reached, or allows no requests of pages (CORS)`);
    }
    let bytes = null;
    if (response.status === 200) { // the whole file: taken where it is small
      bytes = Number(response.headers.get("Content-Length") ?? 0) > first_size ? null : await body_of(response, first_size, stop);
      if (bytes !== null) file.size = bytes.length, file.tag = file.time = null;
    }
    if (bytes === null) {
      try {
        const size = check_range(file, response.status, (name) => response.headers.get(name), 0, first_size - 1);
        bytes = await body_of(response, size, stop);
        if (bytes?.length !== size) throw new Error(`${file.url.split("?")[0]}: the server gave other bytes than it stated`);
      } catch (failure) {
        stop.abort();
        throw failure;
      }
    }
    bytes_read += bytes.length;
    file.kept.push({ offset: 0, bytes });
    return file;
  }

  /** The number of a file beside the model's URL; -1: there is none. */
  function find_beside(name) {
    if (folder === null || missing.has(name) || /[/\\:]|^\.*$/.test(name)) return -1;
    const file = { path: name, url: new URL(encodeURIComponent(name), folder).href, kept: [] };
    try {
      file.kept.push({ offset: 0, bytes: ask_range(file, 0, first_size - 1) });
    } catch (failure) {
      missing.add(name);
      if (failure.status !== 404 && failure.status !== 410) remote_failure = failure.message;
      return -1;
    }
    return files.push(file) - 1;
  }

  function read_remote(file, offset, into) {
    for (let done = 0; done < into.length; ) {
      const at = offset + done, left = into.length - done;
      const piece = file.kept.find((each) => at >= each.offset && at < each.offset + each.bytes.length);
      if (piece) {
        const some = piece.bytes.subarray(at - piece.offset, at - piece.offset + left);
        into.set(some, done);
        done += some.length;
      } else if (left > largest_small_read) {
        into.set(ask_range(file, at, at + left - 1), done);
        done = into.length;
      } else {
        const is_tail = file.size - at <= tail_size;
        const begin = is_tail ? Math.max(0, file.size - tail_size) : at;
        const end = is_tail ? file.size : Math.min(file.size, at + Math.max(left, Math.min(ahead_size, first_size)));
        file.kept.push({ offset: begin, bytes: ask_range(file, begin, end - 1) });
        if (file.kept.length > most_kept_pieces) file.kept.splice(1, 1); // the beginning stays
      }
    }
    return into.length;
  }

  // ---- stet ----

  let stet = null;

  const loaded = load_stet({
    /** The number of the file at a path; -2: it is a folder; -1: there is nothing. */
    find(path) {
      const file = files.findIndex((each) => each.path === path);
      if (file < 0 && folder !== null) return find_beside(path);
      return file < 0 && files.some((each) => each.path.startsWith(`${path}/`)) ? -2 : file;
    },
    size: (file) => files[file].size,
    read(file, offset, into, size) {
      try {
        return read(file, offset, stet.HEAPU8.subarray(into, into + size)) === size;
      } catch (failure) {
        if (files[file].url) remote_failure = failure.message;
        return false; // the file was changed or is gone
      }
    },
  }).then((module) => {
    stet = module;
    for (const [name, result, ...types] of [
      ["open_model", "string", "string"],
      ["read_values", "number", "number", "number", "number"],
      ["read_strings", "string", "number", "number"],
      ["last_error", "string"],
      ["format_names", "string"],
    ]) stet[name] = stet.cwrap(name, result, types);
  });

  // ---- opening ----

  let tensors = new Map(); // of the open model, by number

  function checked(json) {
    const answer = JSON.parse(json);
    if (answer.error) throw new Error(take_remote_failure() ?? answer.error);
    return answer;
  }
  function take_remote_failure() {
    const failure = remote_failure;
    remote_failure = null;
    return failure;
  }

  /** Closes what was open. */
  function forget() {
    tensors = new Map();
    files.length = 0;
    ahead = { file: -1, offset: 0, bytes: new Uint8Array(0) };
    ahead_size = 1 << 16;
    bytes_read = 0;
    folder = remote_failure = null;
    missing = new Set();
  }

  /** What to try to open, the likeliest first: the folder that all is in, then each file, the outer ones first. */
  function candidates() {
    const depth = (path) => path.split("/").length;
    const paths = files.map((each) => each.path);
    const top = paths[0].split("/")[0];
    const order = paths.filter((path) => !path.split("/").pop().startsWith(".")).sort((a, b) => depth(a) - depth(b) || (a < b ? -1 : 1));
    return paths.every((path) => path.startsWith(`${top}/`)) ? [top, ...order] : order;
  }

  /** Opens the model at a URL, and what belongs to it beside that. */
  async function open_url({ url }) {
    forget();
    const at = URL.canParse?.(url) === false ? null : new URL(url);
    if (at === null || !/^https?:$/.test(at.protocol) || at.username || at.password) throw new Error("not a URL of http or https without a user");
    at.hash = "";
    const file = await open_remote(at);
    files.push(file);
    folder = new URL(".", at);
    const answer = checked(stet.open_model(file.path));
    remote_failure = null;
    for (const each of answer.tensors) tensors.set(each.number, each);
    return { ...answer, path: file.path, total_size: files.reduce((sum, { size }) => sum + size, 0) };
  }

  function open({ dropped }) {
    forget();
    for (const { file, path } of dropped) files.push(Object.assign(file, { path }));

    let failure = null;
    for (const path of candidates()) {
      let answer = JSON.parse(stet.open_model(path));
      if (!answer.error) {
        const shown = path.endsWith(".stet") && files.length > 1 ? top_of_deltas(path) : path;
        if (path.endsWith(".stet") && files.length > 1) answer = JSON.parse(stet.open_model(shown)); // the last that was opened is kept
        for (const each of answer.tensors) tensors.set(each.number, each);
        return { ...answer, path: shown };
      }
      // The error of the file that is a model after all says more than that another is none.
      const is_vague = ["unknown_format", "not_a_regular_file", "file_not_found"].includes(answer.code);
      if (failure === null || (failure.is_vague && !is_vague)) failure = { error: answer.error, is_vague };
    }
    throw new Error(failure?.error ?? "no file to open");
  }

  /// Of a delta and its base that were dropped together, the delta is what is shown: the path of the last delta that builds on `path`.
  function top_of_deltas(path) {
    const natives = candidates().filter((each) => each !== path && each.endsWith(".stet"));
    const bases = new Map(natives.map((each) => [JSON.parse(stet.open_model(each)).base, each]));
    for (let steps = natives.length; steps > 0; --steps) path = bases.get(path.split("/").pop()) ?? path;
    return path;
  }

  // ---- values ----

  const whole_size = 4 * megabyte; // a tensor of so many bytes is measured whole; of a larger one, a sample
  const sample_pieces = 64, sample_piece = 4096;
  const most_kept = 8 * megabyte;
  const bin_count = 64;
  const heat_rows = 256, heat_columns = 512, heat_budget = megabyte / 2;

  const is_integer = (dtype) => /int|bool/.test(dtype);
  const bytes_per_element = (tensor) => tensor.size_bytes / Math.max(1, tensor.element_count);

  /** Elements of a tensor as doubles: a view of stet's memory, valid until the next call. */
  function values(tensor, first, count) {
    const begin = first - (first % 8); // where whole bytes begin, whatever the width
    const at = stet.read_values(tensor.number, begin, first - begin + count);
    if (at === 0) throw new Error(take_remote_failure() ?? JSON.parse(stet.last_error()).error);
    return new Float64Array(stet.HEAPU8.buffer, at + (first - begin) * 8, count);
  }

  /** Ranges of elements that make up a tensor, or a sample of it that is spread evenly. */
  function pieces_of(tensor, is_whole) {
    const count = tensor.element_count;
    if (is_whole || tensor.size_bytes <= whole_size) {
      const step = 1 << 18;
      return Array.from({ length: Math.ceil(count / step) }, (_, i) => [i * step, Math.min(step, count - i * step)]);
    }
    const stride = (count - sample_piece) / (sample_pieces - 1);
    return Array.from({ length: sample_pieces }, (_, i) => [Math.floor((i * stride) / 8) * 8, sample_piece]);
  }

  let latest = { id: 0, number: -1 }; // the last message that ends a measurement
  /** Calls `take(values)` for each piece, lets newer messages come in between, and tells the page how far it is. */
  async function for_each_piece(id, tensor, pieces, from, to, take) {
    let told = performance.now();
    for (let i = 0; i < pieces.length; ++i) {
      const [first, count] = pieces[i];
      ahead_size = Math.max(4096, Math.ceil(count * bytes_per_element(tensor)));
      take(values(tensor, first, count));
      if (performance.now() - told < 50) continue;
      postMessage({ id, progress: from + ((to - from) * (i + 1)) / pieces.length, bytes_read });
      await new Promise((resolve) => setTimeout(resolve));
      if (latest.id !== id) throw cancelled;
      told = performance.now();
    }
  }
  const cancelled = new Error("cancelled");

  async function measure({ id, number, is_whole }) {
    const tensor = tensors.get(number);
    const pieces = pieces_of(tensor, is_whole);
    const kept = []; // the values, where they are few enough for not reading them twice
    let count = 0, finite = 0, nan = 0, infinite = 0, zero = 0, low = Infinity, high = -Infinity, mean = 0, squares = 0;
    await for_each_piece(id, tensor, pieces, 0, 0.5, (some) => {
      // Sums of a piece first, then joined (Chan, Golub, LeVeque 1979): exact enough for any number of elements.
      let n = 0, sum = 0;
      for (const value of some) {
        if (value - value !== 0) { if (value !== value) ++nan; else ++infinite; continue; }
        if (value === 0) ++zero;
        if (value < low) low = value;
        if (value > high) high = value;
        sum += value;
        ++n;
      }
      count += some.length;
      if (count <= most_kept) kept.push(some.slice());
      if (n === 0) return;
      const own_mean = sum / n;
      let own_squares = 0;
      for (const value of some) if (value - value === 0) own_squares += (value - own_mean) * (value - own_mean);
      const delta = own_mean - mean;
      squares += own_squares + (delta * delta * finite * n) / (finite + n);
      mean += (delta * n) / (finite + n);
      finite += n;
    });

    // A bin for each integer where they are few.
    const is_discrete = low === high || (is_integer(tensor.dtype) && high - low < bin_count);
    const [begin, end] = is_discrete ? [low - 0.5, high + 0.5] : [low, high];
    const counts = new Array(finite === 0 ? 0 : is_discrete ? high - low + 1 : bin_count).fill(0);
    const scale = counts.length / (end - begin);
    const sort_in = (some) => {
      for (const value of some) {
        if (value - value === 0) ++counts[Math.max(0, Math.min(counts.length - 1, Math.floor((value - begin) * scale)))];
      }
    };
    if (count <= most_kept) kept.forEach(sort_in);
    else if (finite > 0) await for_each_piece(id, tensor, pieces, 0.5, 1, sort_in);
    return { count, finite, nan, infinite, zero, low, high, mean, deviation: Math.sqrt(squares / Math.max(1, finite)), begin, end, counts, is_discrete };
  }

  /** A plane of a tensor, one value a cell: the last two axes at index `plane` of those before; a vector is wrapped. */
  function heat({ number, plane }) {
    const tensor = tensors.get(number);
    const { shape, element_count } = tensor;
    const rank = shape.length;
    let columns = rank > 0 ? shape[rank - 1] : 1, rows = rank > 1 ? shape[rank - 2] : 1;
    const is_wrapped = rank < 2 && columns > 128;
    if (is_wrapped) {
      columns = Math.min(heat_columns, Math.ceil(Math.sqrt(columns)));
      rows = Math.ceil(element_count / columns);
    }
    const first = rank > 2 ? plane * rows * columns : 0;
    const most_rows = Math.max(16, Math.min(heat_rows, Math.floor(heat_budget / columns)));
    const row_step = Math.ceil(rows / most_rows);
    const shown_columns = Math.min(columns, heat_budget / 16); // of a row that is longer, its beginning
    const column_step = Math.ceil(shown_columns / heat_columns);
    const height = Math.ceil(rows / row_step), width = Math.ceil(shown_columns / column_step);
    const cells = new Float64Array(width * height).fill(NaN);
    const is_dense = row_step === 1 && shown_columns === columns;
    ahead_size = is_dense ? Math.min(megabyte, Math.ceil(rows * columns * bytes_per_element(tensor)) + 8) : 4096;
    for (let y = 0; y < height; ++y) {
      const begin = y * row_step * columns;
      const some = values(tensor, first + begin, is_wrapped ? Math.min(columns, element_count - begin) : shown_columns);
      for (let x = 0; x < width && x * column_step < some.length; ++x) cells[y * width + x] = some[x * column_step];
    }
    const cell_count = is_wrapped ? Math.ceil(element_count / row_step) : cells.length;
    return { rows, columns, shown_columns, row_step, column_step, width, height, cells, is_wrapped, cell_count };
  }

  function strings({ number }) {
    return checked(stet.read_strings(number, 200)).strings;
  }

  const formats = () => checked(stet.format_names());

  const calls = { open, open_url, measure, heat, strings, formats };

  onmessage = async ({ data }) => {
    if (data.call !== "heat" || data.number !== latest.number) latest = data;
    try {
      await loaded;
      const result = await calls[data.call](data);
      postMessage({ id: data.id, result, bytes_read });
    } catch (failure) {
      postMessage(failure === cancelled ? { id: data.id, is_cancelled: true, bytes_read } : { id: data.id, error: failure.message, bytes_read });
    }
  };
}
