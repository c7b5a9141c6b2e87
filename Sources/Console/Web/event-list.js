// A list of events, newest first. What arrives is put on top only while nobody is pointing at the list.
import { api } from "./api.js";
import { h, isolated, replace, setText } from "./dom.js";
import { number, time } from "./format.js";
import { actorText, changesText, deviceLink, eventText, eventTone } from "./device-parts.js";
import { link } from "./router.js";
import { button, loading, problemBox } from "./widgets.js";

/** Events that a list keeps. */
const MAXIMUM_SHOWN = 1000;
/** Events of a short list; the style sheet hides the others. */
const SHORT = 12;
const PAGE = 1000;
/** Events that `after=recent` goes back. */
const RECENT = 2000;
/** Pages that are read at once: a filtered page reads at most 2,000 events. */
const PAGES_AT_ONCE = 25;

function row(event, isOfDevice) {
  const { type, device_id: device, signal_id: signal, reason, request_id: request } = event;
  const changes = changesText(event);
  return h("li", { class: `event ${eventTone(type)}` },
    time(event.at, "stamp"),
    h("span", { class: "event-what" },
      h("span", { class: "event-type", title: type }, eventText(type)),
      !isOfDevice && device && [" ", deviceLink(device)],
      signal && [" ", h("a", { href: link(`/signals/${signal}`), class: "mono" }, signal.slice(-8))],
      changes && h("span", { class: "quiet changes" }, " ", isolated(changes)),
      reason && h("span", { class: "reason" }, " “", isolated(reason), "”")),
    h("span", { class: "quiet event-who", title: request ? `request ${request}` : "" }, isolated(actorText(event.actor))));
}

/** A list, short until someone asks for all of it. `add(events)` takes new events in their order. */
export function eventList({ isOfDevice = false, wants = () => true, empty = "Nothing has happened yet.", isShort = false } = {}) {
  const list = h("ol", { class: `events${isShort ? " short" : ""}` });
  const all = button("", () => { list.classList.remove("short"); showState(); }, { class: "plain link", hidden: true });
  const news = button("", () => flush(), { class: "news", hidden: true });
  const foot = h("div", { class: "quiet list-footer" });
  const note = h("p", { class: "quiet", hidden: true }, empty);
  const element = h("div", { class: "event-list" }, h("div", { class: "news-line" }, news), note, list, h("div", null, all), foot);
  const known = new Set();
  let waiting = [];
  let isPointedAt = false;
  element.addEventListener("pointerenter", () => (isPointedAt = true));
  element.addEventListener("pointerleave", () => { isPointedAt = false; settle(); });
  element.addEventListener("focusout", () => setTimeout(settle));

  /** New rows would move what someone is about to click or reads further down. */
  const mayMove = () => !isPointedAt && !element.contains(document.activeElement) && list.getBoundingClientRect().top > 0;
  function settle() { if (waiting.length && mayMove()) flush(); }

  function flush() {
    const fresh = waiting;
    waiting = [];
    // A burst is longer than what is kept.
    for (const event of fresh.slice(-MAXIMUM_SHOWN)) list.prepend(row(event, isOfDevice));
    while (list.children.length > MAXIMUM_SHOWN) list.lastChild.remove();
    showState();
  }

  function showState() {
    news.hidden = waiting.length === 0;
    setText(news, `${number(waiting.length)} new`);
    all.hidden = !list.classList.contains("short") || list.children.length <= SHORT;
    setText(all, `Show all ${number(list.children.length)}`);
    note.hidden = list.children.length > 0 || waiting.length > 0 || foot.querySelector(".loading");
  }

  function remember(events) {
    const fresh = events.filter((event) => wants(event) && !known.has(event.id));
    for (const { id } of fresh) known.add(id);
    while (known.size > 5 * MAXIMUM_SHOWN) known.delete(known.values().next().value);
    return fresh;
  }

  return {
    element, foot, showState,
    add(events) {
      waiting.push(...remember(events));
      waiting = waiting.slice(-MAXIMUM_SHOWN);
      if (mayMove()) flush();
      else showState();
    },
    /** Older events than all that are shown, in their order. */
    addOld(events) {
      const fresh = remember(events);
      for (const event of fresh.reverse().slice(0, MAXIMUM_SHOWN)) list.append(row(event, isOfDevice));
      while (list.children.length > MAXIMUM_SHOWN) list.lastChild.remove();
      showState();
    },
    clear() {
      known.clear();
      waiting = [];
      list.replaceChildren();
      showState();
    },
  };
}

/**
 * Reads what has happened so far into a list: the client's last events, or, when someone asks, all from the beginning, in parts
 * of which the last is shown.
 */
export async function readTimeline(list, query, signal, start = "recent") {
  let cursor = start;
  let found = [];
  let count = 0;
  replace(list.foot, loading("Reading what happened…"));
  list.showState();
  try {
    let isAtEnd = false;
    for (let page = 0; page < PAGES_AT_ONCE && !isAtEnd; page++) {
      const { events, next } = await api("GET", "/events", { query: { ...query, after: cursor, limit: PAGE }, signal });
      found = [...found, ...events].slice(-MAXIMUM_SHOWN);
      count += events.length;
      // A filtered page may be empty before the end; at the end the position stays.
      isAtEnd = events.length < PAGE && (next === cursor || (!query.device_id && !query.types));
      cursor = next;
    }
    const isComplete = query.device_id ? found.some(({ type }) => type === "device.registered") : !query.types && count < RECENT;
    replace(list.foot,
      !isAtEnd && ["There are later events. ", button("Read on", () => again(cursor), { class: "plain link" })],
      start === "recent" && !isComplete && button("Earlier events", () => again(null), { class: "plain link" }));
    list.addOld(found);
  } catch (problem) {
    if (!signal.aborted) replace(list.foot, problemBox(problem, () => again(start)));
  }

  function again(from) {
    list.clear();
    return readTimeline(list, query, signal, from);
  }
}
