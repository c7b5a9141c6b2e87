// Starts the console: session, header, pages, keyboard.
import { api, forgetNames } from "./api.js";
import { h, pause, replace, setText } from "./dom.js";
import { feed } from "./feed.js";
import { haltButton } from "./halt.js";
import { go, startRouter, stopRouter } from "./router.js";
import { session } from "./session.js";
import { signInAgain, signInPage } from "./sign-in.js";
import { loading, menu, noticesElement } from "./widgets.js";
import { devicesPage } from "./devices.js";

const app = document.getElementById("app");

/** A page whose module is loaded when it is opened. */
const later = (load, name, title) => (parameters, query) => {
  const element = h("div", { class: "page" }, loading());
  let page = null, isClosed = false, latest = null;
  load().then((module) => {
    if (isClosed) return;
    page = module[name](parameters, query);
    element.replaceWith(page.element);
    if (page.title !== title) document.title = `${page.title} · Device registry`;
    if (latest) page.update?.(latest);
  });
  return {
    element, title,
    update(query) { if (page) page.update?.(query); else latest = query; },
    close() { isClosed = true; page?.close?.(); },
  };
};

const pages = [
  ["/devices", devicesPage],
  ["/devices/:id", later(() => import("./device.js"), "devicePage", "Device")],
  ["/signals", later(() => import("./signals.js"), "signalsPage", "Signals")],
  ["/signals/:id", later(() => import("./signals.js"), "signalPage", "Signal")],
  ["/events", later(() => import("./events.js"), "eventsPage", "Events")],
  ["/settings", later(() => import("./settings.js"), "settingsPage", "Settings")],
];

/** Milliseconds that the first page waits for the feed. */
const LONGEST_START = 400;

async function start() {
  const nav = [["Devices", "#/devices"], ["Signals", "#/signals"], ["Events", "#/events"], ["Settings", "#/settings"]].map(([text, href]) => h("a", { href }, text));
  const state = h("span", { class: "live", role: "status" });
  const halt = haltButton();
  const main = h("main", { id: "main" });
  const who = session.claims.subject === session.claims.client ? session.claims.client : `${session.claims.subject} · ${session.claims.client}`;
  const header = h("header", { class: "top" },
    h("a", { href: "#main", class: "skip", onclick: (event) => { event.preventDefault(); main.querySelector("h1")?.focus(); } }, "Skip to the content"),
    h("a", { href: "#/devices", class: "brand", "aria-label": "Device registry, all devices" }, h("img", { src: "icon.svg", alt: "", width: 20, height: 20 }), h("span", null, "registry")),
    h("nav", { "aria-label": "Pages" }, nav), h("span", { class: "spacer" }), state,
    menu(who, () => [["Sign out", () => session.signOut()]], { class: "who", "aria-label": `Signed in as ${who}` }),
    halt.element);
  replace(app, header, main, noticesElement);

  const showState = () => {
    const isLive = feed.state === "live";
    state.classList.toggle("down", !isLive);
    setText(state, isLive ? "live" : feed.isUsed ? "reconnecting…" : "connecting…");
    state.title = isLive ? "Changes appear as they happen" : "The registry does not answer. This page tries again, and shows what it last knew.";
  };
  const onpage = ({ detail }) => {
    for (const anchor of nav) {
      const isCurrent = detail.startsWith(anchor.getAttribute("href").slice(1));
      if (isCurrent) anchor.setAttribute("aria-current", "page");
      else anchor.removeAttribute("aria-current");
    }
  };
  feed.addEventListener("state", showState);
  addEventListener("page", onpage);
  showState();
  // What is read after the position is known misses nothing; if that takes long, it is read again.
  await Promise.race([feed.start(), pause(LONGEST_START)]);
  feed.isUsed = true;
  startRouter(main, pages);
  halt.look();
}

session.addEventListener("ended", ({ detail }) => signInAgain(detail.reason));
/** A parked request would notice the end of the session late: when it should have ended, ask. */
let expiry = 0;
/** The service accepts a token for 30 s longer, because clocks differ. */
const LEEWAY = 30_500;
const LONGEST_TIMER = 2 ** 31 - 1;
function watchExpiry() {
  clearTimeout(expiry);
  if (!session.claims?.expires) return;
  const rest = session.claims.expires - Date.now();
  expiry = setTimeout(() => api("GET", "/devices/summary").catch(() => {}), Math.min(Math.max(rest + LEEWAY, 1000), LONGEST_TIMER));
}

session.addEventListener("signed-in", ({ detail }) => {
  watchExpiry();
  // What was loaded belongs to another client.
  if (detail.isOther) {
    stopRouter();
    feed.stop();
    forgetNames();
    history.replaceState(null, "", "#/devices");
    start();
  }
});

addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest?.("input, textarea, select, dialog, [contenteditable]")) return;
  const search = document.querySelector(".search");
  if (search) search.focus();
  else go("#/devices");
  event.preventDefault();
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target.matches?.(".search") && !event.target.value) event.target.blur();
});

async function enter() {
  let failure = null;
  try {
    session.start();
    const query = new URLSearchParams(location.search);
    if (!session.token && (query.has("state") || query.has("beside"))) {
      const { finishSignIn, startSignIn } = await import("./oidc.js");
      const isHere = await (query.has("state") ? finishSignIn() : startSignIn({ isBeside: true }));
      // Some browsers do not let the window close itself.
      if (isHere === false) return replace(app, h("main", { class: "sign-in" }, h("h1", null, "You are signed in"), h("p", null, "Close this window and continue in the other one.")));
    }
  } catch (error) { failure = error.message; }
  if (session.token) return start();
  replace(app, signInPage(start, failure));
  document.title = "Sign in · Device registry";
}

enter();
