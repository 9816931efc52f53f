// SPDX-License-Identifier: GPL-3.0-or-later
// What the node's owner sees: who asks to be let in, Blenders, the machine, the store.

import { ask } from "./api.js";
import { complain, confirmed, h, refill } from "./dom.js";
import { percent, size, time } from "./words.js";

const LOOK_MS = 3000;

export class NodePage {
  constructor(state) {
    this._state = state;
    this._asking = h("section", { class: "card", "aria-labelledby": "asking" });
    this._clients = h("section", { class: "card", "aria-labelledby": "clients" });
    this._workers = h("section", { class: "card", "aria-labelledby": "workers" });
    this._store = h("section", { class: "card", "aria-labelledby": "store" });
    this.element = h("div", { class: "node" }, h("h1", {}, "The node"), this._asking, this._workers, this._store, this._clients);
    const name = h("input", { type: "text", required: true, maxLength: 60, "aria-label": "Name", placeholder: "Name" });
    this._invitation = h("form", { class: "row", onsubmit: (event) => {
      event.preventDefault();
      this._link("POST", "/api/clients", { name: name.value });
      name.value = "";
    } }, h("span", { class: "grow" }, "Somebody without the extension, by a link:"), name, h("button", {}, "Let in by a link"));
    this.changed();
    this._look();
    this._timer = setInterval(() => this._look(), LOOK_MS);
  }

  close() {
    clearInterval(this._timer);
  }

  /** Somebody came, went or asks. */
  changed() {
    const { requests = [], clients = [] } = this._state.clients ?? {};
    refill(this._asking, h("h2", { id: "asking" }, "Asks to be let in"), ...(requests.length ? requests.map((each) => this._request(each)) : [h("p", { class: "quiet" }, "Nobody.")]));
    refill(this._clients, h("h2", { id: "clients" }, "Is let in"), clients.length ? table(["Name", "Since", "Connected", ""], clients.map((each) => [
      each.name + (each.manages ? " (trusted)" : ""), new Date(each.since * 1000).toLocaleDateString(), each.connected ? "yes" : "",
      h("span", { class: "row" },
        h("button", { type: "button", "aria-label": `Link for ${each.name}`, onclick: () => this._link("GET", `/api/clients/${each.client}/link`) }, "Link"),
        h("button", { type: "button", "aria-label": `Change ${each.name}`, onclick: () => this._change(each) }, "Change"),
        h("button", { type: "button", "aria-label": `Let in no more: ${each.name}`, onclick: () => this._revoke(each) }, "Let in no more")),
    ])) : h("p", { class: "quiet" }, "Only the account that runs the node."), this._invitation);
  }

  /** Show what lets somebody in as themselves, to be copied. */
  async _link(method, path, body) {
    try {
      const { name, token } = await ask(method, path, body);
      const here = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
      const host = here ? this._state.node.name : location.hostname;
      const field = h("input", { readOnly: true, value: `${location.protocol}//${host}:${location.port}/?token=${token}`, "aria-label": `Link for ${name}`, onfocus: () => field.select() });
      const dialog = h("dialog", { class: "small", "aria-label": `Link for ${name}`, onclose: () => dialog.remove() },
        h("form", { method: "dialog" },
          h("p", {}, `With this link ${name} sends files and sees what comes of them, and nothing of others.`),
          field,
          here ? h("p", { class: "quiet" }, "Other machines reach the page only where the node was started with --web 0.0.0.0.") : null,
          h("div", { class: "row end" }, h("button", { class: "primary" }, "Close"))));
      document.body.append(dialog);
      dialog.showModal();
      field.focus();
    } catch (error) {
      complain(error.message);
    }
  }

  _request(each) {
    const decide = (allow) => this._do("POST", `/api/clients/requests/${each.code}`, { allow });
    return h("article", { class: "card row" },
      h("p", { class: "digits" }, `${each.code.slice(0, 3)} ${each.code.slice(3)}`),
      h("p", { class: "grow" }, `${each.name} (${each.host}). Let in only who shows the same digits.`),
      h("button", { type: "button", class: "primary", "aria-label": `Allow ${each.name}, ${each.code}`, onclick: () => decide(true) }, "Allow"),
      h("button", { type: "button", "aria-label": `Turn away ${each.name}, ${each.code}`, onclick: () => decide(false) }, "Turn away"));
  }

  /** What one may; the dialog stays open until the node has taken it. */
  _change(each) {
    const name = h("input", { id: "client-name", type: "text", value: each.name, required: true, maxLength: 60 });
    const quota = h("input", { id: "client-quota", type: "text", value: each.quota, placeholder: "As everybody's", maxLength: 1000 });
    const [manages, scripts] = [each.manages, each.scripts].map((checked) => h("input", { type: "checkbox", checked }));
    const wrong = h("p", { class: "wrong", role: "alert" });
    const save = async (event) => {
      event.preventDefault();
      try {
        this._state.clients = await ask("PATCH", `/api/clients/${each.client}`, { name: name.value, quota: quota.value.trim(), manages: manages.checked, scripts: scripts.checked });
        dialog.close();
        this.changed();
      } catch (error) {
        wrong.textContent = error.message;
      }
    };
    const dialog = h("dialog", { class: "small", "aria-label": `Change ${each.name}`, onclose: () => dialog.remove() },
      h("form", { onsubmit: save },
        h("div", { class: "field" }, h("label", { for: "client-name" }, "Name"), name),
        h("div", { class: "field" }, h("label", { for: "client-quota" }, "Quota, such as jobs=20,slots=2"), quota),
        h("p", {}, h("label", {}, manages, " Trusted: sees and stops everybody's jobs, lets others in, has no quota")),
        h("p", {}, h("label", {}, scripts, " The Python in its files runs")),
        wrong,
        h("div", { class: "row end" }, h("button", { type: "button", onclick: () => dialog.close() }, "Leave it"), h("button", { class: "primary" }, "Save"))));
    document.body.append(dialog);
    dialog.showModal();
  }

  async _revoke(each) {
    if (await confirmed(`Let ${each.name} in no more? Its connections end at once.`, "Let in no more")) this._do("DELETE", `/api/clients/${each.client}`);
  }

  async _do(method, path, body) {
    try {
      this._state.clients = await ask(method, path, body);
      this.changed();
    } catch (error) {
      complain(error.message);
    }
  }

  async _look() {
    try {
      const [workers, store] = await Promise.all([ask("GET", "/api/workers"), ask("GET", "/api/store")]);
      this._showWorkers(workers);
      this._showStore(store);
    } catch {
      // The page says already that the node is not there.
    }
  }

  _showWorkers({ slots, workers, gpus, cpu, memory }) {
    const warm = (celsius) => (celsius === null ? "" : `, ${Math.round(celsius)} °C`);
    refill(this._workers, h("h2", { id: "workers" }, "Blenders"),
      table(["Slot", "Blender", "Does", "Memory", "Frames", "For"], workers.map((each) => [
        each.slot === null ? "spare" : `${each.slot + 1} of ${slots}`, each.blender, each.state === "spare" ? "" : each.state, size(each.memory), String(each.rendered), time(each.age_s)])),
      h("p", {}, `Processor: ${percent(cpu.load)} of ${cpu.cores} cores${warm(cpu.temperature_c)}. Memory: ${size(memory.used)} of ${size(memory.total)}.`),
      ...gpus.map((each) => h("p", {}, `${each.name}: ${each.load === null ? "" : percent(each.load)}${warm(each.temperature_c)}${each.memory === null ? "" : `, ${size(each.memory_used)} of ${size(each.memory)}`}.`)));
  }

  _showStore(store) {
    refill(this._store, h("h2", { id: "store" }, "Artists' files"),
      h("progress", { max: Math.max(1, store.limit), value: store.bytes, "aria-label": "How full the store is" }),
      h("p", {}, `${store.files} ${store.files === 1 ? "file" : "files"}, ${size(store.bytes)} of ${size(store.limit)}; jobs need ${size(store.needed)} of that. Frames that are home, for the gallery: ${size(store.gallery)} of ${size(store.gallery_limit)}.`),
      h("button", { type: "button", onclick: async () => {
        if (!(await confirmed("Delete what no job needs? The next save of those scenes travels whole, and frames that are home cannot be seen here any more.", "Delete"))) return;
        try {
          this._showStore(await ask("POST", "/api/store/shrink", { to: 0 }));
        } catch (error) {
          complain(error.message);
        }
      } }, "Delete what no job needs"));
  }
}

function table(heads, rows) {
  return h("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": heads.slice(0, 3).join(", ") }, h("table", {},
    h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((cell) => h("td", {}, cell)))))));
}
