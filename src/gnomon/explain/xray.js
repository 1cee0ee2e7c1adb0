"use strict";
(async () => {
// --- What the page holds ---------------------------------------------------------------------------------------------

const byId = (id) => document.getElementById(id);
const texts = JSON.parse(byId("texts").textContent);
const sheet = JSON.parse(byId("sheet").textContent);
const state = { lang: "en", row: 0, member: sheet.layers[0]?.member ?? 0, layer: 0, unit: 0, y: 0, x: 0, lit: true,
  sum: 0, time: 0, what: 0, timeUnit: 0, step: 0, validation: Math.max(0, sheet.course.validations.length - 1) };

const say = (key, slots = {}) => (texts[state.lang][key] ?? key).replace(/\{(\w+)\}/g, (_, name) => slots[name] ?? "");
const short = (number) => {
  const size = Math.abs(number);
  return size >= 1000 ? number.toFixed(0) : size >= 100 ? number.toFixed(1) : number.toFixed(2).replace(/^-(0\.00)$/, "$1");
};
const apart = (values) => {
  const written = [short, ...[3, 4, 5, 6].map((digits) => (value) => value.toFixed(digits))].map((write) => values.map(write));
  return written.find((texts) => new Set(texts).size === values.length) ?? written.at(-1);
};
const percent = (share) => {
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  return share < 1 && share >= 0.9995 ? "> 99.9 %" : `${(100 * share).toFixed(share === 0 || share === 1 ? 0 : 1)} %`;
};
const grouped = (number) => number.toLocaleString("en");

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("aria-")) { element.setAttribute(name, String(value)); continue; }
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [event, does] of Object.entries(value)) element.addEventListener(event, does);
    else if (name === "vars") for (const [key, set] of Object.entries(value)) element.style.setProperty(key, set);
    else if (name === "text") element.textContent = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}
const fill = (id, ...children) => byId(id).replaceChildren(...children.flat().filter(Boolean));

// --- Packed numbers --------------------------------------------------------------------------------------------------

const bytes = await (async (text) => {
  const packed = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
})(byId("numbers").textContent.trim());
const unpacked = new WeakMap();

function half(bits) {
  const exponent = (bits >> 10) & 31, fraction = bits & 1023, sign = bits & 32768 ? -1 : 1;
  if (!exponent) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The numbers of a packed array, one after the other. */
function numbers(packed) {
  if (!unpacked.has(packed)) unpacked.set(packed, unpack(packed));
  return unpacked.get(packed);
}
function unpack({ at, shape, kind = "u8", low = [], high = [] }) {
  const count = shape.reduce((product, side) => product * side, 1);
  const found = new Float32Array(count);
  if (kind === "f16") {
    for (let i = 0; i < count; i++) found[i] = half(bytes[at + 2 * i] | (bytes[at + 2 * i + 1] << 8));
    return found;
  }
  const each = count / low.length;
  for (let i = 0; i < count; i++) {
    const part = Math.floor(i / each);
    found[i] = low[part] + (bytes[at + i] / 255) * (high[part] - low[part]);
  }
  return found;
}

/** One shown unit's numbers in a layer: values, height, width. */
function mapOf(layer, place, row = state.row) {
  const packed = sheet.rows[row].maps[layer];
  const [, height, width] = packed.shape;
  const size = height * width;
  return { values: numbers(packed).subarray(place * size, (place + 1) * size), height, width };
}
const whole = (layer) => {
  const [, height, width] = sheet.rows[state.row].maps[layer].shape;
  return height === sheet.layers[layer].shape[1] && width === sheet.layers[layer].shape[2];
};
/** Recordings are laid out by time and band, and shown with time to the right and high bands above. */
const turned = (layer) => sheet.kind === "sound" && sheet.layers[layer].look === "maps";

// --- Drawing ---------------------------------------------------------------------------------------------------------

let colours = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["above", "below", "paper"]) colours[name] = style.getPropertyValue(`--${name}`).trim().split(/\s+/).map(Number);
}
function greatest(values) {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most || 1;
}
/** Blue above 0, orange below, paper at 0. */
function paint(canvas, values, height, width, { most = greatest(values), turn = false } = {}) {
  [canvas.width, canvas.height] = turn ? [height, width] : [width, height];
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const value = values[y * width + x] / most;
    const ink = value < 0 ? colours.below : colours.above, share = Math.min(1, Math.abs(value)) ** 0.75;
    const at = 4 * (turn ? (width - 1 - x) * height + y : y * width + x);
    for (let part = 0; part < 3; part++) image.data[at + part] = colours.paper[part] + share * (ink[part] - colours.paper[part]);
    image.data[at + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
const canvasOf = (layer, place, most) => {
  const { values, height, width } = mapOf(layer, place);
  return paint(make("canvas", { "aria-hidden": "true" }), values, height, width, { most, turn: turned(layer) });
};
const toned = (value, most) => ({ "--w": Math.min(1, Math.abs(value) / most).toFixed(3), "--tone": value < 0 ? "var(--below)" : "var(--above)" });

function bars(list, best) {
  const regress = sheet.question === "regress";
  const most = regress ? Math.max(...list.map(([, value]) => Math.abs(value)), 1e-9) : 1;
  return make("div", { class: "bars" }, ...list.map(([name, value], place) => make("div", { class: `bar${place === best ? " best" : ""}` },
    make("span", { text: name }), make("i", { vars: { "--v": Math.min(1, Math.abs(value) / most).toFixed(4) } }),
    make("span", { text: regress ? short(value) : percent(value) }))));
}
function svg(tag, properties, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
/** Lines over a common axis: `{name, points: [[x, y], …]}`; `now` is a place on the axis. */
function chart(lines, { now = null, label = "", floor = null, ceiling = null } = {}) {
  const points = lines.flatMap((line) => line.points);
  const xs = points.map(([x]) => x), ys = points.map(([, y]) => y).filter(Number.isFinite);
  let [left, right, low, high] = [Math.min(...xs), Math.max(...xs), floor ?? Math.min(...ys), ceiling ?? Math.max(...ys)];
  if (right === left) right = left + 1;
  if (high === low) [low, high] = [low - 0.1 * (Math.abs(low) || 1), high + 0.1 * (Math.abs(high) || 1)];
  const [width, height, side] = [560, 170, 44];
  const toX = (x) => side + ((x - left) / (right - left)) * (width - side - 6), toY = (y) => 8 + ((high - y) / (high - low)) * (height - 30);
  const drawn = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": label });
  const ticks = [low, (low + high) / 2, high], written = apart(ticks);
  for (const [place, value] of ticks.entries()) drawn.append(svg("line", { class: "axis", x1: side, x2: width, y1: toY(value), y2: toY(value) }),
    svg("text", { x: side - 6, y: toY(value) + 4, "text-anchor": "end" }, written[place]));
  lines.forEach((line, place) => drawn.append(svg("path", { class: `c${line.colour ?? place % 6}`,
    d: line.points.filter(([, y]) => Number.isFinite(y)).map(([x, y], at) => `${at ? "L" : "M"}${toX(x).toFixed(1)} ${toY(y).toFixed(1)}`).join("") })));
  for (const [place, line] of lines.entries()) if (line.points.length === 1) {
    const [[x, y]] = line.points;
    drawn.append(svg("path", { class: `c${line.colour ?? place % 6}`, d: `M${toX(x) - 4} ${toY(y)}h8` }));
  }
  if (now !== null) drawn.append(svg("line", { class: "now", x1: toX(now), x2: toX(now), y1: 4, y2: height - 20 }));
  for (const [x, anchor] of [[left, "start"], [right, "end"]]) drawn.append(svg("text", { x: toX(x), y: height - 4, "text-anchor": anchor }, grouped(x)));
  const keys = lines.map((line, place) => make("span", { class: "key" },
    svg("svg", { viewBox: "0 0 22 8", class: "chart", "aria-hidden": "true" }, svg("path", { class: `c${line.colour ?? place % 6}`, d: "M0 4H22" })), line.name));
  return make("div", {}, drawn, make("div", {}, ...keys));
}

// --- Inputs ----------------------------------------------------------------------------------------------------------

const spaceless = new RegExp(`^[${sheet.spaceless}]`, "u");
const gap = (left, right) => (!sheet.spaced || right === undefined || spaceless.test(left) || spaceless.test(right) ? "" : " ");
/** Elements that hold tokens, with what stands between these. */
const spaced = (elements) => elements.flatMap((element, at) => [element, gap(element.textContent, elements[at + 1]?.textContent)]);
const spelled = (tokens) => tokens.map((token, at) => token + gap(token, tokens[at + 1])).join("");
const verdict = (row) => row.right === null ? (row.label ? make("span", { text: say("truth", { label: row.label }) }) : null)
  : row.right ? make("span", { class: "good", text: `✓ ${say("right")}` }) : make("span", { class: "wrong", text: `✗ ${say("wrong", { label: row.label })}` });

function drawRows() {
  fill("rows", sheet.rows.map((row, place) => make("button", { type: "button", "aria-pressed": place === state.row, on: { click: () => chooseRow(place) } },
    row.picture ? make("img", { src: `data:image/png;base64,${row.picture}`, alt: "", class: sheet.kind === "image" ? "pixel" : "" })
      : make("span", { class: "snippet", text: spelled((row.tokens ?? []).slice(0, 24).map((piece) => piece.text)) }),
    make("b", { text: row.predicted || "–" }), verdict(row))));
}
function drawAnswer() {
  const row = sheet.rows[state.row];
  const seen = make("div", {});
  if (row.picture) {
    const picture = make("div", { class: `picture${state.lit ? " lit" : ""}` },
      make("img", { class: `own${sheet.kind === "image" ? " pixel" : ""}`, src: `data:image/png;base64,${row.picture}`, alt: `${row.key}, ${say("seen")}` }),
      row.heat ? make("img", { class: "heat pixel", src: `data:image/png;base64,${row.heat}`, alt: "" }) : null);
    seen.append(picture);
    if (row.heat) seen.append(make("label", { class: "switch" }, make("input", { type: "checkbox", checked: state.lit, on: { change: (event) => {
      state.lit = event.target.checked;
      picture.classList.toggle("lit", state.lit);
    } } }), say("show_heat")));
    if (row.sound) seen.append(make("audio", { controls: true, src: `data:audio/wav;base64,${row.sound}`, "aria-label": row.key }));
  } else seen.append(make("p", { class: "tokens" }, ...spaced((row.tokens ?? []).map((piece) => make("span", { class: "tok", text: piece.text,
    vars: { "--w": Math.abs(piece.weight).toFixed(3), "--tone": piece.weight > 0 ? "var(--below)" : "var(--above)" } })))));
  seen.append(make("p", { class: "hint", text: say("for_against") }));
  byId("answer").classList.toggle("long", sheet.kind !== "image");
  fill("answer", seen, make("div", {}, make("p", { class: "hint", text: row.key }), make("p", {}, make("b", { text: `${say("answer")}: ${row.predicted || "–"} ` }), verdict(row)),
    bars(row.answers ?? [], 0), make("p", { class: "hint", text: row.why?.[state.lang] ?? "" })));
}
function chooseRow(place) {
  state.row = place;
  state.step = 0;
  state.sum = 0;
  drawAll();
  byId("rows").children[place].focus({ preventScroll: true });
}

// --- How the answer adds up ------------------------------------------------------------------------------------------

/** Of one output the terms of the linear part, its bias, the deep networks, and their sum: orange speaks for it. */
function drawAddends() {
  const found = sheet.rows[state.row].addends;
  byId("addends-section").hidden = !found;
  if (!found) return;
  const at = Math.min(state.sum, found.outputs.length - 1), name = sheet.outputs[found.outputs[at]];
  byId("addends-hint").textContent = say(sheet.question === "classify" ? "addends_hint" : "addends_hint_plain", { name }) + ` ${say(sheet.kind === "text" ? "edges" : "of_channels")}`;
  const chips = make("div", { class: "chips", role: "group", "aria-label": say("addends") }, ...found.outputs.map((output, place) => make("button", { type: "button", text: sheet.outputs[output],
    "aria-pressed": place === at, on: { click: () => { state.sum = place; drawAddends(); byId("addends").querySelectorAll(".chips button")[place].focus(); } } })));
  const terms = found.terms.map(([kind, text, number, values]) => [nameOfAddend(kind, text, number), values[at], kind]);
  const most = greatest(terms.map(([, value]) => value)), last = ({ 2: kind }) => ["others", "bias", "networks"].includes(kind);
  const order = [...terms.filter((one) => !last(one)).sort((one, other) => Math.abs(other[1]) - Math.abs(one[1])), ...terms.filter(last)];
  const total = plainTerm(say("total"), terms.reduce((sum, [, value]) => sum + value, 0));
  total.classList.add("rule");
  fill("addends", found.outputs.length > 1 ? chips : null, make("div", { class: "terms close" }, ...order.map(([label, value]) => plainTerm(label, value, most, true)), total));
}
const nameOfAddend = (kind, text, n) => kind !== "group" ? say(`addend_${kind}`, { text, n: grouped(n) }) : n > 1 ? `${text} ×${n}` : text;

// --- The flow of layers ----------------------------------------------------------------------------------------------

const title = (layer) => layer.work === "reduction" ? say(`reduction_${layer.detail}`) : layer.work === "recurrent" || !layer.detail ? (layer.work === "recurrent" ? `${layer.detail}` : say(layer.work)) : `${say(layer.work)} ${layer.detail}`;
const shapeOf = (layer) => layer.look === "vector" ? `${layer.shape[0]}` : layer.look === "strips" ? `${layer.shape[0]} × ${layer.shape[2]}` : layer.shape.join(" × ");
const isLast = (number) => number === sheet.layers.length - 1 || sheet.layers[number + 1].member !== sheet.layers[number].member;
const namesOutputs = (number) => isLast(number) && sheet.layers[number].look === "vector" && sheet.layers[number].shape[0] === sheet.outputs.length;

function collage(number) {
  const layer = sheet.layers[number];
  if (namesOutputs(number)) {
    const { values } = flat(number);
    const most = greatest(values);
    const order = layer.units.map((unit, place) => [unit, values[place]]).sort((one, other) => other[1] - one[1]).slice(0, 10);
    return make("span", { class: "named" }, ...order.map(([unit, value]) => make("span", {}, make("i", { class: "tok", vars: toned(value * 2, most) }), sheet.outputs[unit])));
  }
  if (layer.look === "maps") {
    const places = layer.units.map((_, place) => place).slice(0, 8);
    return make("span", { class: "collage" }, ...places.map((place) => canvasOf(number, place)));
  }
  const { values, rows, width } = flat(number);
  return paint(make("canvas", { class: layer.look === "strips" ? "block" : "line-up", "aria-hidden": "true" }), values, rows, width);
}
function flat(number) {
  const packed = sheet.rows[state.row].maps[number];
  return { values: numbers(packed), rows: packed.shape[0], width: packed.shape[1] * packed.shape[2] };
}
function drawFlow() {
  for (const part of ["flow", "layer", "table"]) byId(`${part}-section`).hidden = !sheet.layers.length;
  if (!sheet.layers.length) return;
  byId("members").hidden = sheet.members.length < 2;
  fill("members", sheet.members.map((name, place) => make("button", { type: "button", "aria-pressed": place === state.member, text: say("member", { n: name }),
    on: { click: () => { state.member = place; chooseLayer(sheet.layers.findIndex((layer) => layer.member === place)); drawFlow(); } } })));
  const row = sheet.rows[state.row];
  const shown = sheet.layers.map((layer, number) => [layer, number]).filter(([layer]) => layer.member === state.member);
  fill("flow", row.picture ? make("div", { class: "layer" }, make("span", { class: "title", text: say("input") }),
    make("img", { class: sheet.kind === "image" ? "pixel" : "", src: `data:image/png;base64,${row.picture}`, alt: "" })) : null,
  shown.map(([layer, number]) => make("button", { type: "button", class: "layer", "data-layer": number, "aria-pressed": number === state.layer, on: { click: () => chooseLayer(number) } },
    make("span", { class: "title", text: title(layer) }), collage(number), make("span", { class: "small", text: shapeOf(layer) }))));
}
function chooseLayer(number) {
  state.layer = number;
  state.unit = 0;
  for (const button of byId("flow").querySelectorAll("button")) button.setAttribute("aria-pressed", Number(button.dataset.layer) === number);
  drawLayer();
}

// --- One layer and one unit ------------------------------------------------------------------------------------------

const unitName = (number, place) => namesOutputs(number) ? sheet.outputs[sheet.layers[number].units[place]] : say("unit", { n: sheet.layers[number].units[place] });

function drawLayer() {
  if (!sheet.layers.length) return;
  const layer = sheet.layers[state.layer];
  byId("h-layer").textContent = `${title(layer)} · ${shapeOf(layer)}`;
  byId("layer-meaning").textContent = say(`m_${layer.work}`);
  byId("units-note").textContent = layer.units.length < layer.shape[0] ? say("units_note", { shown: layer.units.length, all: grouped(layer.shape[0]) }) : say("units_all", { all: layer.shape[0] });
  const holder = byId("units"), most = layer.look === "vector" ? greatest(flat(state.layer).values) : undefined;
  holder.className = `units ${layer.look}`;
  fill("units", layer.units.map((unit, place) => make("button", { type: "button", "aria-pressed": place === state.unit, "aria-label": unitName(state.layer, place), on: { click: () => chooseUnit(place) } },
    layer.look === "strips" ? make("span", { text: unit }) : null, canvasOf(state.layer, place, most),
    layer.look === "vector" ? make("span", { text: `${namesOutputs(state.layer) ? sheet.outputs[unit] : unit}: ${short(mapOf(state.layer, place).values[0])}` }) : layer.look === "maps" ? make("span", { text: unit }) : null)));
  const { values, height, width } = mapOf(state.layer, state.unit);
  const best = values.indexOf(Math.max(...values));
  [state.y, state.x] = [Math.floor(best / width), best % width];
  state.y = Math.min(state.y, height - 1);
  drawUnit();
}
function chooseUnit(place) {
  state.unit = place;
  [...byId("units").children].forEach((button, at) => button.setAttribute("aria-pressed", at === place));
  drawUnit();
}
function drawUnit() {
  const layer = sheet.layers[state.layer];
  byId("h-unit").textContent = unitName(state.layer, state.unit);
  const { height, width, values } = mapOf(state.layer, state.unit);
  if (height * width > 1) {
    const turn = turned(state.layer);
    const canvas = paint(make("canvas", {}), values, height, width, { turn });
    const cursor = make("div", { class: "cursor", "aria-hidden": "true" });
    const field = make("div", { class: `field${height === 1 ? " flat" : ""}`, tabindex: "0", role: "application", id: "field",
      "aria-label": say("map_label", { n: layer.units[state.unit] }), "aria-describedby": "sum" }, canvas, cursor);
    const place = () => {
      const [x, y, across, down] = turn ? [state.y, width - 1 - state.x, height, width] : [state.x, state.y, width, height];
      Object.assign(cursor.style, { left: `${(100 * x) / across}%`, top: `${(100 * y) / down}%`, width: `${100 / across}%`, height: `${100 / down}%` });
    };
    const go = (y, x) => {
      const [ny, nx] = [Math.min(height - 1, Math.max(0, y)), Math.min(width - 1, Math.max(0, x))];
      if (ny === state.y && nx === state.x) return;
      [state.y, state.x] = [ny, nx];
      place();
      drawArithmetic();
    };
    const point = (event) => {
      const box = field.getBoundingClientRect();
      const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      if (turn) go(Math.floor(x * height), width - 1 - Math.floor(y * width));
      else go(Math.floor(y * height), Math.floor(x * width));
    };
    field.addEventListener("pointermove", point);
    field.addEventListener("pointerdown", point);
    field.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!move) return;
      event.preventDefault();
      if (turn) go(state.y + move[1], state.x - move[0]);
      else go(state.y + move[0], state.x + move[1]);
    });
    fill("large", make("div", { class: "linked" }, make("figure", { class: "source", id: "source" }), make("figure", {}, field)));
    [state.y, state.x] = [Math.min(state.y, height - 1), Math.min(state.x, width - 1)];
    place();
  } else {
    [state.y, state.x] = [0, 0];
    fill("large");
  }
  drawArithmetic();
  drawTop();
}

// --- The arithmetic behind a number ----------------------------------------------------------------------------------

const where = () => { const { height } = mapOf(state.layer, state.unit); return height > 1 ? say("at", { y: state.y + 1, x: state.x + 1 }) : say("at_step", { x: state.x + 1 }); };

/** Numbers in a grid, toned by what they are; `win` is marked; null stands for what lies beyond the border. */
function grid(values, columns, win = -1) {
  const most = greatest(values.map((value) => value ?? 0));
  const shown = make("span", { class: "grid" }, ...values.map((value, place) => make("i", { class: value === null ? "void" : place === win ? "win" : "", text: value === null ? "·" : short(value), vars: toned(value ?? 0, most) })));
  shown.style.gridTemplateColumns = `repeat(${columns}, auto)`;
  return shown;
}
const term = (name, ...parts) => make("div", { class: "term" }, make("span", { class: "name", text: name }), ...parts);
const op = (sign) => make("span", { class: "op", text: sign });
const is = (value) => make("span", { class: "is", text: short(value) });
const plainTerm = (name, value, most, speaks = false) => make("div", { class: "term plain" }, make("span", { class: "name", text: name }),
  make("span", { class: "pull" }, most ? make("b", { vars: { "--tone": (value < 0) === speaks ? "var(--above)" : "var(--below)", "--l": `${50 - (value < 0 ? (50 * -value) / most : 0)}%`, "--v": `${(50 * Math.abs(value)) / most}%` } }) : null), is(value));

/** What a convolution adds up at the chosen place: of each input channel the window, the filter, and their sum. */
function convolved(number, unit, y, x) {
  const layer = sheet.layers[number], packed = sheet.rows[state.row].inputs[number];
  if (!layer.weight || !packed) return null;
  const input = numbers(packed), weights = numbers(layer.weight);
  const [, channels, kernelH, kernelW] = layer.weight.shape, [, height, width] = packed.shape;
  const [sy, sx] = layer.stride ?? [1, 1], [py, px] = layer.padding ?? [0, 0], [dy, dx] = layer.dilation ?? [1, 1];
  const first = layer.first?.[unit] ?? 0, found = [];
  for (let channel = 0; channel < channels; channel++) {
    const window = [], filter = [];
    let sum = 0;
    for (let j = 0; j < kernelH; j++) for (let i = 0; i < kernelW; i++) {
      const [inY, inX] = [y * sy - py + j * dy, x * sx - px + i * dx];
      const inside = inY >= 0 && inY < height && inX >= 0 && inX < width;
      const value = inside ? input[((first + channel) * height + inY) * width + inX] : null;
      const weight = weights[((unit * channels + channel) * kernelH + j) * kernelW + i];
      window.push(value);
      filter.push(weight);
      sum += (value ?? 0) * weight;
    }
    found.push({ channel: first + channel, window, filter, sum });
  }
  const bias = layer.bias?.[unit] ?? 0;
  return { terms: found, bias, total: found.reduce((total, one) => total + one.sum, bias), columns: kernelW };
}
/** The input channel that counts most at the chosen place, with the window that the filter sees. */
function drawSource(layer, strongest, name) {
  const source = byId("source"), packed = sheet.rows[state.row].inputs[state.layer];
  if (!source || !packed) return;
  const [, height, width] = packed.shape, turn = turned(state.layer);
  const values = numbers(packed).subarray(strongest.channel * height * width, (strongest.channel + 1) * height * width);
  const [sy, sx] = layer.stride ?? [1, 1], [py, px] = layer.padding ?? [0, 0], [dy, dx] = layer.dilation ?? [1, 1], [kh, kw] = layer.window ?? [1, 1];
  const [tall, broad] = [(kh - 1) * dy + 1, (kw - 1) * dx + 1], [top, left] = [state.y * sy - py, state.x * sx - px];
  const box = turn ? [top, width - left - broad, tall, broad, height, width] : [left, top, broad, tall, width, height];
  const cursor = make("div", { class: "cursor window", "aria-hidden": "true" });
  Object.assign(cursor.style, { left: `${(100 * box[0]) / box[4]}%`, top: `${(100 * box[1]) / box[5]}%`, width: `${(100 * box[2]) / box[4]}%`, height: `${(100 * box[3]) / box[5]}%` });
  source.replaceChildren(make("div", { class: `field${height === 1 ? " flat" : ""}` }, paint(make("canvas", { "aria-hidden": "true" }), values, height, width, { turn }), cursor),
    make("figcaption", { class: "hint", text: `${say("input")}: ${name}` }));
}
function drawConvolution(layer, n) {
  const sums = convolved(state.layer, state.unit, state.y, state.x);
  const value = valueHere();
  if (!sums || !whole(state.layer)) return [say("conv_sum_plain", { n, at: where(), total: short(value) }), [make("p", { class: "hint", text: say("no_arithmetic") })]];
  const colour = sheet.kind === "image" && sheet.layers.findIndex((one) => one.work === "convolution") === state.layer && sums.terms.length === 3;
  const ordered = colour ? sums.terms : [...sums.terms].sort((one, other) => Math.abs(other.sum) - Math.abs(one.sum));
  const shown = ordered.slice(0, 4), rest = ordered.slice(4);
  const others = rest.reduce((total, one) => total + one.sum, 0);
  const name = (one) => colour ? say(["red", "green", "blue"][one.channel]) : say("channel", { n: one.channel });
  const strongest = sums.terms.reduce((best, one) => (Math.abs(one.sum) > Math.abs(best.sum) ? one : best));
  drawSource(layer, strongest, name(strongest));
  const lines = shown.map((one) => term(name(one), grid(one.window, sums.columns), op("×"), grid(one.filter, sums.columns), op("="), is(one.sum)));
  if (rest.length) lines.push(plainTerm(say("others", { n: rest.length }), others));
  lines.push(plainTerm(say("bias"), sums.bias));
  const total = plainTerm(say("total"), sums.total);
  total.classList.add("rule");
  return [say("conv_sum", { n, at: where(), windows: short(sums.total - sums.bias), bias: short(sums.bias), total: short(sums.total) }), [...lines, total]];
}
function drawPooling(layer, n) {
  const before = layer.before ?? -1, value = valueHere();
  if (before < 0 || !whole(before) || !whole(state.layer)) return [say("plain_sum", { n, at: where(), total: short(value) }), []];
  const { values, height, width } = mapOf(before, state.unit);
  const [kh, kw] = layer.window ?? [1, 1], [sy, sx] = layer.stride ?? [kh, kw], window = [];
  for (let j = 0; j < kh; j++) for (let i = 0; i < kw; i++) {
    const [y, x] = [state.y * sy + j, state.x * sx + i];
    if (y < height && x < width) window.push(values[y * width + x]);
  }
  const isMax = layer.detail.startsWith("max"), win = isMax ? window.indexOf(Math.max(...window)) : -1;
  return [say(isMax ? "pool_max" : "pool_mean", { n, at: where(), count: window.length, total: short(value) }), [term(say("window"), grid(window, Math.min(kw, width), win), op("→"), is(value))]];
}
function drawReduction(layer, n) {
  const before = layer.before ?? -1, value = valueHere(), isMax = layer.detail === "max";
  if (before < 0) return [say("plain_sum", { n, at: "", total: short(value) }), []];
  const { values, height, width } = mapOf(before, state.unit);
  const small = values.length <= 64 && height > 1;
  const lines = small ? [term(say("window"), grid([...values], width, isMax ? values.indexOf(Math.max(...values)) : -1), op("→"), is(value))] : [];
  return [say(isMax ? "red_max" : "red_mean", { n, count: values.length, total: short(value) }), lines];
}
function drawDense(layer, n) {
  const packed = sheet.rows[state.row].inputs[state.layer], value = valueHere();
  if (!layer.weight || !packed) return [say("plain_sum", { n, at: "", total: short(value) }), [make("p", { class: "hint", text: say("no_arithmetic") })]];
  const input = numbers(packed), weights = numbers(layer.weight), size = input.length, parts = [];
  for (let i = 0; i < size; i++) parts.push([i, input[i] * weights[state.unit * size + i]]);
  const bias = layer.bias?.[state.unit] ?? 0, total = parts.reduce((sum, [, part]) => sum + part, bias);
  parts.sort((one, other) => Math.abs(other[1]) - Math.abs(one[1]));
  const rest = parts.slice(10), most = Math.max(Math.abs(parts[0]?.[1] ?? 0), 1e-9);
  const lines = parts.slice(0, 10).map(([i, part]) => plainTerm(say("input_n", { n: i }), part, most));
  if (rest.length) lines.push(plainTerm(say("other_inputs", { n: rest.length }), rest.reduce((sum, [, part]) => sum + part, 0)));
  lines.push(plainTerm(say("bias"), bias));
  const last = plainTerm(say("total"), total);
  last.classList.add("rule");
  return [say("dense_sum", { n: unitName(state.layer, state.unit).replace(/^\D*(?=\d+$)/, ""), parts: short(total - bias), bias: short(bias), total: short(total) }), [...lines, last]];
}
const valueHere = () => { const { values, width } = mapOf(state.layer, state.unit); return values[state.y * width + state.x]; };

function drawArithmetic() {
  const layer = sheet.layers[state.layer], n = layer.units[state.unit], before = layer.before ?? -1;
  const does = { convolution: drawConvolution, pooling: drawPooling, reduction: drawReduction };
  let [sentence, lines] = [say("plain_sum", { n, at: where(), total: short(valueHere()) }), []];
  if (does[layer.work]) [sentence, lines] = does[layer.work](layer, n);
  else if (layer.work === "dense" && layer.look === "vector") [sentence, lines] = drawDense(layer, n);
  else if (layer.work === "activation" && before >= 0 && sheet.rows[state.row].maps[before].shape.join() === sheet.rows[state.row].maps[state.layer].shape.join()) {
    const { values, width } = mapOf(before, state.unit);
    sentence = say("act_sum", { n, at: layer.look === "vector" ? "" : where(), before: short(values[state.y * width + state.x]), total: short(valueHere()) });
  }
  byId("sum").textContent = sentence.replace(/\s+([:：，])/, "$1").replace("+ -", "− ");
  fill("arithmetic", make("div", { class: "terms" }, ...lines));
}

// --- Rows of the training data ---------------------------------------------------------------------------------------

function bankFigure(place, caption, x, y) {
  const row = sheet.bank[place];
  const about = [make("b", { text: row.label }), " ", make("span", { text: caption })];
  if (row.tokens?.length) {
    const at = Math.round(x), from = at < 0 ? 0 : Math.max(0, at - 5), to = at < 0 ? 12 : at + 6;
    const words = row.tokens.slice(from, to).map((token, i) => (from + i === at ? make("mark", { text: token }) : document.createTextNode(token)));
    return make("figure", { class: "wordy" }, make("div", {}, from ? "… " : "", ...spaced(words), to < row.tokens.length ? "…" : ""), make("figcaption", { class: "hint" }, ...about));
  }
  const mark = x < 0 ? null : make("span", { class: `mark${y < 0 ? " tall" : ""}`, "aria-hidden": "true" });
  if (mark) Object.assign(mark.style, { left: `${100 * x}%`, top: `${100 * Math.max(0, y)}%` });
  return make("figure", {}, make("span", { class: "thumb" }, make("img", { src: `data:image/webp;base64,${row.picture}`, alt: row.key, class: sheet.kind === "image" ? "pixel" : "" }), mark), make("figcaption", {}, ...about));
}
function drawTop() {
  const top = sheet.layers[state.layer].top?.[state.unit] ?? [];
  fill("top", top.length ? top.map(([row, value, x, y]) => bankFigure(row, short(value), x, y)) : make("p", { class: "hint", text: say(sheet.layers[state.layer].work === "embedding" ? "no_top_of_tokens" : "no_top") }));
}

// --- Time ------------------------------------------------------------------------------------------------------------

const nameOf = (name) => say(name === "input" ? "input_gate" : name);

function drawTime() {
  const row = sheet.rows[state.row], all = (row.states ?? []).filter((one) => sheet.layers[one.layer].member === state.member);
  byId("time-section").hidden = !all.length;
  if (!all.length) return;
  const states = all[Math.min(state.time, all.length - 1)];
  const [names, units, steps] = states.values.shape;
  state.step = Math.min(state.step, steps - 1);
  state.timeUnit = Math.min(state.timeUnit, units - 1);
  state.what = Math.min(state.what, names - 1);
  const values = numbers(states.values), size = units * steps;
  const chips = make("div", { class: "chips", role: "group", "aria-label": say("what") }, ...states.names.map((name, place) => make("button", { type: "button", text: nameOf(name),
    "aria-pressed": place === state.what, on: { click: () => { state.what = place; drawTime(); byId("time").querySelectorAll(".chips button")[place].focus(); } } })));
  const canvas = paint(make("canvas", {}), values.subarray(state.what * size, (state.what + 1) * size), units, steps);
  const cursor = make("div", { class: "cursor", "aria-hidden": "true" });
  const map = make("div", { class: "heatmap", tabindex: "0", role: "application", id: "states", "aria-label": say("states_label") }, canvas, cursor);
  const told = make("div", { class: "over-time" });
  const tokens = row.tokens?.length ? make("p", { class: "tokens" }, ...spaced(row.tokens.slice(0, steps).map((piece, at) =>
    make("button", { type: "button", class: "tok", text: piece.text, tabindex: "-1", on: { click: () => go(state.timeUnit, at) } })))) : null;
  const show = () => {
    Object.assign(cursor.style, { left: `${(100 * state.step) / steps}%`, top: `${(100 * state.timeUnit) / units}%`, width: `${100 / steps}%`, height: `${100 / units}%` });
    const here = (name, step) => values[name * size + state.timeUnit * steps + step];
    if (tokens) [...tokens.children].forEach((token, at) => {
      const value = here(state.what, at);
      token.style.setProperty("--w", Math.min(1, Math.abs(value)).toFixed(3));
      token.style.setProperty("--tone", value < 0 ? "var(--below)" : "var(--above)");
      token.classList.toggle("on", at === state.step);
    });
    told.replaceChildren(...toldAt(row, states, steps, here));
  };
  const go = (unit, step) => {
    state.timeUnit = Math.min(units - 1, Math.max(0, unit));
    state.step = Math.min(steps - 1, Math.max(0, step));
    show();
  };
  const point = (event) => {
    const box = map.getBoundingClientRect();
    go(Math.floor(((event.clientY - box.top) / box.height) * units), Math.floor(((event.clientX - box.left) / box.width) * steps));
  };
  map.addEventListener("pointermove", (event) => { if (event.buttons || event.pointerType === "mouse") point(event); });
  map.addEventListener("pointerdown", point);
  map.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!move) return;
    event.preventDefault();
    go(state.timeUnit + move[0], state.step + move[1]);
  });
  fill("time", chips, map, tokens, told);
  show();
}
function toldAt(row, states, steps, here) {
  const unit = states.units[state.timeUnit];
  const lines = states.names.map((name, place) => ({ name: nameOf(name), points: Array.from({ length: steps }, (_, step) => [step + 1, here(place, step)]) }));
  const parts = [make("h3", { text: `${say("gates", { n: unit })} · ${say("step", { n: state.step + 1 })}`, "aria-live": "polite" }),
    make("div", { class: "charts" }, chart(lines, { now: state.step + 1, label: say("gates", { n: unit }) }), endsHere(row, steps))];
  const moments = states.similar[state.step] ?? [];
  if (moments.length) parts.push(make("h3", { text: say("similar") }), make("div", { class: "moments" }, ...moments.map(([place, step, alike]) => {
    const share = sheet.bank[place].tokens?.length ? step : (step + 0.5) / steps;
    return bankFigure(place, say("alike", { p: percent(alike) }), Math.min(share, sheet.bank[place].tokens?.length ? 1e9 : 1), -1);
  })));
  return parts;
}
function endsHere(row, steps) {
  if (!row.on_the_way) return null;
  const [ends, outputs] = row.on_the_way.shape, values = numbers(row.on_the_way);
  const last = Array.from({ length: outputs }, (_, at) => [at, values[(ends - 1) * outputs + at]]).sort((one, other) => other[1] - one[1]).slice(0, 3);
  const toStep = (place) => 1 + (place / Math.max(1, ends - 1)) * (steps - 1);
  const lines = last.map(([at]) => ({ name: sheet.outputs[at], points: Array.from({ length: ends }, (_, place) => [toStep(place), values[place * outputs + at]]) }));
  const bounds = sheet.question === "regress" ? {} : { floor: 0, ceiling: 1 };
  return make("div", {}, make("p", { class: "hint", text: say("ends_here") }), chart(lines, { now: state.step + 1, label: say("ends_here"), ...bounds }));
}

// --- The course of the training, and what layers cost ----------------------------------------------------------------

function drawCourse() {
  const course = sheet.course;
  if (!course.validations.length) return fill("course", make("p", { class: "hint", text: say("no_course") }));
  const charts = make("div", { class: "charts" }), told = make("p", { "aria-live": "polite" }), then = make("div", {});
  const slider = make("input", { type: "range", min: 0, max: course.validations.length - 1, step: 1, value: state.validation, "aria-label": say("slider"), id: "slider" });
  const show = () => {
    const [step, loss, score] = course.validations[state.validation];
    const text = say("then", { step: grouped(step), loss: short(loss), measure: course.measure, score: sheet.question === "regress" ? short(score) : percent(score) });
    told.textContent = text;
    slider.setAttribute("aria-valuetext", text);
    charts.replaceChildren(chart([{ name: say("training_loss"), points: course.loss, colour: 2 }, { name: say("validation_loss"), points: course.validations.map(([at, value]) => [at, value]), colour: 0 }], { now: step, label: say("loss") }),
      chart([{ name: course.measure, points: course.validations.map(([at, , value]) => [at, value]), colour: 0 }], { now: step, label: course.measure }));
    then.replaceChildren(...keptNear(step));
  };
  slider.addEventListener("input", () => { state.validation = Number(slider.value); show(); });
  fill("course", charts, slider, told, then);
  show();
}
function keptNear(step) {
  const kept = sheet.course.kept;
  if (!kept.length) return [make("p", { class: "hint", text: say("no_kept") })];
  const near = kept.reduce((best, one) => (Math.abs(one.step - step) < Math.abs(best.step - step) ? one : best));
  const outputs = near.answers.shape[1], values = numbers(near.answers).subarray(state.row * outputs, (state.row + 1) * outputs);
  const list = [...values].map((value, at) => [sheet.outputs[at], value]);
  if (sheet.question !== "regress") list.sort((one, other) => other[1] - one[1]);
  const parts = [make("h3", { text: say("kept", { step: grouped(near.step) }) }), bars(list.slice(0, 5), 0)];
  if (near.filters) parts.push(make("h3", { text: say("filters") }), make("div", { class: "filters" }, ...filtersOf(near.filters)));
  return parts;
}
function filtersOf(packed) {
  const [count, channels, height, width] = packed.shape, values = numbers(packed), size = channels * height * width;
  return Array.from({ length: count }, (_, place) => {
    const filter = values.subarray(place * size, (place + 1) * size), canvas = make("canvas", { "aria-hidden": "true" });
    if (channels !== 3) return paint(canvas, filter.subarray(0, height * width), height, width);
    [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d"), image = context.createImageData(width, height), most = greatest(filter);
    for (let at = 0; at < height * width; at++) {
      for (let part = 0; part < 3; part++) image.data[4 * at + part] = 127.5 * (1 + filter[part * height * width + at] / most);
      image.data[4 * at + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    return canvas;
  });
}
function drawTable() {
  const most = Math.max(...sheet.layers.map((layer) => layer.products), 1), biggest = Math.max(...sheet.layers.map((layer) => layer.parameters), 1);
  const cell = (value, all) => make("td", { class: "n" }, grouped(value), make("span", { class: "rail" }, make("span", { class: "share", vars: { "--v": (value / all).toFixed(4) } })));
  fill("table", make("thead", {}, make("tr", {}, ...["layer", "kind", "shape", "parameters", "products"].map((key, place) => make("th", { scope: "col", class: place > 2 ? "n" : "", text: say(key) })))),
    make("tbody", {}, ...sheet.layers.map((layer) => make("tr", {}, make("td", { text: layer.path || "–" }), make("td", { text: title(layer) }), make("td", { text: shapeOf(layer) }), cell(layer.parameters, biggest), cell(layer.products, most)))));
}

// --- All -------------------------------------------------------------------------------------------------------------

function drawWords() {
  document.documentElement.lang = state.lang;
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = say(element.dataset.t);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", say(element.dataset.label));
  for (const button of document.querySelectorAll("button[data-lang]")) button.setAttribute("aria-pressed", button.dataset.lang === state.lang);
  byId("facts").textContent = say(sheet.products ? "facts" : "facts_of_size", { model: sheet.model, parameters: grouped(sheet.parameters), products: grouped(sheet.products) });
}
function drawAll() {
  readColours();
  drawWords();
  drawRows();
  drawAnswer();
  drawAddends();
  drawFlow();
  drawLayer();
  drawTime();
  drawCourse();
  drawTable();
}
for (const button of document.querySelectorAll("button[data-lang]")) button.addEventListener("click", () => { state.lang = button.dataset.lang; drawAll(); });
document.documentElement.dataset.kind = sheet.kind;
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
drawAll();
document.documentElement.dataset.ready = "yes";
})();
