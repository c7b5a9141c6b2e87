// QR codes (ISO/IEC 18004): byte mode, error correction level M, versions 1 to 10, drawn as SVG.
import { svg } from "./dom.js";

/** For each version: error correction bytes of a block, and the data bytes of its blocks. */
const BLOCKS = [
  null, [10, [16]], [16, [28]], [26, [44]], [18, [32, 32]], [24, [43, 43]], [16, [27, 27, 27, 27]], [18, [31, 31, 31, 31]],
  [22, [38, 38, 39, 39]], [22, [36, 36, 36, 37, 37]], [26, [43, 43, 43, 43, 44]],
];
const ALIGNMENT = [[], [], [6, 18], [6, 22], [6, 26], [6, 30], [6, 34], [6, 22, 38], [6, 24, 42], [6, 26, 46], [6, 28, 50]];
const QUIET_ZONE = 4;

// Arithmetic in GF(256), modulo x^8 + x^4 + x^3 + x^2 + 1.
const EXP = new Uint8Array(512), LOG = new Uint8Array(256);
for (let power = 0, value = 1; power < 255; power++) {
  EXP[power] = EXP[power + 255] = value;
  LOG[value] = power;
  value = (value << 1) ^ (value & 0x80 ? 0x11d : 0);
}
const multiply = (a, b) => (a && b ? EXP[LOG[a] + LOG[b]] : 0);

/** The remainder of the data by the generator polynomial: the error correction bytes. */
function correction(data, count) {
  let generator = [1];
  for (let power = 0; power < count; power++) {
    const next = new Array(generator.length + 1).fill(0);
    generator.forEach((factor, index) => {
      next[index] ^= factor;
      next[index + 1] ^= multiply(factor, EXP[power]);
    });
    generator = next;
  }
  const rest = new Array(count).fill(0);
  for (const byte of data) {
    const factor = byte ^ rest.shift();
    rest.push(0);
    for (let index = 0; index < count; index++) rest[index] ^= multiply(generator[index + 1], factor);
  }
  return rest;
}

/** The code's modules as rows of booleans; true is dark. Throws an error if the text is too long. */
export function qrModules(text) {
  const bytes = new TextEncoder().encode(text);
  const version = BLOCKS.findIndex((entry, index) => index && bytes.length <= entry[1].reduce((sum, size) => sum + size, 0) - (index < 10 ? 2 : 3));
  if (version < 0) throw new Error("The text is too long for a QR code.");
  const size = 17 + 4 * version;
  const modules = Array.from({ length: size }, () => new Array(size).fill(false));
  const fixed = Array.from({ length: size }, () => new Array(size).fill(false));
  const set = (row, column, isDark) => {
    if (row < 0 || column < 0 || row >= size || column >= size) return;
    modules[row][column] = isDark;
    fixed[row][column] = true;
  };
  drawPatterns(version, size, set, fixed);
  drawData(interleave(version, bytes), size, modules, fixed);
  // The mask with the least penalty.
  let best = null;
  for (let mask = 0; mask < 8; mask++) {
    const masked = modules.map((row, y) => row.map((isDark, x) => (fixed[y][x] ? isDark : isDark !== MASKS[mask](y, x))));
    drawFormat(mask, size, masked);
    const score = penalty(masked, size);
    if (!best || score < best.score) best = { score, masked };
  }
  return best.masked;
}

function drawPatterns(version, size, set, fixed) {
  for (let index = 0; index < size; index++) {
    set(6, index, index % 2 === 0);
    set(index, 6, index % 2 === 0);
  }
  for (const [top, left] of [[0, 0], [0, size - 7], [size - 7, 0]]) {
    for (let y = -1; y <= 7; y++) for (let x = -1; x <= 7; x++) {
      const ring = Math.max(Math.abs(y - 3), Math.abs(x - 3));
      set(top + y, left + x, ring !== 2 && ring !== 4);
    }
  }
  const places = ALIGNMENT[version];
  for (const y of places) for (const x of places) {
    if ((y === 6 && (x === 6 || x === size - 7)) || (y === size - 7 && x === 6)) continue;
    for (let dy = -2; dy <= 2; dy++) for (let dx = -2; dx <= 2; dx++) set(y + dy, x + dx, Math.max(Math.abs(dy), Math.abs(dx)) !== 1);
  }
  // Room for the format, and the version from 7 on.
  for (let index = 0; index < 9; index++) for (const [y, x] of [[8, index], [index, 8]]) if (!fixed[y][x]) set(y, x, false);
  for (let index = 0; index < 8; index++) { set(8, size - 1 - index, false); set(size - 1 - index, 8, false); }
  set(size - 8, 8, true);
  if (version < 7) return;
  let rest = version;
  for (let index = 0; index < 12; index++) rest = (rest << 1) ^ ((rest >> 11) * 0x1f25);
  const bits = (version << 12) | rest;
  for (let index = 0; index < 18; index++) {
    const isDark = ((bits >> index) & 1) === 1;
    const [far, near] = [size - 11 + (index % 3), Math.floor(index / 3)];
    set(far, near, isDark);
    set(near, far, isDark);
  }
}

function interleave(version, bytes) {
  const [correctionCount, sizes] = BLOCKS[version];
  const capacity = sizes.reduce((sum, size) => sum + size, 0);
  const bits = [];
  const put = (value, count) => { for (let bit = count - 1; bit >= 0; bit--) bits.push((value >> bit) & 1); };
  put(0b0100, 4);
  put(bytes.length, version < 10 ? 8 : 16);
  for (const byte of bytes) put(byte, 8);
  put(0, Math.min(4, capacity * 8 - bits.length));
  put(0, (8 - (bits.length % 8)) % 8);
  const data = [];
  for (let index = 0; index < bits.length; index += 8) data.push(parseInt(bits.slice(index, index + 8).join(""), 2));
  for (let filler = 0xec; data.length < capacity; filler ^= 0xec ^ 0x11) data.push(filler);
  const blocks = [];
  for (const size of sizes) blocks.push(data.splice(0, size));
  const corrections = blocks.map((block) => correction(block, correctionCount));
  const result = [];
  for (let index = 0; index < Math.max(...sizes); index++) for (const block of blocks) if (index < block.length) result.push(block[index]);
  for (let index = 0; index < correctionCount; index++) for (const block of corrections) result.push(block[index]);
  return result;
}

/** In columns of two, from the lower right, up and down in turn; column 6 is a timing pattern. */
function drawData(bytes, size, modules, fixed) {
  let bit = 0;
  for (let right = size - 1; right >= 1; right -= 2) {
    if (right === 6) right = 5;
    for (let step = 0; step < size; step++) {
      const row = ((right + 1) & 2) === 0 ? size - 1 - step : step;
      for (const column of [right, right - 1]) {
        if (fixed[row][column]) continue;
        modules[row][column] = ((bytes[bit >> 3] >> (7 - (bit & 7))) & 1) === 1;
        bit++;
      }
    }
  }
}

const MASKS = [
  (y, x) => (y + x) % 2 === 0, (y) => y % 2 === 0, (_, x) => x % 3 === 0, (y, x) => (y + x) % 3 === 0,
  (y, x) => (Math.floor(y / 2) + Math.floor(x / 3)) % 2 === 0, (y, x) => ((y * x) % 2) + ((y * x) % 3) === 0,
  (y, x) => (((y * x) % 2) + ((y * x) % 3)) % 2 === 0, (y, x) => (((y + x) % 2) + ((y * x) % 3)) % 2 === 0,
];

/** Level M is 0 in the format's two bits. */
function drawFormat(mask, size, modules) {
  let rest = mask;
  for (let index = 0; index < 10; index++) rest = (rest << 1) ^ ((rest >> 9) * 0x537);
  const bits = ((mask << 10) | rest) ^ 0x5412;
  for (let index = 0; index < 15; index++) {
    const isDark = ((bits >> index) & 1) === 1;
    if (index < 6) modules[index][8] = isDark;
    else if (index < 8) modules[index + 1][8] = isDark;
    else if (index === 8) modules[8][7] = isDark;
    else modules[8][14 - index] = isDark;
    if (index < 8) modules[8][size - 1 - index] = isDark;
    else modules[size - 15 + index][8] = isDark;
  }
  modules[size - 8][8] = true;
}

function penalty(modules, size) {
  let score = 0, dark = 0;
  const FINDER = /(?=10111010000|00001011101)/g;
  for (const isColumn of [false, true]) {
    for (let line = 0; line < size; line++) {
      let text = "";
      for (let index = 0; index < size; index++) text += (isColumn ? modules[index][line] : modules[line][index]) ? "1" : "0";
      for (const [run] of text.matchAll(/1{5,}|0{5,}/g)) score += run.length - 2;
      score += 40 * [...text.matchAll(FINDER)].length;
      if (!isColumn) dark += text.replaceAll("0", "").length;
    }
  }
  for (let y = 0; y < size - 1; y++) for (let x = 0; x < size - 1; x++) {
    const one = modules[y][x];
    if (modules[y][x + 1] === one && modules[y + 1][x] === one && modules[y + 1][x + 1] === one) score += 3;
  }
  return score + 10 * Math.floor(Math.abs((dark * 20) / (size * size) - 10));
}

/** A picture of the text's code. */
export function qrCode(text) {
  const modules = qrModules(text);
  const size = modules.length + 2 * QUIET_ZONE;
  let path = "";
  modules.forEach((row, y) => row.forEach((isDark, x) => { if (isDark) path += `M${x + QUIET_ZONE} ${y + QUIET_ZONE}h1v1h-1z`; }));
  return svg("svg", { viewBox: `0 0 ${size} ${size}`, class: "qr", role: "img", "aria-label": "QR code of the enrolment code", "shape-rendering": "crispEdges" },
    svg("rect", { width: size, height: size, fill: "#fff" }), svg("path", { d: path, fill: "#000" }));
}
