// SPDX-License-Identifier: GPL-3.0-or-later
// Numbers and states as people read them. Pure.

/** 8s, 3m 12s, 2h 05m; as on the command line. */
export function time(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${String(whole % 60).padStart(2, "0")}s`;
  return `${Math.floor(whole / 3600)}h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")}m`;
}

/** What a frame took: tenths matter where there are few seconds. */
export const spent = (seconds) => (seconds < 10 ? `${seconds.toFixed(seconds < 1 ? 2 : 1)}s` : time(seconds));

/** 12.3 MB, 4.0 GB. */
export function size(bytes) {
  let value = bytes, unit = "B";
  for (const next of ["KB", "MB", "GB", "TB"]) {
    if (value < 1000) break;
    value /= 1000;
    unit = next;
  }
  return unit === "B" ? `${value} B` : `${value.toFixed(1)} ${unit}`;
}

export const percent = (part) => `${Math.floor(part * 100)}%`;

export const STATES = {
  queued: "Queued", rendering: "Rendering", encoding: "Making the movie", done: "Done", failed: "Failed",
  cancelled: "Cancelled", superseded: "Replaced by a newer save",
};

export const FRAME_STATES = { q: "queued", r: "rendering", d: "done", f: "failed" };

export const OVER = new Set(["done", "failed", "cancelled", "superseded"]);

/** What there is to say about a job beside its state: one line. */
export function progress(job) {
  const parts = [`${job.done} of ${job.total} ${job.total === 1 ? "frame" : "frames"}`];
  if (job.failed) parts.push(`${job.failed} failed`);
  if (!OVER.has(job.state)) {
    if (job.frame !== null) parts.push(`at frame ${job.frame}`);
    if (job.sample !== null && job.samples) parts.push(`sample ${job.sample} of ${job.samples}`);
    else if (job.tile !== null && job.tiles) parts.push(`tile ${job.tile} of ${job.tiles}`);
    if (job.eta_s !== null) parts.push(`${time(job.eta_s)} left`);
  } else if (job.done) parts.push(`${spent(job.seconds / job.done)} a frame`);
  return parts.join(", ");
}

/** The state as a word, paused jobs included. */
export const stateOf = (job) => (job.paused && !OVER.has(job.state) ? "Paused" : STATES[job.state]);
