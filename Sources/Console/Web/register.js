// New devices: registered here with a secret, or enrolled with codes.
import { api, newKey } from "./api.js";
import { h, isolated } from "./dom.js";
import { count, fromLocal, time } from "./format.js";
import { ask, copyButton, field, newID, secretBox, select, show } from "./widgets.js";

/** The lines of `key: value` as labels. Throws an error with a text for the user. */
export function readLabels(text) {
  const labels = {};
  for (const line of text.split(/[\n,]+/).map((part) => part.trim()).filter(Boolean)) {
    const [key, ...rest] = line.split(/[:=]/);
    labels[key.trim()] = rest.join(":").trim();
  }
  return labels;
}

/** A field with the names of the client's groups. */
export function groupsField(label = "Groups", hint = "Names with commas between them") {
  const list = h("datalist", { id: newID("groups") });
  const one = field(label, { type: "text", list: list.id, autocomplete: "off", spellcheck: "false" }, { hint, name: "groups" });
  one.element.append(list);
  api("GET", "/groups", { query: { limit: 1000 } }).then((groups) => list.append(...groups.map(({ name }) => h("option", { value: name }))), () => {});
  return one;
}

/** Asks for a new device. Returns it, or undefined. */
export async function registerDevice() {
  const name = field("Name", { type: "text", maxlength: 100, autocomplete: "off", autofocus: true }, { name: "device_name", hint: "As in your terminal, for example EA-London" });
  const labels = field("Labels", h("textarea", { rows: 2, spellcheck: "false", placeholder: "role: primary" }), { name: "labels", hint: "Optional; one key: value on each line" });
  const groups = groupsField();
  const expires = field("Refused from", { type: "datetime-local" }, { name: "expires_at", hint: "Optional; for a trial or a rental" });
  // The same key for each attempt: an answer that was lost makes no second device.
  const key = newKey();
  const device = await ask({
    title: "Register a device", confirm: "Register", fields: [name, labels, groups, expires],
    async run() {
      if (!name.value) { name.fail("is missing"); name.input.focus(); return false; }
      const body = { device_name: name.value };
      if (labels.value) body.labels = readLabels(labels.value);
      const list = groups.value.split(/[\s,]+/).filter(Boolean);
      if (list.length) body.groups = list;
      if (expires.value) body.expires_at = fromLocal(expires.value);
      return await api("POST", "/devices", { body, creates: `${key}-${await digest(body)}` });
    },
  });
  if (!device) return undefined;
  await showSecret(device, "is registered");
  return device;
}

/** A short text that differs between contents, so that a corrected form is a new request. */
async function digest(body) {
  let hash = 0;
  for (const character of JSON.stringify(body)) hash = (hash * 31 + character.codePointAt(0)) >>> 0;
  return hash.toString(16);
}

/** The secret of a device, this once. */
export const showSecret = (device, what) =>
  show([isolated(device.device_name), ` ${what}`], [
    h("p", null, "This is the only time that the secret is shown. Copy it to the terminal now."),
    h("dl", { class: "facts" },
      h("dt", null, "Id"), h("dd", { class: "with-copy" }, h("code", null, device.id), copyButton(device.id)),
      h("dt", null, "Secret"), h("dd", null, secretBox(device.secret, "The device's secret"))),
    device.grace_expires_at && h("p", { class: "quiet" }, "The former secret works until the new one is used, at the latest until ", time(device.grace_expires_at, "full"), "."),
  ], { cancel: "I have copied it" });

const lifetimes = [["900", "15 minutes"], ["3600", "1 hour"], ["86400", "1 day"], ["604800", "7 days"], ["2592000", "30 days"]];

/** Makes codes with which terminals register themselves. */
export async function createEnrolments() {
  const number = field("How many", { type: "number", min: 1, max: 500, value: "1", inputmode: "numeric" }, { name: "count" });
  const life = field("Valid for", select(lifetimes, "900"), { name: "expires_in" });
  const name = field("Name of the device", { type: "text", maxlength: 100, autocomplete: "off" }, { name: "device_name", hint: "Optional; the terminal can give its own" });
  const key = newKey();
  const codes = await ask({
    title: "Make enrolment codes", confirm: "Make codes", fields: [number, life, name],
    body: h("p", null, "A terminal exchanges a code for its own secret, once. Nobody has to copy a secret."),
    async run() {
      const body = { count: Number(number.value), expires_in: Number(life.value) };
      if (name.value) body.device_name = name.value;
      return await api("POST", "/enrolments", { body, creates: `${key}-${await digest(body)}` });
    },
  });
  if (codes) await showCodes(codes);
  return codes;
}

/** Codes, this once: one with a QR code, several as a list. */
export async function showCodes(codes, title = `${count(codes.length, "enrolment code")}`) {
  const text = codes.map(({ code }) => code).join("\n");
  const { qrCode } = await import("./qr.js");
  await show(title, [
    h("p", null, "Shown this once. It works once, until ", time(codes[0].expires_at, "full"), ". Type it into the terminal, or scan it."),
    codes.length === 1
      ? h("div", { class: "code-box" }, qrCode(codes[0].code), secretBox(codes[0].code, "Enrolment code"))
      : h("div", { class: "codes" }, h("pre", { tabindex: "0", "aria-label": "Enrolment codes" }, text), copyButton(text, "Copy all")),
  ], { cancel: "Done" });
}

/** Makes a code that gives a device a new secret, for a terminal that moves. */
export async function createDeviceEnrolment(device) {
  const life = field("Valid for", select(lifetimes, "900"), { name: "expires_in" });
  const issued = await ask({
    title: ["Enrolment code for ", isolated(device.device_name)], confirm: "Make a code", fields: [life],
    body: h("p", null, "For a terminal that moves to another machine. When the code is used, the device gets a new secret and the present one ends at once. Until then nothing changes."),
    run: () => api("POST", `/devices/${device.id}/enrolment`, { body: { expires_in: Number(life.value) }, creates: true }),
  });
  if (issued) await showCodes([issued], ["Enrolment code for ", isolated(device.device_name)]);
  return issued;
}
