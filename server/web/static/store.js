// SPDX-License-Identifier: GPL-3.0-or-later
// What the page knows, and how each event of the node changes it. Pure: no DOM, no network.

/** @typedef {{numbers: number[], places: Map<number, number>, states: string[], seconds: (number|null)[]}} Frames */

export function empty() {
  return { node: null, jobs: new Map(), frames: new Map(), early: new Map(), clients: null };
}

/** Change `state` by an event; return the jobs that look different now, or null for all of them. */
export function take(state, name, data) {
  switch (name) {
    case "hello":
      state.node = data.node;
      state.jobs = new Map(data.jobs.map((job) => [job.job, job]));
      state.frames.clear();
      state.early.clear();
      state.clients = data.clients ?? null;
      return null;
    case "job":
      state.jobs.set(data.job, data);
      return [data.job];
    case "gone":
      state.jobs.delete(data.job);
      state.frames.delete(data.job);
      return null;
    case "frames": {
      const frames = state.frames.get(data.job);
      if (!frames) {
        state.early.get(data.job)?.push(...data.changes);
        return [];
      }
      change(frames, data.changes);
      return [data.job];
    }
    case "preview": {
      const job = state.jobs.get(data.job);
      if (job) {
        job.preview = data.frame;
        job.preview_version = data.version;
      }
      return [data.job];
    }
    case "clients":
      state.clients = data;
      return [];
    default:
      return [];
  }
}

function change(frames, changes) {
  for (const [frame, letter] of changes) {
    const place = frames.places.get(frame);
    if (place !== undefined) frames.states[place] = letter;
  }
}

/** A job's frames are being asked for: what changes meanwhile is kept, for it may be newer than the answer. */
export function expectFrames(state, job) {
  const meanwhile = [];
  state.early.set(job, meanwhile);
  return meanwhile;
}

/** Keep what GET /api/jobs/J/frames has answered, unless it was asked again or the node began anew since. */
export function keepFrames(state, job, answer, meanwhile) {
  if (state.early.get(job) !== meanwhile) return;
  /** @type {Frames} */
  const frames = {
    numbers: answer.frames, states: [...answer.states], seconds: answer.seconds,
    places: new Map(answer.frames.map((frame, place) => [frame, place])),
  };
  change(frames, meanwhile);
  state.early.delete(job);
  state.frames.set(job, frames);
}

/** Jobs as they are listed: what is unfinished in the order of work, then the newest first. */
export function listed(state) {
  const over = (job) => ["done", "failed", "cancelled", "superseded"].includes(job.state);
  const jobs = [...state.jobs.values()];
  const waiting = jobs.filter((job) => !over(job));
  waiting.sort((one, other) => other.priority - one.priority || one.place - other.place);
  return [...waiting, ...jobs.filter(over).reverse()];
}

/** Which job comes after `job` when it takes the place of `target`: null for none, undefined where nothing moves. */
export function moved(waiting, job, target) {
  const from = waiting.indexOf(job), to = waiting.indexOf(target);
  if (from < 0 || to < 0 || from === to) return undefined;
  return from > to ? target : (waiting[to + 1] ?? null);
}

/** Other jobs that a job can be compared with: earlier saves of the same shot first. */
export function comparable(state, job) {
  const others = [...state.jobs.values()].filter((other) => other.job !== job.job && other.done > 0).reverse();
  const near = (other) => (job.group && other.group === job.group ? 0 : other.title === job.title ? 1 : 2);
  return others.sort((one, other) => near(one) - near(other));
}

/** What each of `width` columns shows of the frames: the state that matters most there, a letter each. */
export function columns(states, width) {
  const RANK = { f: 3, r: 2, q: 1, d: 0 };
  const shown = [];
  for (let column = 0; column < width; column += 1) {
    const from = Math.floor((column * states.length) / width);
    const to = Math.max(from + 1, Math.floor(((column + 1) * states.length) / width));
    let worst = "d", done = 0;
    for (let place = from; place < to; place += 1) {
      if (RANK[states[place]] > RANK[worst]) worst = states[place];
      if (states[place] === "d") done += 1;
    }
    shown.push(worst === "q" && done * 2 > to - from ? "d" : worst);
  }
  return shown;
}
