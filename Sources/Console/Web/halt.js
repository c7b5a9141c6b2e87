// The Halt button: stops all devices or a group, shows who has confirmed, and lifts the halt.
import { api, readAll } from "./api.js";
import { h, paced, replace, setText } from "./dom.js";
import { count, number } from "./format.js";
import { feed } from "./feed.js";
import { ask, button, checkbox, field, problemBox, select as selectBox } from "./widgets.js";
import { deviceLink } from "./device-parts.js";
import { bulkDialog } from "./bulk.js";
import { icon } from "./widgets.js";

/** Devices that are named, of those that have not confirmed. */
const MAXIMUM_NAMED = 12;

/** The devices that a selector means. */
const CURRENT = "active,suspended,expired";
const LOOK_MILLISECONDS = 300;

const groupSelector = (group) => (group ? { group } : { all: true });

/**
 * How many devices there are, how many of them are halted, which of these have not confirmed it, and how many those are: at
 * most, if there are more than can be read.
 */
async function readHalt() {
  const { total, by_status: statuses, by_mode: modes, mode_unconfirmed: unconfirmed } = await api("GET", "/devices/summary");
  const found = modes.halted && unconfirmed ? await readAll("/devices", { query: { mode_confirmed: "false", status: CURRENT, limit: 1000 } }) : [];
  const waiting = found.filter(({ trading_mode: { mode } }) => mode === "halted");
  const open = found.isCut ? Math.min(modes.halted, unconfirmed) : waiting.length;
  return { matched: total - statuses.revoked, halted: modes.halted, waiting, open };
}

export function haltButton() {
  const text = h("span", null, "Halt…");
  const element = button([], () => open(), { class: "halt", id: "halt" });
  element.append(icon("halted"), text);
  let halted = 0;

  const look = paced(LOOK_MILLISECONDS, async () => {
    const { halted: now, matched, open: haltedWaiting } = await readHalt();
    halted = now;
    element.classList.toggle("is-halted", halted > 0);
    setText(text, halted === 0 ? "Halt…" : `${halted === matched ? "Halted" : `${number(halted)} halted`}${haltedWaiting ? `, ${number(haltedWaiting)} to confirm` : ""}`);
    element.title = halted ? `${number(halted)} of ${count(matched, "device")} halted; ${number(Math.max(0, halted - haltedWaiting))} have confirmed` : "Stop all devices, or a group";
  });
  const onevents = ({ detail }) => {
    if (detail.some(({ type }) => type.startsWith("device.mode_") || type === "device.registered" || type === "device.revoked" || type === "device.enrolled")) look();
  };
  feed.addEventListener("events", onevents);
  feed.addEventListener("restored", look);
  feed.addEventListener("reset", look);

  async function open() {
    if (halted > 0) await showHalt();
    else await halt();
  }

  async function halt() {
    const group = await scopeField();
    const reason = field("Reason", { type: "text", maxlength: 200, autocomplete: "off", placeholder: "news" }, { name: "reason", hint: "Optional; devices and the event show it" });
    const cancels = checkbox("Also cancel signals that no device has acknowledged");
    const options = {
      title: "Halt trading", isDangerous: true, done: "halted",
      intro: h("p", null, "Devices learn of it at once, do nothing more, and confirm that they obey. Those that are offline learn of it when they return. Nothing is revoked; you can lift it."),
      fields: [group, reason, cancels],
      // Read at each look, because the group may change.
      get select() { return groupSelector(group.input.value); },
      read: () => ({ action: "set_trading_mode", trading_mode: "halted", ...(cancels.value && { cancel_signals: true }), ...(reason.value && { reason: reason.value }) }),
      confirm: (changed) => `Halt ${count(changed, "device")}`,
    };
    const outcome = await bulkDialog(options);
    if (!outcome) return;
    look();
    await showHalt();
  }

  /** Who has confirmed, as it happens. */
  async function showHalt() {
    const figure = h("p", { class: "halt-figure", role: "status" });
    const bar = h("progress", { max: 1, value: 0, "aria-label": "Devices that have confirmed" });
    const names = h("div", { class: "waiting" });
    const update = async () => {
      try {
        const { matched, halted, waiting, open } = await readHalt();
        const confirmed = Math.max(0, halted - open);
        setText(figure, `${number(halted)} of ${count(matched, "device")} halted, ${number(confirmed)} confirmed.`);
        bar.max = Math.max(1, halted);
        bar.value = confirmed;
        replace(names, open > 0 && [
          h("p", null, "Not yet confirmed:"),
          h("ul", null, waiting.slice(0, MAXIMUM_NAMED).map((device) => h("li", null, deviceLink(device.id), h("span", { class: "quiet" }, device.online ? " online" : " offline")))),
          open > MAXIMUM_NAMED && h("p", { class: "quiet" }, `and ${number(open - MAXIMUM_NAMED)} more`),
        ]);
      } catch (problem) { replace(names, problemBox(problem)); }
    };
    const later = paced(LOOK_MILLISECONDS, update);
    const onevents = ({ detail }) => { if (detail.some(({ type }) => type.startsWith("device."))) later(); };
    feed.addEventListener("events", onevents);
    await update();
    let next = null;
    await ask({
      title: "Halt", body: [figure, bar, names], cancel: "Close", confirm: "Lift the halt…",
      onopen({ dialog, close }) {
        dialog.querySelector(".dialog-actions").prepend(button("Halt more…", () => { next = halt; close(); }));
        names.addEventListener("click", (event) => { if (event.target.closest("a")) close(); });
      },
      run() { next = lift; },
    });
    feed.removeEventListener("events", onevents);
    await next?.();
  }

  async function lift() {
    const group = await scopeField();
    const reason = field("Reason", { type: "text", maxlength: 200, autocomplete: "off" }, { name: "reason", hint: "Optional" });
    const outcome = await bulkDialog({
      title: "Lift the halt", done: "set to normal", fields: [group, reason],
      intro: h("p", null, "Devices trade again at once. Devices that are close-only are set to normal too."),
      get select() { return groupSelector(group.input.value); },
      read: () => ({ action: "set_trading_mode", trading_mode: "normal", ...(reason.value && { reason: reason.value }) }),
      confirm: (changed) => `Let ${count(changed, "device")} trade`,
    });
    if (outcome) look();
  }

  async function scopeField() {
    let groups = [];
    try { groups = await api("GET", "/groups", { query: { limit: 1000 } }); } catch { /* All devices can be halted all the same. */ }
    const input = selectBox([["", "All devices"], ...groups.map(({ name, devices }) => [name, `Group ${name} (${number(devices)})`])], "");
    return field("Which devices", input);
  }

  return { element, look };
}
