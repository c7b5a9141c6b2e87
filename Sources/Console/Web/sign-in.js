// Signing in: with a token, or with the provider of OpenID Connect.
import { append, h, replace } from "./dom.js";
import { session } from "./session.js";
import { ask, checkbox, field, heading } from "./widgets.js";

/** What the service says about itself: `{oidc: {issuer, client_id} | null, features: [...]}`. */
export const settings = fetch("config.json", { credentials: "omit" }).then((answer) => answer.json()).catch(() => ({ oidc: null, features: [] }));

function tokenFields() {
  const token = field("Token", { type: "password", autocomplete: "off", spellcheck: "false", required: true, autofocus: true }, { hint: "A JSON Web Token of your client. It stays in this page's memory." });
  const keep = checkbox("Keep it while this tab is open, also when the page is loaded again");
  return { token, keep };
}

/** The page for those who are not signed in. */
export function signInPage(done, failure) {
  const { token, keep } = tokenFields();
  const provider = h("div");
  const form = h("form", { class: "sign-in-form" }, token.element, keep.element, h("button", { type: "submit", class: "primary" }, "Sign in"));
  if (failure) token.fail(failure);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    try {
      session.signIn(token.value, { keep: keep.value });
      done();
    } catch (error) {
      token.fail(error.message);
      token.input.focus();
    }
  });
  settings.then(({ oidc }) => {
    if (oidc) replace(provider, providerButton(oidc), h("p", { class: "or" }, "or with a token"));
  });
  return h("main", { class: "sign-in" },
    h("div", { class: "brand" }, h("img", { src: "icon.svg", alt: "", width: 28, height: 28 }), "Device registry"),
    heading("Sign in"), provider, form,
    h("details", null, h("summary", null, "Where do I get a token?"),
      h("p", null, "On your own machine ", h("code", null, "make run"), " prints a link that signs you in. On a server, the operator makes one:"),
      h("pre", null, "sudo device-registry-admin token --sub CLIENT")));
}

function providerButton({ issuer }) {
  const text = h("div", { class: "field-error" });
  return h("div", null, h("button", {
    type: "button", class: "primary wide", onclick: async () => {
      const { startSignIn } = await import("./oidc.js");
      try { await startSignIn(); } catch (error) { replace(text, error.message); }
    },
  }, `Sign in at ${new URL(issuer).host}`), text);
}

/** Asks to sign in again, over the page, which stays as it is. */
export async function signInAgain(reason) {
  const { token, keep } = tokenFields();
  keep.input.checked = session.isKept;
  const provider = h("div");
  const { oidc } = await settings;
  if (oidc) append(provider, [h("button", {
    type: "button", class: "wide", onclick: async () => (await import("./oidc.js")).signInBeside(),
  }, `Sign in at ${new URL(oidc.issuer).host}, in a new window`)]);
  // Here, or in another window.
  let isSignedIn = false;
  let close;
  session.addEventListener("signed-in", () => { isSignedIn = true; close?.(); }, { once: true });
  await ask({
    title: "Sign in again", confirm: "Sign in", cancel: "Sign out",
    body: [h("p", null, "Your session has ended. Nothing that you typed is lost, and what was asked is done after you signed in."),
      reason && h("p", { class: "quiet" }, `The registry said: ${reason}`), provider],
    fields: [token, keep],
    // Esc would leave a page that cannot do anything.
    stays: true,
    onopen(opened) { close = opened.close; },
    run() {
      try {
        session.signIn(token.value, { keep: keep.value });
      } catch (error) {
        token.fail(error.message);
        return false;
      }
      return true;
    },
  });
  if (!isSignedIn) session.signOut();
}
