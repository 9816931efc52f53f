// SPDX-License-Identifier: GPL-3.0-or-later
// One frame, large; beside another save's; or all of them at their speed.

import { ask, picture } from "./api.js";
import { h, iconButton } from "./dom.js";
import { comparable } from "./store.js";
import { size, spent } from "./words.js";

const MOST_BYTES = 512 << 20; // Of decoded pictures that are held for playing.

/** @param {object} state the store's @param {object} job @param {number} frame */
export function openViewer(state, job, frame) {
  new Viewer(state, job, frame);
}

class Viewer {
  constructor(state, job, frame) {
    this._job = job;
    this._numbers = state.frames.get(job.job)?.numbers.filter((_, place) => state.frames.get(job.job).states[place] === "d") ?? [frame];
    this._frame = frame;
    this._other = null;
    this._player = null;
    this._image = picturing("The node has no picture of this frame.", () => this._noted);
    this._second = picturing("The other save has no picture of this frame.", () => this._noted);
    this._second.classList.add("second");
    this._second.hidden = true;
    this._noted = h("p", { class: "noted", role: "status" });
    this._canvas = h("canvas", { hidden: true, "aria-label": "The frames, played" });
    this._wipe = h("input", { type: "range", class: "wipe", min: 0, max: 100, value: 50, hidden: true, "aria-label": "How much of the first picture is shown", oninput: () => this._cut() });
    this._line = h("div", { class: "cut", hidden: true });
    this._sides = h("p", { class: "sides", hidden: true }, h("span", {}, "This save"), h("span", {}, "The other save"));
    this._stage = h("div", { class: "stage" }, this._image, this._second, this._line, this._sides, this._canvas, this._wipe, this._noted);
    this._caption = h("p", { class: "caption", "aria-live": "polite" });
    this._play = h("button", { type: "button", onclick: () => this._toggle() }, "Play");
    this._range = ["first", "last"].map((which, at) => h("input", { type: "number", class: "frame", step: 1, value: this._numbers.at(-at), "aria-label": `The ${which} frame to play`, onchange: () => this._replay() }));
    this._compare = h("select", { "aria-label": "Compare with", onchange: () => this._choose() },
      h("option", { value: "" }, "Compare with…"),
      ...comparable(state, job).map((other) => h("option", { value: other.job }, `${other.title}, ${new Date(other.created * 1000).toLocaleString()}`)));
    this._files = h("span", { class: "row" });
    this._log = h("pre", { hidden: true, tabIndex: 0 });
    this.element = h("dialog", { class: "viewer", "aria-label": `Frames of ${job.title}`, onkeydown: (event) => this._key(event), onclose: () => this._close() },
      h("div", { class: "row bar" },
        iconButton("back", "Frame before", () => this._go(-1)),
        iconButton("forward", "Frame after", () => this._go(1)),
        this._play, ...this._range, this._compare,
        h("button", { type: "button", "aria-pressed": "false", onclick: (event) => event.currentTarget.setAttribute("aria-pressed", String(this._stage.classList.toggle("whole"))) }, "1:1"),
        h("button", { type: "button", onclick: () => this._showLog() }, "Log"),
        this._files,
        iconButton("close", "Close", () => this.element.close(), { class: "icon last" })),
      this._stage, this._caption, this._log);
    document.body.append(this.element);
    this.element.showModal();
    this._show(frame);
  }

  _key(event) {
    const moves = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
    if (event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement) return;
    if (event.key in moves) this._go(moves[event.key]);
    else if (event.key === " " && event.target === this.element) this._toggle();
    else if (event.key === "x" && this._other) this._second.hidden = this._line.hidden = !this._second.hidden;
    else return;
    event.preventDefault();
  }

  _go(step) {
    const at = this._numbers.indexOf(this._frame);
    this._show(this._numbers[Math.min(this._numbers.length - 1, Math.max(0, at + step))]);
  }

  async _show(frame) {
    this._frame = frame;
    this._noted.textContent = "";
    this._image.src = picture(this._job.job, frame);
    this._image.alt = `Frame ${frame} of ${this._job.title}`;
    if (this._other) this._second.src = picture(this._other, frame);
    this._log.hidden = true;
    this._caption.textContent = `Frame ${frame}`;
    try {
      const known = await ask("GET", `/api/jobs/${this._job.job}/frames/${frame}`);
      if (frame !== this._frame) return;
      this._caption.textContent = [`Frame ${frame}`, known.seconds === null ? "" : spent(known.seconds), known.reason].filter(Boolean).join(", ");
      if (!known.outputs.some((each) => each.shown)) this._noted.textContent ||= known.outputs.length ? "A small picture: browsers do not show this format." : known.state === "d" ? "A small picture: the frame itself is home, and not on the node any more." : "";
      this._files.replaceChildren(...known.outputs.map((each) => h("a", { href: `/api/outputs/${each.output}?download`, download: each.name, class: "button" }, `Save ${each.name}, ${size(each.size)}`)));
    } catch (error) {
      this._caption.textContent = error.message;
    }
  }

  _choose() {
    this._other = this._compare.value || null;
    for (const each of [this._second, this._wipe, this._line, this._sides]) each.hidden = !this._other;
    this._noted.textContent = "";
    if (this._other) {
      this._second.src = picture(this._other, this._frame);
      this._second.alt = `The same frame of the other save`;
      this._cut();
    }
  }

  /** The other save's picture is seen right of the cut. */
  _cut() {
    this._second.style.clipPath = `inset(0 0 0 ${this._wipe.value}%)`;
    this._line.style.left = `${this._wipe.value}%`;
  }

  async _showLog() {
    this._log.hidden = !this._log.hidden;
    if (this._log.hidden) return;
    const answer = await fetch(`/api/jobs/${this._job.job}/frames/${this._frame}/log`);
    this._log.textContent = (await answer.text()) || "Blender said nothing.";
    this._log.focus();
  }

  /** The frames that are to be played: those that are done of the range. */
  _chosen() {
    const [first, last] = this._range.map((field) => field.valueAsNumber);
    return this._numbers.filter((frame) => frame >= first && frame <= last);
  }

  _replay() {
    if (!this._player) return;
    this._toggle();
    this._toggle();
  }

  _toggle() {
    if (this._player) {
      this._player.stop();
      this._player = null;
    } else {
      const chosen = this._chosen();
      if (!chosen.length) {
        this._noted.textContent = "No frame of this range is done: choose another first and last frame.";
        return;
      }
      this._noted.textContent = "";
      this._player = new Player(this._canvas, chosen.map((frame) => picture(this._job.job, frame)), this._job.fps ?? 24,
        (at, text) => { this._frame = chosen[at]; this._caption.textContent = `Frame ${this._frame}${text}`; });
    }
    this._play.textContent = this._player ? "Stop" : "Play";
    this._canvas.hidden = !this._player;
    this._image.hidden = Boolean(this._player);
    if (!this._player) this._show(this._frame);
  }

  _close() {
    this._player?.stop();
    this.element.remove();
  }
}

/** A picture that may not be there; `note` is where that is said. */
function picturing(missing, note) {
  const image = h("img", { alt: "", onload: () => image.classList.remove("gone"), onerror: () => {
    image.classList.add("gone");
    note().textContent = missing;
  } });
  return image;
}

/** Plays pictures at a rate; what is not loaded in time is waited for the first time round, and said. */
class Player {
  constructor(canvas, urls, fps, tell) {
    this._canvas = canvas;
    this._urls = urls;
    this._fps = fps;
    this._tell = tell;
    this._held = new Map();
    this._most = urls.length;
    this._running = true;
    this._run();
  }

  stop() {
    this._running = false;
    for (const held of this._held.values()) held.then((bitmap) => bitmap?.close());
    this._held.clear();
  }

  async _run() {
    const paint = this._canvas.getContext("2d");
    let at = 0, begun = performance.now(), shown = 0;
    while (this._running) {
      const bitmap = await this._picture(at);
      if (!this._running) return;
      if (bitmap) {
        if (this._canvas.width !== bitmap.width || this._canvas.height !== bitmap.height) [this._canvas.width, this._canvas.height] = [bitmap.width, bitmap.height];
        paint.drawImage(bitmap, 0, 0);
        this._most = Math.max(8, Math.floor(MOST_BYTES / (bitmap.width * bitmap.height * 4)));
      }
      shown += 1;
      const due = begun + (shown * 1000) / this._fps, now = performance.now();
      const rate = (shown * 1000) / Math.max(1, now - begun);
      this._tell(at, rate < this._fps * 0.95 ? `, ${rate.toFixed(1)} of ${this._fps} frames a second` : `, ${this._fps} frames a second`);
      await new Promise((go) => setTimeout(go, Math.max(0, due - now)));
      if (now > due + 500) [begun, shown] = [performance.now(), 0];
      at = (at + 1) % this._urls.length;
      this._picture((at + 4) % this._urls.length);
    }
  }

  /** A promise of the picture, begun once. */
  _picture(at) {
    let held = this._held.get(at);
    if (!held) {
      held = fetch(this._urls[at]).then((answer) => (answer.ok ? answer.blob() : null)).then((blob) => blob && createImageBitmap(blob)).catch(() => null);
      this._held.set(at, held);
      while (this._held.size > this._most) {
        const [oldest, earlier] = this._held.entries().next().value;
        earlier.then((bitmap) => bitmap?.close());
        this._held.delete(oldest);
      }
    }
    return held;
  }
}
