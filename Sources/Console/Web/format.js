// Numbers and times, in the browser's language and zone. UTC is shown on hover and focus.
import { h, setText } from "./dom.js";

const whole = new Intl.NumberFormat();
const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const dayTime = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export const number = (value) => whole.format(value);

/** "1 device", "2 devices". */
export const count = (value, one, many = `${one}s`) => `${number(value)} ${value === 1 ? one : many}`;

const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

/** "now", "9 min ago", "in 3 h". */
export function relative(iso, now = Date.now()) {
  const distance = now - Date.parse(iso);
  const size = Math.abs(distance);
  if (size < 45 * SECOND) return "now";
  const text =
    size < HOUR ? `${Math.max(1, Math.round(size / MINUTE))} min`
    : size < DAY ? `${Math.round(size / HOUR)} h`
    : size < 60 * DAY ? `${Math.round(size / DAY)} d`
    : `${Math.round(size / (30 * DAY))} months`;
  return distance > 0 ? `${text} ago` : `in ${text}`;
}

const utc = (iso) => iso.replace("T", " ").replace("Z", " UTC");
const local = (iso) => dateTime.format(new Date(iso));

const styles = {
  relative,
  full: local,
  short: (iso) => dayTime.format(new Date(iso)),
  clock: (iso) => clock.format(new Date(iso)),
  stamp: (iso) => (new Date(iso).toDateString() === new Date().toDateString() ? clock : dayTime).format(new Date(iso)),
};

/** A time. `style`: relative, full, short, clock, or stamp: a clock of today, else a day and a time. A focusable one shows UTC to the keyboard too. */
export function time(iso, style = "relative", { focusable = false } = {}) {
  const element = h("time", { tabindex: focusable ? "0" : null, class: "num" });
  setTime(element, iso, style);
  return element;
}

/** Changes a time in place; null shows a dash. */
export function setTime(element, iso, style = "relative") {
  if (!iso) {
    element.removeAttribute("datetime");
    element.removeAttribute("title");
    delete element.dataset.style;
    return setText(element, "–");
  }
  if (element.getAttribute("datetime") !== iso) {
    element.setAttribute("datetime", iso);
    element.title = `${local(iso)}\n${utc(iso)}`;
    element.dataset.utc = utc(iso);
  }
  element.dataset.style = style;
  setText(element, styles[style](iso));
}

/** Keeps relative times true. */
setInterval(() => {
  for (const element of document.querySelectorAll('time[data-style="relative"]')) {
    setText(element, relative(element.getAttribute("datetime")));
  }
}, 10 * SECOND);

/** The value of an input of type datetime-local, as RFC 3339; null if it is empty. */
export const fromLocal = (value) => (value ? new Date(value).toISOString() : null);

/** RFC 3339 as the value of an input of type datetime-local. */
export function toLocal(iso) {
  if (!iso) return "";
  const date = new Date(iso);
  return new Date(date.getTime() - date.getTimezoneOffset() * MINUTE).toISOString().slice(0, 16);
}

/** "3 h", "900 ms". */
export function duration(milliseconds) {
  if (milliseconds < SECOND) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 10 * SECOND) return `${(milliseconds / SECOND).toFixed(1)} s`;
  if (milliseconds < 2 * MINUTE) return `${Math.round(milliseconds / SECOND)} s`;
  if (milliseconds < 2 * HOUR) return `${Math.round(milliseconds / MINUTE)} min`;
  if (milliseconds < 2 * DAY) return `${Math.round(milliseconds / HOUR)} h`;
  return `${Math.round(milliseconds / DAY)} d`;
}
