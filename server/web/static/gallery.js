// SPDX-License-Identifier: GPL-3.0-or-later
// Pictures of a job's frames in a grid, of which only what can be seen is there.

import { small } from "./api.js";
import { h } from "./dom.js";

const CELL = { width: 168, height: 128 }; // Pixels, with the gap and the caption.
const SPARE_ROWS = 2;

export class Gallery {
  /** @param {string} job @param {(frame: number) => void} open */
  constructor(job, open) {
    this._job = job;
    this._open = open;
    this._numbers = [];
    this._cells = new Map();
    this._inner = h("div", { class: "gallery-inner", role: "list" });
    this.element = h("div", { class: "gallery", tabIndex: -1, onscroll: () => this._draw() }, this._inner);
    new ResizeObserver(() => this._draw()).observe(this.element);
  }

  /** Show the frames that are done. */
  show(frames) {
    const done = frames.numbers.filter((_, place) => frames.states[place] === "d");
    if (done.length === this._numbers.length && done.every((frame, place) => frame === this._numbers[place])) return;
    this._numbers = done;
    this._draw();
  }

  /** A frame's small picture has come, perhaps after it was looked for. */
  renew(frame, version) {
    const image = this._cells.get(frame)?.querySelector("img");
    if (!image) return;
    image.classList.remove("gone");
    image.src = small(this._job, frame, version);
  }

  _draw() {
    const { clientWidth: width, clientHeight: height, scrollTop: top } = this.element;
    if (!width) return;
    const across = Math.max(2, Math.floor(width / CELL.width));
    const rows = Math.ceil(this._numbers.length / across);
    this._inner.style.height = `${rows * CELL.height}px`;
    const from = Math.max(0, Math.floor(top / CELL.height) - SPARE_ROWS) * across;
    const to = Math.min(this._numbers.length, (Math.ceil((top + height) / CELL.height) + SPARE_ROWS) * across);
    const wanted = new Map(this._numbers.slice(from, to).map((frame, place) => [frame, from + place]));
    for (const [frame, cell] of this._cells) {
      if (!wanted.has(frame)) {
        cell.remove();
        this._cells.delete(frame);
      }
    }
    for (const [frame, place] of wanted) {
      let cell = this._cells.get(frame);
      if (!cell) {
        cell = this._cell(frame);
        this._cells.set(frame, cell);
        this._inner.append(cell);
      }
      cell.style.width = `${100 / across}%`;
      cell.style.left = `${(100 / across) * (place % across)}%`;
      cell.style.top = `${Math.floor(place / across) * CELL.height}px`;
    }
  }

  _cell(frame) {
    const image = h("img", { src: small(this._job, frame), alt: "", decoding: "async", onerror: () => image.classList.add("gone") });
    return h("div", { class: "cell", role: "listitem" },
      h("button", { type: "button", "aria-label": `Frame ${frame}`, onclick: () => this._open(frame) }, image, h("span", {}, String(frame))));
  }
}
