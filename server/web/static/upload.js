// SPDX-License-Identifier: GPL-3.0-or-later
// Files on their way to the node: in pieces, each from where the node's copy ends, so that any break is gone on from.

import { ask, read, Refused } from "./api.js";

const PIECE = 8 << 20; // Bytes of one request: what is lost when a connection breaks.
const REST_MS = 2000; // Before the node is asked again that was not there.
const KEPT = "relay-render-upload";

/**
 * Files of a drop, with the paths that they have in the dropped folders.
 * @param {DataTransfer} transfer
 * @returns {Promise<{path: string, file: File}[]>}
 */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ path: file.name, file }));
  const found = [];
  for (const entry of entries) await walk(entry, "", found);
  return found;
}

async function walk(entry, folder, found) {
  const path = folder + entry.name;
  if (entry.isFile) {
    const file = await new Promise((give, fail) => entry.file(give, fail));
    found.push({ path, file });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((give, fail) => reader.readEntries(give, fail)); // At most 100 a time.
    if (!some.length) return;
    for (const each of some) await walk(each, `${path}/`, found);
  }
}

/** Files of an input; of a folder's, with its paths. */
export const chosen = (input) => [...input.files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));

const wanted = ({ path }) => !/(^|\/)(\.DS_Store|Thumbs\.db|desktop\.ini|__MACOSX(\/|$)|\.git(\/|$))/.test(path);

/** One upload. `changed` is called when there is something new to show. */
export class Upload {
  constructor(files, changed) {
    this.files = files.filter(wanted);
    this.total = this.files.reduce((sum, { file }) => sum + file.size, 0);
    this.sent = 0;
    this.rate = 0;
    this.text = "";
    this.id = null;
    this._changed = changed;
    this._stopped = new AbortController();
    this._marks = [];
    this._isThere = false;
  }

  get title() {
    const blend = this.files.find(({ path }) => path.toLowerCase().endsWith(".blend")) ?? this.files[0];
    return blend ? blend.path.split("/").pop() : "";
  }

  get left() {
    return this.rate > 0 ? (this.total - this.sent) / this.rate : null;
  }

  /** Send all; return what the node says it is. Throws Refused, AbortError. */
  async run() {
    this.id = await this._again(() => this._begin());
    for (const each of this._isThere ? [] : this.files) await this._file(each);
    this.text = "The node looks at the files";
    this._changed();
    const found = await this._again(() => ask("POST", `/api/uploads/${this.id}/complete`, {}));
    if (kept()?.upload === this.id) keep({ ...kept(), sent: true });
    return found;
  }

  /** Stop, and have the node forget it. */
  cancel() {
    this._stopped.abort();
    forgetKept(this.id);
    if (this.id) ask("DELETE", `/api/uploads/${this.id}`).catch(() => {});
  }

  /** The same files that were chosen before a reload go on where they were. */
  async _begin() {
    const before = kept(), name = this._name();
    if (before?.name === name) {
      try {
        await ask("GET", `/api/uploads/${before.upload}`);
        this._isThere = Boolean(before.sent); // A zip is unpacked then, and gone.
        return before.upload;
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
      }
    }
    const { upload } = await ask("POST", "/api/uploads", {});
    keep({ name, upload, title: this.title });
    return upload;
  }

  _name() {
    return this.files.map(({ path, file }) => `${path} ${file.size} ${file.lastModified}`).sort().join("\n");
  }

  async _file({ path, file }) {
    const url = `/api/uploads/${this.id}/files/${path.split("/").map(encodeURIComponent).join("/")}`;
    let offset = Number(await this._again(() => this._offset(url)));
    this._advance(offset);
    while (offset < file.size || (file.size === 0 && offset === 0)) {
      const before = offset;
      offset = await this._again(() => this._piece(url, file, before));
      this._advance(offset - before);
      if (file.size === 0) return;
    }
  }

  async _offset(url) {
    const answer = await fetch(url, { method: "HEAD", signal: this._stopped.signal });
    if (!answer.ok) throw new Refused("The node does not know this upload (any more): begin it again.", answer.status, answer.headers);
    return answer.headers.get("upload-offset");
  }

  async _piece(url, file, offset) {
    const answer = await fetch(url, {
      method: "PATCH",
      headers: { "upload-offset": String(offset), "upload-length": String(file.size), "content-type": "application/octet-stream" },
      body: file.slice(offset, offset + PIECE),
      signal: this._stopped.signal,
    });
    if (answer.status === 409 && answer.headers.has("upload-offset")) return Number(answer.headers.get("upload-offset"));
    await read(answer);
    return Number(answer.headers.get("upload-offset"));
  }

  /** Do it, again and again while the node is not there. */
  async _again(attempt) {
    for (;;) {
      try {
        const value = await attempt();
        if (this.text) this._say("");
        return value;
      } catch (error) {
        if (error instanceof Refused || error.name === "AbortError") throw error;
        this._say("Waits for the node; goes on where it was");
        await new Promise((go) => setTimeout(go, REST_MS));
        this._stopped.signal.throwIfAborted();
      }
    }
  }

  _say(text) {
    this.text = text;
    this._changed();
  }

  _advance(bytes) {
    this.sent += bytes;
    const now = performance.now();
    this._marks.push([now, this.sent]);
    while (this._marks.length > 2 && now - this._marks[1][0] > 3000) this._marks.shift();
    const [start, before] = this._marks[0];
    this.rate = now > start ? ((this.sent - before) / (now - start)) * 1000 : 0;
    this._changed();
  }
}

/** What was begun to be sent, and nothing rendered of it yet; `sent`: all of it. Else its files have to be chosen again. */
export function kept() {
  return JSON.parse(localStorage.getItem(KEPT) ?? "null");
}

const keep = (upload) => localStorage.setItem(KEPT, JSON.stringify(upload));

/** Not if another one was begun meanwhile. */
export function forgetKept(upload) {
  if (kept()?.upload === upload) localStorage.removeItem(KEPT);
}
