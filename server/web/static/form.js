// SPDX-License-Identifier: GPL-3.0-or-later
// What is to be rendered of the files that have come.

import { ask } from "./api.js";
import { h, iconButton } from "./dom.js";

/** As people write it: BLENDER_EEVEE_NEXT is Eevee. */
const engineName = (name) => name.replace("BLENDER_", "").replace("_NEXT", "").toLowerCase().replace(/^./, (letter) => letter.toUpperCase());

/** @param {object} upload what the node says of it @param {(job: object) => void} begun @param {() => void} left without a job */
export function openForm(upload, begun, left) {
  let job = null;
  const { blends } = upload;
  const blend = h("select", { id: "blend", onchange: () => scenes() }, ...blends.map((each, place) => h("option", { value: place }, each.blend)));
  const scene = h("select", { id: "scene", onchange: () => facts() });
  const frames = h("input", { id: "frames", type: "text", required: true, spellcheck: false, autocomplete: "off", "aria-describedby": "frames-help" });
  const order = h("select", { id: "order" }, h("option", { value: "sequence" }, "One after the other"), h("option", { value: "spread" }, "Spread over the shot"));
  const engine = h("select", { id: "engine" });
  const draft = h("input", { id: "draft", type: "checkbox", checked: true });
  const about = h("dl", { class: "facts" });
  const lacks = h("div");
  const wrong = h("p", { class: "wrong", role: "alert" });
  const go = h("button", { class: "primary" }, "Render");
  const field = (label, input, ...more) => h("div", { class: "field" }, h("label", { for: input.id }, label), input, ...more);
  const dialog = h("dialog", { "aria-labelledby": "form-title", onclose: () => { dialog.remove(); if (job === null) left(); } },
    h("form", { onsubmit: submit },
      h("div", { class: "row" }, h("h2", { id: "form-title", class: "grow" }, "Render"), iconButton("close", "Close", () => dialog.close())),
      field("File", blend), field("Scene", scene),
      field("Frames", frames, h("p", { id: "frames-help", class: "quiet" }, "As 1-48, 1-10,20 or 1-100x2"), h("div", { class: "row" },
        h("button", { type: "button", onclick: () => fill(range()) }, "The scene's range"), h("button", { type: "button", onclick: () => fill(String(current()?.frame_current ?? 1)) }, "Current frame"))),
      field("Engine", engine), field("Order", order),
      h("div", { class: "row" }, draft, h("label", { for: "draft" }, "Begin with a draft, where that costs little")),
      about, lacks, wrong, h("div", { class: "row end" }, go)));

  const current = () => blends[blend.value].scenes[scene.value] ?? null;
  const fill = (text) => { frames.value = text; };
  const range = () => {
    if (current() === null) return "1";
    const { frame_start: start, frame_end: end, frame_step: step } = current();
    return start === end ? `${start}` : `${start}-${end}${step > 1 ? `x${step}` : ""}`;
  };

  function scenes() {
    const found = blends[blend.value].scenes;
    scene.replaceChildren(...found.map((each, place) => h("option", { value: place, selected: each.active }, each.name)));
    facts();
  }

  function facts() {
    const { text, missing, version } = blends[blend.value], shown = current();
    const own = shown === null ? "" : engineName(shown.engine);
    engine.replaceChildren(h("option", { value: "" }, own ? `${own}, as the scene has it` : "As the scene has it"),
      ...["Cycles", "Eevee", "Workbench"].filter((name) => name !== own).map((name) => h("option", { value: name.toLowerCase() }, name)));
    const fact = (name, value) => [h("dt", {}, name), h("dd", {}, value)];
    about.replaceChildren(...(shown ? [
      ...(shown.samples === null ? [] : fact("Samples", String(shown.samples))),
      ...fact("Picture", `${shown.width} × ${shown.height}, ${shown.format.replaceAll("_", " ").toLowerCase()}`),
      ...fact("Speed", `${Number(shown.fps.toFixed(3))} frames a second`),
      ...fact("Saved by", `Blender ${version}`)] : []));
    fill(range());
    const camera = shown && !shown.camera && !shown.is_movie ? [h("p", { class: "warning" }, "This scene has no camera: Blender can only render it if its sequencer or compositor makes the picture.")] : [];
    lacks.replaceChildren(...camera, ...(text ? [h("p", { class: "warning" }, text)] : []), ...(missing.length ? [
      h("p", { class: "warning" }, `${missing.length === 1 ? "A file" : `${missing.length} files`} that the scene uses did not come along. Send them, too, or render without:`),
      h("ul", { class: "missing" }, ...missing.slice(0, 50).map((each) => h("li", {}, `${each.owner}: ${each.path.split("/").pop()}`)))] : []));
    go.textContent = missing.length ? "Render without" : "Render";
  }

  async function submit(event) {
    event.preventDefault();
    wrong.textContent = "";
    go.disabled = true;
    go.textContent = "The node takes the files in";
    try {
      job = await ask("POST", "/api/jobs", {
        upload: upload.upload, blend: blends[blend.value].blend, scene: current() && !current().active ? current().name : null,
        frames: frames.value.trim(), order: order.value, engine: engine.value || null, current: current()?.frame_current ?? null, draft: draft.checked,
      });
      dialog.close();
      begun(job);
    } catch (error) {
      wrong.textContent = error.message;
      go.disabled = false;
      go.textContent = "Render";
    }
  }

  document.body.append(dialog);
  scenes();
  dialog.showModal();
  frames.focus();
}
