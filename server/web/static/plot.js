// SPDX-License-Identifier: GPL-3.0-or-later
// What each frame took, as a line and as a table.

import { h, s } from "./dom.js";
import { spent } from "./words.js";

const WIDTH = 600, HEIGHT = 120, MOST_POINTS = 600, MOST_ROWS = 1000;

/** Of several points that share a place, the slowest: a peak is what one looks for. Pure. */
export function thinned(points, most) {
  const every = Math.ceil(points.length / most);
  const kept = [];
  for (let from = 0; from < points.length; from += every) {
    kept.push(points.slice(from, from + every).reduce((one, other) => (other[1] > one[1] ? other : one)));
  }
  return kept;
}

/** Stays the same elements while frames get done, so that an open table stays open. */
export class Plot {
  constructor() {
    this._points = [];
    this._caption = h("figcaption");
    this._line = s("polyline", { fill: "none", stroke: "currentColor", "stroke-width": 2, "vector-effect": "non-scaling-stroke" });
    this._drawing = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "plot", role: "img" }, this._line);
    this._body = h("tbody");
    this._rest = h("p", { class: "quiet" });
    this._table = h("details", { ontoggle: () => this._list() }, h("summary", {}, "As a table"),
      h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Frame"), h("th", { scope: "col" }, "Seconds"))), this._body), this._rest);
    this._figure = h("figure", { hidden: true }, this._caption, this._drawing, this._table);
    this._none = h("p", { class: "quiet" }, "There is a curve as soon as two frames are done.");
    this.element = h("div", {}, this._none, this._figure);
  }

  /** @param {import("./store.js").Frames} frames */
  show(frames) {
    const points = frames.numbers.map((frame, place) => [frame, frames.seconds[place]]).filter(([, seconds]) => seconds !== null);
    this._points = points;
    this._figure.hidden = points.length < 2;
    this._none.hidden = points.length >= 2;
    if (points.length < 2) return;
    const first = points[0][0], last = points[points.length - 1][0];
    const [worst, most] = thinned(points, 1)[0];
    const x = (frame) => ((frame - first) / Math.max(1, last - first)) * WIDTH;
    const y = (seconds) => HEIGHT - (seconds / Math.max(most, 1e-6)) * (HEIGHT - 8) - 2;
    this._line.setAttribute("points", thinned(points, MOST_POINTS).map(([frame, seconds]) => `${x(frame).toFixed(1)},${y(seconds).toFixed(1)}`).join(" "));
    const mean = points.reduce((sum, [, seconds]) => sum + seconds, 0) / points.length;
    this._caption.textContent = `${spent(mean)} a frame on average; frame ${worst} took longest, ${spent(most)}`;
    this._drawing.setAttribute("aria-label", `Seconds for each frame, from ${first} to ${last}; at most ${spent(most)}`);
    this._list();
  }

  _list() {
    const rows = this._table.open ? this._points.slice(0, MOST_ROWS) : [];
    this._body.replaceChildren(...rows.map(([frame, seconds]) => h("tr", {}, h("td", {}, String(frame)), h("td", {}, seconds.toFixed(2)))));
    const more = this._points.length - MOST_ROWS;
    this._rest.textContent = more > 0 ? `And ${more} more, which the curve shows.` : "";
  }
}
