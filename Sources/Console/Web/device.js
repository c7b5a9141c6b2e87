// The page of one device: its state, what can be done with it, its figures, and what happened to it.
import { api, getDevice, remember } from "./api.js";
import { gathered, h, isolated, replace, setText } from "./dom.js";
import { duration, fromLocal, setTime, time, toLocal } from "./format.js";
import { feed } from "./feed.js";
import { go, setTitle } from "./router.js";
import { ask, attempt, button, checkbox, choice, copyButton, emptyState, field, heading, loading, notify, problemBox, select } from "./widgets.js";
import { modeMark, modeName, stateMark, tags } from "./device-parts.js";
import { createDeviceEnrolment, readLabels, showSecret } from "./register.js";
import { eventList, readTimeline } from "./event-list.js";
import { settings } from "./sign-in.js";

const REFRESH_MILLISECONDS = 20_000;
const HOUR = 3_600_000;
const reasonField = () => field("Reason", { type: "text", maxlength: 200, autocomplete: "off" }, { name: "reason", hint: "Optional; kept with the event" });
const reasonBody = (reason) => (reason.value ? { reason: reason.value } : {});

export function devicePage({ id }) {
  const end = new AbortController();
  const content = h("div", { class: "page" }, loading());
  const element = h("div", { class: "page" }, h("nav", { "aria-label": "Path", class: "crumbs" }, h("a", { href: "#/devices" }, "Devices")), content);
  let device = null;
  let parts = null;
  /** It was deleted, here or elsewhere: there is nothing left to read. */
  let isGone = false;

  async function read() {
    if (isGone) return;
    try {
      const now = await getDevice(id, { signal: end.signal });
      if (isGone) return;
      remember(now);
      device = now;
      if (!parts) build();
      else update();
    } catch (problem) {
      if (end.signal.aborted) return;
      if (parts && problem.isUnreachable) return;
      if (problem.status === 404) return showGone();
      parts = null;
      replace(content, problemBox(problem, read));
    }
  }
  const again = gathered(120, read);

  function showGone() {
    isGone = true;
    parts = null;
    replace(content, emptyState("There is no such device", "It may have been deleted. Its events stay in the feed.", h("a", { href: "#/devices", class: "button" }, "All devices")));
  }

  // MARK: Showing

  function build() {
    const name = isolated(device.device_name);
    const state = stateMark(device), mode = modeMark(device), marks = tags(device);
    const facts = {};
    const fact = (label, key, style) => {
      facts[key] = time(device[key], style, { focusable: true });
      return [h("dt", null, label), h("dd", null, facts[key])];
    };
    const actions = h("div", { class: "actions" });
    const further = h("div", { class: "further" });
    const since = h("span", { class: "quiet" });
    const timeline = eventList({ isOfDevice: true, isShort: true });
    const charts = h("section", { class: "panel charts", "aria-labelledby": "figures-title" }, h("h2", { id: "figures-title" }, "Figures"), loading());
    const until = h("span");
    replace(content,
      h("div", { class: "title-line" }, heading(name), state.element, until, h("span", { class: "spacer" }), actions),
      h("div", { class: "columns" },
        h("section", { class: "panel", "aria-labelledby": "facts-title" }, h("h2", { id: "facts-title" }, "Device"),
          h("dl", { class: "facts" },
            h("dt", null, "Mode"), h("dd", { class: "with-copy" }, mode.element, since, button("Set…", setMode, { class: "copy" })),
            fact("Seen", "last_seen"), fact("Polled", "last_poll"), fact("Acknowledged", "last_ack"),
            h("dt", null, "Labels"), h("dd", { class: "with-copy" }, marks.element, button("Labels…", editLabels, { class: "copy" }), button("Groups…", editGroups, { class: "copy" })),
            h("dt", null, "End"), h("dd", { class: "with-copy" }, (facts.expires_at = time(device.expires_at, "full", { focusable: true })), button("Change…", setExpiry, { class: "copy" })),
            fact("Registered", "created_at", "full"),
            h("dt", null, "Id"), h("dd", { class: "with-copy" }, h("code", null, device.id), copyButton(device.id))),
          further),
        h("section", { class: "panel", "aria-labelledby": "timeline-title" }, h("h2", { id: "timeline-title" }, "Timeline"), timeline.element)),
      charts);
    parts = { name, state, mode, marks, facts, actions, since, until, timeline, charts, further };
    update();
    readTimeline(timeline, { device_id: id }, end.signal);
    readFigures();
  }

  let shownActions = "";
  function update() {
    setTitle(device.device_name);
    setText(parts.name, device.device_name);
    parts.state.update(device);
    parts.mode.update(device);
    parts.marks.update(device);
    for (const [key, element] of Object.entries(parts.facts)) setTime(element, device[key], element.dataset.style ?? (key.startsWith("last") ? "relative" : "full"));
    const { mode, reason, since, version } = device.trading_mode;
    replace(parts.since, version > 1 && ["since ", time(since), reason && [": ", isolated(reason)]]);
    replace(parts.until, device.status === "suspended" && device.suspended_until && ["until ", time(device.suspended_until, "full", { focusable: true })]);
    showFurther();
    const isRevoked = device.status === "revoked";
    const isSuspended = device.status === "suspended";
    const wanted = `${isRevoked}${isSuspended}${mode}`;
    // Buttons stay where they are unless there are others.
    if (wanted === shownActions) return;
    shownActions = wanted;
    replace(parts.actions, isRevoked
      ? [button("Delete…", remove, { class: "danger-text" })]
      : [button("Rename", rename), isSuspended ? button("Resume", resume, { class: "primary" }) : button("Suspend…", suspend),
        button("Enrolment code", () => createDeviceEnrolment(device)), button("Rotate secret…", rotate), button("Revoke…", revoke, { class: "danger-text" })]);
  }

  /** What the registry knows of where the device runs. */
  function showFurther() {
    const { context, instance, bound_account: bound } = device;
    const rows = [];
    if (context?.account) rows.push(["Account", `${context.account.login} · ${context.account.server} · ${context.account.mode}`]);
    if (context?.terminal) rows.push(["Terminal", [context.terminal.name, context.terminal.build].filter(Boolean).join(" build ")]);
    if (context?.program) rows.push(["Program", [context.program.name, context.program.version, context.program.symbol].filter(Boolean).join(" · ")]);
    if (bound || context?.account) {
      rows.push(["Bound to", h("span", { class: "with-copy" }, bound ? isolated(`${bound.login} · ${bound.server}`) : "any account", button("Bind…", bindAccount, { class: "copy" }))]);
    }
    if (instance) rows.push(["In use by", [h("code", null, instance.id), " since ", time(instance.since)]]);
    replace(parts.further, rows.length > 0 && h("dl", { class: "facts" }, rows.map(([label, value]) => [h("dt", null, label), h("dd", null, typeof value === "string" ? isolated(value) : value)])));
  }

  // MARK: Actions

  const named = (text) => [text, isolated(device.device_name)];
  const changed = (now, text) => { if (now && now !== true) { device = now; remember(now); update(); } else again(); notify(named(`${text}: `)); };

  async function rename() {
    const name = field("Name", { type: "text", maxlength: 100, value: device.device_name, autocomplete: "off" }, { name: "device_name" });
    const now = await ask({
      title: named("Rename "), confirm: "Rename", fields: [name], onopen: () => name.input.select(),
      run: () => api("PATCH", `/devices/${id}`, { body: { device_name: name.value } }),
    });
    if (now) changed(now, "Renamed");
  }

  async function editLabels() {
    const text = Object.entries(device.labels).map(([key, value]) => `${key}: ${value}`).join("\n");
    const labels = field("Labels", h("textarea", { rows: 5, spellcheck: "false", value: text }), { name: "labels", hint: "One key: value on each line" });
    const now = await ask({
      title: named("Labels of "), confirm: "Save", fields: [labels],
      run() {
        const wanted = readLabels(labels.value);
        for (const key of Object.keys(device.labels)) wanted[key] ??= null;
        return Object.keys(wanted).length ? api("PATCH", `/devices/${id}`, { body: { labels: wanted } }) : true;
      },
    });
    if (now) changed(now, "Labels saved");
  }

  async function editGroups() {
    const groups = await attempt(() => api("GET", "/groups", { query: { limit: 1000 } }));
    if (!groups) return;
    const boxes = groups.map(({ name, description }) => checkbox([name, description && h("span", { class: "quiet" }, ` ${description}`)], { value: name, checked: device.groups.includes(name) }));
    const done = await ask({
      title: named("Groups of "), confirm: groups.length ? "Save" : null, fields: boxes,
      body: groups.length ? null : h("p", null, "There are no groups yet. ", h("a", { href: "#/settings", onclick: (event) => event.target.closest("dialog").close() }, "Settings"), " makes the first."),
      async run() {
        for (const { input } of boxes) {
          const has = device.groups.includes(input.value);
          if (input.checked !== has) await api(has ? "DELETE" : "PUT", `/groups/${input.value}/devices/${id}`);
        }
      },
    });
    if (done) changed(null, "Groups saved");
  }

  async function setExpiry() {
    const at = field("Refused from", { type: "datetime-local", value: toLocal(device.expires_at) }, { name: "expires_at", hint: "In your time zone; empty for never" });
    const now = await ask({
      title: named("End of "), confirm: "Save", fields: [at],
      run: () => api("PATCH", `/devices/${id}`, { body: { expires_at: fromLocal(at.value) } }),
    });
    if (now) changed(now, "End saved");
  }

  /** On any other account the device gets no signals. */
  async function bindAccount() {
    const account = device.bound_account ?? device.context?.account;
    const login = field("Account", { type: "text", inputmode: "numeric", maxlength: 128, value: account?.login ?? "", autocomplete: "off" }, { name: "bound_account.login" });
    const server = field("Server", { type: "text", maxlength: 128, value: account?.server ?? "", autocomplete: "off", spellcheck: "false" }, { name: "bound_account.server", hint: "As the terminal names it" });
    const isAny = checkbox("Any account");
    const now = await ask({
      title: named("Account of "), confirm: "Save", fields: [login, server, isAny],
      body: h("p", null, "On any other account the device gets no signals."),
      run: () => api("PATCH", `/devices/${id}`, { body: { bound_account: isAny.value ? null : { login: login.value, server: server.value } } }),
    });
    if (now) changed(now, "Account saved");
  }

  async function setMode() {
    const modes = choice("Mode", [["normal", "Normal: trade"], ["close_only", "Close only: open nothing new"], ["halted", "Halted: do nothing"]], device.trading_mode.mode);
    const cancels = checkbox("Also cancel signals that wait for it");
    const reason = reasonField();
    const done = await ask({
      title: named("Trading mode of "), confirm: "Set mode", fields: [modes, cancels, reason],
      run: () => api("POST", "/devices/bulk", { body: { action: "set_trading_mode", trading_mode: modes.value, select: { device_ids: [id] }, expect: 1, ...(cancels.value && { cancel_signals: true }), ...reasonBody(reason) } }),
    });
    if (done) changed(null, `Mode ${modeName(modes.value)}`);
  }

  async function suspend() {
    const reason = reasonField();
    const until = field("Until", { type: "datetime-local" }, { name: "until", hint: "Optional; without it, until you resume it" });
    const now = await ask({
      title: named("Suspend "), confirm: "Suspend", isDangerous: true, fields: [reason, until],
      body: h("p", null, "It is refused at once, and keeps its secret."),
      run: () => api("POST", `/devices/${id}/suspend`, { body: { ...reasonBody(reason), ...(until.value && { until: fromLocal(until.value) }) } }),
    });
    if (now) changed(now, "Suspended");
  }

  async function resume() {
    const now = await attempt(() => api("POST", `/devices/${id}/resume`, { body: {} }));
    if (now) changed(now, "Resumed");
  }

  async function rotate() {
    const grace = field("The present secret", select([["0", "ends at once"], ["300", "works for 5 minutes more"], ["3600", "works for 1 hour more"], ["86400", "works for 1 day more"]], "3600"), { name: "grace_seconds", hint: "It ends earlier when the new secret is first used" });
    const reason = reasonField();
    const rotated = await ask({
      title: named("Rotate the secret of "), confirm: "Rotate", isDangerous: true, fields: [grace, reason],
      body: h("p", null, "The device gets a new secret, which is shown once. Put it into the terminal before the present one ends."),
      run: () => api("POST", `/devices/${id}/rotate`, { body: { grace_seconds: Number(grace.value), ...reasonBody(reason) }, creates: true }),
    });
    if (!rotated) return;
    await showSecret(rotated, "has a new secret");
    again();
  }

  async function revoke() {
    const reason = reasonField();
    const done = await ask({
      title: named("Revoke "), confirm: "Revoke", isDangerous: true, fields: [reason],
      body: h("p", null, "It is refused at once. This cannot be undone; its name becomes free."),
      run: () => api("POST", `/devices/${id}/revoke`, { body: reasonBody(reason) }).then(() => true),
    });
    if (done) changed(null, "Revoked");
  }

  async function remove() {
    const done = await ask({
      title: named("Delete "), confirm: "Delete", isDangerous: true, body: h("p", null, "It disappears from lists and signals. Its events stay."),
      run: () => api("DELETE", `/devices/${id}`).then(() => true),
    });
    if (!done) return;
    isGone = true;
    notify(named("Deleted: "));
    go("#/devices");
  }

  // MARK: Figures

  let span = "day";
  async function readFigures() {
    const { features } = await settings;
    const place = parts?.charts;
    if (!place) return;
    const title = place.querySelector("h2");
    if (!features.includes("stats")) return replace(place, title, h("p", { class: "quiet" }, "This registry does not count polls and deliveries yet."));
    const hours = { day: 24, week: 168, month: 720 }[span];
    const step = span === "month" ? "day" : "hour";
    const now = Math.ceil(Date.now() / HOUR) * HOUR;
    const choices = h("div", { class: "segments", role: "group", "aria-label": "Span" }, [["day", "24 h"], ["week", "7 days"], ["month", "30 days"]].map(([key, text]) =>
      button(text, () => { span = key; readFigures(); }, { "aria-pressed": String(span === key) })));
    try {
      const counted = await api("GET", `/devices/${id}/stats`, { query: { from: new Date(now - hours * HOUR).toISOString(), to: new Date(now).toISOString(), step }, signal: end.signal });
      const { chart, filled } = await import("./charts.js");
      const points = filled(counted, now - hours * HOUR, now, step);
      const head = h("div", { class: "panel-head" }, title, choices);
      if (!points.length || points.every((point) => !point.polls && !point.signals)) {
        return replace(place, head, h("p", { class: "quiet" }, "Nothing in this span yet: counts appear when the device polls."));
      }
      replace(place, head, h("div", { class: "chart-grid" },
        chart({ title: "Polls", points, step, series: [{ name: "polls", key: (point) => point.polls, tone: "accent" }] }),
        chart({ title: "Deliveries by outcome", points, step, series: ["placed", "skipped", "cancelled", "expired", "failed"].map((key) => ({ name: key, key: (point) => point[key], tone: key })) }),
        chart({ title: "Time from sending to hand-out", points, step, isLines: true, format: duration, series: ["p50", "p95", "max"].map((key) => ({ name: key, key: (point) => point.handed_out_ms?.[key] ?? null, tone: key })) }),
        chart({ title: "Time from sending to acknowledgement", points, step, isLines: true, format: duration, series: ["p50", "p95", "max"].map((key) => ({ name: key, key: (point) => point.acked_ms?.[key] ?? null, tone: key })) })));
    } catch (problem) {
      if (!end.signal.aborted) replace(place, title, problemBox(problem, readFigures));
    }
  }

  // MARK: Live

  const onevents = ({ detail }) => {
    const mine = detail.filter((event) => event.device_id === id);
    if (!mine.length) return;
    if (mine.some(({ type }) => type === "device.deleted")) return showGone();
    parts?.timeline.add(mine);
    again();
  };
  feed.addEventListener("events", onevents);
  feed.addEventListener("restored", again);
  const timer = setInterval(() => { if (!document.hidden) again(); }, REFRESH_MILLISECONDS);
  read();

  return {
    element, title: "Device",
    close() {
      end.abort();
      clearInterval(timer);
      again.cancel();
      feed.removeEventListener("events", onevents);
      feed.removeEventListener("restored", again);
    },
  };
}
