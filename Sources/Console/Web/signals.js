// Sending signals, and what became of them.
import { api, newKey, previewBulk, remember } from "./api.js";
import { debounced, gathered, h, isolated, replace, setAttribute, setText } from "./dom.js";
import { count, number, setTime, time } from "./format.js";
import { feed } from "./feed.js";
import { go, link } from "./router.js";
import { ask, button, choice, copyButton, emptyState, field, heading, loading, notify, problemBox, select } from "./widgets.js";
import { deviceLink } from "./device-parts.js";
import { checkJSON } from "./json.js";
import { groupsField, readLabels } from "./register.js";
import { VirtualList } from "./virtual-list.js";

const MAXIMUM_PAYLOAD_BYTES = 16_384;
const DRAFT = { payload: '{\n  "symbol": "EURUSD",\n  "side": "buy",\n  "volume": 0.1\n}', ttl: "60", unit: "60", way: "all", group: "", labels: "", devices: [] };
/** What was typed outlives the page, not the tab. */
let draft = { ...DRAFT };
const LIST_PAGE = 30;
/** How often hand-outs are looked for, while there are deliveries that wait. */
const HAND_OUT_MILLISECONDS = 3000;
const isOpen = (signal) => !signal.cancelled_at && Date.parse(signal.expires_at) > Date.now();

export function signalsPage() {
  const end = new AbortController();
  const composer = compose(() => readList());
  const list = h("div", { class: "signal-list" }, loading());
  let signals = [];
  const rows = new Map();
  let next = null;

  async function readList() {
    try {
      const answer = await api("GET", "/signals", { query: { limit: LIST_PAGE }, whole: true, signal: end.signal });
      signals = answer.data;
      next = answer.next;
      showList();
    } catch (problem) {
      if (!end.signal.aborted) replace(list, problemBox(problem, readList));
    }
  }

  async function readMore() {
    const answer = await api("GET", "/signals", { query: { limit: LIST_PAGE, cursor: next }, whole: true, signal: end.signal });
    signals.push(...answer.data);
    next = answer.next;
    showList();
  }

  function showList() {
    if (!signals.length) return replace(list, emptyState("No signals yet", "Write one and send it: every device that it is for receives it with its next poll, at once if it waits."));
    for (const signal of signals) if (!rows.has(signal.id)) rows.set(signal.id, signalRow(signal));
    for (const signal of signals) rows.get(signal.id).update(signal);
    replace(list, h("ul", { class: "signals" }, signals.map(({ id }) => rows.get(id).element)), next && h("p", null, button("Older signals", readMore)));
    for (const signal of signals.slice(0, LIST_PAGE)) rows.get(signal.id).count(end.signal);
  }

  const recount = gathered(400, () => { for (const id of stale) rows.get(id)?.count(end.signal, true); stale.clear(); });
  const stale = new Set();
  const onevents = ({ detail }) => {
    if (detail.some(({ type }) => type === "signal.created")) readList();
    for (const { type, signal_id: id } of detail) if (type.startsWith("signal.") && rows.has(id)) stale.add(id);
    if (stale.size) recount();
  };
  feed.addEventListener("events", onevents);
  feed.addEventListener("restored", readList);
  readList();

  return {
    element: h("div", { class: "page" }, heading("Signals"),
      h("div", { class: "columns" }, composer.element, h("section", { class: "panel", "aria-labelledby": "sent-title" }, h("h2", { id: "sent-title" }, "Sent"), list))),
    title: "Signals",
    close() {
      end.abort();
      recount.cancel();
      composer.close();
      feed.removeEventListener("events", onevents);
      feed.removeEventListener("restored", readList);
    },
  };
}

/** A signal in the list: when, for how many, and what became of it. */
function signalRow(signal) {
  const state = h("span", { class: "quiet" });
  const bar = outcomeBar();
  const element = h("li", null,
    h("a", { href: link(`/signals/${signal.id}`), class: "signal-link" }, time(signal.created_at, "short"), h("span", { class: "quiet" }, ` to ${count(signal.devices, "device")}`)), state, bar.element);
  let isCounted = false;
  return {
    element,
    update(now) {
      signal = now;
      replace(state, signal.cancelled_at ? "cancelled" : isOpen(signal) ? ["expires ", time(signal.expires_at)] : "expired");
    },
    async count(signalOfPage, again) {
      if (isCounted && !again) return;
      isCounted = true;
      try {
        const { deliveries } = await api("GET", `/signals/${signal.id}`, { query: { limit: 1000 }, signal: signalOfPage });
        bar.update(countOutcomes(deliveries), deliveries.length);
      } catch { isCounted = false; }
    },
  };
}

// MARK: Outcomes

const OUTCOMES = [["placed", "placed"], ["skipped", "skipped"], ["failed", "failed"], ["handed_out", "handed out"], ["pending", "waiting"], ["expired", "expired"], ["cancelled", "cancelled"]];
const outcomeOf = ({ state, status }) => (state === "acked" ? status : state);

function countOutcomes(deliveries) {
  const counts = {};
  for (const delivery of deliveries) counts[outcomeOf(delivery)] = (counts[outcomeOf(delivery)] ?? 0) + 1;
  return counts;
}

/** A bar with a part for each outcome, and the numbers in words. */
function outcomeBar() {
  const bar = h("div", { class: "outcome-bar", "aria-hidden": "true" });
  const text = h("div", { class: "outcome-text" });
  const parts = new Map();
  return {
    element: h("div", { class: "outcomes" }, bar, text),
    update(counts, total) {
      for (const [key, label] of OUTCOMES) {
        if (!parts.has(key)) {
          const part = h("i", { class: `bar-part ${key}` });
          const value = h("b");
          const words = h("span", null, h("i", { class: `key ${key}`, "aria-hidden": "true" }), value, ` ${label}`);
          parts.set(key, { part, value, words });
          bar.append(part);
          text.append(words);
        }
        const { part, value, words } = parts.get(key);
        const amount = counts[key] ?? 0;
        part.style.setProperty("flex-grow", amount);
        part.hidden = words.hidden = amount === 0;
        setText(value, number(amount));
      }
      bar.hidden = total === 0;
    },
  };
}

// MARK: Composing

function compose(done) {
  const payload = field("Payload", h("textarea", { class: "source", rows: 9, spellcheck: "false", value: draft.payload }), { name: "payload", hint: "A JSON object, sent to the devices as you write it" });
  const place = button("", () => { payload.input.focus(); payload.input.setSelectionRange(mistakeAt, mistakeAt + 1); }, { class: "plain link mistake", hidden: true });
  let mistakeAt = 0;
  const group = groupsField("Group", null);
  group.input.value = draft.group;
  const labels = field("Labels", h("textarea", { rows: 2, spellcheck: "false", placeholder: "role: primary", value: draft.labels }), { name: "labels", hint: "Devices that have all of them" });
  const devices = devicePicker();
  const ttl = field("Expires after", { type: "number", min: 1, value: draft.ttl, inputmode: "numeric" }, { name: "ttl_seconds" });
  const unit = select([["1", "seconds"], ["60", "minutes"], ["3600", "hours"], ["86400", "days"]], draft.unit, { "aria-label": "Unit" });
  const row = h("div", { class: "with-unit" }, ttl.input, unit);
  ttl.element.insertBefore(row, ttl.element.children[1]);
  const preview = h("p", { class: "preview", role: "status" });
  const failure = h("div");
  const send = h("button", { type: "submit", class: "primary" }, "Send");
  const targets = { all: null, group: group.element, labels: labels.element, devices: devices.element };
  const way = choice("To", [["all", "All devices"], ["group", "A group"], ["labels", "Devices with labels"], ["devices", "Chosen devices"]], draft.way, () => { showTarget(); later(); });
  let key = newKey();
  let matched = 0;

  function showTarget() { for (const [name, element] of Object.entries(targets)) if (element) element.hidden = name !== way.value; }

  function target() {
    switch (way.value) {
      case "all": return { all: true };
      case "group": return group.value ? { group: group.value } : null;
      case "labels": return labels.value ? { labels: readLabels(labels.value) } : null;
      default: return devices.ids().length ? { device_ids: devices.ids() } : null;
    }
  }

  function check() {
    const text = payload.input.value;
    const { kind, error } = checkJSON(text);
    let problem = null;
    place.hidden = !error;
    if (error) {
      mistakeAt = error.at;
      setText(place, `Line ${error.line}, column ${error.column}`);
      problem = `${error.message}.`;
    } else if (kind !== "object") problem = "The payload must be an object: {…}.";
    else if (new TextEncoder().encode(text).length > MAXIMUM_PAYLOAD_BYTES) problem = `The payload has more than ${number(MAXIMUM_PAYLOAD_BYTES)} bytes.`;
    payload.fail(problem);
    return problem === null;
  }

  let turn = 0;
  async function look() {
    keep();
    const isValid = check();
    const select = target();
    const mine = ++turn;
    matched = 0;
    send.disabled = true;
    if (!select) {
      setText(send, "Send");
      return setText(preview, { group: "Choose a group.", labels: "Write a label.", devices: "Choose devices." }[way.value]);
    }
    try {
      // The devices that a selector means, and nothing else about them.
      const outcome = await previewBulk({ action: "resume", select });
      if (mine !== turn) return;
      matched = outcome.matched;
      for (const one of [group, labels]) one.fail(null);
      setText(preview, matched ? `${count(matched, "device")} will receive it.` : "No device matches.");
      setText(send, `Send to ${count(matched, "device")}`);
      send.disabled = !isValid || matched === 0;
    } catch (problem) {
      if (mine !== turn) return;
      const known = problem.errors?.[0];
      if (known && way.value === "labels") labels.fail(known.message);
      else if (problem.kind === "group-not-found" || known) group.fail("There is no such group");
      else replace(preview, problemBox(problem));
      setText(send, "Send");
      if (known || problem.kind === "group-not-found") setText(preview, "");
    }
  }
  const later = debounced(250, look);
  function keep() {
    draft = { payload: payload.input.value, ttl: ttl.input.value, unit: unit.value, way: way.value, group: group.input.value, labels: labels.input.value, devices: devices.chosen() };
  }

  const form = h("form", { class: "compose", novalidate: true, oninput: later }, payload.element, way.element, group.element, labels.element, devices.element, ttl.element, preview, failure,
    h("div", { class: "dialog-actions" }, button("Start again", () => { draft = { ...DRAFT }; payload.input.value = draft.payload; later(); }, { class: "plain" }), send));
  payload.element.insertBefore(place, payload.element.lastChild);
  devices.onchange = later;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const select = target();
    if (!check() || !select || send.disabled) return;
    send.disabled = true;
    failure.replaceChildren();
    // As it was typed: a parsed and rewritten number may not be the same.
    const members = JSON.stringify({ ...select, ttl_seconds: Number(ttl.value) * Number(unit.value) }).slice(1);
    try {
      const signal = await api("POST", "/signals", { text: `{"payload":${payload.input.value},${members}`, creates: key });
      key = newKey();
      notify(`Sent to ${count(signal.devices, "device")}.`);
      done();
      go(link(`/signals/${signal.id}`));
    } catch (problem) {
      const known = problem.errors?.find(({ field }) => field === "ttl_seconds");
      if (known) ttl.fail(known.message);
      else replace(failure, problemBox(problem));
      // A corrected signal is another one; after silence it is the same.
      if (!problem.isUnreachable) key = newKey();
    }
    send.disabled = false;
  });
  showTarget();
  look();
  return {
    element: h("section", { class: "panel", "aria-labelledby": "compose-title" }, h("h2", { id: "compose-title" }, "New signal"), form),
    close() { keep(); later.cancel(); turn++; },
  };
}

/** Finds devices by name, and lists those that are chosen. */
function devicePicker() {
  const chosen = new Map(draft.devices);
  const search = field("Find devices", { type: "search", autocomplete: "off", spellcheck: "false" });
  const found = h("ul", { class: "found" });
  const list = h("div", { class: "chips", "aria-label": "Devices that are chosen", role: "group" });
  const element = h("div", { class: "picker" }, search.element, found, list);
  const picker = { element, ids: () => [...chosen.keys()], chosen: () => [...chosen], onchange: null };
  const show = () => replace(list, [...chosen].map(([id, name]) =>
    h("span", { class: "chip" }, isolated(name), button("×", () => { chosen.delete(id); show(); picker.onchange?.(); }, { class: "plain", "aria-label": `Remove ${name}` }))));
  const look = debounced(200, async () => {
    if (!search.value) return found.replaceChildren();
    try {
      const devices = await api("GET", "/devices", { query: { q: search.value, status: "active,suspended,expired", limit: 8 } });
      replace(found, devices.map((device) => h("li", null, button(isolated(device.device_name), () => {
        remember(device);
        chosen.set(device.id, device.device_name);
        search.input.value = "";
        found.replaceChildren();
        show();
        search.input.focus();
        picker.onchange?.();
      }))), devices.length === 0 && h("li", { class: "quiet" }, "No device has this in its name."));
    } catch (problem) { replace(found, problemBox(problem)); }
  });
  search.input.addEventListener("input", look);
  search.input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    found.querySelector("button")?.click();
  });
  show();
  return picker;
}

// MARK: One signal

export function signalPage({ id }) {
  const end = new AbortController();
  const content = h("div", { class: "page" }, loading());
  const element = h("div", { class: "page" }, h("nav", { "aria-label": "Path", class: "crumbs" }, h("a", { href: "#/signals" }, "Signals")), content);
  let signal = null, parts = null;
  let deliveries = [];
  const byDevice = new Map();
  let next = null;

  async function read() {
    try {
      const answer = await api("GET", `/signals/${id}`, { query: { limit: 1000 }, whole: true, signal: end.signal });
      signal = answer.data;
      take(signal.deliveries);
      if (next === null && deliveries.length < signal.devices) next = answer.next;
      if (parts) update();
      else build();
    } catch (problem) {
      if (end.signal.aborted || (parts && problem.isUnreachable)) return;
      replace(content, problem.status === 404 ? emptyState("There is no such signal", "Signals are kept for a time after they expire.", h("a", { href: "#/signals", class: "button" }, "All signals")) : problemBox(problem, read));
    }
  }

  async function readMore() {
    const answer = await api("GET", `/signals/${id}`, { query: { limit: 1000, cursor: next }, whole: true, signal: end.signal });
    next = answer.next;
    take(answer.data.deliveries);
    update();
  }

  function take(found) {
    for (const delivery of found) {
      const old = byDevice.get(delivery.device_id);
      if (old) Object.assign(old, delivery);
      else {
        byDevice.set(delivery.device_id, delivery);
        deliveries.push(delivery);
      }
    }
  }

  function build() {
    const bar = outcomeBar();
    const state = h("span", { class: "quiet" });
    const actions = h("span");
    const more = h("p");
    const list = new VirtualList({ make: deliveryRow, key: (delivery) => delivery.device_id, rowHeight: () => 36 });
    let payload;
    try { payload = JSON.stringify(signal.payload, null, 2); } catch { payload = String(signal.payload); }
    replace(content,
      h("div", { class: "title-line" }, heading("Signal of ", time(signal.created_at, "short")), state, h("span", { class: "spacer" }), actions),
      bar.element,
      h("div", { class: "columns narrow-first" },
        h("section", { class: "panel", "aria-labelledby": "payload-title" }, h("h2", { id: "payload-title" }, "Payload"), h("pre", { class: "payload", tabindex: "0", "aria-label": "Payload" }, payload),
          h("dl", { class: "facts" }, h("dt", null, "Sent"), h("dd", null, time(signal.created_at, "full", { focusable: true })), h("dt", null, "Expires"), h("dd", null, time(signal.expires_at, "full", { focusable: true })),
            h("dt", null, "Id"), h("dd", { class: "with-copy" }, h("code", null, signal.id), copyButton(signal.id)))),
        h("section", { class: "panel", "aria-labelledby": "deliveries-title" }, h("h2", { id: "deliveries-title" }, "Deliveries"), h("div", { role: "table", "aria-label": "Deliveries", class: "deliveries" }, list.element), more)));
    parts = { bar, state, actions, list, more };
    update();
  }

  function update() {
    const counts = countOutcomes(deliveries);
    parts.bar.update(counts, deliveries.length);
    const mayCancel = isOpen(signal) && ((counts.pending ?? 0) + (counts.handed_out ?? 0) > 0);
    replace(parts.state, signal.cancelled_at ? ["cancelled ", time(signal.cancelled_at)] : isOpen(signal) ? ["expires ", time(signal.expires_at)] : "expired");
    if (parts.actions.childElementCount !== (mayCancel ? 1 : 0)) replace(parts.actions, mayCancel && button("Cancel signal…", cancel, { class: "danger-text" }));
    replace(parts.more, next && button(`Show more of ${count(signal.devices, "delivery", "deliveries")}`, readMore));
    parts.list.setItems(deliveries);
    parts.list.updateAll();
  }

  function deliveryRow(delivery) {
    const state = h("span", { class: "delivery-state" });
    const detail = h("span", { class: "quiet" });
    const at = time(null);
    const row = h("div", { role: "row", class: "delivery" }, h("span", { role: "cell" }, deviceLink(delivery.device_id)), h("span", { role: "cell" }, state), h("span", { role: "cell" }, detail), h("span", { role: "cell" }, at));
    const update = (delivery) => {
      const outcome = outcomeOf(delivery);
      if (state.dataset.outcome !== outcome) {
        state.dataset.outcome = outcome;
        replace(state, h("i", { class: `key ${outcome}`, "aria-hidden": "true" }), OUTCOMES.find(([key]) => key === outcome)?.[1] ?? outcome);
      }
      const text = delivery.error ?? (delivery.broker_ticket ? `ticket ${delivery.broker_ticket}` : "");
      if (detail.textContent !== text) replace(detail, isolated(text));
      setAttribute(detail, "title", text);
      setTime(at, delivery.acked_at ?? delivery.handed_out_at, "clock");
    };
    update(delivery);
    return { element: row, update };
  }

  async function cancel() {
    const reason = field("Reason", { type: "text", maxlength: 200, autocomplete: "off" }, { name: "reason", hint: "Optional" });
    const done = await ask({
      title: "Cancel the signal", confirm: "Cancel the signal", cancel: "Keep it", isDangerous: true, fields: [reason],
      body: h("p", null, "Devices that have not acknowledged it do not receive it any more, and those that have it learn of it. What was acknowledged stays."),
      run: () => api("POST", `/signals/${id}/cancel`, { body: reason.value ? { reason: reason.value } : {} }),
    });
    if (!done) return;
    notify(`Cancelled for ${count(done.cancelled, "device")}; ${number(done.too_late)} had acknowledged it.`);
    read();
  }

  const again = gathered(500, read);
  // A hand-out has no event.
  const timer = setInterval(() => {
    if (!document.hidden && signal && isOpen(signal) && deliveries.some(({ state }) => state === "pending")) again();
  }, HAND_OUT_MILLISECONDS);
  const onevents = ({ detail }) => {
    const mine = detail.filter((event) => event.signal_id === id);
    if (!mine.length) return;
    // The row changes at once; tickets follow with the next reading.
    for (const { type, device_id: device, changes } of mine) {
      const delivery = byDevice.get(device);
      if (type === "signal.acknowledged" && delivery && changes?.status) Object.assign(delivery, { state: "acked", status: changes.status[1] });
    }
    if (parts) update();
    again();
  };
  feed.addEventListener("events", onevents);
  feed.addEventListener("restored", again);
  read();
  return {
    element, title: "Signal",
    close() {
      end.abort();
      clearInterval(timer);
      again.cancel();
      parts?.list.close();
      feed.removeEventListener("events", onevents);
      feed.removeEventListener("restored", again);
    },
  };
}
