// SPDX-License-Identifier: MIT
// What a person sees and does: dropping files, the list of tensors, the distribution and the values of the chosen one.
"use strict";

const $ = (id) => document.getElementById(id);

/** An element with properties, and children that are elements or texts. */
function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function show(id, is_shown) {
  $(id).hidden = !is_shown;
}

// ---- text ----

const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
const plain = (count) => count.toLocaleString("en");

function human_size(size_bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = size_bytes, unit = 0;
  while (value >= 1023.5 && unit + 1 < units.length) {
    value /= 1024;
    ++unit;
  }
  return `${value.toFixed(unit > 0 && value < 99.95 ? 1 : 0)} ${units[unit]}`;
}

/** A value with the digits that a float has. */
function number_text(value) {
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value).replace("-", "−");
  return String(Number(value.toPrecision(7))).replace("-", "−").replace("e−", "e-").replace("e+", "e");
}
/** A text from a file: characters that are invisible, or turn the text around them, escaped; blanks alone in quotes. */
function visible(text) {
  const escaped = text.replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return escaped.trim() === "" ? JSON.stringify(escaped) : escaped;
}
const short_text = (value) => number_text(Number(value.toPrecision(4)));
const shape_text = (shape) => `[${shape.join(", ")}]`;

// ---- the worker ----

// Emscripten's script asks where it lies, by a variable outside of the function that it gives.
const connects = document.documentElement.dataset.connects !== undefined; // remote.html, whose policy allows it
const worker_source = `var _scriptDir; (${stet_worker})(${load_stet}, ${connects});`;
const worker = new Worker(URL.createObjectURL(new Blob([worker_source], { type: "text/javascript" })));
const waiting = new Map(); // id -> {resolve, reject, progress}
let last_id = 0;

function ask(call, details, progress = () => {}) {
  const id = ++last_id;
  worker.postMessage({ id, call, ...details });
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject, progress }));
}

worker.onmessage = ({ data }) => {
  if (data.bytes_read !== undefined) show_reading(data.bytes_read);
  const { resolve, reject, progress } = waiting.get(data.id);
  if (data.progress !== undefined) return progress(data.progress);
  waiting.delete(data.id);
  if (data.error !== undefined) reject(new Error(data.error));
  else resolve(data.is_cancelled ? null : data.result);
};
worker.onerror = ({ message }) => fail(`The reader could not be started: ${message}`);

// ---- opening ----

let total_size = 0;

function show_reading(bytes_read) {
  $("reading").textContent = total_size === 0 ? "" : `Files of ${human_size(total_size)}, ${human_size(bytes_read)} read so far`;
  $("reading").dataset.bytes = bytes_read;
}

function fail(message) {
  $("failure").textContent = message;
  show("failure", true);
  show("start", true);
  show("model", false);
  show("choose", false);
  show("choose_folder", false);
  $("summary").textContent = "";
}

async function open_files(dropped) {
  if (dropped.length === 0) return;
  total_size = dropped.reduce((sum, { file }) => sum + file.size, 0);
  const model = await ask_for_model("open", { dropped });
  if (model) show_model(model, dropped.length === 1 ? dropped[0].path : model.path || dropped[0].path.split("/")[0]);
}

async function open_url(url) {
  total_size = 0;
  const model = await ask_for_model("open_url", { url });
  if (!model) return;
  total_size = model.total_size;
  show_model(model, model.path);
}

/** An open model; null after a failure, which is then shown. */
async function ask_for_model(call, details) {
  show("failure", false);
  $("summary").textContent = "Opening…";
  try {
    return await ask(call, details);
  } catch (failure) {
    fail(failure.message);
    return null;
  }
}

function show_model(model, name) {
  const own = model.tensors.filter((each) => each.alias_of === undefined);
  const elements = own.reduce((sum, each) => sum + each.element_count, 0);
  $("summary").replaceChildren(make("b", { textContent: name }), make("span", {
    textContent: ` · ${model.format}${model.base ? ` · delta of ${model.base}` : ""} · ${human_size(total_size)} · ${counted(model.tensors.length, "tensor")} · ${counted(elements, "element")}`,
  }));
  $("summary").title = $("summary").textContent;
  document.title = `${name} – stet`;
  show("start", false);
  show("model", true);
  show("choose", true);
  show("choose_folder", true);
  show_list(model.tensors);
  choose(null);
  $("grid").focus();
}

/** All files beneath what was dropped, with their paths. */
async function files_of(entry, prefix = "") {
  const path = prefix + entry.name;
  if (entry.isFile) return [{ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), path }];
  const reader = entry.createReader(), found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return found;
    for (const each of some) found.push(...(await files_of(each, `${path}/`)));
  }
}

for (const [input, ...buttons] of [["files", "choose", "choose_first"], ["folder", "choose_folder", "choose_first_folder"]]) {
  for (const button of buttons) $(button).onclick = () => $(input).click();
  $(input).onchange = () => {
    const dropped = Array.from($(input).files, (file) => ({ file, path: file.webkitRelativePath || file.name }));
    $(input).value = ""; // so that the same can be chosen again
    open_files(dropped);
  };
}

if (connects) {
  show("url_line", true);
  const go = () => $("url").value.trim() !== "" && open_url($("url").value.trim());
  $("open_url").onclick = go;
  $("url").onkeydown = (event) => event.key === "Enter" && go();
}

let drag_depth = 0;
addEventListener("dragenter", () => show("veil", ++drag_depth > 0));
addEventListener("dragleave", () => show("veil", --drag_depth > 0));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", async (event) => {
  event.preventDefault();
  drag_depth = 0;
  show("veil", false);
  const entries = Array.from(event.dataTransfer.items, (item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const loose = Array.from(event.dataTransfer.files, (file) => ({ file, path: file.name }));
  const has_folder = entries.some((entry) => entry.isDirectory);
  open_files(has_folder ? (await Promise.all(entries.map((entry) => files_of(entry)))).flat() : loose);
});

// ---- the list: only the rows in sight are elements ----

let tensors = [];
let shown = []; // those that pass the filter, sorted
let chosen = null;
let order = { key: null, sign: 1 };
const row_elements = new Map(); // index in `shown` -> element
const columns = [
  { key: "name", title: "name", compare: (a, b) => (a.label < b.label ? -1 : a.label > b.label ? 1 : 0) },
  { key: "dtype", title: "dtype", compare: (a, b) => (a.dtype < b.dtype ? -1 : a.dtype > b.dtype ? 1 : 0) },
  { key: "shape", title: "shape", compare: (a, b) => a.element_count - b.element_count },
  { key: "size", title: "size", compare: (a, b) => a.size_bytes - b.size_bytes },
];

$("head").append(...columns.map((column) => {
  const cell = make("div", { className: column.key, role: "columnheader" }, make("button", { type: "button", textContent: column.title, tabIndex: -1 }));
  cell.firstChild.onclick = () => {
    const next = order.key !== column.key ? 1 : order.sign === 1 ? -1 : 0;
    order = { key: next === 0 ? null : column.key, sign: next };
    refresh_list();
  };
  return cell;
}));

function show_list(all) {
  tensors = all;
  for (const each of tensors) each.label = visible(each.names?.at(-1) ?? each.name); // what programs bind by
  for (const each of tensors) each.searched = [each.name, ...(each.names ?? []), each.dtype, shape_text(each.shape)].join(" ").toLowerCase();
  order = { key: null, sign: 1 };
  $("filter").value = "";
  refresh_list();
  $("grid").scrollTop = 0;
}

function refresh_list() {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  shown = tensors.filter((each) => words.every((word) => each.searched.includes(word)));
  const column = columns.find(({ key }) => key === order.key);
  if (column) shown.sort((a, b) => order.sign * column.compare(a, b) || a.number - b.number);
  columns.forEach(({ key }, i) => {
    const state = key !== order.key ? "none" : order.sign === 1 ? "ascending" : "descending";
    $("head").children[i].setAttribute("aria-sort", state);
  });
  $("matches").textContent = words.length === 0 ? counted(tensors.length, "tensor") : `${plain(shown.length)} of ${plain(tensors.length)}`;
  $("grid").setAttribute("aria-rowcount", shown.length + 1);
  for (const element of row_elements.values()) element.remove();
  row_elements.clear();
  draw_rows();
}

const row_height = () => parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row"));

function make_row(tensor, index) {
  const cell = (name, ...content) => make("div", { className: name, role: "gridcell" }, ...content);
  const slash = tensor.label.lastIndexOf("/") + 1;
  const row = make("div", { role: "row", id: `row_${index}` },
    cell("name", make("i", { textContent: tensor.label.slice(0, slash) }), tensor.label.slice(slash)),
    cell("dtype", tensor.dtype), cell("shape", shape_text(tensor.shape)), cell("size", human_size(tensor.size_bytes)));
  row.firstChild.title = tensor.name;
  row.setAttribute("aria-rowindex", index + 2);
  row.setAttribute("aria-selected", tensor === chosen);
  row.onclick = () => choose(index);
  return row;
}

function draw_rows() {
  const height = row_height(), grid = $("grid");
  $("rows").style.height = `${shown.length * height}px`;
  const first = Math.max(0, Math.floor(grid.scrollTop / height) - 10);
  const last = Math.min(shown.length, Math.ceil((grid.scrollTop + grid.clientHeight) / height) + 10);
  for (const [index, element] of row_elements) {
    if (index >= first && index < last) continue;
    element.remove();
    row_elements.delete(index);
  }
  for (let index = first; index < last; ++index) {
    if (!row_elements.has(index)) {
      const element = make_row(shown[index], index);
      const after = [...row_elements.keys()].filter((each) => each > index);
      $("rows").insertBefore(element, after.length ? row_elements.get(Math.min(...after)) : null);
      row_elements.set(index, element);
    }
    row_elements.get(index).style.top = `${index * height}px`;
  }
}

$("grid").addEventListener("scroll", draw_rows, { passive: true });
new ResizeObserver(draw_rows).observe($("grid"));
$("filter").oninput = () => {
  refresh_list();
  $("grid").scrollTop = 0;
  mark_chosen();
};
$("filter").onkeydown = (event) => {
  if (event.key === "Escape" && $("filter").value !== "") {
    $("filter").value = "";
    $("filter").oninput();
  } else if (event.key === "ArrowDown" || event.key === "Enter") {
    event.preventDefault();
    $("grid").focus();
    if (shown.length > 0 && !shown.includes(chosen)) choose(0);
  }
};

$("grid").onkeydown = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || shown.length === 0) return;
  const page = Math.max(1, Math.floor($("grid").clientHeight / row_height()) - 2);
  const at = shown.indexOf(chosen);
  const target = {
    ArrowDown: at + 1, ArrowUp: at < 0 ? 0 : at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: shown.length - 1,
  }[event.key];
  if (event.key === "Enter") $("tensor").focus();
  if (target === undefined) return;
  event.preventDefault();
  choose(Math.max(0, Math.min(shown.length - 1, target)));
};

addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.matches("input") || $("model").hidden) return;
  event.preventDefault();
  $("filter").focus();
});

function mark_chosen() {
  for (const [index, element] of row_elements) element.setAttribute("aria-selected", shown[index] === chosen);
  const index = shown.indexOf(chosen);
  if (index < 0) $("grid").removeAttribute("aria-activedescendant");
  else $("grid").setAttribute("aria-activedescendant", `row_${index}`);
}

let delay = 0;

/** Chooses the tensor at this place of the list (null: none), brings it into sight, and looks at it when keys come to rest. */
function choose(index) {
  chosen = index === null ? null : shown[index];
  if (index !== null) {
    const height = row_height(), grid = $("grid"), head = $("head").offsetHeight, top = index * height;
    if (top < grid.scrollTop) grid.scrollTop = top;
    if (top + height + head > grid.scrollTop + grid.clientHeight) grid.scrollTop = top + height + head - grid.clientHeight;
    draw_rows();
  }
  mark_chosen();
  clearTimeout(delay);
  if (chosen) delay = setTimeout(look, 40);
  else {
    show("hint", true);
    show("details", false);
  }
}

// ---- the chosen tensor ----

function facts(list, rows) {
  list.replaceChildren(...rows.filter(([, value]) => value !== undefined).map(([term, value]) =>
    make("div", {}, make("dt", { textContent: term }), make("dd", { textContent: value }))));
}

async function look() {
  const tensor = chosen;
  show("hint", false);
  show("details", true);
  $("name").textContent = visible(tensor.name);
  facts($("facts"), [
    ["dtype", tensor.dtype], ["shape", shape_text(tensor.shape)], ["elements", plain(tensor.element_count)], ["size", human_size(tensor.size_bytes)],
    ["at byte", tensor.offset_bytes === undefined ? undefined : plain(tensor.offset_bytes)],
    ["in", tensor.is_decoded ? "no file as it is: decoded" : tensor.file], ["shares its bytes with", tensor.alias_of === undefined ? undefined : visible(tensor.alias_of)], ["also", tensor.names?.map(visible).join(", ")],
  ]);
  for (const id of ["tensor_failure", "strings", "histogram_figure", "heat_figure", "progress", "everything", "cell"]) show(id, false);
  for (const id of ["histogram", "statistics"]) $(id).replaceChildren();
  for (const id of ["histogram_note", "scale_low", "scale_high"]) $(id).textContent = "";
  $("tensor").scrollTop = 0;
  try {
    if (tensor.dtype === "string") return await look_at_strings(tensor);
    if (tensor.element_count === 0) return;
    if (await look_at_values(tensor, 0)) await look_at_distribution(tensor, false);
  } catch (failure) {
    if (tensor !== chosen) return;
    $("tensor_failure").textContent = failure.message;
    show("tensor_failure", true);
  }
}

async function look_at_strings(tensor) {
  const strings = await ask("strings", { number: tensor.number });
  if (tensor !== chosen) return;
  $("strings").replaceChildren(...strings.map((text) => make("li", { textContent: text === "" ? "(empty)" : text })));
  show("strings", true);
}

// ---- the distribution ----

async function look_at_distribution(tensor, is_whole) {
  show("everything", false);
  const measured = await ask("measure", { number: tensor.number, is_whole }, (part) => {
    if (tensor !== chosen) return;
    show("histogram_figure", true);
    show("progress", true);
    $("progress").value = part;
  });
  if (measured === null || tensor !== chosen) return;
  show("progress", false);
  draw_distribution(measured, tensor);
}

function svg(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function draw_distribution(m, tensor) {
  const is_sample = m.count < tensor.element_count;
  $("histogram_note").textContent = is_sample
    ? `of ${plain(m.count)} values, spread over all ${plain(tensor.element_count)}`
    : `of ${m.count === 1 ? "the one value" : `all ${plain(m.count)} values`}${tensor.dtype.startsWith("complex") ? " (magnitudes)" : ""}`;
  show("everything", is_sample);
  $("everything").textContent = `Read all ${human_size(tensor.size_bytes)}`;
  $("everything").onclick = () => look_at_distribution(tensor, true).catch((failure) => {
    $("tensor_failure").textContent = failure.message;
    show("tensor_failure", true);
  });

  const step = Math.min(40, 640 / Math.max(1, m.counts.length)), width = step * m.counts.length, height = 120, most = Math.max(1, ...m.counts);
  const edge = (i) => m.begin + ((m.end - m.begin) * i) / m.counts.length;
  const gap = m.counts.length > 40 ? 1 : 2;
  $("histogram").setAttribute("viewBox", `0 0 ${width} ${height}`);
  $("histogram").style.maxWidth = $("scale").style.maxWidth = `${width}px`;
  $("histogram").replaceChildren(...m.counts.map((count, i) => {
    // What is there is seen, however little it is.
    const tall = count === 0 ? 0 : Math.max(1.5, ((height - 4) * count) / most);
    const range = m.is_discrete ? number_text(m.low + i) : `${short_text(edge(i))} … ${short_text(edge(i + 1))}`;
    return svg("g", { "data-count": count },
      svg("rect", { class: "hit", x: i * step, y: 0, width: step, height }),
      svg("rect", { x: i * step + gap / 2, y: height - tall, width: Math.max(0.5, step - gap), height: tall }),
      svg("title", {}, `${range}: ${plain(count)}`));
  }));
  if (m.begin < 0 && m.end > 0 && !m.is_discrete) {
    const x = (-m.begin / (m.end - m.begin)) * width;
    $("histogram").append(svg("line", { x1: x, x2: x, y1: 0, y2: height }));
  }
  const summary = m.finite === 0 ? "No finite values" : `${plain(m.finite)} values from ${number_text(m.low)} to ${number_text(m.high)}, mean ${short_text(m.mean)}`;
  $("histogram").setAttribute("aria-label", `Histogram. ${summary}.`);
  $("scale_low").textContent = m.finite === 0 ? "" : number_text(m.low);
  $("scale_high").textContent = m.finite === 0 || m.low === m.high ? "" : number_text(m.high);
  facts($("statistics"), [
    ["mean", m.finite === 0 ? undefined : number_text(m.mean)], ["deviation", m.finite === 0 ? undefined : number_text(m.deviation)],
    ["zeros", plain(m.zero)], ["NaN", m.nan === 0 ? undefined : plain(m.nan)], ["infinite", m.infinite === 0 ? undefined : plain(m.infinite)],
  ]);
  show("histogram_figure", true);
}

// ---- the values as colours ----

const is_dark = matchMedia("(prefers-color-scheme: dark)");
const palettes = {
  light: { diverging: [[26, 90, 150], [247, 245, 241], [176, 48, 34]], sequential: [[247, 245, 241], [104, 154, 200], [12, 48, 86]], odd: [222, 172, 0] },
  dark: { diverging: [[122, 184, 242], [34, 36, 40], [244, 128, 102]], sequential: [[34, 36, 40], [64, 116, 168], [206, 230, 252]], odd: [250, 208, 60] },
};
let drawn = null; // what the heat map shows: {heat, tensor, low, high, is_diverging}
let at_cell = null;

function colour(value, { low, high, is_diverging }) {
  const palette = palettes[is_dark.matches ? "dark" : "light"];
  if (value - value !== 0) return palette.odd;
  const stops = palette[is_diverging ? "diverging" : "sequential"];
  const place = Math.max(0, Math.min(1, high > low ? (value - low) / (high - low) : low === 0 ? 0 : 0.5)) * 2;
  const i = place < 1 ? 0 : 1, t = place - i;
  return stops[i].map((from, channel) => Math.round(from + (stops[i + 1][channel] - from) * t));
}

async function look_at_values(tensor, plane) {
  const heat = await ask("heat", { number: tensor.number, plane });
  if (heat === null || tensor !== chosen) return false;
  // The ends of the scale leave out the few values that would take all colour from the rest.
  const finite = heat.cells.filter((value) => value - value === 0).sort();
  const at = (part) => finite[Math.round(part * (finite.length - 1))] ?? 0;
  let [low, high] = finite.length < 400 ? [at(0), at(1)] : [at(0.0025), at(0.9975)];
  const is_diverging = low < 0 && high > 0;
  if (is_diverging) [low, high] = [-Math.max(-low, high), Math.max(-low, high)];
  drawn = { heat, tensor, plane, low, high, is_diverging };
  const { rows, columns, row_step, column_step, shown_columns } = heat;
  const steps = [row_step > 1 ? `every ${row_step}th row` : "", column_step > 1 ? `every ${column_step}th column` : "",
    shown_columns < columns ? `the first ${plain(shown_columns)} columns` : ""].filter(Boolean);
  const layout = heat.is_wrapped ? `${plain(columns)} a row` : `${plain(rows)} × ${plain(columns)}`;
  $("heat_note").textContent = layout + (steps.length ? `: ${steps.join(", ")}` : "");
  const planes = tensor.shape.length > 2 ? tensor.shape.slice(0, -2).reduce((product, extent) => product * extent, 1) : 1;
  show("plane_label", planes > 1);
  $("plane").max = planes - 1;
  $("plane").value = plane;
  $("plane_note").textContent = planes > 1 ? `of ${plain(planes)}: ${shape_text([...index_of_plane(tensor, plane), ":", ":"])}` : "";
  const clipped = (value, edge, mark) => (value !== edge ? `${mark} ` : "") + short_text(edge);
  $("legend_low").textContent = clipped(at(0), low, at(0) < low ? "≤" : "").trim();
  $("legend_high").textContent = clipped(at(1), high, at(1) > high ? "≥" : "").trim();
  $("heat").setAttribute("aria-label", `Values as colours, ${layout}. Arrow keys move from cell to cell.`);
  at_cell = null;
  show("cell", false);
  $("value").textContent = "";
  show("heat_figure", true);
  draw_heat();
  return true;
}

function index_of_plane(tensor, plane) {
  const index = [];
  for (const extent of tensor.shape.slice(0, -2).reverse()) {
    index.unshift(plane % extent);
    plane = Math.floor(plane / extent);
  }
  return index;
}

/** The room that the text of a value takes. */
const number_width = 72, number_height = 26;

/** Writes the values into the cells of the heat map where all of them have room. */
function draw_numbers(cell_width, cell_height) {
  const { heat } = drawn, canvas = $("heat"), has_room = cell_width >= number_width && cell_height >= number_height;
  show("numbers", has_room);
  $("numbers").replaceChildren(...(has_room ? Array.from(heat.cells.subarray(0, heat.cell_count), (value) => {
    const [red, green, blue] = colour(value, drawn);
    const is_light = 0.2126 * (red / 255) ** 2.2 + 0.7152 * (green / 255) ** 2.2 + 0.0722 * (blue / 255) ** 2.2 > 0.18; // black reads better (WCAG 2.1)
    const cell = make("span", { textContent: short_text(value), className: is_light ? "on_light" : "" });
    cell.style.backgroundColor = `rgb(${red}, ${green}, ${blue})`;
    return cell;
  }) : []));
  Object.assign($("numbers").style, {
    left: `${canvas.clientLeft}px`, top: `${canvas.clientTop}px`, gridTemplateColumns: `repeat(${heat.width}, ${cell_width}px)`, gridAutoRows: `${cell_height}px`,
  });
}

function draw_heat() {
  if (drawn === null) return;
  const { heat } = drawn, canvas = $("heat");
  canvas.width = heat.width;
  canvas.height = heat.height;
  const context = canvas.getContext("2d"), pixels = context.createImageData(heat.width, heat.height);
  heat.cells.forEach((value, i) => {
    if (i >= heat.cell_count) return; // beyond the end of a vector: transparent
    const [red, green, blue] = colour(value, drawn);
    pixels.data.set([red, green, blue, 255], i * 4);
  });
  context.putImageData(pixels, 0, 0);
  // Whole pixels for each cell, square unless that would make a splinter of the picture.
  const room = Math.max(120, $("tensor").clientWidth - 50), most_height = 364;
  const wide = Math.max(1, Math.min(28, Math.floor(room / heat.width))), tall = Math.max(1, Math.min(28, Math.floor(most_height / heat.height)));
  const square = Math.min(wide, tall);
  let cell_width = Math.min(wide, Math.max(square, Math.ceil(200 / heat.width))), cell_height = Math.min(tall, Math.max(square, Math.ceil(28 / heat.height)));
  if (heat.width * number_width <= room && heat.height * number_height <= most_height) [cell_width, cell_height] = [number_width, number_height];
  canvas.style.width = `${heat.width * cell_width}px`;
  canvas.style.height = `${heat.height * cell_height}px`;

  draw_numbers(cell_width, cell_height);

  const bar = $("legend_bar").getContext("2d"), scale = bar.createImageData(256, 1);
  for (let i = 0; i < 256; ++i) scale.data.set([...colour(drawn.low + ((drawn.high - drawn.low) * i) / 255, drawn), 255], i * 4);
  bar.putImageData(scale, 0, 0);
}

function show_cell(x, y) {
  const { heat, tensor, plane } = drawn;
  const i = y * heat.width + x;
  if (x < 0 || y < 0 || x >= heat.width || y >= heat.height || i >= heat.cell_count) return;
  at_cell = [x, y];
  const row = y * heat.row_step, column = x * heat.column_step;
  const index = tensor.shape.length === 0 ? [] : tensor.shape.length > 1 ? [...index_of_plane(tensor, plane), row, column] : [row * heat.columns + column];
  $("value").textContent = `${shape_text(index)}  ${number_text(heat.cells[i])}`;
  const canvas = $("heat"), width = canvas.clientWidth / heat.width, height = canvas.clientHeight / heat.height;
  Object.assign($("cell").style, {
    left: `${canvas.clientLeft + x * width}px`, top: `${canvas.clientTop + y * height}px`, width: `${width}px`, height: `${height}px`,
  });
  show("cell", true);
}

$("heat").onpointermove = ({ offsetX, offsetY }) => {
  const { heat } = drawn, canvas = $("heat");
  show_cell(Math.floor((offsetX / canvas.clientWidth) * heat.width), Math.floor((offsetY / canvas.clientHeight) * heat.height));
};
$("heat").onkeydown = (event) => {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!step) return;
  event.preventDefault();
  if (at_cell) show_cell(at_cell[0] + step[0], at_cell[1] + step[1]);
  else show_cell(0, 0);
};
$("plane").oninput = () => {
  const plane = Math.floor(Number($("plane").value));
  if ($("plane").value !== "" && plane >= 0 && plane <= Number($("plane").max)) look_at_values(chosen, plane).catch((failure) => {
    $("tensor_failure").textContent = failure.message;
    show("tensor_failure", true);
  });
};
is_dark.onchange = draw_heat;
addEventListener("resize", draw_heat);

show("choose", false);
show("choose_folder", false);
ask("formats").then((names) => ($("formats").textContent = names), (failure) => fail(failure.message));
