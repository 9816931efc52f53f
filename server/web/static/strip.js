// SPDX-License-Identifier: GPL-3.0-or-later
// A job's frames as a strip: a column each, or several in one; the keyboard goes through them.

import { h } from "./dom.js";
import { columns } from "./store.js";
import { FRAME_STATES, time } from "./words.js";

/** @param {(frame: number) => void} open called for the frame that was chosen */
export class Strip {
  constructor(open) {
    this._frames = null;
    this._cursor = 0;
    this._open = open;
    this._asked = false;
    this.element = h("canvas", {
      class: "strip", tabIndex: 0, role: "slider", "aria-label": "Frames", "aria-orientation": "horizontal",
      onkeydown: (event) => this._key(event), onclick: (event) => this._click(event),
      onmousemove: (event) => this._hover(event),
    });
    new ResizeObserver(() => this._soon()).observe(this.element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this._soon());
  }

  show(frames) {
    if (this._frames === null || this._frames.numbers.length !== frames.numbers.length) this._cursor = 0;
    this._frames = frames;
    this._describe();
    this._soon();
  }

  _soon() {
    if (this._asked || !this._frames) return;
    this._asked = true;
    requestAnimationFrame(() => {
      this._asked = false;
      this._draw();
    });
  }

  _draw() {
    const { element } = this, scale = devicePixelRatio || 1;
    const width = Math.round(element.clientWidth * scale), height = Math.round(element.clientHeight * scale);
    if (!width) return;
    if (element.width !== width || element.height !== height) [element.width, element.height] = [width, height];
    const style = getComputedStyle(element), count = this._frames.states.length;
    const colour = Object.fromEntries(["q", "r", "d", "f"].map((letter) => [letter, style.getPropertyValue(`--frame-${letter}`)]));
    const paint = element.getContext("2d");
    paint.clearRect(0, 0, width, height);
    const shown = count <= width ? this._frames.states : columns(this._frames.states, width);
    const step = width / shown.length, gap = step > 6 * scale ? Math.round(scale) : 0;
    for (let from = 0; from < shown.length; ) {
      let to = from + 1;
      while (!gap && to < shown.length && shown[to] === shown[from]) to += 1;
      paint.fillStyle = colour[shown[from]];
      const left = Math.round(from * step);
      paint.fillRect(left, 0, Math.max(1, Math.round(to * step) - left - gap), height);
      from = to;
    }
    if (document.activeElement === element) {
      paint.strokeStyle = style.getPropertyValue("--text");
      paint.lineWidth = 2 * scale;
      const left = (this._cursor / count) * width;
      paint.strokeRect(left, scale, Math.max(4 * scale, width / count), height - 2 * scale);
    }
  }

  _describe() {
    const { numbers, states, seconds } = this._frames, at = this._cursor;
    const took = seconds[at] === null || seconds[at] === undefined ? "" : `, ${time(seconds[at])}`;
    this.element.setAttribute("aria-valuemin", numbers[0]);
    this.element.setAttribute("aria-valuemax", numbers[numbers.length - 1]);
    this.element.setAttribute("aria-valuenow", numbers[at]);
    this.element.setAttribute("aria-valuetext", `Frame ${numbers[at]}, ${FRAME_STATES[states[at]]}${took}. Enter opens it.`);
  }

  _key(event) {
    if (!this._frames) return;
    const last = this._frames.numbers.length - 1, page = Math.max(1, Math.round(last / 10));
    const moves = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: page, PageDown: -page, Home: -last, End: last };
    if (event.key === "Enter" || event.key === " ") this._open(this._frames.numbers[this._cursor]);
    else if (event.key in moves) this._cursor = Math.min(last, Math.max(0, this._cursor + moves[event.key]));
    else return;
    event.preventDefault();
    this._describe();
    this._soon();
  }

  _at(event) {
    const count = this._frames?.numbers.length ?? 0;
    return Math.min(count - 1, Math.floor((event.offsetX / this.element.clientWidth) * count));
  }

  _click(event) {
    if (this._frames) this._open(this._frames.numbers[this._at(event)]);
  }

  _hover(event) {
    if (!this._frames) return;
    const at = this._at(event);
    this.element.title = `Frame ${this._frames.numbers[at]}, ${FRAME_STATES[this._frames.states[at]]}`;
  }
}
