// SPDX-License-Identifier: GPL-3.0-or-later
// What each frame took, as a line and as a table.

import { h, s } from "./dom.js";
import { time } from "./words.js";

const WIDTH = 600, HEIGHT = 120, MOST_POINTS = 600;

/** @param {import("./store.js").Frames} frames */
export function plot(frames) {
  const points = frames.numbers.map((frame, place) => [frame, frames.seconds[place]]).filter(([, seconds]) => seconds !== null);
  if (points.length < 2) return h("p", { class: "quiet" }, "There is a curve as soon as two frames are done.");
  const first = points[0][0], last = points[points.length - 1][0];
  const most = Math.max(...points.map(([, seconds]) => seconds));
  const every = Math.ceil(points.length / MOST_POINTS);
  const line = points.filter((_, place) => place % every === 0).map(([frame, seconds]) =>
    `${(((frame - first) / Math.max(1, last - first)) * WIDTH).toFixed(1)},${(HEIGHT - (seconds / most) * (HEIGHT - 8) - 2).toFixed(1)}`);
  const drawing = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "plot", role: "img",
    "aria-label": `Seconds for each frame, from ${first} to ${last}; at most ${time(most)}` },
  s("polyline", { points: line.join(" "), fill: "none", stroke: "currentColor", "stroke-width": 2, "vector-effect": "non-scaling-stroke" }));
  const rows = () => points.slice(0, 1000).map(([frame, seconds]) => h("tr", {}, h("td", {}, String(frame)), h("td", {}, seconds.toFixed(2))));
  const body = h("tbody");
  return h("figure", {},
    h("figcaption", {}, `Seconds for each frame: ${time(most)} at most`), drawing,
    h("details", { ontoggle: (event) => body.replaceChildren(...(event.target.open ? rows() : [])) }, h("summary", {}, "As a table"),
      h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Frame"), h("th", { scope: "col" }, "Seconds"))), body)));
}
