// How devices, their states and their events are shown, wherever they are.
import { deviceName } from "./api.js";
import { h, isolated, setAttribute, setText } from "./dom.js";
import { count, relative } from "./format.js";
import { icon } from "./widgets.js";
import { link } from "./router.js";

/** `{key, text}`: what matters most about a device. */
export function stateOf(device) {
  const reason = device.status_reason;
  switch (device.status) {
    case "revoked": return { key: "revoked", text: reason ? `revoked: ${reason}` : "revoked" };
    case "suspended": {
      const until = device.suspended_until ? ` until ${relative(device.suspended_until).replace("in ", "")} from now` : "";
      return { key: "suspended", text: `suspended${reason ? `: ${reason}` : until}` };
    }
    case "expired": return { key: "expired", text: "expired" };
    default:
      if (device.online) return { key: "online", text: "online" };
      return { key: "offline", text: device.last_seen ? "offline" : "never seen" };
  }
}

/** A mark and a text that change in place. */
export function stateMark(device) {
  const text = h("span", { class: "state-text" });
  const element = h("span", { class: "state" });
  let shown;
  const update = (device) => {
    const state = stateOf(device);
    if (shown !== state.key) {
      shown = state.key;
      element.className = `state ${state.key}`;
      element.replaceChildren(icon(state.key), text);
    }
    setText(text, state.text);
    element.title = state.text;
  };
  update(device);
  return { element, update };
}

const modes = { normal: "normal", close_only: "close only", halted: "halted" };
export const modeName = (mode) => modes[mode] ?? mode;

/** Whether the device has said that it obeys its present mode. */
export const isConfirmed = ({ trading_mode: mode }) => mode.confirmed_version === mode.version;

/** A trading mode, with a tick when the device has confirmed it. */
export function modeMark(device) {
  const element = h("span", { class: "mode" });
  const update = (device) => {
    const { mode, version } = device.trading_mode;
    // A device that nobody has stopped yet has nothing to confirm.
    const isFresh = mode === "normal" && version <= 1;
    const suffix = isConfirmed(device) ? " ✓" : isFresh ? "" : " …";
    setText(element, modeName(mode) + suffix);
    setAttribute(element, "class", `mode ${mode}${suffix === " …" ? " unconfirmed" : ""}`);
    element.title = isConfirmed(device) ? "confirmed by the device" : isFresh ? "" : "not yet confirmed by the device";
  };
  update(device);
  return { element, update };
}

/** Labels and groups as small marks. */
export function tags(device) {
  const element = h("span", { class: "tags" });
  let shown;
  const update = ({ labels, groups }) => {
    const text = JSON.stringify([labels, groups]);
    if (shown === text) return;
    shown = text;
    element.replaceChildren(
      ...groups.map((name) => h("span", { class: "tag group" }, name)),
      ...Object.entries(labels).map(([key, value]) => h("span", { class: "tag" }, value ? `${key}: ${value}` : key)));
  };
  update(device);
  return { element, update };
}

/** A link to a device whose name is asked if it is not known. */
export function deviceLink(id) {
  const name = isolated(id.slice(0, 8), { class: "unnamed" });
  deviceName(id).then((text) => {
    name.classList.toggle("unnamed", text === null);
    if (text !== null) setText(name, text);
    else name.title = `${id}, which does not exist any more`;
  });
  return h("a", { href: link(`/devices/${id}`), class: "device-link" }, name);
}

// MARK: Events

const verbs = {
  "device.registered": "registered", "device.enrolled": "enrolled with a code", "device.updated": "changed",
  "device.suspended": "suspended", "device.resumed": "resumed", "device.expired": "expired", "device.revoked": "revoked",
  "device.deleted": "deleted", "device.mode_changed": "trading mode set", "device.mode_confirmed": "trading mode confirmed",
  "device.secret_rotated": "secret rotated", "device.secret_promoted": "new secret in use",
  "device.context_changed": "context changed", "device.contended": "used by two terminals at once",
  "device.offline": "went offline", "device.online": "came online",
  "signal.created": "signal sent", "signal.cancelled": "signal cancelled", "signal.acknowledged": "signal acknowledged",
  "enrolment.created": "enrolment code created", "enrolment.deleted": "enrolment code deleted",
  "group.created": "group created", "group.updated": "group changed", "group.deleted": "group deleted",
  "webhook.created": "webhook created", "webhook.updated": "webhook changed", "webhook.deleted": "webhook deleted",
  "webhook.disabled": "webhook disabled", "telegram.linked": "Telegram chat linked", "telegram.unlinked": "Telegram chat unlinked", "client.created": "client added", "client.updated": "client changed",
  "client.suspended": "client suspended", "client.resumed": "client resumed", "client.deleted": "client deleted",
};

export const eventText = (type) => verbs[type] ?? type.replace(".", " ").replaceAll("_", " ");

const kindsOfTrouble = new Set(["device.revoked", "device.contended", "device.offline", "device.expired", "webhook.disabled", "client.suspended"]);
const kindsOfCare = new Set(["device.suspended", "device.mode_changed", "signal.cancelled", "device.secret_rotated"]);
export const eventTone = (type) => (kindsOfTrouble.has(type) ? "bad" : kindsOfCare.has(type) ? "warn" : "plain");

/** What changed, in a line: `device_name: EA → EA-London`. */
export function changesText({ type, changes }) {
  // What the device did says more than that the state changed.
  if (type === "signal.acknowledged") return changes?.status?.[1] ?? "";
  return Object.entries(changes ?? {})
    .filter(([name]) => name !== "status" && !name.endsWith("_id") && name !== "version")
    .map(([name, [from, to]]) => {
      const label = name.replaceAll("_", " ");
      if (typeof from === "object" && typeof to === "object" && (from || to)) return `${label}: ${difference(from ?? {}, to ?? {})}`;
      if (from === null || from === undefined) return `${label} ${value(to)}`;
      return `${label}: ${value(from)} → ${value(to)}`;
    })
    .join(", ");
}

function value(some) {
  if (some === null) return "none";
  if (typeof some === "string" && modes[some]) return modes[some];
  return typeof some === "object" ? Object.values(some).map(value).join(" · ") : String(some);
}

/** What was added, removed or set. */
function difference(from, to) {
  if (Array.isArray(to) || Array.isArray(from)) {
    const [old, now] = [[...from ?? []], [...to ?? []]];
    return [...now.filter((one) => !old.includes(one)).map((one) => `+${one}`), ...old.filter((one) => !now.includes(one)).map((one) => `−${one}`)].join(" ") || "none";
  }
  const parts = [];
  for (const key of new Set([...Object.keys(from), ...Object.keys(to)])) {
    if (JSON.stringify(from[key]) === JSON.stringify(to[key])) continue;
    parts.push(to[key] === undefined ? `−${key}` : `${key}=${value(to[key])}`);
  }
  return parts.join(" ") || "none";
}

export function actorText({ kind, id }) {
  if (kind === "device") return "the device";
  if (kind === "system") return "the registry";
  if (kind === "operator") return "the operator";
  return id ?? kind;
}

export const refusals = {
  "device-not-found": "do not exist", "not-owner": "belong to another client", "device-revoked": "are revoked",
  "device-name-taken": "would get a name that is taken", "too-many-labels": "would have too many labels",
  "too-many-groups": "would be in too many groups",
};

/** "48 of 50 devices will be halted; 2 already are." */
export function previewText({ matched, changed, unchanged, refused }, done) {
  if (matched === 0) return "No device matches.";
  const parts = [`${count(changed, "device")} will be ${done}`];
  if (unchanged) parts.push(`${count(unchanged, "device")} already ${unchanged === 1 ? "is" : "are"}`);
  const kinds = Map.groupBy ? Map.groupBy(refused, ({ type }) => type.split("/").pop()) : new Map([["", refused]]);
  for (const [kind, list] of kinds) if (list.length) parts.push(`${count(list.length, "device")} left alone because they ${refusals[kind] ?? "cannot be changed"}`);
  return `${parts.join("; ")}.`;
}
