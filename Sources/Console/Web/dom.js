// Makes elements. Text goes into text nodes only: nothing that a stranger wrote is ever read as markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element. `props`: `on...` are listeners, `class`, `data`, `style` and attributes; null and false leave one out. */
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** An element of SVG. */
export function svg(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.setAttribute("class", value);
    else if (name === "data") Object.assign(element.dataset, value);
    // The policy forbids style attributes, and allows this.
    else if (name === "style") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else if (name === "value" || name === "checked" || name === "indeterminate") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  append(element, children);
  return element;
}

/** Appends nodes and texts; lists are flattened, null and false are left out. */
export function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

export function replace(element, ...children) {
  element.replaceChildren();
  return append(element, children);
}

/** Changes a text only if it differs, so that selections and readers are not disturbed. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (value === null || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** A text of a stranger, isolated: its directional marks end with it (UAX 9). */
export const isolated = (text, props) => h("bdi", props, text);

/** Calls a function once after a burst of calls. */
export function debounced(milliseconds, run) {
  let timer = 0;
  const call = () => {
    clearTimeout(timer);
    timer = setTimeout(run, milliseconds);
  };
  call.cancel = () => clearTimeout(timer);
  return call;
}

/** Runs after the first of several calls: an unending stream of them does not put it off. */
export function gathered(milliseconds, run) {
  let timer = 0;
  const call = () => { timer ||= setTimeout(() => { timer = 0; run(); }, milliseconds); };
  call.cancel = () => { clearTimeout(timer); timer = 0; };
  return call;
}

/** What is asked for often is work for the registry: after a run it rests for this multiple of what the run took. */
const REST_SHARE = 8;
const LONGEST_RETRY_MILLISECONDS = 30_000;

/** Runs soon after it was asked for, one run at a time, and rests after it; runs again if the registry could not answer. */
export function paced(milliseconds, run, signal) {
  let isRunning = false, isWanted = false, notBefore = 0, failures = 0;
  return async () => {
    isWanted = true;
    if (isRunning) return;
    isRunning = true;
    while (isWanted) {
      await pause(Math.max(milliseconds, notBefore - Date.now()), signal);
      if (signal?.aborted) break;
      isWanted = false;
      const start = Date.now();
      try {
        await run();
        failures = 0;
        notBefore = Date.now() + REST_SHARE * (Date.now() - start);
      } catch (problem) {
        if (!problem.isTemporary) continue;
        isWanted = true;
        notBefore = Date.now() + Math.max(1000 * (problem.retryAfter || 0), Math.min(1000 * 2 ** failures++, LONGEST_RETRY_MILLISECONDS));
      }
    }
    isRunning = false;
  };
}

/** Waits, or ends early when the signal says so. */
export const pause = (milliseconds, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
