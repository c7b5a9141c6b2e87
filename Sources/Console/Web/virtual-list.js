// A list of which only the visible rows exist, so that 10,000 rows scroll like 50. It scrolls with the page.
import { h } from "./dom.js";

/** Rows beyond the visible ones, so that the keyboard and a short scroll find them. */
const MARGIN = 12;

export class VirtualList {
  /**
   * `make(item)` returns `{element, update(item)}`; `key(item)` identifies an item; `rowHeight()` in pixels;
   * `onrange(first, end)` is called with the rows that are visible.
   */
  constructor({ make, key, rowHeight, onrange, role = "rowgroup" }) {
    Object.assign(this, { make, key, rowHeight, onrange });
    this.items = [];
    this.rows = new Map();
    this.element = h("div", { class: "virtual", role });
    this.onscroll = () => { this.frame ||= requestAnimationFrame(() => { this.frame = 0; this.render(); }); };
    addEventListener("scroll", this.onscroll, { passive: true });
    addEventListener("resize", this.onscroll);
  }

  close() {
    removeEventListener("scroll", this.onscroll);
    removeEventListener("resize", this.onscroll);
    cancelAnimationFrame(this.frame);
  }

  setItems(items) {
    this.items = items;
    this.render();
  }

  /** An item has changed: its row, if there is one, changes in place. */
  update(item) { this.rows.get(this.key(item))?.update(item); }

  updateAll() { for (const item of this.visible()) this.update(item); }

  visible() { return this.items.slice(this.first ?? 0, this.end ?? 0); }

  render() {
    const height = this.rowHeight();
    const { element, items } = this;
    element.style.setProperty("height", `${items.length * height}px`);
    const top = element.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / height) - MARGIN);
    const end = Math.min(items.length, Math.ceil((innerHeight - top) / height) + MARGIN);
    this.first = first;
    this.end = Math.max(first, end);
    const wanted = new Set();
    let before = element.firstChild;
    for (let index = first; index < end; index++) {
      const item = items[index];
      const key = this.key(item);
      wanted.add(key);
      let row = this.rows.get(key);
      if (!row) this.rows.set(key, (row = this.make(item)));
      if (row.index !== index || row.height !== height) {
        row.index = index;
        row.height = height;
        row.element.style.setProperty("transform", `translateY(${index * height}px)`);
        row.element.setAttribute("aria-rowindex", index + 2);
      }
      // In the order of the list, for readers and the keyboard.
      if (before === row.element) before = before.nextSibling;
      else element.insertBefore(row.element, before);
    }
    for (const [key, row] of this.rows) {
      if (wanted.has(key)) continue;
      // The row with the focus stays, or the keyboard would lose its place.
      if (row.element.contains(document.activeElement) && items[row.index] && this.key(items[row.index]) === key) continue;
      row.element.remove();
      this.rows.delete(key);
    }
    this.onrange?.(this.first, this.end);
  }

  /** Makes a row visible and returns its element. */
  reveal(index) {
    const height = this.rowHeight();
    const top = this.element.getBoundingClientRect().top + index * height;
    const header = 150;
    if (top < header) scrollBy(0, top - header);
    else if (top + height > innerHeight - 80) scrollBy(0, top + height - innerHeight + 80);
    this.render();
    return this.rows.get(this.key(this.items[index]))?.element;
  }
}
