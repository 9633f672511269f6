// SPDX-License-Identifier: MIT
// The browser page in a real Chromium: what it lists, counts and draws, how little it reads, that nothing leaves it.
//
//   page.cjs PAGE DIGITS PICTURES: the folder of the page, examples/digits/digits_data.stet, a folder for screenshots
"use strict";
const { chromium } = require("playwright-core");
const { execFileSync } = require("node:child_process");
const assert = require("node:assert/strict");
const fs = require("node:fs");
const http = require("node:http");
const os = require("node:os");
const path = require("node:path");
const { write_store, read_store, write_checkpoints, bytes_of } = require("./stores.cjs");

const [page_folder, digits, pictures] = process.argv.slice(2).map((each) => path.resolve(each));
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "stet_web_"));
const skipped = 77;

function find_browser() {
  for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
    try {
      return execFileSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim();
    } catch {}
  }
  console.log("SKIPPED: there is no Chromium here");
  process.exit(skipped);
}

/** Any server of static files will do; this one also keeps what it was asked. */
function serve(asked) {
  const types = { ".html": "text/html", ".css": "text/css", ".js": "text/javascript" };
  const server = http.createServer((request, response) => {
    asked.push(request.url);
    const file = path.join(page_folder, request.url === "/" ? "index.html" : request.url);
    if (!fs.existsSync(file)) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": types[path.extname(file)] }).end(fs.readFileSync(file));
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

// ---- what a person does and sees ----

const open_files = (page, files) => page.setInputFiles("#files", files);
const is_open = (page, name) => page.waitForFunction((wanted) => document.querySelector("#summary b")?.textContent === wanted, name);
const bytes_read = (page) => page.$eval("#reading", (each) => Number(each.dataset.bytes));

async function choose(page, name) {
  await page.fill("#filter", name);
  await page.$eval("#name", (each) => (each.textContent = "")); // may be that of the tensor before
  await page.locator("#rows [role=row]", { has: page.locator(`[title=${JSON.stringify(name)}]`) }).click();
  await page.waitForFunction((wanted) => document.querySelector("#name").textContent === wanted &&
    !(document.querySelector("#histogram_figure").hidden && document.querySelector("#tensor_failure").hidden && document.querySelector("#strings").hidden) &&
    document.querySelector("#progress").hidden, name);
}

const rows = (page) => page.$$eval("#rows [role=row]", (all) => all.map((row) => [...row.children].map((cell) => cell.textContent)));
const counts = (page) => page.$$eval("#histogram g", (all) => all.map((bin) => Number(bin.dataset.count)));
const fact = (page, list, term) => page.$eval(list, (of, wanted) =>
  [...of.children].find((each) => each.firstChild.textContent === wanted)?.lastChild.textContent, term);
const pixels = (page) => page.$eval("#heat", (canvas) => {
  const { width, height } = canvas;
  return { width, height, data: [...canvas.getContext("2d").getImageData(0, 0, width, height).data] };
});
const pixel = ({ width, data }, x, y) => data.slice((y * width + x) * 4, (y * width + x) * 4 + 3);

/** What the page says of the cell at this place of the heat map. */
async function value_at(page, x, y) {
  await page.$eval("#heat", (canvas, [cell_x, cell_y]) => {
    const box = canvas.getBoundingClientRect();
    canvas.dispatchEvent(new PointerEvent("pointermove", {
      clientX: box.left + canvas.clientLeft + ((cell_x + 0.5) / canvas.width) * canvas.clientWidth,
      clientY: box.top + canvas.clientTop + ((cell_y + 0.5) / canvas.height) * canvas.clientHeight,
    }));
  }, [x, y]);
  const text = await page.textContent("#value");
  return Number(text.slice(text.indexOf("]") + 1).trim().replace("−", "-"));
}

const seven_digits = (value) => Number(value.toPrecision(7)); // as the page shows them

// ---- checks ----

let context, page, asked, server, address;
const complaints = []; // errors of the page itself

async function shows_the_digits() {
  const { manifest, bytes_of } = read_store(digits);
  await open_files(page, digits);
  await is_open(page, "digits_data.stet");
  assert.deepEqual(await rows(page), Object.entries(manifest.tensors).map(([name, { dtype, shape, size_bytes }]) =>
    [name, dtype, `[${shape.join(", ")}]`, size_bytes < 1024 ? `${size_bytes} B` : size_bytes < 1 << 20
      ? `${(size_bytes / 1024).toFixed(size_bytes < 102400 ? 1 : 0)} KiB` : `${(size_bytes / 1024 / 1024).toFixed(1)} MiB`]));

  await choose(page, "train/images");
  const nibbles = [...bytes_of("train/images")].flatMap((byte) => [byte & 15, byte >> 4]);
  const expected = new Array(16).fill(0);
  for (const value of nibbles) ++expected[value];
  assert.deepEqual(await counts(page), expected);
  assert.equal(await fact(page, "#statistics", "zeros"), expected[0].toLocaleString("en"));
  const mean = nibbles.reduce((sum, value) => sum + value, 0) / nibbles.length;
  assert.equal(Number(await fact(page, "#statistics", "mean")), seven_digits(mean));

  const plane = 1234, image = nibbles.slice(plane * 784, (plane + 1) * 784);
  await page.fill("#plane", String(plane));
  await page.waitForFunction((wanted) => document.querySelector("#plane_note").textContent.includes(`[${wanted}, :, :]`), plane);
  const heat = await pixels(page);
  assert.deepEqual([heat.width, heat.height], [28, 28]);
  const ink = image.indexOf(15), paper = image.indexOf(0);
  assert.deepEqual(pixel(heat, ink % 28, Math.floor(ink / 28)), [12, 48, 86]);
  assert.deepEqual(pixel(heat, paper % 28, Math.floor(paper / 28)), [247, 245, 241]);
  const grey = image.findIndex((value) => value > 3 && value < 12);
  assert.equal(await value_at(page, grey % 28, Math.floor(grey / 28)), image[grey]);
}

async function draws_exact_values() {
  const store = path.join(scratch, "exact.stet");
  const values = Float32Array.of(-1, 0, 0.5, 1, NaN, -0.5);
  const whole = Float64Array.from({ length: 128 }, (_, i) => i);
  write_store(store, [
    { name: "values", dtype: "float32", shape: [2, 3], pieces: [{ at: 0, bytes: bytes_of(values) }] },
    { name: "steps", dtype: "float64", shape: [128], pieces: [{ at: 0, bytes: bytes_of(whole) }] },
    { name: "flags", dtype: "bool", shape: [3], pieces: [{ at: 0, bytes: Uint8Array.of(1, 0, 1) }] },
    { name: "numbers", dtype: "complex64", shape: [1], pieces: [{ at: 0, bytes: bytes_of(Float32Array.of(3, 4)) }] },
    { name: "scalar", dtype: "int64", shape: [], pieces: [{ at: 0, bytes: bytes_of(BigInt64Array.of(-7n)) }] },
    { name: "nothing", dtype: "float32", shape: [0, 4] },
  ]);
  await open_files(page, store);
  await is_open(page, "exact.stet");
  await choose(page, "values");
  const heat = await pixels(page);
  const expected = [[26, 90, 150], [247, 245, 241], [212, 147, 138], [176, 48, 34], [222, 172, 0], [137, 168, 196]];
  expected.forEach((colour, i) => assert.deepEqual(pixel(heat, i % 3, Math.floor(i / 3)), colour, `pixel ${i}`));
  // Where they have room, the values stand in their cells.
  const numbers = () => page.$$eval("#numbers:not([hidden]) span", (all) => all.map((each) => each.textContent));
  assert.deepEqual(await numbers(), ["−1", "0", "0.5", "1", "NaN", "−0.5"]);
  assert.equal(await fact(page, "#statistics", "NaN"), "1");
  assert.equal((await counts(page)).reduce((sum, count) => sum + count), 5);
  await choose(page, "steps");
  assert.deepEqual(await numbers(), []);
  assert.deepEqual(await counts(page), new Array(64).fill(2));
  assert.equal(await fact(page, "#statistics", "deviation"), String(seven_digits(Math.sqrt((128 ** 2 - 1) / 12))));
  await choose(page, "flags");
  assert.deepEqual(await counts(page), [1, 2]);
  await choose(page, "numbers");
  assert.equal(await value_at(page, 0, 0), 5);
  await choose(page, "scalar");
  assert.equal(await page.textContent("#scale_low"), "−7");
  await page.fill("#filter", "nothing");
  await page.locator("#rows [role=row]").click();
  await page.waitForFunction(() => document.querySelector("#name").textContent === "nothing");
  assert.equal(await page.isHidden("#heat_figure"), true);
}

async function reads_little_of_a_large_file() {
  const store = path.join(scratch, "large.stet");
  const kernel = Float32Array.from({ length: 64 * 32 }, (_, i) => (i - 1024) / 1024);
  const row = Float32Array.from({ length: 1024 }, (_, i) => i / 1024);
  write_store(store, [
    { name: "huge", dtype: "float32", shape: [100000, 1024], pieces: [{ at: 0, bytes: bytes_of(row) }] },
    { name: "kernel", dtype: "float32", shape: [64, 32], pieces: [{ at: 0, bytes: bytes_of(kernel) }] },
  ]);
  const { size } = fs.statSync(store);
  await open_files(page, store);
  await is_open(page, "large.stet");
  const to_open = await bytes_read(page);
  await choose(page, "kernel");
  const bins = await counts(page);
  assert.equal(bins.length, 64);
  assert.equal(bins.reduce((sum, count) => sum + count), 2048);
  assert.equal(await value_at(page, 3, 2), seven_digits(kernel[2 * 32 + 3]));
  const with_kernel = await bytes_read(page);
  await choose(page, "huge");
  assert.equal((await counts(page)).reduce((sum, count) => sum + count), 64 * 4096);
  assert.equal(await value_at(page, 511, 0), seven_digits(row[1022])); // every second column
  const read = await bytes_read(page);
  console.log(`  a store of ${size} bytes: ${to_open} read to open it, ${with_kernel} with a tensor of 8 KiB, ${read} with one of 391 MiB (${((100 * read) / size).toFixed(2)} %)`);
  assert.ok(with_kernel < size / 1000 && read < size / 100);

  // All of it, when asked to: told as it goes on, and ended when something else is chosen.
  const began = Date.now();
  await page.click("#everything");
  await page.waitForFunction(() => !document.querySelector("#progress").hidden);
  await choose(page, "kernel");
  assert.ok((await bytes_read(page)) < size);
  await choose(page, "huge");
  await page.click("#everything");
  await page.waitForFunction(() => document.querySelector("#histogram_note").textContent === "of all 102,400,000 values", null, { timeout: 120000 });
  assert.equal((await counts(page)).reduce((sum, count) => sum + count), 102400000);
  assert.equal(await fact(page, "#statistics", "zeros"), (102400000 - 1023).toLocaleString("en"));
  console.log(`  all of it, twice: ${((Date.now() - began) / 1000).toFixed(1)} s`);
}

async function reads_little_of_a_model_of_several_files() {
  const folder = path.join(scratch, "parts"), last = Float32Array.of(0.25, -1.5, 3, 1e-3), large = 400 << 20;
  fs.mkdirSync(folder);
  const data = fs.openSync(path.join(folder, "weights.bin"), "w");
  fs.ftruncateSync(data, large);
  fs.writeSync(data, bytes_of(last), 0, 16, large);
  fs.closeSync(data);
  const shape = [large / 4096, 1024];
  fs.writeFileSync(path.join(folder, "tfjs.json"), JSON.stringify({
    modelTopology: null,
    weightsManifest: [{ paths: ["weights.bin"], weights: [{ name: "large", shape, dtype: "float32" }, { name: "last", shape: [4], dtype: "float32" }] }],
  }));
  fs.writeFileSync(path.join(folder, "loose.json"), JSON.stringify({
    stet: { version: 1, minimum_reader: 1 }, data: ["weights.bin"],
    tensors: { large: { dtype: "float32", shape, offset_bytes: 0, size_bytes: large }, last: { dtype: "float32", shape: [4], offset_bytes: large, size_bytes: 16 } },
  }));
  for (const manifest of ["tfjs.json", "loose.json"]) {
    await open_files(page, [manifest, "weights.bin"].map((name) => path.join(folder, name)));
    await is_open(page, manifest);
    await choose(page, "last");
    for (let i = 0; i < 4; ++i) assert.equal(await value_at(page, i, 0), seven_digits(last[i]));
    assert.ok((await bytes_read(page)) < 1 << 20, manifest);
  }
  await open_files(page, path.join(folder, "loose.json"));
  await page.waitForFunction(() => document.querySelector("#failure").textContent.startsWith("weights.bin: a part of the store is missing"));
}

async function reads_beyond_four_gibibytes() {
  const store = path.join(scratch, "far.stet");
  write_store(store, [
    { name: "gap", dtype: "uint8", shape: [5, 1 << 30] },
    { name: "far", dtype: "int8", shape: [4], pieces: [{ at: 0, bytes: Uint8Array.of(1, 2, 253, 4) }] },
  ]);
  await open_files(page, store);
  await is_open(page, "far.stet");
  await choose(page, "far");
  assert.equal(await value_at(page, 2, 0), -3);
  fs.rmSync(store);
}

async function stays_quick_with_many_tensors() {
  const store = path.join(scratch, "many.stet");
  const hostile = "<img src=x onerror=alert(1)>";
  write_store(store, Array.from({ length: 10000 }, (_, i) => ({
    name: i === 5000 ? hostile : `encoder/layer_${Math.floor(i / 4)}/${["kernel", "bias", "scale", "shift"][i % 4]}`,
    dtype: "float32", shape: i % 4 === 0 ? [4, 8] : [8],
  })));
  const began = Date.now();
  await open_files(page, store);
  await is_open(page, "many.stet");
  console.log(`  10,000 tensors listed after ${Date.now() - began} ms`);
  const in_page = () => page.$$eval("#rows [role=row]", (all) => all.length);
  assert.ok((await in_page()) < 100);
  assert.equal(await page.getAttribute("#grid", "aria-rowcount"), "10001");

  // By keys alone.
  const active = () => page.evaluate(() => {
    const row = document.getElementById(document.querySelector("#grid").getAttribute("aria-activedescendant"));
    return row && row.getAttribute("aria-selected") === "true" ? [Number(row.getAttribute("aria-rowindex")), row.firstChild.textContent] : null;
  });
  assert.equal(await page.evaluate(() => document.activeElement.id), "grid");
  await page.keyboard.press("ArrowDown");
  assert.deepEqual(await active(), [2, "encoder/layer_0/kernel"]);
  await page.keyboard.press("End");
  assert.deepEqual(await active(), [10001, "encoder/layer_2499/shift"]);
  await page.keyboard.press("ArrowUp");
  assert.deepEqual(await active(), [10000, "encoder/layer_2499/scale"]);
  assert.ok((await in_page()) < 100);
  await page.keyboard.press("/");
  await page.keyboard.type("layer_77/ float32");
  await page.waitForFunction(() => document.querySelector("#matches").textContent === "4 of 10,000");
  await page.keyboard.press("ArrowDown");
  assert.deepEqual(await active(), [2, "encoder/layer_77/kernel"]);
  await page.waitForFunction(() => document.querySelector("#name").textContent === "encoder/layer_77/kernel");
  assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector("[aria-selected=true]")).outlineStyle), "solid");

  await page.fill("#filter", "img");
  assert.deepEqual((await rows(page)).map(([name]) => name), [hostile]);
  assert.equal(await page.$("img"), null);
  await page.fill("#filter", "");
  await page.click("#head .size button");
  await page.click("#head .size button");
  assert.equal(await page.getAttribute("#head .size", "aria-sort"), "descending");
  assert.equal((await rows(page))[0][3], "128 B");
}

async function says_what_is_wrong() {
  const damaged = path.join(scratch, "damaged.stet"), bytes = fs.readFileSync(digits);
  bytes[200] ^= 1;
  fs.writeFileSync(damaged, bytes);
  for (const [name, content, message] of [
    ["damaged.stet", bytes, "damaged.stet: the manifest is damaged (at byte 128)"],
    ["cut.stet", bytes.subarray(0, 5000), "cut.stet: the file is shorter than it says"],
    ["letter.txt", Buffer.from("Dear reader"), "letter.txt: not a format that is known here"],
    ["empty", Buffer.alloc(0), "empty: not a format that is known here"],
  ]) {
    fs.writeFileSync(path.join(scratch, name), content);
    await open_files(page, path.join(scratch, name));
    await page.waitForFunction((wanted) => document.querySelector("#failure").textContent.startsWith(wanted), message)
      .catch(async () => assert.fail(`${name}: ${await page.textContent("#failure")}`));
    assert.equal(await page.isVisible("#failure"), true);
  }
  // The page goes on.
  await open_files(page, digits);
  await is_open(page, "digits_data.stet");
}

/** A real drop, as the browser makes one of what a person drags out of a file manager. */
async function drop(what) {
  const session = await context.newCDPSession(page);
  const data = { items: [], files: what, dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"]) await session.send("Input.dispatchDragEvent", { type, x: 400, y: 300, data });
  await session.detach();
}

async function opens_a_chosen_folder() {
  const folder = path.join(scratch, "chosen");
  fs.mkdirSync(folder);
  write_checkpoints(folder);
  await page.setInputFiles("#folder", folder);
  await is_open(page, "chosen/ckpt-2.stet");
  assert.deepEqual((await rows(page)).map(([name]) => name), ["trunk", "head"]);
}

async function takes_what_is_dropped() {
  await open_files(page, path.join(scratch, "exact.stet"));
  await is_open(page, "exact.stet");
  await drop([digits]);
  await is_open(page, "digits_data.stet");
  assert.equal(await page.isHidden("#veil"), true);
}

/** Real files of other formats, against what their own frameworks read in them. */
async function opens_other_formats() {
  const samples = process.env.STET_SAMPLES;
  if (!samples || !fs.existsSync(path.join(samples, "truth"))) return console.log("  skipped: there are no samples of other formats here");
  let checked = 0;
  for (const [truth, files, most] of [
    ["made/keras-v3/layer_zoo/zoo.keras", null, 12],
    ["made/keras-v3/layer_zoo/zoo.weights.h5", null, 6],
    ["keras-v3/keras-team_keras/keras/src/saving/test_data/pre_pr22362_nested_container.keras", null, 9],
    ["hdf5/usnistgov_h5wasm/compressed.h5", null, 9], // deflated, among others
    ["hdf5/jjhelmus_pyfive/compressed_v1.hdf5", null, 9],
    ["tf-ckpt-v2/google-deepmind_sonnet/mlp_3x4x5_1x3/checkpoint-1", ["checkpoint-1.index", "checkpoint-1.data-00000-of-00001"], 9],
    ["tfjs/tensorflow_tfjs/e2e/custom_module/dense_model/model/model.json", ["model.json", "group1-shard1of1.bin"], 9],
    ["tf-savedmodel/tensorflow-fork-uve/cc/saved_model/testdata/half_plus_two_v2/00000123/variables/variables", "../", 9],
  ]) {
    const place = path.join(samples, truth), truth_file = path.join(samples, "truth", `${truth}.json`);
    if (!fs.existsSync(truth_file)) {
      console.log(`  skipped: no ${truth} here`);
      continue;
    }
    if (files === "../") {
      await drop([path.dirname(path.dirname(place))]);
      await page.waitForFunction(() => document.querySelector("#summary").textContent.includes("saved"));
    } else {
      const dropped = (files ?? [path.basename(place)]).map((name) => path.join(path.dirname(place), name));
      await page.evaluate(() => (document.querySelector("#summary").textContent = ""));
      await open_files(page, dropped);
      await page.waitForFunction(() => document.querySelector("#summary b") || !document.querySelector("#failure").hidden);
    }
    assert.equal(await page.isHidden("#failure"), true, `${truth}: ${await page.textContent("#failure")}`);
    const wanted = Object.entries(JSON.parse(fs.readFileSync(truth_file)).tensors)
      .filter(([, { shape, dtype, first4, error, read_error }]) => shape && first4 && /^(F|I|U|BF)\d/.test(dtype) && !error && !read_error).slice(0, most);
    assert.ok(wanted.length > 0, truth);
    for (const [name, { shape, first4, dtype }] of wanted) {
      await choose(page, name);
      assert.equal(await fact(page, "#facts", "shape"), `[${shape.join(", ")}]`, name);
      assert.equal(await page.isHidden("#tensor_failure"), true, `${name}: ${await page.textContent("#tensor_failure")}`);
      const last = shape.at(-1) ?? 1;
      for (let i = 0; i < Math.min(first4.length, last); ++i) {
        const shown = await value_at(page, i, 0), difference = Math.abs(shown - first4[i]);
        assert.ok(difference <= 1e-6 * Math.abs(first4[i]), `${truth} ${name} (${dtype}) [${i}]: ${shown}, truth ${first4[i]}`);
      }
      ++checked;
    }
  }
  console.log(`  ${checked} tensors of other formats have the shapes and first values that their frameworks read`);
}

async function opens_a_delta_with_its_base() {
  const folder = path.join(scratch, "checkpoints");
  fs.mkdirSync(folder);
  write_checkpoints(folder);
  const [base, delta] = ["ckpt-1.stet", "ckpt-2.stet"].map((name) => path.join(folder, name));
  await open_files(page, [base, delta]);
  await is_open(page, "ckpt-2.stet");
  assert.match(await page.textContent("#summary"), /delta of ckpt-1\.stet/);
  assert.deepEqual((await rows(page)).map(([name, dtype, shape]) => [name, dtype, shape]),
    [["trunk", "float32", "[2, 2]"], ["head", "float32", "[2]"]]);
  await choose(page, "trunk");
  assert.equal(await value_at(page, 1, 1), 4);
  await choose(page, "head");
  assert.equal(await value_at(page, 1, 0), 8);

  // Alone it is no model, and the page names the file that is missing.
  await open_files(page, delta);
  await page.waitForSelector("#failure:not([hidden])");
  assert.match(await page.textContent("#failure"), /ckpt-1\.stet/);
}

async function connects_to_nothing() {
  // All that was ever asked of the server is the page itself, before the first file was opened.
  assert.deepEqual(asked, ["/", "/style.css", "/stet_web.js", "/worker.js", "/page.js"]);
  // And nothing could be: the policy forbids it to the page and to its worker.
  const outside = [];
  const other = http.createServer((request, response) => outside.push(request.url) && response.end()).listen(0, "127.0.0.1");
  await new Promise((resolve) => other.once("listening", resolve));
  for (const url of [`${address}secret`, `http://127.0.0.1:${other.address().port}/secret`]) {
    const tries = (to) => Promise.all([
      () => fetch(to), () => new Promise((resolve, reject) => Object.assign(new WebSocket(to.replace("http", "ws")), { onopen: resolve, onerror: reject })),
      () => new Promise((resolve, reject) => Object.assign(new EventSource(to), { onopen: resolve, onerror: reject })),
      () => (self.document ? new Promise((resolve, reject) => Object.assign(new Image(), { onload: resolve, onerror: reject, src: to })) : importScripts(to)),
      () => (self.navigator.sendBeacon ? Promise.reject(navigator.sendBeacon(to, "x")) : Promise.reject()),
    ].map((attempt) => Promise.resolve().then(attempt).then(() => "connected", () => "refused")));
    assert.deepEqual(new Set(await page.evaluate(tries, url)), new Set(["refused"]));
    // importScripts of the page's own server is allowed: it brings scripts, and takes an address there that is seen above.
    if (!url.startsWith(address)) assert.deepEqual(new Set(await page.workers()[0].evaluate(tries, url)), new Set(["refused"]));
  }
  await page.waitForTimeout(200);
  assert.deepEqual(outside, []);
  assert.equal(asked.length, 5);
  other.close();
}

/** The contrast of every text in sight with what is behind it (WCAG 2.1, 1.4.3). */
const low_contrasts = () => page.evaluate(() => {
  const luminance = ([red, green, blue]) => [red, green, blue].map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
  const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = numbers(getComputedStyle(each).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (texts.currentNode.data.trim() === "" || element.getClientRects().length === 0 || element.closest("svg, script")) continue;
    ++seen;
    const [a, b] = [luminance(numbers(getComputedStyle(element).color)), luminance(behind(element))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) found.push(`${texts.currentNode.data.trim()}: ${contrast.toFixed(2)}`);
  }
  return { seen, found };
});

async function is_legible() {
  for (const [name, scheme, width, height] of [["light", "light", 1280, 800], ["dark", "dark", 1280, 800], ["narrow", "light", 360, 740], ["narrow_dark", "dark", 360, 740]]) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme: scheme });
    await page.reload();
    const check = async (what) => {
      const { seen, found } = await low_contrasts();
      assert.ok(seen > 5);
      assert.deepEqual(found, [], `${name} ${what}`);
      assert.ok(await page.evaluate(() => document.scrollingElement.scrollWidth <= innerWidth), `${name} ${what} is wider than the screen`);
      await page.screenshot({ path: path.join(pictures, `${name}_${what}.png`) });
    };
    await page.waitForFunction(() => /^stet, .*safetensors/.test(document.querySelector("#formats").textContent));
    await check("start");
    await open_files(page, path.join(scratch, "letter.txt"));
    await page.waitForSelector("#failure:not([hidden])");
    await check("failure");
    await open_files(page, digits);
    await is_open(page, "digits_data.stet");
    await page.keyboard.press("ArrowDown");
    await page.waitForFunction(() => document.querySelector("#histogram g"));
    await value_at(page, 14, 14);
    await check("digits");
    await open_files(page, path.join(scratch, "large.stet"));
    await is_open(page, "large.stet");
    await choose(page, "kernel");
    await page.fill("#filter", "");
    await check("kernel");
    await open_files(page, path.join(scratch, "many.stet"));
    await is_open(page, "many.stet");
    await page.keyboard.press("PageDown");
    await page.keyboard.press("ArrowDown");
    await page.waitForFunction(() => document.querySelector("#histogram g"));
    await check("many");
  }
}

/** Serves files to pages of other servers, by ranges: /ranges/NAME, and wrongly by other folders. Keeps what it was asked and how much it sent. */
function serve_remote(files) {
  const state = { asked: [], sent: 0, tag: '"1"' };
  const server = http.createServer((request, response) => {
    const [, mode, name] = request.url.split("?")[0].split("/");
    response.setHeader("Access-Control-Allow-Origin", "*");
    if (request.method === "OPTIONS") return response.writeHead(204, { "Access-Control-Allow-Headers": "Range" }).end();
    state.asked.push({ mode, name: decodeURIComponent(name), range: request.headers.range });
    const file = files[decodeURIComponent(name)];
    if (file === undefined) return response.writeHead(404).end();
    response.setHeader("ETag", state.tag);
    if (mode !== "hidden") response.setHeader("Access-Control-Expose-Headers", "Content-Range, ETag");
    if (mode === "uncached") response.setHeader("Cache-Control", "no-store");
    const condition = request.headers["if-range"]; // of the browser's own cache
    if (mode !== "uncached" && condition !== undefined && condition !== state.tag) return response.writeHead(200).end(file);
    if (mode === "whole") {
      // So slow that waiting for all of it would be noticed.
      response.writeHead(200, { "Content-Length": file.length });
      const send = (at) => at < file.length ? response.write(file.subarray(at, at + 65536), () => ((state.sent += 65536), setTimeout(send, 50, at + 65536))) : response.end();
      return send(0);
    }
    let [first, last] = request.headers.range.slice("bytes=".length).split("-").map(Number);
    last = Math.min(last, file.length - 1);
    const stated = mode === "shifted" ? first + 1 : first;
    state.sent += last - first + 1;
    response.writeHead(206, { "Content-Range": `bytes ${stated}-${last}/${file.length}` }).end(file.subarray(first, last + 1));
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve({ server, state, url: `http://127.0.0.1:${server.address().port}` })));
}

/** A safetensors file of float32 tensors by their names. */
function safetensors_of(tensors) {
  const rows = {};
  let at = 0;
  for (const [name, values] of Object.entries(tensors)) rows[name] = { dtype: "F32", shape: [values.length], data_offsets: [at, (at += values.length * 4)] };
  const header = Buffer.from(JSON.stringify(rows)), size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([size, header, ...Object.values(tensors).map((values) => Buffer.from(Float32Array.from(values).buffer))]);
}

async function opens_urls() {
  const many = Array.from({ length: 300 }, (_, i) => [`layer_${i}/kernel`, Array.from({ length: 5000 }, (_, k) => (k < 5000 - 1 ? i : 0.5))]);
  const remote = await serve_remote({
    "digits.stet": fs.readFileSync(digits), "many.safetensors": safetensors_of(Object.fromEntries(many)), "small.safetensors": safetensors_of({ a: [1, 2, 3] }),
    "m.safetensors.index.json": Buffer.from(JSON.stringify({ weight_map: { a: "one of two.safetensors", b: "two.safetensors" } })),
    "one of two.safetensors": safetensors_of({ a: [1, 2, 3] }), "two.safetensors": safetensors_of({ b: [4, 5] }),
    "bad.safetensors.index.json": Buffer.from(JSON.stringify({ weight_map: { a: "../whole/digits.stet", b: "two.safetensors" } })),
  });
  const { state, url } = remote;
  const open = async (address) => {
    state.asked.length = state.sent = 0;
    await page.goto(`${address_of_page}remote.html`);
    await page.waitForFunction(() => /^stet, .*safetensors/.test(document.querySelector("#formats").textContent));
    await page.fill("#url", address);
    await page.click("#open_url");
  };
  const address_of_page = address;
  const refused = async (address, pattern) => {
    await open(address);
    await page.waitForSelector("#failure:not([hidden])");
    assert.match(await page.textContent("#failure"), pattern, address);
  };
  try {
    await open(`${url}/ranges/digits.stet`);
    await is_open(page, "digits.stet");
    assert.ok(state.asked.length <= 3, `opening took ${JSON.stringify(state.asked)}`);
    assert.ok(state.sent <= 200000, `opening took ${state.sent} bytes`);
    const { bytes_of } = read_store(digits);
    await choose(page, "train/images");
    const expected = new Array(16).fill(0);
    for (const byte of bytes_of("train/images")) ++expected[byte & 15], ++expected[byte >> 4];
    assert.deepEqual(await counts(page), expected);

    for (const mode of ["ranges", "uncached"]) {
      state.tag = '"1"';
      await open(`${url}/${mode}/many.safetensors?signature=a/b`);
      await is_open(page, "many.safetensors");
      assert.ok(state.asked.length <= 3 && state.sent <= 200000, `opening took ${state.asked.length} requests, ${state.sent} bytes`);
      await choose(page, "layer_200/kernel");
      assert.equal(await fact(page, "#statistics", "mean"), String(seven_digits((200 * 4999 + 0.5) / 5000)));
      assert.ok(state.sent < 400000);
      // The file is replaced: what is read of it then is an error.
      state.tag = '"2"';
      await page.fill("#filter", "layer_100/kernel");
      await page.locator("#rows [role=row]", { has: page.locator('[title="layer_100/kernel"]') }).click();
      await page.waitForSelector("#tensor_failure:not([hidden])");
      assert.match(await page.textContent("#tensor_failure"), /the file was replaced/);
    }

    await open(`${url}/ranges/m.safetensors.index.json`);
    await is_open(page, "m.safetensors.index.json");
    assert.deepEqual((await rows(page)).map(([name]) => name).sort(), ["a", "b"]);
    await choose(page, "b");
    assert.equal(await fact(page, "#statistics", "mean"), "4.5");
    assert.ok(state.asked.some(({ name }) => name === "one of two.safetensors"));

    await refused(`${url}/ranges/bad.safetensors.index.json`, /whole\/digits\.stet/);
    assert.ok(state.asked.every(({ mode }) => mode === "ranges"));
    await refused(`${url}/whole/digits.stet`, /whole files only/);
    assert.ok(state.sent < 700000, `${state.sent} bytes were sent`);
    await open(`${url}/whole/small.safetensors`);
    await is_open(page, "small.safetensors");
    await refused(`${url}/hidden/digits.stet`, /Access-Control-Expose-Headers/);
    await refused(`${url}/shifted/digits.stet`, /another range/);
    await refused(`${url}/ranges/none.stet`, /no such file/);
    await refused("file:///etc/passwd", /not a URL/);
    await refused("https://user:secret@127.0.0.1/x", /not a URL/);
    const closed = http.createServer(() => {}).listen(0, "127.0.0.1");
    await new Promise((resolve) => closed.once("listening", resolve));
    const { port } = closed.address();
    await new Promise((resolve) => closed.close(resolve));
    await refused(`http://127.0.0.1:${port}/x`, /cannot be reached/);
    // Files are still dropped on this page, and the other page still opens no URLs.
    await open_files(page, digits);
    await is_open(page, "digits_data.stet");
    await page.goto(address_of_page);
    assert.equal(await page.isVisible("#url"), false);
  } finally {
    remote.server.closeAllConnections();
    remote.server.close();
  }
  // The browser itself tells of each request that failed.
  complaints.splice(0, complaints.length, ...complaints.filter((each) => !/Failed to load resource|CORS policy/.test(each)));
}

async function works_as_a_file() {
  await page.goto(`file://${page_folder}/index.html`);
  await open_files(page, digits);
  await is_open(page, "digits_data.stet");
}

async function main() {
  fs.mkdirSync(pictures, { recursive: true });
  asked = [];
  server = await serve(asked);
  address = `http://127.0.0.1:${server.address().port}/`;
  const profile = path.join(scratch, "profile");
  context = await chromium.launchPersistentContext(profile, {
    executablePath: find_browser(), headless: true, viewport: { width: 1280, height: 800 }, colorScheme: "light",
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  try {
    page = context.pages()[0] ?? (await context.newPage());
    page.setDefaultTimeout(20000);
    page.on("pageerror", (failure) => complaints.push(failure.message));
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    await page.goto(address);
    for (const check of [shows_the_digits, draws_exact_values, reads_little_of_a_large_file,
      reads_little_of_a_model_of_several_files, reads_beyond_four_gibibytes, stays_quick_with_many_tensors,
      says_what_is_wrong, opens_a_chosen_folder, takes_what_is_dropped, opens_other_formats, opens_a_delta_with_its_base]) {
      await check();
      assert.deepEqual(complaints, [], check.name);
      console.log(`ok: ${check.name}`);
    }
    await connects_to_nothing(); // makes the browser complain
    console.log("ok: connects_to_nothing");
    for (const check of [is_legible, opens_urls, works_as_a_file]) {
      complaints.length = 0;
      await check();
      assert.deepEqual(complaints, [], check.name);
      console.log(`ok: ${check.name}`);
    }
    console.log(`pictures of it: ${pictures}`);
  } finally {
    await context.close();
    server.close();
    fs.rmSync(scratch, { recursive: true, force: true });
  }
}

main().catch((failure) => {
  console.error(failure);
  process.exitCode = 1;
});
