// Groups, enrolment codes, webhooks and linked Telegram chats.
import { api, newKey, readAll } from "./api.js";
import { gathered, h, isolated, replace } from "./dom.js";
import { count, duration, number, time } from "./format.js";
import { feed } from "./feed.js";
import { link } from "./router.js";
import { ask, attempt, button, checkbox, copyButton, emptyState, field, heading, loading, notify, problemBox, secretBox, show } from "./widgets.js";
import { deviceLink } from "./device-parts.js";
import { createEnrolments } from "./register.js";
import { settings } from "./sign-in.js";

const TYPES = ["device.*", "signal.*", "group.*", "enrolment.*", "webhook.*", "telegram.*", "client.*"];

export function settingsPage() {
  const end = new AbortController();
  const sections = [groupsSection(end.signal), enrolmentsSection(end.signal), webhooksSection(end.signal)];
  const element = h("div", { class: "page" }, heading("Settings"), sections.map(({ element }) => element));
  settings.then(({ features }) => {
    if (!features.includes("telegram") || end.signal.aborted) return;
    sections.push(telegramSection(end.signal));
    element.append(sections.at(-1).element);
  });
  const onevents = ({ detail }) => {
    for (const section of sections) if (detail.some(({ type }) => section.cares(type))) section.later();
  };
  const onrestored = () => { for (const section of sections) section.later(); };
  feed.addEventListener("events", onevents);
  feed.addEventListener("restored", onrestored);
  return {
    element, title: "Settings",
    close() {
      end.abort();
      for (const section of sections) section.later.cancel();
      feed.removeEventListener("events", onevents);
      feed.removeEventListener("restored", onrestored);
    },
  };
}

/** A part of the page that reads a list and shows it. */
function section(title, text, { actions = [], read, show, cares }) {
  const body = h("div", null, loading());
  const load = async () => {
    try {
      replace(body, show(await read(), load));
    } catch (problem) {
      if (problem.name !== "AbortError") replace(body, problemBox(problem, load));
    }
  };
  const id = title.toLowerCase().replaceAll(" ", "-");
  const element = h("section", { class: "panel", "aria-labelledby": id },
    h("div", { class: "panel-head" }, h("h2", { id }, title), h("div", { class: "actions" }, actions.map(([label, run, props]) => button(label, async () => { await run(); load(); }, props)))),
    h("p", { class: "quiet" }, text), body);
  load();
  return { element, cares, later: gathered(200, load) };
}

// Rows are named by their first cell, for readers.
const table = (caption, heads, rows) =>
  h("div", { class: "table-box" }, h("table", null, h("caption", { class: "unseen" }, caption), h("thead", null, h("tr", null, heads.map((head) => (head ? h("th", { scope: "col" }, head) : h("td"))))),
    h("tbody", null, rows.map((cells) => h("tr", null, cells.map((cell, index) => (index === 0 ? h("th", { scope: "row" }, cell) : h("td", { "data-head": heads[index] || null }, cell))))))));

// MARK: Groups

function groupsSection(signal) {
  return section("Groups", "A device may be in many groups. A group can be sent signals, halted and changed as one.", {
    actions: [["New group", () => editGroup()]],
    cares: (type) => type.startsWith("group.") || type === "device.updated",
    read: () => readAll("/groups", { query: { limit: 1000 }, signal }),
    show: (groups, load) => groups.length === 0
      ? emptyState("No groups yet", "Make one for each desk, customer or strategy, then select devices and put them into it.")
      : table("Groups", ["Name", "Description", "Devices", ""], groups.map((group) => [
        h("a", { href: link("/devices", { group: group.name }) }, group.name), isolated(group.description ?? ""), number(group.devices),
        h("span", { class: "actions" },
          button("Edit", async () => { if (await editGroup(group)) load(); }, { class: "copy", "aria-label": `Edit ${group.name}` }),
          button("Delete…", async () => { if (await deleteGroup(group)) load(); }, { class: "copy danger-text", "aria-label": `Delete ${group.name}` })),
      ])),
  });
}

async function editGroup(group) {
  const name = field("Name", { type: "text", maxlength: 64, value: group?.name ?? "", disabled: Boolean(group), autocomplete: "off", spellcheck: "false" }, { name: "name", hint: group ? null : "Letters, digits and . _ -" });
  const description = field("Description", { type: "text", value: group?.description ?? "", autocomplete: "off" }, { name: "description", hint: "Optional" });
  const done = await ask({
    title: group ? `Group ${group.name}` : "New group", confirm: group ? "Save" : "Make the group", fields: [name, description],
    async run() {
      if (!/^[A-Za-z0-9._-]{1,64}$/.test(name.value)) { name.fail("must have 1 to 64 letters, digits and . _ -"); name.input.focus(); return false; }
      return api("PUT", `/groups/${encodeURIComponent(name.value)}`, { body: description.value ? { description: description.value } : {} });
    },
  });
  if (done) notify(`Group ${done.name} saved.`);
  return done;
}

const deleteGroup = (group) => ask({
  title: `Delete the group ${group.name}`, confirm: "Delete", isDangerous: true,
  body: h("p", null, `Its ${count(group.devices, "device")} stay, and leave the group.`),
  run: () => api("DELETE", `/groups/${encodeURIComponent(group.name)}`).then(() => true),
});

// MARK: Enrolments

function enrolmentsSection(signal) {
  return section("Enrolment codes", "A terminal exchanges a code for its own secret, once. Codes are shown when they are made, and never again.", {
    actions: [["Make codes", () => createEnrolments()]],
    cares: (type) => type.startsWith("enrolment.") || type === "device.enrolled",
    read: () => readAll("/enrolments", { query: { limit: 1000 }, signal, pages: 3 }),
    show: (enrolments, load) => enrolments.length === 0
      ? emptyState("No codes", "Make one when you set up a terminal: it registers the terminal without anyone copying a secret.")
      : table("Enrolment codes", ["Made", "State", "For", ""], enrolments.slice().reverse().slice(0, 200).map((enrolment) => [
        time(enrolment.created_at, "short"),
        enrolment.status === "used" ? ["used ", time(enrolment.used_at)] : enrolment.status === "expired" ? "expired" : ["open, expires ", time(enrolment.expires_at)],
        enrolment.device_id ? deviceLink(enrolment.device_id) : enrolment.device_name ? isolated(enrolment.device_name) : h("span", { class: "quiet" }, "a new device"),
        enrolment.status === "open" ? button("Delete…", async () => { if (await deleteEnrolment(enrolment)) load(); }, { class: "copy danger-text", "aria-label": `Delete the code of ${enrolment.created_at}` }) : "",
      ])),
  });
}

const deleteEnrolment = ({ id }) => ask({
  title: "Delete the code", confirm: "Delete", isDangerous: true, body: h("p", null, "It does not work any more. Devices that used theirs stay."),
  run: () => api("DELETE", `/enrolments/${id}`).then(() => true),
});

// MARK: Webhooks

const stateText = (webhook) => {
  if (webhook.status === "disabled") return [h("span", { class: "bad" }, "✕ disabled"), webhook.disabled_because && h("span", { class: "quiet" }, ` ${webhook.disabled_because}`)];
  if (webhook.status === "failing") return [h("span", { class: "warn" }, `△ failing, ${count(webhook.failures, "time")}`), webhook.next_attempt_at && [h("span", { class: "quiet" }, " next "), time(webhook.next_attempt_at)]];
  return [h("span", null, "✓ active")];
};

function webhooksSection(signal) {
  return section("Webhooks", "Events are posted to your URL, signed as the Standard Webhooks specification says, in order, and again until they are received.", {
    actions: [["New webhook", () => createWebhook()]],
    cares: (type) => type.startsWith("webhook."),
    read: () => api("GET", "/webhooks", { signal }),
    show: (webhooks, load) => webhooks.length === 0
      ? emptyState("No webhooks", "Make one to have your own program told when a device goes offline, is revoked, or a signal is placed.")
      : table("Webhooks", ["URL", "Events", "State", ""], webhooks.map((webhook) => [
        [isolated(webhook.url, { class: "mono" }), webhook.description && h("div", { class: "quiet" }, isolated(webhook.description))],
        webhook.types?.length ? webhook.types.join(", ") : "all", stateText(webhook),
        h("span", { class: "actions" },
          button("Test", () => testWebhook(webhook), { class: "copy", "aria-label": `Test ${webhook.url}` }),
          button("Deliveries", () => showDeliveries(webhook), { class: "copy", "aria-label": `Deliveries of ${webhook.url}` }),
          button("Edit", async () => { if (await editWebhook(webhook)) load(); }, { class: "copy", "aria-label": `Edit ${webhook.url}` }),
          button(webhook.status === "disabled" ? "Enable" : "Disable", async () => {
            await attempt(() => api("PATCH", `/webhooks/${webhook.id}`, { body: { enabled: webhook.status === "disabled" } }));
            load();
          }, { class: "copy", "aria-label": `${webhook.status === "disabled" ? "Enable" : "Disable"} ${webhook.url}` }),
          button("Delete…", async () => { if (await deleteWebhook(webhook)) load(); }, { class: "copy danger-text", "aria-label": `Delete ${webhook.url}` })),
      ])),
  });
}

function webhookFields(webhook) {
  const url = field("URL", { type: "url", value: webhook?.url ?? "", placeholder: "https://example.com/hook", autocomplete: "off", spellcheck: "false" }, { name: "url" });
  const description = field("Description", { type: "text", value: webhook?.description ?? "", autocomplete: "off" }, { name: "description", hint: "Optional" });
  const kinds = TYPES.map((type) => checkbox(type, { value: type, checked: webhook ? webhook.types.includes(type) : false }));
  const others = (webhook?.types ?? []).filter((type) => !TYPES.includes(type));
  const more = field("Other types", { type: "text", value: others.join(", "), autocomplete: "off", spellcheck: "false", placeholder: "device.offline" }, { name: "types", hint: "With commas between them. With nothing chosen, all events are sent" });
  const element = h("fieldset", { class: "choice" }, h("legend", null, "Events"), h("div", { class: "check-grid" }, kinds.map(({ element }) => element)));
  const types = () => [...kinds.filter(({ input }) => input.checked).map(({ input }) => input.value), ...more.value.split(/[\s,]+/).filter(Boolean)];
  return { fields: [url, { element }, more, description], url, description, types };
}

async function createWebhook() {
  const form = webhookFields();
  const key = newKey();
  let attemptNumber = 0;
  const webhook = await ask({
    title: "New webhook", confirm: "Make the webhook", fields: form.fields,
    run() {
      const types = form.types();
      return api("POST", "/webhooks", { body: { url: form.url.value, ...(types.length && { types }), ...(form.description.value && { description: form.description.value }) }, creates: `${key}-${attemptNumber++}` });
    },
  });
  if (!webhook) return;
  await show("The webhook is made", [h("p", null, "Its secret signs what is posted, and is shown only now. Give it to the receiver."), secretBox(webhook.secret, "The webhook's secret")], { cancel: "I have copied it" });
}

async function editWebhook(webhook) {
  const form = webhookFields(webhook);
  return ask({
    title: "Edit the webhook", confirm: "Save", fields: form.fields,
    run() {
      const types = form.types();
      return api("PATCH", `/webhooks/${webhook.id}`, { body: { url: form.url.value, types, description: form.description.value || null } });
    },
  });
}

const deleteWebhook = (webhook) => ask({
  title: "Delete the webhook", confirm: "Delete", isDangerous: true, body: h("p", null, isolated(webhook.url, { class: "mono" }), " receives nothing any more, and the log of its deliveries goes too."),
  run: () => api("DELETE", `/webhooks/${webhook.id}`).then(() => true),
});

async function testWebhook(webhook) {
  const result = await attempt(() => api("POST", `/webhooks/${webhook.id}/test`));
  if (!result) return;
  const isFine = result.delivered ?? (result.status >= 200 && result.status < 300);
  await show("Test event", [
    h("p", null, isFine ? "✓ The receiver accepted it." : h("span", { class: "bad" }, "✕ The receiver did not accept it.")),
    h("dl", { class: "facts" }, [["Status", result.status], ["Took", result.duration_ms === undefined ? null : duration(result.duration_ms)], ["Error", result.error], ["Answer", result.response]]
      .filter(([, value]) => value !== null && value !== undefined && value !== "").map(([label, value]) => [h("dt", null, label), h("dd", null, isolated(String(value)))])),
  ]);
}

async function showDeliveries(webhook) {
  const deliveries = await attempt(() => api("GET", `/webhooks/${webhook.id}/deliveries`, { query: { limit: 50 } }));
  if (!deliveries) return;
  await show("Deliveries", [h("p", { class: "quiet" }, isolated(webhook.url, { class: "mono" })),
    deliveries.length === 0 ? h("p", null, "Nothing was delivered yet.") : table("Deliveries", ["When", "Event", "Result", "Took"], deliveries.map((delivery) => [
      time(delivery.at, "short"), delivery.type,
      [delivery.delivered ? "✓ " : h("span", { class: "bad" }, "✕ "), delivery.status ?? "", " ", isolated(delivery.error ?? ""), delivery.attempt > 1 && h("span", { class: "quiet" }, ` attempt ${number(delivery.attempt)}`)],
      duration(delivery.duration_ms),
    ]))], { isWide: true });
}

// MARK: Telegram

function telegramSection(signal) {
  return section("Telegram", "The bot tells you when a terminal goes silent, and halts all devices with one message.", {
    actions: [["Link a chat", linkTelegram]],
    cares: (type) => type.startsWith("telegram."),
    read: () => readAll("/telegram/links", { signal }),
    show: (chats, load) => chats.length === 0
      ? emptyState("No linked chats", "Make a code, and send it to the registry's bot.")
      : table("Linked chats", ["User", "Linked", "Messages", ""], chats.map((chat) => [
        String(chat.user_id), time(chat.created_at, "short"), chat.muted_until && new Date(chat.muted_until) > new Date() ? ["off until ", time(chat.muted_until)] : "on",
        button("Unlink…", async () => { if (await unlinkTelegram(chat)) load(); }, { class: "copy danger-text", "aria-label": `Unlink the chat of user ${chat.user_id}` }),
      ])),
  });
}

const unlinkTelegram = ({ id, user_id }) => ask({
  title: "Unlink the chat", confirm: "Unlink", isDangerous: true, body: h("p", null, `The user ${user_id} no longer sees or halts your devices, and gets no messages.`),
  run: () => api("DELETE", `/telegram/links/${id}`).then(() => true),
});

async function linkTelegram() {
  const made = await attempt(() => api("POST", "/telegram/link", { creates: true }));
  if (!made) return;
  const text = `/start ${made.code}`;
  await show("Link a Telegram chat", [h("p", null, "Send this to ", made.bot ? h("a", { href: `https://t.me/${made.bot}`, target: "_blank", rel: "noreferrer" }, `@${made.bot}`) : "the registry's bot", ", until ", time(made.expires_at, "full"), ":"), h("div", { class: "secret" }, h("code", { tabindex: "0" }, text), copyButton(text))]);
}
