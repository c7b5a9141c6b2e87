// The feed of events: one parked request for the whole console.
import { api } from "./api.js";
import { pause } from "./dom.js";

const WAIT_SECONDS = 25;
const PAGE = 500;
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;

/**
 * Events: `events` (detail: a list of events, in order), `state` (detail: live or down), and `reset` when events were missed,
 * so that what is shown must be read again.
 */
class Feed extends EventTarget {
  state = "down";
  /** Whether anyone has read anything: then it must be read again after an interruption. */
  isUsed = false;
  #end = null;

  /** Resolves when the position is known: what is read afterwards misses nothing. */
  start() {
    this.stop();
    this.#end = new AbortController();
    const { signal } = this.#end;
    let cursor = "now";
    let resolveFirst;
    const first = new Promise((resolve) => (resolveFirst = resolve));
    const run = async () => {
      let delay = FIRST_PAUSE;
      while (!signal.aborted) {
        try {
          const wait = cursor === "now" ? 0 : WAIT_SECONDS;
          const { data, headers } = await api("GET", "/events", { query: { after: cursor, limit: PAGE, wait }, signal, whole: true });
          cursor = data.next;
          delay = FIRST_PAUSE;
          this.#become("live");
          resolveFirst();
          if (data.events.length) this.#tell("events", data.events);
          const busy = Number(headers.get("Retry-After"));
          if (busy) await pause(busy * 1000, signal);
        } catch (problem) {
          if (signal.aborted) break;
          resolveFirst();
          this.#become("down");
          if (problem.kind === "cursor-expired") {
            cursor = "now";
            this.#tell("reset");
          }
          // A little chance, so that many consoles do not return at the same moment.
          await pause(Math.max(delay, (problem.retryAfter || 0) * 1000) * (0.75 + Math.random() / 2), signal);
          delay = Math.min(delay * 2, LONGEST_PAUSE);
        }
      }
    };
    run();
    return first;
  }

  stop() { this.#end?.abort(); }

  #become(state) {
    if (this.state === state) return;
    const wasDown = this.state === "down";
    this.state = state;
    this.#tell("state", state);
    // Presence has no events while nobody looked.
    if (wasDown && state === "live" && this.isUsed) this.#tell("restored");
  }

  #tell(name, detail) { this.dispatchEvent(new CustomEvent(name, { detail })); }
}

export const feed = new Feed();
