// Changes of many devices: each is first tried with `dry_run`, and then expects the same number.
import { api, previewBulk } from "./api.js";
import { debounced, h, replace, setText } from "./dom.js";
import { count, fromLocal, number } from "./format.js";
import { ask, button, checkbox, choice, field, notify, problemBox } from "./widgets.js";
import { previewText } from "./device-parts.js";
import { groupsField, readLabels } from "./register.js";

/** What the API takes in one list. */
const MAXIMUM_LISTED = 1000;

/**
 * Asks, shows what would change while the form is filled in, and changes it. `read()` returns the members of the change, or
 * null while they are incomplete. Returns the outcome.
 */
export async function bulkDialog(options) {
  const { title, intro, fields = [], read, confirm, isDangerous } = options;
  const preview = h("p", { class: "preview", role: "status" }, "Looking what matches…");
  let expected = null;
  let latest = 0;
  let setConfirm;
  const look = async () => {
    const members = read();
    const turn = ++latest;
    expected = null;
    setConfirm?.(confirm(0), true);
    if (!members) return setText(preview, "");
    try {
      const outcome = await previewBulk({ ...members, select: options.select });
      if (turn !== latest) return;
      for (const one of fields) one.fail?.(null);
      expected = outcome.matched;
      setText(preview, previewText(outcome, options.done));
      setConfirm?.(confirm(outcome.changed), outcome.changed === 0);
    } catch (problem) {
      if (turn !== latest) return;
      const known = problem.errors?.map((error) => [fields.find(({ name }) => name && error.field.startsWith(name)), error.message]).find(([one]) => one);
      if (known) {
        known[0].fail(known[1]);
        setText(preview, "");
      } else replace(preview, problemBox(problem));
    }
  };
  const later = debounced(250, look);
  const outcome = await ask({
    title, isDangerous, fields, confirm: confirm(0), body: [intro, preview],
    onopen({ dialog, setConfirm: set }) {
      setConfirm = set;
      dialog.addEventListener("input", later);
      look();
    },
    async run() {
      const members = read();
      if (!members || expected === null) return false;
      try {
        return await api("POST", "/devices/bulk", { body: { ...members, select: options.select, expect: expected } });
      } catch (problem) {
        // Others have registered or revoked devices since: show the new number, and ask again.
        if (problem.kind !== "expectation-failed") throw problem;
        await look();
        preview.prepend(h("strong", null, "The devices have changed in the meantime. "));
        return false;
      }
    },
  });
  if (outcome) notify(`${count(outcome.changed, "device")} ${options.done}.`);
  return outcome;
}

const reasonField = () => field("Reason", { type: "text", maxlength: 200, autocomplete: "off" }, { name: "reason", hint: "Optional; kept with the event" });
const withReason = (members, reason) => (reason.value ? { ...members, reason: reason.value } : members);

// The actions: each takes what is selected, and returns the outcome.

export function suspendMany(select, what) {
  const reason = reasonField();
  const until = field("Until", { type: "datetime-local" }, { name: "until", hint: "Optional; without it, until resumed" });
  return bulkDialog({
    title: `Suspend ${what}`, intro: h("p", null, "They are refused at once, and keep their secrets."), fields: [reason, until], select, done: "suspended", isDangerous: true,
    read: () => withReason({ action: "suspend", ...(until.value && { until: fromLocal(until.value) }) }, reason),
    confirm: (changed) => `Suspend ${count(changed, "device")}`,
  });
}

export function resumeMany(select, what) {
  const reason = reasonField();
  return bulkDialog({
    title: `Resume ${what}`, intro: h("p", null, "Suspended devices may connect again."), fields: [reason], select, done: "resumed",
    read: () => withReason({ action: "resume" }, reason), confirm: (changed) => `Resume ${count(changed, "device")}`,
  });
}

export function revokeMany(select, what) {
  const reason = reasonField();
  return bulkDialog({
    title: `Revoke ${what}`, intro: h("p", null, "They are refused at once. This cannot be undone."), fields: [reason], select, done: "revoked", isDangerous: true,
    read: () => withReason({ action: "revoke" }, reason), confirm: (changed) => `Revoke ${count(changed, "device")}`,
  });
}

export function setModeMany(select, what, mode = "close_only") {
  const reason = reasonField();
  const cancels = checkbox("Also cancel signals that wait for them");
  const modes = choice("Mode", [["normal", "Normal: trade"], ["close_only", "Close only: open nothing new"], ["halted", "Halted: do nothing"]], mode);
  const names = { normal: "set to normal", close_only: "set to close only", halted: "halted" };
  return bulkDialog({
    title: `Trading mode of ${what}`, fields: [modes, cancels, reason], select, get done() { return names[modes.value]; },
    read: () => withReason({ action: "set_trading_mode", trading_mode: modes.value, ...(cancels.value && { cancel_signals: true }) }, reason),
    confirm: (changed) => `Set mode of ${count(changed, "device")}`,
  });
}

export function labelMany(select, what) {
  const set = field("Set labels", h("textarea", { rows: 2, spellcheck: "false", placeholder: "role: primary" }), { name: "labels", hint: "One key: value on each line" });
  const remove = field("Remove labels", { type: "text", spellcheck: "false", autocomplete: "off" }, { hint: "Keys with commas between them" });
  return bulkDialog({
    title: `Labels of ${what}`, fields: [set, remove], select, done: "labelled",
    read() {
      const labels = { ...readLabels(set.value), ...Object.fromEntries(remove.value.split(/[\s,]+/).filter(Boolean).map((key) => [key, null])) };
      return Object.keys(labels).length ? { action: "set_labels", labels } : null;
    },
    confirm: (changed) => `Change ${count(changed, "device")}`,
  });
}

export function groupMany(select, what) {
  const group = groupsField("Group", "Settings has the list, and makes new ones");
  group.name = "group";
  const way = choice("What to do", [["add_to_group", "Put into the group"], ["remove_from_group", "Take out of the group"]], "add_to_group");
  return bulkDialog({
    title: `Group of ${what}`, fields: [way, group], select, get done() { return way.value === "add_to_group" ? "put into the group" : "taken out of the group"; },
    read: () => (group.value ? { action: way.value, group: group.value } : null),
    confirm: (changed) => `Change ${count(changed, "device")}`,
  });
}

export function expiryMany(select, what) {
  const at = field("Refused from", { type: "datetime-local" }, { name: "expires_at" });
  const never = checkbox("Never: no end");
  return bulkDialog({
    title: `End of ${what}`, fields: [at, never], select, done: "given the new end",
    read: () => (never.value ? { action: "set_expiry", expires_at: null } : at.value ? { action: "set_expiry", expires_at: fromLocal(at.value) } : null),
    confirm: (changed) => `Change ${count(changed, "device")}`,
  });
}

/** The bar that appears with a selection. */
export function selectionBar({ selected, byID, filter, clear, shown, hasMore }) {
  const text = h("span", { class: "selection-count", role: "status" });
  const every = button("", () => { isEvery = true; update(); }, { class: "plain link" });
  let isEvery = false;
  const run = async (action) => {
    const outcome = await action(selector(), words());
    if (outcome) clear();
  };
  const element = h("div", { class: "selection", hidden: true, role: "region", "aria-label": "Selected devices" },
    text, every,
    h("span", { class: "selection-actions" },
      button("Suspend", () => run(suspendMany)), button("Resume", () => run(resumeMany)), button("Mode", () => run(setModeMany)),
      button("Labels", () => run(labelMany)), button("Group", () => run(groupMany)), button("End", () => run(expiryMany)),
      button("Revoke…", () => run(revokeMany), { class: "danger-text" }), button("Clear", clear, { class: "plain" })));

  /** What the filter means as a selector of the API; null if it has none. */
  function wholeSelector() {
    const { status, ...rest } = filter();
    const names = Object.keys(rest);
    if (status !== "active,suspended,expired" || names.length > 1) return null;
    if (!names.length) return { all: true };
    if (names[0] === "group") return { group: rest.group };
    if (names[0] === "labels" && rest.labels.split(",").every((label) => label.includes(":"))) {
      return { labels: Object.fromEntries(rest.labels.split(",").map((label) => label.split(":"))) };
    }
    return null;
  }
  const selector = () => (isEvery ? wholeSelector() : { device_ids: [...selected].slice(0, MAXIMUM_LISTED) });
  function words() {
    if (isEvery) return "all devices that match";
    if (selected.size === 1) return byID([...selected][0])?.device_name ?? "1 device";
    return count(Math.min(selected.size, MAXIMUM_LISTED), "device");
  }
  function update() {
    if (selected.size < shown()) isEvery = false;
    element.hidden = selected.size === 0;
    document.body.classList.toggle("has-selection", selected.size > 0);
    const isTooMany = !isEvery && selected.size > MAXIMUM_LISTED;
    setText(text, isEvery ? "All that match" : `${number(selected.size)} selected${isTooMany ? `, of which ${number(MAXIMUM_LISTED)} can be changed at once` : ""}`);
    every.hidden = isEvery || selected.size < shown() || (!hasMore() && selected.size <= MAXIMUM_LISTED) || wholeSelector() === null;
    setText(every, "Select all that match");
  }
  return { element, update };
}
