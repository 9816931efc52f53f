// SPDX-License-Identifier: GPL-3.0-or-later
// The page as a whole: what is shown where, and what happens when something does.

import { ask, follow, preview, Refused } from "./api.js";
import { complain, confirmed, h, icon, iconButton, refill, say } from "./dom.js";
import { openForm } from "./form.js";
import { Gallery } from "./gallery.js";
import { NodePage } from "./node.js";
import { Plot } from "./plot.js";
import { empty, expectFrames, keepFrames, listed, moved, take } from "./store.js";
import { Strip } from "./strip.js";
import { chosen, dropped, forgetKept, kept, Upload } from "./upload.js";
import { openViewer } from "./viewer.js";
import { OVER, percent, progress, size, stateOf, time } from "./words.js";

const state = empty();
const main = document.getElementById("main");
const sending = document.getElementById("sending");
let shown = null; // What fills the page: it has `element`, `changed(jobs)` and `close()`.
let asked = false;
let changedJobs = new Set();

// What the node says

follow((name, data) => {
  announce(name, data);
  const jobs = take(state, name, data);
  if (name === "hello") begin();
  else if (name === "clients") shown?.clientsChanged?.();
  else if (name === "video") shown?.videoChanged?.(data);
  if (jobs === null) changedJobs = null;
  else if (changedJobs !== null) for (const job of jobs) changedJobs.add(job);
  draw();
}, (connected) => {
  const chip = document.getElementById("link-state");
  chip.textContent = connected ? "Connected" : "Reconnecting to the node";
  chip.classList.toggle("off", !connected);
});

/** What somebody should hear who does not look. */
function announce(name, data) {
  if (name !== "job") return;
  const before = state.jobs.get(data.job);
  if (before && before.state !== data.state && OVER.has(data.state)) say(`${data.title}: ${stateOf(data)}`);
}

function begin() {
  document.getElementById("node-name").textContent = state.node.name;
  document.title = `${state.node.name}, Relay Render`;
  document.querySelector('[data-page="node"]').hidden = !state.node.me.manages;
  if (shown === null) route();
  else shown.restart?.();
}

/** Show what has changed, once a frame of the screen. */
function draw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    const jobs = changedJobs;
    changedJobs = new Set();
    shown?.changed(jobs);
  });
}

// Where we are

function route() {
  if (state.node === null) return;
  const [, page, job] = location.hash.split("/");
  shown?.close();
  if (page === "jobs" && job) shown = state.jobs.has(job) ? new JobPage(job) : new Gone();
  else if (page === "node") shown = new OwnerPage();
  else shown = new JobsPage();
  for (const link of document.querySelectorAll("nav a")) {
    if ((link.dataset.page === "node") === (page === "node")) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  main.replaceChildren(shown.element);
}
addEventListener("hashchange", () => {
  route();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
});

class Gone {
  element = h("p", { class: "empty" }, "The node does not know this job (any more). ", h("a", { href: "#/" }, "To the jobs"));
  changed() {}
  close() {}
}

class OwnerPage {
  constructor() {
    this._page = new NodePage(state);
    this.element = this._page.element;
  }
  changed() {}
  clientsChanged() { this._page.changed(); }
  close() { this._page.close(); }
}

// All jobs

class JobsPage {
  constructor() {
    this._cards = new Map();
    this._list = h("ul", { class: "jobs", "aria-label": "Jobs" });
    sortable(this._list);
    this._empty = h("div", { class: "empty inviting" }, icon("send", 44),
      h("h2", {}, "Nothing is rendered here yet."),
      h("p", { class: "quiet" }, "Drop a .blend, its folder or a zip of it anywhere on this page. Or press Ctrl+S in Blender, with the extension."),
      h("div", { class: "row" }, h("button", { type: "button", class: "primary", onclick: () => input.click() }, "Choose files"), h("button", { type: "button", onclick: () => folder.click() }, "Choose a folder")));
    this.element = h("div", {}, h("h1", { class: "unseen" }, "Jobs"), this._interrupted(), this._list, this._empty);
    this.changed(null);
  }

  changed(jobs) {
    if (jobs === null || [...jobs].some((job) => !this._cards.has(job)) || this._reordered()) this._arrange();
    for (const job of jobs ?? this._cards.keys()) {
      const known = state.jobs.get(job);
      if (known) this._cards.get(job)?.show(known);
    }
  }

  /** What a reload has broken off; not what is being sent. */
  _interrupted() {
    const upload = sending.hidden ? kept() : null;
    if (upload === null) return false;
    const { title } = upload;
    const forget = () => {
      forgetKept(upload.upload);
      ask("DELETE", `/api/uploads/${upload.upload}`).catch(() => {}); // The node has forgotten it, too, or does tomorrow.
      note.remove();
    };
    const again = async () => {
      try {
        offer(await ask("POST", `/api/uploads/${upload.upload}/complete`, {}));
      } catch (error) {
        complain(error.message);
        if (!(error instanceof Refused)) return; // The node is away: what it has is still there.
        forgetKept(upload.upload);
        note.remove();
      }
    };
    const note = h("div", { class: "warning row" },
      h("p", { class: "grow" }, upload.sent ? `${title} is on the node, and was not rendered yet.` : `The upload of ${title} was interrupted: choose or drop the same files again, and it goes on where it was.`),
      upload.sent ? h("button", { type: "button", onclick: again }, `Render ${title}`) : null,
      iconButton("close", `Forget the upload of ${title}`, forget));
    return note;
  }

  _reordered() {
    return listed(state).some((job, place) => this._list.children[place]?.dataset.job !== job.job);
  }

  _arrange() {
    const jobs = listed(state), focused = document.activeElement;
    for (const [job, card] of this._cards) {
      if (!state.jobs.has(job)) {
        card.element.remove();
        this._cards.delete(job);
      }
    }
    jobs.forEach((job, place) => {
      let card = this._cards.get(job.job);
      if (!card) {
        card = new Card(job.job);
        this._cards.set(job.job, card);
      }
      if (this._list.children[place] !== card.element) this._list.insertBefore(card.element, this._list.children[place] ?? null);
    });
    this._empty.hidden = jobs.length > 0;
    if (focused !== document.activeElement && this._list.contains(focused)) focused.focus();
  }

  restart() {
    for (const card of this._cards.values()) card.restart();
  }

  close() {
    for (const card of this._cards.values()) card.close();
  }
}

/** What a job's card and its page have in common: state, bar, strip, buttons. */
class JobHead {
  constructor(job, openFrame) {
    this.job = job;
    this.state = h("span", { class: "chip" });
    this.bar = h("progress", { max: 1, value: 0 });
    this.line = h("p", { class: "progress-line" });
    this.text = h("p", { class: "notice" });
    this.strip = new Strip(openFrame);
    this.image = h("img", { class: "thumb", alt: "", decoding: "async", draggable: false });
    this.actions = h("div", { class: "row actions" });
    this._buttons = "";
    this._looking = false;
    this._seen = "";
  }

  show(job) {
    this.state.textContent = stateOf(job);
    this.state.dataset.state = job.paused && !OVER.has(job.state) ? "paused" : job.state;
    this.bar.value = job.fraction;
    this.bar.setAttribute("aria-label", `${job.title}: ${percent(job.fraction)}`);
    this.line.textContent = progress(job);
    this.text.textContent = [job.text, ...job.notices].filter(Boolean).join(" ");
    this.text.hidden = !this.text.textContent;
    const picture = job.preview === null ? "" : preview(job);
    if (picture !== this._seen) {
      this._seen = picture;
      if (picture) this.image.src = picture;
    }
    this.image.classList.toggle("none", !picture);
    this._showActions(job);
    this._showFrames();
  }

  /** The node is there again: what it said of the frames may be old. */
  restart() {
    this._looking = false;
  }

  _showFrames() {
    const frames = state.frames.get(this.job);
    if (frames) this.strip.show(frames);
    else if (!this._looking) this._look();
  }

  async _look() {
    this._looking = true;
    const meanwhile = expectFrames(state, this.job);
    try {
      keepFrames(state, this.job, await ask("GET", `/api/jobs/${this.job}/frames`), meanwhile);
      changedJobs?.add(this.job);
      draw();
    } catch {
      this._looking = false;
    }
  }

  _showActions(job) {
    const over = OVER.has(job.state);
    const key = [over, job.state, job.paused, job.priority, job.place].join();
    if (key === this._buttons) return;
    this._buttons = key;
    const does = (action) => () => act("POST", `/api/jobs/${job.job}/${action}`);
    refill(this.actions, ...[
      !over && (job.paused ? iconButton("resume", `Go on with ${job.title}`, does("resume")) : iconButton("pause", `Pause ${job.title}`, does("pause"))),
      !over && iconButton("up", `Move ${job.title} up`, () => move(job, -1)),
      !over && iconButton("down", `Move ${job.title} down`, () => move(job, 1)),
      !over && iconButton("cancel", `Cancel ${job.title}`, does("cancel")),
      job.state === "failed" && iconButton("retry", `Try ${job.title} again`, does("retry")),
      over && iconButton("delete", `Delete ${job.title}`, async () => {
        if (await confirmed(`Delete ${job.title} with all its frames?`, "Delete") && (await act("DELETE", `/api/jobs/${job.job}`)) && location.hash.includes(job.job)) location.hash = "#/";
      })].filter(Boolean));
  }
}

async function act(method, path, body) {
  try {
    await ask(method, path, body);
    return true;
  } catch (error) {
    complain(error.message);
    return false;
  }
}

function move(job, step) {
  const waiting = listed(state).filter((each) => !OVER.has(each.state));
  const at = waiting.findIndex((each) => each.job === job.job);
  const before = step < 0 ? waiting[at - 1] : waiting[at + 2];
  if ((step < 0 && at === 0) || (step > 0 && at === waiting.length - 1)) return;
  act("POST", `/api/jobs/${job.job}/move`, { before: before?.job ?? null });
}

class Card {
  constructor(job) {
    this._head = new JobHead(job, (frame) => { openFrame(job, frame); });
    const known = state.jobs.get(job), title = `title-${job}`;
    this.element = h("li", { "data-job": job }, h("article", { class: "card job", "aria-labelledby": title },
      h("a", { href: `#/jobs/${job}`, class: "thumb-link", tabIndex: -1, draggable: false, "aria-hidden": "true" }, this._head.image),
      h("div", { class: "grow" },
        h("div", { class: "row" }, h("h2", { id: title, class: "grow" }, h("a", { href: `#/jobs/${job}`, draggable: false }, known.title)), this._head.state, this._head.actions),
        this._head.bar, this._head.line, this._head.strip.element, this._head.text)));
    this.show(known);
  }
  show(job) {
    this._head.show(job);
    this.element.draggable = !OVER.has(job.state);
  }
  restart() { this._head.restart(); }
  close() {}
}

const DRAGGED = "application/x-relay-render-job";

/** Jobs that wait can be pulled to another place; the buttons do the same for the keyboard. */
function sortable(list) {
  const over = (event) => (event.dataTransfer.types.includes(DRAGGED) ? event.target.closest("li[draggable=true]") : null);
  const mark = (item) => {
    for (const each of list.children) each.classList.toggle("aimed", each === item);
  };
  list.addEventListener("dragstart", (event) => {
    event.dataTransfer.setData(DRAGGED, event.target.dataset?.job ?? "");
    event.dataTransfer.effectAllowed = "move";
  });
  list.addEventListener("dragover", (event) => mark(over(event)));
  list.addEventListener("dragend", () => mark(null));
  list.addEventListener("drop", (event) => {
    const item = over(event), job = event.dataTransfer.getData(DRAGGED);
    if (!item || !job) return;
    event.preventDefault();
    event.stopPropagation();
    mark(null);
    const waiting = listed(state).filter((each) => !OVER.has(each.state)).map((each) => each.job);
    const before = moved(waiting, job, item.dataset.job);
    if (before !== undefined) act("POST", `/api/jobs/${job}/move`, { before });
  });
}

function openFrame(job, frame) {
  const known = state.jobs.get(job), frames = state.frames.get(job);
  const letter = frames?.states[frames.places.get(frame)];
  if (known && (letter === "d" || letter === "f")) openViewer(state, known, frame);
}

// One job

class JobPage {
  constructor(job) {
    this._job = job;
    const open = (frame) => openFrame(job, frame);
    this._head = new JobHead(job, open);
    this._gallery = new Gallery(job, open);
    this._plot = new Plot();
    this._known = new Map(); // Videos.
    this._videos = h("div", { class: "row" });
    this._facts = h("p", { class: "quiet" });
    const known = state.jobs.get(job);
    this._priority = h("input", { id: "priority", type: "number", min: -10, max: 10, step: 1, value: known.priority, onchange: () => act("PATCH", `/api/jobs/${job}`, { priority: Number(this._priority.value) }) });
    this.element = h("div", { class: "one" },
      h("p", {}, h("a", { href: "#/" }, "All jobs")),
      h("div", { class: "row" }, h("h1", { class: "grow" }, known.title), this._head.state, this._head.actions),
      h("div", { class: "look" }, this._head.image),
      this._head.bar, this._head.line, this._head.strip.element, this._head.text, this._facts,
      h("div", { class: "row" }, h("label", { for: "priority" }, "Priority"), this._priority),
      h("h2", {}, "Pictures"),
      h("div", { class: "row" }, h("a", { class: "button", href: `/api/jobs/${job}/zip`, download: "" }, "Save all as a zip"), this._videos),
      this._gallery.element,
      h("h2", {}, "What the frames took"), this._plot.element);
    this._showVideos();
    this._lookForVideos();
    this._done = -1;
    this._asking = this._closed = false;
    this.changed(null);
  }

  changed(jobs) {
    if (jobs !== null && !jobs.has(this._job)) return;
    const job = state.jobs.get(this._job);
    if (!job) {
      route();
      return;
    }
    this._head.show(job);
    if (document.activeElement !== this._priority) this._priority.value = job.priority;
    this._facts.textContent = [job.blender && `Blender ${job.blender}`, job.device, job.engine && `with ${job.engine}`, `frames ${job.frames}`, `sent ${new Date(job.created * 1000).toLocaleString()}`].filter(Boolean).join(", ");
    const frames = state.frames.get(this._job);
    if (!frames) return;
    this._gallery.show(frames);
    if (job.preview !== null && job.preview_version !== this._newest) {
      this._newest = job.preview_version;
      this._gallery.renew(job.preview, job.preview_version);
    }
    if (job.done !== this._done) this._refreshSeconds();
  }

  /** Seconds of frames do not come with the events: they are asked for when some are done, one question at a time. */
  async _refreshSeconds() {
    if (this._asking) return;
    this._asking = true;
    try {
      do {
        this._done = state.jobs.get(this._job).done;
        const { seconds } = await ask("GET", `/api/jobs/${this._job}/frames`);
        const frames = state.frames.get(this._job);
        if (!frames) break; // The node has come back meanwhile.
        frames.seconds = seconds;
        this._plot.show(frames);
      } while (!this._closed && state.jobs.has(this._job) && state.jobs.get(this._job).done !== this._done);
    } catch {
      this._done = -1; // Again with the next news.
    }
    this._asking = false;
  }

  async _lookForVideos() {
    try {
      const { videos } = await ask("GET", `/api/jobs/${this._job}/videos`);
      this._known = new Map(videos.map((each) => [each.video, each]));
      this._showVideos();
    } catch {
      // Without them.
    }
  }

  videoChanged(video) {
    if (video.job !== this._job) return;
    this._known.set(video.video, video);
    this._showVideos();
  }

  _showVideos() {
    const videos = [...this._known.values()];
    const make = (codec, name) => h("button", { type: "button", onclick: async () => {
      if (await act("POST", `/api/jobs/${this._job}/videos`, { codec })) this._lookForVideos();
    } }, name);
    refill(this._videos, ...(state.node.ffmpeg ? [make("h264", "Make an H.264 video"), make("prores", "Make a ProRes video")] : [h("span", { class: "quiet" }, "For videos the node needs ffmpeg.")]),
      ...videos.map((each) => (each.state === "done" ? h("a", { class: "button", href: `/api/videos/${each.video}`, download: "" }, `Save the ${each.codec} video, ${size(each.size)}`)
        : h("span", { class: "quiet" }, each.state === "failed" ? each.text : `Making the ${each.codec} video: ${percent(each.fraction)}`))));
  }

  restart() {
    this._head.restart();
    this._lookForVideos();
  }

  close() { this._closed = true; }
}

// Sending

const input = h("input", { type: "file", multiple: true, hidden: true, accept: ".blend,.zip,image/*,video/*,.exr,.hdr,.vdb,.abc,.usd,.usdc,.ttf,.otf,.wav,.mp3,*", "aria-label": "Files to render", onchange: () => { send(chosen(input)); input.value = ""; } });
const folder = h("input", { type: "file", webkitdirectory: true, hidden: true, "aria-label": "A folder to render", onchange: () => { send(chosen(folder)); folder.value = ""; } });
document.body.append(input, folder);
document.getElementById("choose").addEventListener("click", () => {
  const dialog = h("dialog", { class: "small", "aria-label": "What to render", onclose: () => dialog.remove() },
    h("form", { method: "dialog" },
      h("p", {}, "A .blend alone, with what it uses, or a zip of both. A folder keeps textures where the scene expects them."),
      h("div", { class: "row end" }, h("button", { value: "" }, "Not now"), h("button", { value: "folder", onclick: () => folder.click() }, "A folder"), h("button", { value: "files", class: "primary", onclick: () => input.click() }, "Files"))));
  document.body.append(dialog);
  dialog.showModal();
});

const drop = document.getElementById("drop");
let inside = 0;
addEventListener("dragenter", (event) => {
  if (![...event.dataTransfer.types].includes("Files")) return;
  inside += 1;
  drop.hidden = false;
});
addEventListener("dragleave", () => {
  inside = Math.max(0, inside - 1);
  drop.hidden = inside === 0;
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", async (event) => {
  event.preventDefault();
  inside = 0;
  drop.hidden = true;
  send(await dropped(event.dataTransfer));
});

/** Ask what is to be rendered of an upload. */
function offer(upload) {
  openForm(upload, (job) => {
    forgetKept(upload.upload);
    take(state, "job", job); // The news of it may come later.
    location.hash = `#/jobs/${job.job}`;
  }, () => { if (shown instanceof JobsPage) route(); });
}

async function send(files) {
  const name = h("h2"), bar = h("progress", { max: 1, value: 0 }), line = h("p", { class: "progress-line" });
  const upload = new Upload(files, () => {
    bar.value = upload.total ? upload.sent / upload.total : 1;
    bar.setAttribute("aria-label", `Sending ${upload.title}`);
    const left = upload.left === null ? "" : `, ${time(upload.left)} left`;
    line.textContent = upload.text || `${percent(bar.value)} of ${size(upload.total)}, ${(upload.rate / 1e6).toFixed(0)} MB/s${left}`;
  });
  if (!upload.files.length) return;
  name.textContent = upload.title;
  const card = h("article", { class: "card row" }, h("div", { class: "grow" }, name, bar, line), iconButton("cancel", `Stop sending ${upload.title}`, () => { upload.cancel(); leave(); }));
  const leave = () => {
    card.remove();
    sending.hidden = !sending.children.length;
  };
  sending.append(card);
  sending.hidden = false;
  try {
    const found = await upload.run();
    offer(found);
  } catch (error) {
    if (error.name !== "AbortError") complain(error.message);
  }
  leave();
}
