// Pages by the address after `#`: `#/devices?status=active`. Filters are part of it, so that Back and a copied link work.

let routes = [];
let outlet = null;
let current = null;
let observer = null;

/** `routes`: `[pattern, open]`; a pattern is `/devices/:id`; `open(parameters, query)` returns `{element, title, close, update}`. */
export function startRouter(element, table) {
  outlet = element;
  routes = table.map(([pattern, open]) => ({
    expression: new RegExp(`^${pattern.replace(/:\w+/g, "([^/]+)")}$`), pattern, open,
    names: [...pattern.matchAll(/:(\w+)/g)].map((match) => match[1]),
  }));
  addEventListener("hashchange", show);
  addEventListener("popstate", show);
  observer = new MutationObserver(focusHeading);
  observer.observe(outlet, { childList: true, subtree: true });
  show();
}

export function stopRouter() {
  current?.page.close?.();
  current = null;
  observer?.disconnect();
  removeEventListener("hashchange", show);
  removeEventListener("popstate", show);
}

export function place() {
  const [path, query] = location.hash.slice(1).split("?");
  return { path: path || "/devices", query: new URLSearchParams(query ?? "") };
}

export const link = (path, query) => {
  const text = new URLSearchParams(Object.entries(query ?? {}).filter(([, value]) => value)).toString();
  return `#${path}${text ? `?${text}` : ""}`;
};

export function go(target, { isReplacement = false } = {}) {
  if (isReplacement) {
    history.replaceState(null, "", target);
    show();
  } else {
    location.hash = target;
  }
}

function show() {
  const { path, query } = place();
  for (const route of routes) {
    const match = route.expression.exec(path);
    if (!match) continue;
    const parameters = Object.fromEntries(route.names.map((name, index) => [name, decodeURIComponent(match[index + 1])]));
    // Only the query has changed: the page stays.
    if (current?.path === path) {
      if (current.query !== query.toString()) {
        current.query = query.toString();
        current.page.update?.(query);
      }
      return;
    }
    const isFirst = current === null;
    // A question about the former page is no longer meant.
    for (const dialog of document.querySelectorAll("dialog[open]:not(.stays)")) dialog.close();
    current?.page.close?.();
    const page = route.open(parameters, query);
    current = { path, query: query.toString(), page };
    outlet.replaceChildren(page.element);
    setTitle(page.title);
    scrollTo(0, 0);
    dispatchEvent(new CustomEvent("page", { detail: path }));
    isHeadingWanted = !isFirst;
    focusHeading();
    return;
  }
  go("#/devices", { isReplacement: true });
}

/** Readers and the keyboard begin at the new page's heading, which may come later than the page. */
let isHeadingWanted = false;
function focusHeading() {
  if (!isHeadingWanted) return;
  // Someone has gone elsewhere in the meantime.
  if (document.activeElement !== document.body && !outlet.contains(document.activeElement)) isHeadingWanted = document.activeElement.closest("nav") !== null;
  const heading = outlet.querySelector("h1");
  if (!isHeadingWanted || !heading) return;
  isHeadingWanted = false;
  heading.focus({ preventScroll: true });
}

export function setTitle(title) { document.title = `${title} · Device registry`; }
