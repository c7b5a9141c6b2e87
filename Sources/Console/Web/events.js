// The page of all events.
import { gathered, h, replace } from "./dom.js";
import { feed } from "./feed.js";
import { go, link } from "./router.js";
import { button, heading } from "./widgets.js";
import { eventList, readTimeline } from "./event-list.js";

const KINDS = [["", "All"], ["device.*", "Devices"], ["signal.*", "Signals"], ["group.*", "Groups"], ["enrolment.*", "Enrolments"], ["webhook.*", "Webhooks"], ["telegram.*", "Telegram"], ["client.*", "Client"]];

const matches = (types, type) => !types || types.split(",").some((pattern) => pattern === type || (pattern.endsWith("*") && type.startsWith(pattern.slice(0, -1))));

export function eventsPage(_, query) {
  let types = query.get("types") ?? "";
  let end = new AbortController();
  const list = eventList({ wants: ({ type }) => matches(types, type), empty: "Nothing of this kind has happened yet." });
  const filters = h("div", { class: "segments", role: "group", "aria-label": "Kind of events" });

  function showFilters() {
    replace(filters, KINDS.map(([key, text]) => button(text, () => go(link("/events", { types: key })), { "aria-pressed": String(types === key) })));
  }

  function read() {
    end.abort();
    end = new AbortController();
    list.clear();
    readTimeline(list, { types }, end.signal);
  }

  const onevents = ({ detail }) => list.add(detail);
  const onreset = gathered(200, read);
  feed.addEventListener("events", onevents);
  feed.addEventListener("reset", onreset);
  showFilters();
  read();

  return {
    element: h("div", { class: "page" },
      h("div", { class: "title-line" }, heading("Events"), h("span", { class: "spacer" }), filters),
      h("p", { class: "quiet" }, "Everything that changes, as it happens: who did what, and why. Point at a time for UTC, at a name for the request."),
      h("section", { class: "panel", "aria-label": "Events" }, list.element)),
    title: "Events",
    update(query) {
      types = query.get("types") ?? "";
      showFilters();
      read();
    },
    close() {
      end.abort();
      onreset.cancel();
      feed.removeEventListener("events", onevents);
      feed.removeEventListener("reset", onreset);
    },
  };
}
