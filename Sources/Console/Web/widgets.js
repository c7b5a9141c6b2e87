// The parts that pages are made of: dialogs, fields, menus, notices.
import { Problem } from "./api.js";
import { append, h, replace, setText, svg } from "./dom.js";

// MARK: Icons

const paths = {
  // Each state has a shape, so that colour never alone tells it.
  online: [svg.bind(null, "circle", { cx: 6, cy: 6, r: 4.5, fill: "currentColor" })],
  offline: [svg.bind(null, "circle", { cx: 6, cy: 6, r: 3.8, fill: "none", stroke: "currentColor", "stroke-width": 1.6 })],
  suspended: [svg.bind(null, "path", { d: "M3.4 1.8v8.4M8.6 1.8v8.4", stroke: "currentColor", "stroke-width": 2.4 })],
  expired: [svg.bind(null, "path", { d: "M2 1.5h8L2 10.5h8Z", fill: "none", stroke: "currentColor", "stroke-width": 1.5, "stroke-linejoin": "round" })],
  revoked: [svg.bind(null, "path", { d: "M2 2l8 8M10 2l-8 8", stroke: "currentColor", "stroke-width": 2 })],
  halted: [svg.bind(null, "rect", { x: 2, y: 2, width: 8, height: 8, fill: "currentColor" })],
};

export function icon(name) {
  return svg("svg", { viewBox: "0 0 12 12", width: 12, height: 12, class: `icon ${name}`, "aria-hidden": "true" }, paths[name].map((make) => make()));
}

// MARK: Notices

const polite = h("div", { id: "notices", role: "status" });
const MAXIMUM_NOTICES = 3;
const NOTICE_MILLISECONDS = 6000;

export const noticesElement = polite;

/** A short message that goes away. */
export function notify(...content) {
  const notice = h("div", { class: "notice" }, content);
  polite.append(notice);
  while (polite.children.length > MAXIMUM_NOTICES) polite.firstChild.remove();
  setTimeout(() => notice.remove(), NOTICE_MILLISECONDS);
}

/** What went wrong, with the id of the request, which the operator finds in the log. */
export function problemBox(problem, retry) {
  const box = h("div", { class: "problem", role: "alert" });
  const isProblem = problem instanceof Problem;
  append(box, [
    h("strong", null, isProblem ? problem.title : "Something is wrong with this page"),
    h("p", null, isProblem ? (problem.detail ?? "") : String(problem?.message ?? problem)),
    isProblem && problem.errors.length > 0 &&
      h("ul", null, problem.errors.map(({ field, message }) => h("li", null, h("code", null, field), ` ${message}`))),
    isProblem && problem.requestID && h("p", { class: "quiet" }, "Request ", h("code", { class: "copyable" }, problem.requestID)),
    retry && h("button", { type: "button", onclick: retry }, "Try again"),
  ]);
  return box;
}

/** Runs what may fail; shows a failure as a notice that stays. */
export async function attempt(run) {
  try {
    return await run();
  } catch (problem) {
    const box = problemBox(problem);
    const close = h("button", { type: "button", class: "plain", "aria-label": "Dismiss", onclick: () => box.remove() }, "×");
    box.classList.add("floating");
    box.append(close);
    polite.append(box);
    return undefined;
  }
}

/** What to do first, where there is nothing yet. */
export const emptyState = (title, text, ...actions) =>
  h("div", { class: "empty" }, h("h2", null, title), h("p", null, text), actions.length > 0 && h("p", { class: "actions" }, actions));

export const loading = (text = "Loading…") => h("p", { class: "quiet loading", role: "status" }, text);

export const button = (text, onclick, props) => h("button", { type: "button", onclick, ...props }, text);

export const heading = (...content) => h("h1", { tabindex: "-1" }, content);

// MARK: Fields

let nextID = 0;
export const newID = (stem) => `${stem}-${++nextID}`;

/**
 * A labelled input. `input` is an element, or the properties of one. The result has `element`, `input`, and `fail(text)`.
 * `name` is the member that the API knows it by, so that the API's errors find it.
 */
export function field(label, input, { hint, name, wide } = {}) {
  const control = input instanceof Element ? input : h("input", input);
  control.id ||= newID("field");
  if (name) control.name = name;
  const error = h("span", { class: "field-error", id: newID("error") });
  const note = hint && h("span", { class: "hint", id: newID("hint") }, hint);
  const describe = () => control.setAttribute("aria-describedby", [note?.id, error.textContent && error.id].filter(Boolean).join(" "));
  if (note) describe();
  return {
    input: control, name,
    element: h("div", { class: `field${wide ? " wide" : ""}` }, h("label", { for: control.id }, label), control, note, error),
    fail(text) {
      setText(error, text ?? "");
      if (text) control.setAttribute("aria-invalid", "true");
      else control.removeAttribute("aria-invalid");
      describe();
    },
    get value() { return control.value.trim(); },
  };
}

export function checkbox(label, props) {
  const input = h("input", { type: "checkbox", ...props });
  return { input, element: h("label", { class: "check" }, input, h("span", null, label)), get value() { return input.checked; } };
}

export const select = (options, value, props) =>
  h("select", props, options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)));

/** A choice of one, as radio buttons. */
export function choice(legend, options, value, onchange) {
  const group = newID("choice");
  let current = value;
  const inputs = options.map(([key, text]) =>
    h("label", { class: "check" },
      h("input", { type: "radio", name: group, value: key, checked: key === value, onchange: () => { current = key; onchange?.(key); } }),
      h("span", null, text)));
  return { element: h("fieldset", { class: "choice" }, h("legend", null, legend), inputs), get value() { return current; } };
}

// MARK: Dialogs

/**
 * A question. `run` does the work when it is confirmed: its result closes the dialog and is returned; false keeps it open;
 * a failure is shown in it, and nothing that was typed is lost. Resolves to undefined when it is cancelled.
 */
export function ask({ title, body, confirm, isDangerous = false, fields = [], run, cancel = "Cancel", onopen, isWide, stays }) {
  return new Promise((resolve) => {
    const failure = h("div");
    const titleID = newID("title");
    let result;
    let isBusy = false;
    const submit = confirm && h("button", { type: "submit", class: isDangerous ? "danger" : "primary" }, confirm);
    // Gone at once, a secret in it too: the event `close` comes later.
    const close = () => {
      if (!dialog.isConnected) return;
      dialog.close();
      dialog.remove();
      resolve(result);
    };
    const dismiss = h("button", { type: "button", onclick: close }, cancel);
    const form = h("form", { method: "dialog", novalidate: true },
      h("h2", { id: titleID }, title),
      h("div", { class: "dialog-body" }, body, fields.map(({ element }) => element)),
      failure,
      h("div", { class: "dialog-actions" }, dismiss, submit));
    const dialog = h("dialog", { "aria-labelledby": titleID, class: [isWide && "wide", stays && "stays"].filter(Boolean).join(" ") || null }, form);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (isBusy || !run) return;
      isBusy = true;
      submit.disabled = true;
      failure.replaceChildren();
      for (const one of fields) one.fail?.(null);
      try {
        const done = await run(dialog);
        if (done !== false) {
          result = done ?? true;
          close();
        }
      } catch (problem) {
        showFailure(problem, fields, failure);
      }
      isBusy = false;
      submit.disabled = false;
    });
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      if (!stays) close();
    });
    dialog.addEventListener("close", close);
    document.body.append(dialog);
    dialog.showModal();
    onopen?.({ dialog, close, submit, setConfirm: (text, isOff) => { setText(submit, text); submit.disabled = Boolean(isOff); } });
    (form.querySelector("[autofocus]") ?? form.querySelector("input:not([type=radio]):not([type=checkbox]), textarea") ?? (isDangerous ? dismiss : submit ?? dismiss)).focus();
  });
}

function showFailure(problem, fields, place) {
  const rest = [];
  let first;
  for (const error of problem.errors ?? []) {
    const target = fields.find(({ name }) => name && (error.field === name || error.field.startsWith(`${name}.`) || error.field.startsWith(`${name}[`)));
    if (target) {
      target.fail(error.message);
      first ??= target;
    } else rest.push(error);
  }
  first?.input.focus();
  if (!first || rest.length) place.replaceChildren(problemBox(problem));
}

/** Shows something that closes with one button. */
export const show = (title, body, options) => ask({ title, body, cancel: "Close", ...options });

// MARK: Copying

export function copyButton(text, label = "Copy") {
  const element = button(label, async () => {
    try {
      await navigator.clipboard.writeText(text);
      setText(element, "Copied");
    } catch {
      // Not a secure context: the text is selected, for the keyboard.
      const shown = element.parentElement?.querySelector("code");
      if (shown) getSelection().selectAllChildren(shown);
      setText(element, "Press Ctrl-C");
    }
    setTimeout(() => setText(element, label), 2000);
  }, { class: "copy" });
  return element;
}

/** A secret that is shown this once. */
export const secretBox = (text, label) =>
  h("div", { class: "secret" }, h("code", { "aria-label": label, tabindex: "0" }, text), copyButton(text));

// MARK: Menus

/** A button that opens a list of choices. `items()` returns `[text, run, {isDangerous}]` or nodes, possibly as a promise. */
export function menu(label, items, props) {
  const list = h("div", { class: "menu", popover: "auto", role: "group" });
  const opener = button(label, null, { "aria-haspopup": "true", "aria-expanded": "false", ...props });
  list.setAttribute("aria-label", props?.["aria-label"] ?? opener.textContent);
  const place = () => {
    const box = opener.getBoundingClientRect();
    const width = list.offsetWidth, height = list.offsetHeight;
    const below = innerHeight - box.bottom > height + 8 || box.top < height + 8;
    list.style.setProperty("left", `${Math.max(8, Math.min(box.left, innerWidth - width - 8))}px`);
    list.style.setProperty("top", `${below ? box.bottom + 4 : box.top - height - 4}px`);
  };
  const fill = async () => {
    replace(list, loading());
    place();
    try {
      const entries = await items();
      replace(list, entries.map((entry) => (entry instanceof Node ? entry : menuItem(entry, list))));
    } catch (problem) {
      replace(list, problemBox(problem));
    }
    place();
    list.querySelector("button, input, a")?.focus();
  };
  opener.addEventListener("click", () => list.togglePopover());
  list.addEventListener("toggle", ({ newState }) => {
    opener.setAttribute("aria-expanded", String(newState === "open"));
    if (newState === "open") fill();
    else if (list.contains(document.activeElement)) opener.focus();
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || event.target.tagName === "SELECT") return;
    const stops = [...list.querySelectorAll("button, input, a")];
    stops[(stops.indexOf(document.activeElement) + step + stops.length) % stops.length]?.focus();
    event.preventDefault();
  });
  return h("span", { class: "menu-anchor" }, opener, list);
}

function menuItem([text, run, { isDangerous, isCurrent } = {}], list) {
  return h("button", {
    type: "button", class: isDangerous ? "danger-text" : null, "aria-pressed": isCurrent === undefined ? null : String(isCurrent),
    onclick: () => { list.hidePopover(); run(); },
  }, text);
}
