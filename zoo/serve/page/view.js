// Draws the page from its state, in the language that was chosen. Events are page.js's.

import { curlLine, key } from "./api.js";
import { make, show, summary } from "./answers.js";
import { LONGEST } from "./microphone.js";
import { currentLanguage, duration, t, translate } from "./strings.js";

export const $ = (id) => document.getElementById(id);
export const RANKED = ["label", "labels", "guesses"]; // answers of which one may want more than the best

export const state = {
  models: [],
  model: null,
  file: null, // the image or sound that would be sent
  url: null, // of that file, in this tab
  isCut: false, // it is a recording that was as long as may be
  running: null, // AbortController of the request that is under way
  isStarting: false, // a recording is about to begin
  recording: null, // {recording, transcription, timer, started}
  history: [], // the newest first: {model, input, request, answer, ms, live}
  shown: null, // the one of the history that is shown
  error: null, // a sentence, or null
  heard: null, // {text, partial} of a recording that is transcribed as it comes
};

export function render() {
  translate();
  $("language").textContent = t("otherLanguage");
  $("language").lang = currentLanguage() === "zh" ? "en" : "zh-Hans";
  renderKey();
  if (state.model) {
    renderModel();
    renderResult();
    renderHistory();
  }
}

export function renderKey(isWanted = false) {
  if (isWanted) $("key-part").hidden = false;
  else if (key.get()) $("key-part").hidden = false;
  $("key-forget").hidden = !key.get();
}

export function renderModel() {
  const { model } = state;
  const isText = model.kind === "text";
  const title = model.title[currentLanguage()] ?? model.title.en;
  document.title = `${title} · ${model.name}`;
  $("title").textContent = title;
  $("about").textContent = model.name;
  $("about").hidden = state.models.length > 1; // the switcher names it
  $("served").textContent = t("served", model.name, model.deployment, model.sha256.slice(0, 12));
  $("text-part").hidden = !isText;
  $("file-part").hidden = isText;
  $("text-label").textContent = t(model.pair ? "firstText" : "text");
  $("text-note").textContent = model.mask ? t("maskNote", model.mask) : t("textNote");
  $("mask").hidden = !model.mask;
  $("mask").textContent = model.mask ? t("maskAdd", model.mask) : "";
  $("pair-part").hidden = !model.pair;
  $("labels-part").hidden = !model.zero_shot;
  $("top-part").hidden = !RANKED.includes(model.answer);
  if (!isText) renderFilePart(model);
  renderBusy();
  renderExamples(model);
  renderLabels(model);
}

function renderFilePart(model) {
  const isImage = model.kind === "image";
  $("drop-hint").textContent = t(isImage ? "dropImage" : "dropAudio");
  $("choose").textContent = t(isImage ? "chooseImage" : "chooseAudio");
  $("take").textContent = t("take");
  $("take").hidden = !isImage;
  $("record").hidden = isImage;
  $("record").textContent = t(state.recording ? "stop" : "record");
  $("record").setAttribute("aria-pressed", String(Boolean(state.recording)));
  $("recording").hidden = !state.recording;
  $("level").setAttribute("aria-label", t("audio"));
  $("live-part").hidden = !model.live;
  $("live").disabled = Boolean(state.recording);
  $("file").accept = isImage ? "image/*" : "audio/*";
  $("preview").hidden = state.file === null;
  $("picture").hidden = !isImage;
  $("sound").hidden = isImage;
  if (state.file === null) return;
  const told = [state.file.name, size(state.file.size), ...(state.isCut ? [t("tooLong", LONGEST)] : [])];
  $("file-name").textContent = told.join(" · ");
  $("picture").alt = state.file.name;
}

export function renderBusy() {
  const isBusy = state.running !== null;
  $("send").disabled = isBusy || state.recording !== null;
  $("send").textContent = t(isBusy ? "sending" : "send");
  $("cancel").hidden = !isBusy;
  $("cancel").textContent = t(state.model?.writes ? "stop" : "cancel");
  $("answer").setAttribute("aria-busy", String(isBusy));
}

function renderExamples(model) {
  $("examples-part").hidden = model.examples.length === 0;
  $("examples").replaceChildren(...model.examples.map((example, place) => {
    const name = example.file?.split("/").pop();
    const isImage = name && model.kind === "image";
    const button = make("button", { type: "button", "data-place": place, "aria-label": isImage ? name : null, dir: "auto" });
    if (isImage) button.append(make("img", { src: example.file, alt: "" }));
    else button.append(name ?? [example.text, example.text_pair].filter(Boolean).join(" / "));
    return button;
  }));
}

function renderLabels(model) {
  const all = $("labels-known");
  all.hidden = model.labels.length === 0;
  const isWhole = model.labels.length === model.label_count;
  all.firstElementChild.textContent = t(isWhole ? "allLabels" : "someLabels", model.label_count, model.labels.length);
  all.lastElementChild.replaceChildren(...model.labels.map((label) => make("li", { dir: "auto" }, label)));
}

export function renderResult() {
  const entry = state.shown;
  $("error").hidden = state.error === null;
  $("error").textContent = state.error ?? "";
  for (const id of ["request", "raw", "timing"]) $(id).hidden = entry === null;
  if (state.heard !== null) {
    renderHeard();
    return;
  }
  if (entry === null) {
    $("answer").replaceChildren(...(state.error === null ? [make("p", { class: "quiet" }, t("noAnswer"))] : []));
    return;
  }
  $("answer").replaceChildren(...entry.answer.predictions.flatMap((one) => show(entry.model, one, entry.input)));
  $("timing").textContent = t(entry.live ? "latencyLive" : "latency", duration(entry.ms));
  $("curl").textContent = curlLine(entry.request);
  $("json").textContent = JSON.stringify(entry.answer, null, 2);
  $("copied").textContent = "";
}

// The text of a sound that is still recorded: what is certain, and what may change.
export function renderHeard() {
  for (const id of ["request", "raw", "timing"]) $(id).hidden = true;
  const { text, partial } = state.heard;
  const line = make("p", { class: "read", dir: "auto" }, text ? `${text} ` : "", make("span", { class: "unsure" }, partial));
  $("answer").replaceChildren(text || partial ? line : make("p", { class: "quiet" }, t("listening")));
}

export function renderHistory() {
  $("past").hidden = state.history.length === 0;
  $("history").replaceChildren(...state.history.map((entry, place) => {
    const asked = make("span", { class: "asked", dir: "auto" });
    if (entry.model.kind === "image") asked.append(make("img", { src: entry.input.url, alt: "" }));
    asked.append(entry.input.name ?? [entry.input.text, entry.input.pair].filter(Boolean).join(" / "));
    const said = entry.answer.predictions.map((one) => summary(entry.model, one)).join(" · ");
    const button = make("button", { type: "button", "data-place": place, "aria-current": String(entry === state.shown) }, asked,
      make("span", { class: "said", dir: "auto" }, said), make("span", { class: "ms" }, duration(entry.ms)));
    return make("li", {}, button);
  }));
}

function size(bytes) {
  if (bytes < 1e3) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(bytes < 1e4 ? 1 : 0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
