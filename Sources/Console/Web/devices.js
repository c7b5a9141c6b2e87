// The page of all devices: summary, filters in the address, a virtual list, a bar for what is selected.
import { Problem, api, getDevice, remember } from "./api.js";
import { debounced, h, isolated, paced, replace, setAttribute, setText } from "./dom.js";
import { count, number, setTime, time } from "./format.js";
import { feed } from "./feed.js";
import { go, link, place as address } from "./router.js";
import { button, emptyState, field, heading, loading, menu, problemBox } from "./widgets.js";
import { VirtualList } from "./virtual-list.js";
import { modeMark, stateMark, tags } from "./device-parts.js";
import { selectionBar } from "./bulk.js";
import { createEnrolments, registerDevice } from "./register.js";

/** The first page is small, so that it is there at once; the next ones follow the scrolling. */
const FIRST_PAGE = 100;
const NEXT_PAGE = 250;
/** Requests for one page of devices, if a filter lets few of them through. */
const MAXIMUM_REQUESTS = 20;
/** How often presence is read again: it has few events. */
const REFRESH_MILLISECONDS = 20_000;
/** More changed devices than this are read by page, not one by one. */
const MAXIMUM_SINGLE = 8;

const CURRENT = "active,suspended,expired";
const FILTERS = ["q", "status", "online", "group", "labels", "mode_confirmed", "seen_before"];
const narrow = matchMedia("(max-width: 760px)");

/** The parameters of the API for the page's address. Devices that are revoked are shown only when asked for. */
export function filterQuery(query) {
  const filter = Object.fromEntries(FILTERS.map((name) => [name, query.get(name)]).filter(([, value]) => value));
  filter.status ??= CURRENT;
  if (filter.status === "all") delete filter.status;
  return filter;
}

export function devicesPage(_, query) {
  const end = new AbortController();
  const selected = new Set();
  const summary = h("div", { class: "summary", role: "group", "aria-label": "Summary" });
  const chips = h("div", { class: "chips" });
  const news = button("", () => reload(), { class: "news", hidden: true });
  const place = h("div", { class: "list-place" }, loading());
  const footer = h("p", { class: "quiet list-footer", role: "status" });
  const all = h("input", { type: "checkbox", "aria-label": "Select all that are shown", onchange: () => selectAll(all.checked) });
  const search = h("input", { type: "search", class: "search", placeholder: "Find by name", "aria-label": "Find devices by name", "aria-keyshortcuts": "/", value: query.get("q") ?? "", maxlength: 100, autocomplete: "off", spellcheck: "false" });
  const bar = selectionBar({ selected, byID: (id) => byID.get(id), filter: () => filter, clear: clearSelection, shown: () => items.length, hasMore: () => cursor !== null });

  const header = h("div", { role: "row", class: "row header", "aria-rowindex": 1 },
    h("span", { role: "columnheader", class: "pick" }, all),
    ...["Name", "Labels and groups", "State", "Last seen", "Mode"].map((text, index) => h("span", { role: "columnheader", class: `c${index}` }, text)));
  const list = new VirtualList({ make: makeRow, key: (device) => device.id, rowHeight: () => (narrow.matches ? 88 : 38), onrange: rangeShown });
  const table = h("div", { role: "table", class: "devices", "aria-label": "Devices" }, h("div", { role: "rowgroup" }, header), list.element);

  const element = h("div", { class: "page" },
    h("div", { class: "title-line" }, heading("Devices"), summary),
    h("div", { class: "toolbar" }, h("div", { class: "search-box" }, search, h("kbd", { "aria-hidden": "true" }, "/")), chips,
      h("div", { class: "toolbar-actions" },
        button("Enrolment codes", () => createEnrolments()),
        button("Register device", async () => { if (await registerDevice()) reload(); }, { class: "primary" }))),
    h("div", null, h("div", { class: "news-line" }, news), place), footer, bar.element);

  // MARK: Data

  let filter = filterQuery(query);
  let items = [];
  let byID = new Map();
  /** Where each page begins, so that a part of the list can be read again: `{cursor, first, isStale}`. */
  let pages = [];
  let cursor = null;
  let run = null;
  let isLoading = false;
  let hasFailed = false;
  const added = new Set();

  async function readPage(from, size, signal) {
    let next = from;
    const found = [];
    for (let request = 0; request < MAXIMUM_REQUESTS; request++) {
      const answer = await api("GET", "/devices", { query: { ...filter, cursor: next, limit: size }, whole: true, signal });
      found.push(...answer.data);
      next = answer.next;
      if (!next || found.length >= size / 2) break;
    }
    for (const device of found) remember(device);
    return { found, next };
  }

  async function load() {
    run?.abort();
    run = new AbortController();
    const { signal } = run;
    isLoading = true;
    hasFailed = false;
    added.clear();
    showNews();
    try {
      const { found, next } = await readPage(null, FIRST_PAGE, signal);
      if (signal.aborted) return;
      items = found;
      byID = new Map(found.map((device) => [device.id, device]));
      pages = [{ cursor: null, first: 0, isStale: false }];
      cursor = next;
      isLoading = false;
      show();
    } catch (problem) {
      if (signal.aborted) return;
      isLoading = false;
      hasFailed = true;
      replace(place, problemBox(problem, load));
    }
  }

  async function loadMore() {
    if (isLoading || cursor === null) return;
    isLoading = true;
    showFooter();
    const { signal } = run;
    try {
      const start = { cursor, first: items.length, isStale: false };
      const { found, next } = await readPage(cursor, NEXT_PAGE, signal);
      if (signal.aborted) return;
      pages.push(start);
      for (const device of found) {
        if (byID.has(device.id)) continue;
        byID.set(device.id, device);
        items.push(device);
      }
      cursor = next;
      isLoading = false;
      list.setItems(items);
    } catch (problem) {
      if (signal.aborted) return;
      isLoading = false;
      replace(footer, problem instanceof Problem ? problem.title : String(problem), " ", button("Try again", loadMore));
      return;
    }
    showFooter();
  }

  function reload() {
    load();
    loadSummary();
  }

  /** Reads the visible part of the list again, and changes its rows in place. */
  async function refresh() {
    if (isLoading || document.hidden || !items.length) return;
    const [first, last] = [list.first ?? 0, list.end ?? 0];
    const { signal } = run;
    for (const [index, page] of pages.entries()) {
      const end = pages[index + 1]?.first ?? items.length;
      if (!page.isStale || end <= first || page.first >= last) continue;
      page.isStale = false;
      try {
        const { found } = await readPage(page.cursor, Math.max(end - page.first, 1), signal);
        if (signal.aborted) return;
        const now = new Set(found.map((device) => device.id));
        for (const device of found) change(device);
        // What no longer matches stays where it is until the list is read again.
        for (const device of items.slice(page.first, end)) if (!now.has(device.id)) markGone(device);
        if (index < pages.length - 1 || cursor === null) for (const device of found) if (!byID.has(device.id)) added.add(device.id);
        showNews();
      } catch { page.isStale = true; }
    }
  }

  function change(device) {
    const old = byID.get(device.id);
    if (!old) return;
    Object.assign(old, device, { isGone: false });
    remember(device);
    list.update(old);
  }

  function markGone(device) {
    device.isGone = true;
    list.update(device);
  }

  const markStale = () => { for (const page of pages) page.isStale = true; };

  // MARK: Live

  const loadSummary = paced(150, async () => showSummary(await api("GET", "/devices/summary", { signal: end.signal })), end.signal);

  async function onevents({ detail: events }) {
    const changed = new Set();
    for (const event of events) {
      if (event.type === "device.registered" || (event.type === "device.enrolled" && !byID.has(event.device_id))) added.add(event.device_id);
      else if (event.type === "device.deleted" && byID.has(event.device_id)) markGone(byID.get(event.device_id));
      else if (event.type.startsWith("device.") && byID.has(event.device_id)) changed.add(event.device_id);
      else if (event.type === "group.deleted") markStale();
    }
    if (events.some(({ type }) => type.startsWith("device.") || type.startsWith("group."))) loadSummary();
    showNews();
    if (changed.size > MAXIMUM_SINGLE) {
      markStale();
      return refresh();
    }
    for (const id of changed) {
      try { change(await getDevice(id, { signal: end.signal })); } catch { /* Read again with its page. */ }
    }
    bar.update();
  }
  const onrestored = () => {
    loadSummary();
    if (hasFailed) return load();
    markStale();
    refresh();
  };
  feed.addEventListener("events", onevents);
  feed.addEventListener("restored", onrestored);
  feed.addEventListener("reset", onrestored);
  const timer = setInterval(() => { if (!document.hidden) onrestored(); }, REFRESH_MILLISECONDS);

  // MARK: Showing

  function showNews() {
    for (const id of added) if (byID.has(id)) added.delete(id);
    news.hidden = added.size === 0;
    setText(news, `${number(added.size)} new: show`);
  }

  let lastSummary = null;
  function showSummary(counts) {
    lastSummary = counts;
    const { total, by_status: by, online, mode_unconfirmed: unconfirmed } = counts;
    const offline = Math.max(0, by.active - online);
    const entries = [
      [total - by.revoked, total - by.revoked === 1 ? "device" : "devices", {}, ""],
      [online, "online", { online: "true" }, ""],
      [offline, "offline", { status: "active", online: "false" }, offline ? "warn" : ""],
      [by.suspended, "suspended", { status: "suspended" }, ""],
      [by.expired, "expired", { status: "expired" }, by.expired ? "warn" : ""],
      [unconfirmed, "unconfirmed", { mode_confirmed: "false" }, ""],
      [by.revoked, "revoked", { status: "revoked" }, ""],
    ];
    // What is zero and uninteresting makes room.
    const shown = entries.filter(([value], index) => index < 2 || value > 0);
    replace(summary, shown.map(([value, text, query, tone]) => {
      const isCurrent = JSON.stringify(filterQuery(new URLSearchParams(query))) === JSON.stringify(filter);
      return h("a", { href: link("/devices", query), class: `figure ${tone}`, "aria-current": isCurrent ? "true" : null }, h("b", null, number(value)), ` ${text}`);
    }));
    showFooter();
  }

  function show() {
    if (!items.length && cursor === null) {
      const isFiltered = FILTERS.some((name) => address().query.has(name));
      replace(place, isFiltered
        ? emptyState("No device matches", "Remove a filter, or search for another part of the name.", button("Clear filters", () => go("#/devices")))
        : emptyState("No devices yet", "A device is a terminal with an Expert Advisor. Register one and give it the secret that is shown once, or make a code that the terminal exchanges for its secret.",
          button("Register device", async () => { if (await registerDevice()) reload(); }, { class: "primary" }), button("Enrolment codes", () => createEnrolments())));
    } else {
      if (list.element.parentElement !== table || place.firstChild !== table) replace(place, table);
      for (const [key, row] of list.rows) { row.element.remove(); list.rows.delete(key); }
      list.setItems(items);
    }
    setAttribute(table, "aria-rowcount", cursor === null ? items.length + 1 : -1);
    showFooter();
    bar.update();
  }

  function showFooter() {
    if (!items.length) return footer.replaceChildren();
    const isAll = Object.keys(filter).length === 1 && filter.status === CURRENT;
    const of = cursor === null || !isAll || !lastSummary ? "" : ` of ${number(lastSummary.total - lastSummary.by_status.revoked)}`;
    setText(footer, cursor === null ? count(items.length, "device") : `${number(items.length)}${of}${isLoading ? ", loading more…" : ", more as you scroll"}`);
  }

  function rangeShown(_, last) {
    if (last + 40 > items.length) loadMore();
    refresh();
  }

  function makeRow(device) {
    let shown = device;
    const pick = h("input", { type: "checkbox", onchange: () => { toggle(shown.id, pick.checked); } });
    const name = h("a", { href: link(`/devices/${device.id}`), class: "name" });
    const text = isolated("");
    name.append(text);
    const state = stateMark(device), mode = modeMark(device), marks = tags(device);
    const seen = time(device.last_seen);
    const row = h("div", { role: "row", class: "row" },
      h("span", { role: "cell", class: "pick" }, pick), h("span", { role: "cell", class: "c0" }, name),
      h("span", { role: "cell", class: "c1" }, marks.element), h("span", { role: "cell", class: "c2" }, state.element),
      h("span", { role: "cell", class: "c3" }, h("span", { class: "only-narrow quiet" }, "seen "), seen), h("span", { role: "cell", class: "c4" }, mode.element));
    const update = (device) => {
      shown = device;
      setText(text, device.device_name);
      name.title = device.device_name;
      setAttribute(pick, "aria-label", `Select ${device.device_name}`);
      pick.checked = selected.has(device.id);
      row.classList.toggle("selected", pick.checked);
      row.classList.toggle("gone", Boolean(device.isGone));
      row.classList.toggle("dim", device.status !== "active");
      row.title = device.isGone ? "It no longer matches the filter" : "";
      state.update(device); mode.update(device); marks.update(device);
      setTime(seen, device.last_seen);
      seen.classList.toggle("warn", device.status === "active" && !device.online && Boolean(device.last_seen));
    };
    update(device);
    return { element: row, update };
  }

  // MARK: Selection

  function toggle(id, isOn) {
    if (isOn) selected.add(id);
    else selected.delete(id);
    list.update(byID.get(id));
    updateSelection();
  }

  function selectAll(isOn) {
    for (const { id } of items) {
      if (isOn) selected.add(id);
      else selected.delete(id);
    }
    list.updateAll();
    updateSelection();
  }

  function clearSelection() {
    selected.clear();
    list.updateAll();
    updateSelection();
  }

  function updateSelection() {
    all.checked = items.length > 0 && selected.size >= items.length;
    all.indeterminate = selected.size > 0 && !all.checked;
    bar.update();
  }

  // MARK: Filters

  function setFilter(changes) {
    const next = Object.fromEntries(address().query);
    for (const [name, value] of Object.entries(changes)) {
      if (value) next[name] = value;
      else delete next[name];
    }
    go(link("/devices", next));
  }

  function showChips() {
    const query = address().query;
    const chip = (text, changes) =>
      h("span", { class: "chip" }, text, button("×", () => setFilter(changes), { "aria-label": `Remove the filter ${text}`, class: "plain" }));
    const active = [];
    if (query.get("status")) active.push(chip(query.get("status") === "all" ? "every status" : query.get("status").replaceAll(",", " or "), { status: null }));
    if (query.get("online")) active.push(chip(query.get("online") === "true" ? "online" : "offline", { online: null }));
    if (query.get("group")) active.push(chip(`group ${query.get("group")}`, { group: null }));
    const labels = (query.get("labels") ?? "").split(",").filter(Boolean);
    for (const label of labels) active.push(chip(label, { labels: labels.filter((other) => other !== label).join(",") }));
    if (query.get("mode_confirmed")) active.push(chip(query.get("mode_confirmed") === "true" ? "mode confirmed" : "mode not confirmed", { mode_confirmed: null }));
    replace(chips, active,
      menu("Status", () => [
        ["Not revoked", () => setFilter({ status: null })], ...["active", "suspended", "expired", "revoked"].map((status) => [status, () => setFilter({ status })]),
        ["every status", () => setFilter({ status: "all" })],
      ], { class: "filter" }),
      menu("Group", async () => {
        const groups = await api("GET", "/groups", { query: { limit: 1000 } });
        if (!groups.length) return [h("p", { class: "quiet" }, "There are no groups. Select devices to put them into one.")];
        return groups.map(({ name, devices }) => [`${name} · ${number(devices)}`, () => setFilter({ group: name })]);
      }, { class: "filter" }),
      menu("Label", () => [labelForm(labels)], { class: "filter" }),
      menu("Presence", () => [["online", () => setFilter({ online: "true" })], ["offline", () => setFilter({ online: "false" })]], { class: "filter" }),
      menu("Mode", () => [["not confirmed", () => setFilter({ mode_confirmed: "false" })], ["confirmed", () => setFilter({ mode_confirmed: "true" })]], { class: "filter" }));
  }

  function labelForm(labels) {
    const known = new Set();
    for (const device of items) for (const [key, value] of Object.entries(device.labels)) if (known.size < 200) known.add(value ? `${key}:${value}` : key);
    const input = field("Label, as key or key:value", { type: "text", list: "known-labels", autocomplete: "off", spellcheck: "false", maxlength: 129 });
    const form = h("form", { class: "menu-form" }, input.element, h("datalist", { id: "known-labels" }, [...known].sort().map((value) => h("option", { value }))), h("button", { type: "submit", class: "primary" }, "Filter"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const label = input.value.replace(/\s*[:=]\s*/, ":");
      if (!/^[A-Za-z0-9._/-]{1,64}(:[A-Za-z0-9._-]{0,64})?$/.test(label)) return input.fail("A key, or key:value, of letters, digits and . _ -");
      form.closest("[popover]")?.hidePopover();
      setFilter({ labels: [...new Set([...labels, label])].join(",") });
    });
    return form;
  }

  const typed = debounced(200, () => {
    const query = Object.fromEntries(address().query);
    query.q = search.value.trim();
    go(link("/devices", query), { isReplacement: true });
  });
  search.addEventListener("input", typed);

  // Up and down move through the list.
  list.element.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 }[event.key];
    const row = event.target.closest?.(".row");
    if (!step || !row || event.ctrlKey || event.metaKey || event.altKey) return;
    const index = Number(row.getAttribute("aria-rowindex")) - 2 + step;
    if (index < 0 || index >= items.length) return;
    event.preventDefault();
    list.reveal(index)?.querySelector(event.target.tagName === "INPUT" ? "input" : "a")?.focus();
  });

  showChips();
  load();
  loadSummary();

  return {
    element, title: "Devices",
    update(query) {
      filter = filterQuery(query);
      scrollTo(0, 0);
      if (document.activeElement !== search) search.value = query.get("q") ?? "";
      selected.clear();
      updateSelection();
      showChips();
      load();
      if (lastSummary) showSummary(lastSummary);
      loadSummary();
    },
    close() {
      end.abort();
      run?.abort();
      clearInterval(timer);
      typed.cancel();
      list.close();
      feed.removeEventListener("events", onevents);
      feed.removeEventListener("restored", onrestored);
      feed.removeEventListener("reset", onrestored);
    },
  };
}
