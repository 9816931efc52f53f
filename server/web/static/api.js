// SPDX-License-Identifier: GPL-3.0-or-later
// Asking the node.

export class Refused extends Error {
  /** @param {string} sentence @param {number} status @param {Headers} headers */
  constructor(sentence, status, headers) {
    super(sentence);
    this.status = status;
    this.headers = headers;
  }
}

/** Ask; return what it says. Throws Refused with the node's sentence, TypeError with ours when it is not there. */
export async function ask(method, path, body) {
  const answer = await fetch(path, {
    method,
    headers: body === undefined ? {} : { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  }).catch(() => { throw new TypeError("The node does not answer: try again when the page is connected."); });
  return read(answer);
}

/** Return what an answer says. Throws Refused. */
export async function read(answer) {
  if (answer.ok) return answer.headers.get("content-type")?.startsWith("application/json") ? answer.json() : null;
  let sentence = `The node answered ${answer.status}.`;
  try {
    sentence = (await answer.json()).error ?? sentence;
  } catch {
    // Not in JSON: a proxy's, perhaps.
  }
  throw new Refused(sentence, answer.status, answer.headers);
}

/**
 * Follow what happens; comes back by itself.
 * @param {(name: string, data: any) => void} hear
 * @param {(connected: boolean) => void} linked
 */
export function follow(hear, linked) {
  const NAMES = ["hello", "job", "gone", "frames", "preview", "clients", "video", "workers"];
  let source;
  function open() {
    source = new EventSource("/api/events");
    for (const name of NAMES) {
      source.addEventListener(name, (event) => {
        if (name === "hello") linked(true);
        hear(name, JSON.parse(event.data));
      });
    }
    source.addEventListener("error", () => {
      linked(false);
      // A browser gives up where the answer is not a stream: while a node starts, or after a proxy's error.
      if (source.readyState === EventSource.CLOSED) setTimeout(again, 2000);
    });
  }
  async function again() {
    const answer = await fetch("/api/node").catch(() => null);
    if (answer?.status === 401) location.replace("/"); // Let in no more: the door says how one comes in.
    else open();
  }
  open();
}

export const picture = (job, frame, version) => `/api/jobs/${job}/frames/${frame}/picture${version ? `?v=${version}` : ""}`;
export const small = (job, frame, version) => `${picture(job, frame)}?small${version ? `&v=${version}` : ""}`;
export const preview = (job) => `/api/jobs/${job.job}/preview?v=${job.preview_version}`;
