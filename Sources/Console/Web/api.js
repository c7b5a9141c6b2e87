// The HTTP API, with the owner's token.
import { session } from "./session.js";

/** What the API answered in place of what was asked (RFC 9457), or that it did not answer. */
export class Problem extends Error {
  constructor(status, { title, detail, errors = [], request_id: requestID, type = "", ...members }) {
    super(detail ?? title);
    Object.assign(this, { status, title, detail, errors, requestID, members, kind: type.split("/").pop() });
  }

  /** Whether nobody answered: the service restarts, or the network is down. */
  get isUnreachable() { return this.status === 0; }

  /** Whether the same request may succeed later. */
  get isTemporary() { return this.isUnreachable || this.status === 429 || this.status >= 500; }
}

const BASE = "../api/v1";
const TIMEOUT_MILLISECONDS = 60_000;

/**
 * Sends a request and returns the answer's content. If the session has ended, asks to sign in again and then repeats the
 * request, which did nothing; so whatever was typed stays. Throws `Problem`.
 *
 * `query` leaves out null and empty values; `text` is a body that is JSON already; `creates` sends an idempotency key; `whole` returns `{data, next, headers}`.
 */
export async function api(method, path, { body, text, query, creates, signal, whole } = {}) {
  const headers = {};
  text ??= body === undefined ? undefined : JSON.stringify(body);
  if (text !== undefined) headers["Content-Type"] = "application/json";
  if (creates) headers["Idempotency-Key"] = typeof creates === "string" ? creates : newKey();
  for (;;) {
    const token = session.token;
    const response = await send(method, BASE + path + queryText(query), { text, headers, token, signal });
    if (response.status === 401) {
      // Another request may have renewed the session in the meantime.
      if (token === session.token) await session.renew((await problem(response)).detail);
      signal?.throwIfAborted();
      continue;
    }
    if (!response.ok) throw await problem(response);
    const data = response.status === 204 ? null : await response.json();
    return whole ? { data, next: nextPage(response), headers: response.headers } : data;
  }
}

async function send(method, url, { text, headers, token, signal }) {
  const limit = AbortSignal.timeout(TIMEOUT_MILLISECONDS);
  try {
    return await fetch(url, {
      method, headers: { ...headers, Authorization: `Bearer ${token}` }, cache: "no-store", credentials: "omit",
      redirect: "error", body: text,
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, {
      title: "The registry does not answer",
      detail: "It may be restarting, or the network is down. Nothing is known about what was asked: look, and try again.",
    });
  }
}

async function problem(response) {
  let members = {};
  try { members = await response.json(); } catch { /* A proxy answered. */ }
  members.request_id ??= response.headers.get("X-Request-Id") ?? undefined;
  members.title ??= `The answer was ${response.status}`;
  const retryAfter = Number(response.headers.get("Retry-After"));
  return Object.assign(new Problem(response.status, members), { retryAfter });
}

/** Visible ASCII; randomUUID exists in secure contexts only. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function queryText(query) {
  const entries = Object.entries(query ?? {}).filter(([, value]) => value !== null && value !== undefined && value !== "");
  // A plus is a plus for the API, not a space.
  return entries.length ? `?${String(new URLSearchParams(entries)).replaceAll("+", "%20")}` : "";
}

/** The cursor of the next page. */
function nextPage(response) {
  const target = /<([^>]*)>; *rel="next"/.exec(response.headers.get("Link") ?? "")?.[1];
  return target ? new URL(target, location.href).searchParams.get("cursor") : null;
}

/** Reads a list's pages, at most `pages` of them. */
export async function readAll(path, { query, pages = 10, signal } = {}) {
  const all = [];
  let cursor = null;
  for (let page = 0; page < pages; page++) {
    const { data, next } = await api("GET", path, { query: { ...query, cursor }, whole: true, signal });
    all.push(...data);
    if (!(cursor = next)) break;
  }
  // More than was asked for.
  all.isCut = cursor !== null && cursor !== undefined;
  return all;
}

// What several pages ask.

export const getDevice = (id, options) => api("GET", `/devices/${id}`, options);

/** What a bulk change would do. */
export const previewBulk = (change, options) => api("POST", "/devices/bulk", { ...options, body: { ...change, dry_run: true } });

/** The names of devices, asked once each and a few at a time. */
const names = new Map();
const MAXIMUM_NAMES = 20_000;
const waiting = [];
let running = 0;
const MAXIMUM_RUNNING = 4;
/** More names than this are read with the list of devices, once. */
const MAXIMUM_SINGLE = 20;
let listing = null;
const found = new Map();

export function remember(device) {
  if (names.size >= MAXIMUM_NAMES) names.delete(names.keys().next().value);
  names.set(device.id, device.device_name);
}

export function forgetNames() {
  names.clear();
  found.clear();
  listing = null;
}

/** The name of a device; null if it does not exist any more. */
export function deviceName(id) {
  if (names.has(id)) return Promise.resolve(names.get(id));
  const name = new Promise((resolve) => waiting.push({ id, resolve }));
  names.set(id, name);
  runWaiting();
  return name;
}

async function readNames() {
  try {
    for (const device of await readAll("/devices", { query: { limit: 1000 } })) found.set(device.id, device.device_name);
  } catch { /* They are asked one by one. */ }
}

async function runWaiting() {
  if (running >= MAXIMUM_RUNNING) return;
  running++;
  // Those that ask in the same moment are asked for together.
  await null;
  if (waiting.length > MAXIMUM_SINGLE) listing ??= readNames();
  await listing;
  while (waiting.length) {
    const { id, resolve } = waiting.shift();
    let name = found.get(id) ?? null;
    if (name !== null) {
      names.set(id, name);
      resolve(name);
      continue;
    }
    try { name = (await getDevice(id)).device_name; } catch { /* Deleted, or nobody answers. */ }
    names.set(id, name);
    resolve(name);
  }
  running--;
}
