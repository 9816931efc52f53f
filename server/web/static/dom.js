// SPDX-License-Identifier: GPL-3.0-or-later
// Elements from data. Text is only ever text: names come from artists' files.

/**
 * @param {string} tag
 * @param {Object<string, any>} [properties] on...: listener; aria-..., data-..., role and the like: attribute; else a property
 * @param {...(Node|string|null|undefined|false)} children
 * @returns {HTMLElement}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "draggable") element.draggable = value; // Links and pictures are, unless they are told not to be.
    else if (value === null || value === undefined || value === false) continue;
    else if (name === "class") element.className = value;
    else if (name.includes("-") || ["role", "for", "list", "colspan", "scope"].includes(name)) element.setAttribute(name, value === true ? "" : value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** The same for SVG: attributes only. */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

const PATHS = {
  cancel: "M6 6l12 12M18 6L6 18",
  retry: "M20 11a8 8 0 1 0-2.300 5.700M20 5v6h-6",
  pause: "M8 5v14M16 5v14",
  resume: "M8 5l11 7-11 7z",
  up: "M12 19V5M6 11l6-6 6 6",
  down: "M12 5v14M6 13l6 6 6-6",
  send: "M12 16V5M7 10l5-5 5 5M4 15v4h16v-4",
  delete: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  back: "M15 5l-7 7 7 7",
  forward: "M9 5l7 7-7 7",
  close: "M6 6l12 12M18 6L6 18",
};

/** A drawing for a button; what it means stands beside it, or in its label. */
export function icon(name, size = 18) {
  const path = s("path", { d: PATHS[name], fill: "none", stroke: "currentColor", "stroke-width": 2, "stroke-linecap": "round", "stroke-linejoin": "round" });
  return s("svg", { viewBox: "0 0 24 24", width: size, height: size, "aria-hidden": "true" }, path);
}

/** A button that is only a drawing. */
export function iconButton(name, label, onclick, properties = {}) {
  return h("button", { type: "button", class: "icon", title: label, "aria-label": label, onclick, ...properties }, icon(name));
}

/** Put other children into an element; the keyboard stays at the same thing, or at what has taken its place. */
export function refill(element, ...children) {
  const within = (root) => [...root.querySelectorAll("a, button, input, select, summary, [tabindex]")];
  const before = element.contains(document.activeElement) ? document.activeElement : null;
  const [name, place] = [before && nameOf(before), within(element).indexOf(before)];
  element.replaceChildren(...children);
  if (!before) return;
  const now = within(element);
  const same = now.find((each) => nameOf(each) === name), instead = now[Math.min(place, now.length - 1)];
  if (same) same.focus({ preventScroll: true });
  else if (!instead?.classList.contains("primary")) instead?.focus({ preventScroll: true }); // Nobody allows what has just come.
}

const nameOf = (element) => element.getAttribute("aria-label") || element.textContent;

/** Ask before something that cannot be taken back. @returns {Promise<boolean>} */
export function confirmed(question, verb) {
  return new Promise((decide) => {
    const dialog = h("dialog", { class: "small", "aria-label": question, onclose: () => { dialog.remove(); decide(dialog.returnValue === "yes"); } },
      h("form", { method: "dialog" },
        h("p", {}, question),
        h("div", { class: "row end" },
          h("button", { value: "no", autofocus: true }, "Leave it"),
          h("button", { value: "yes", class: "danger" }, verb))));
    document.body.append(dialog);
    dialog.showModal();
  });
}

let last = "";
/** Say something to who listens to the page instead of looking at it, and show it for a moment. */
export function say(text) {
  if (text === last) return;
  last = text;
  document.getElementById("said").textContent = text;
}

/** Show what went wrong until it is dismissed. */
export function complain(text) {
  const note = h("div", { class: "complaint", role: "alert" }, h("span", {}, text), iconButton("close", "Dismiss", () => note.remove()));
  document.body.append(note);
}
