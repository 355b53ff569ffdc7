// The page: which model, what it is given, what it said, and what it said before.

import { Refused, curlLine, fileRequest, key, models as servedModels, send, textRequest } from "./api.js";
import { make, show, summary } from "./answers.js";
import { takePhoto } from "./camera.js";
import { LONGEST, Recording, Transcription, deviceTrouble, loudness } from "./microphone.js";
import { chooseLanguage, currentLanguage, duration, setLanguage, t, translate } from "./strings.js";

const $ = (id) => document.getElementById(id);
const MOST = 20; // entries of the history
const USUAL = 5; // answers shown
const RANKED = ["label", "labels", "guesses"]; // answers of which one may want more than the best

const state = {
  models: [],
  model: null,
  file: null, // the image or sound that would be sent
  url: null, // of that file, in this tab
  running: null, // AbortController of the request that is under way
  recording: null, // {recording, transcription, timer, started}
  history: [], // the newest first: {model, input, request, answer, ms, live}
  shown: null, // the one of the history that is shown
  error: null, // a sentence, or null
  heard: null, // {text, partial} of a recording that is transcribed as it comes
};

// ---- what stands there, in the language that was chosen --------------------------------------

function render() {
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

function renderKey(isWanted = false) {
  if (isWanted) $("key-part").hidden = false;
  else if (key.get()) $("key-part").hidden = false;
  $("key-forget").hidden = !key.get();
}

function renderModel() {
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
  $("file-name").textContent = `${state.file.name} · ${size(state.file.size)}`;
  $("picture").alt = state.file.name;
}

function renderBusy() {
  const isBusy = state.running !== null;
  $("send").disabled = isBusy || state.recording !== null;
  $("send").textContent = t(isBusy ? "sending" : "send");
  $("cancel").hidden = !isBusy;
  $("answer").setAttribute("aria-busy", String(isBusy));
}

function renderExamples(model) {
  $("examples-part").hidden = model.examples.length === 0;
  $("examples").replaceChildren(...model.examples.map((example) => {
    const name = example.file?.split("/").pop();
    const isImage = name && model.kind === "image";
    const button = make("button", { type: "button", "aria-label": isImage ? name : null, dir: "auto" });
    if (isImage) button.append(make("img", { src: example.file, alt: "" }));
    else button.append(name ?? [example.text, example.text_pair].filter(Boolean).join(" / "));
    button.addEventListener("click", () => tryExample(example, name));
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

function renderResult() {
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
function renderHeard() {
  for (const id of ["request", "raw", "timing"]) $(id).hidden = true;
  const { text, partial } = state.heard;
  const line = make("p", { class: "read", dir: "auto" }, text ? `${text} ` : "", make("span", { class: "unsure" }, partial));
  $("answer").replaceChildren(text || partial ? line : make("p", { class: "quiet" }, t("listening")));
}

function renderHistory() {
  $("past").hidden = state.history.length === 0;
  $("history").replaceChildren(...state.history.map((entry) => {
    const asked = make("span", { class: "asked", dir: "auto" });
    if (entry.model.kind === "image") asked.append(make("img", { src: entry.input.url, alt: "" }));
    asked.append(entry.input.name ?? [entry.input.text, entry.input.pair].filter(Boolean).join(" / "));
    const said = entry.answer.predictions.map((one) => summary(entry.model, one)).join(" · ");
    const button = make("button", { type: "button", "aria-current": String(entry === state.shown) }, asked,
      make("span", { class: "said", dir: "auto" }, said), make("span", { class: "ms" }, duration(entry.ms)));
    button.addEventListener("click", () => bringBack(entry));
    return make("li", {}, button);
  }));
}

// ---- what is asked ---------------------------------------------------------------------------

function choose(model) {
  cancel();
  state.model = model;
  setFile(null);
  state.shown = null;
  state.error = null;
  $("labels").value = "";
  $("top").value = String(USUAL);
  remember({ model: state.models.length > 1 ? model.name : null });
  render();
}

function setFile(file, url = file && URL.createObjectURL(file)) {
  const isKept = state.history.some((entry) => entry.input.url === state.url);
  if (state.url && state.url !== url && !isKept) URL.revokeObjectURL(state.url);
  state.file = file;
  state.url = url;
  for (const id of ["picture", "sound"]) $(id).removeAttribute("src");
  if (file !== null) $(state.model.kind === "image" ? "picture" : "sound").src = url;
}

// Take a file that was chosen, dropped, pasted, recorded or photographed, and ask.
function takeFile(file) {
  const { kind } = state.model;
  if (file.type && file.type.split("/")[0] !== kind && !(kind === "audio" && file.type.startsWith("video/"))) {
    fail(t("wrongFile", t(kind), file.name, file.type));
    return;
  }
  if (file.size === 0) {
    fail(t("emptyFile", file.name));
    return;
  }
  setFile(file);
  renderModel();
  ask();
}

async function tryExample(example, name) {
  if (example.file) {
    const response = await fetch(example.file);
    const blob = await response.blob();
    takeFile(new File([blob], name, { type: blob.type }));
    return;
  }
  $("text").value = example.text;
  $("text-pair").value = example.text_pair ?? "";
  ask();
}

// The input as it stands there, or a sentence on what it lacks.
function given() {
  const { model } = state;
  if (model.zero_shot && zeroShotLabels().length < 2) return t("noLabels");
  if (model.kind !== "text") {
    if (state.file === null) return t("noInputFile");
    return { name: state.file.name, file: state.file, url: state.url };
  }
  const text = $("text").value;
  const pair = model.pair ? $("text-pair").value : null;
  if (!text.trim() || (model.pair && !pair.trim())) return t(model.pair ? "noInputPair" : "noInputText");
  if (model.mask && !text.includes(model.mask)) return t("noMask", model.mask);
  return { text, pair };
}

function zeroShotLabels() {
  return $("labels").value.split(/[,,、\n]/).map((label) => label.trim()).filter(Boolean);
}

function options() {
  const { model } = state;
  const asked = RANKED.includes(model.answer) ? { top_k: Number($("top").value) } : {};
  return model.zero_shot ? { ...asked, labels: zeroShotLabels() } : asked;
}

function requestOf(input) {
  const { model } = state;
  if (input.file) return fileRequest(model.name, input.file, options());
  return textRequest(model.name, model.pair ? [input.text, input.pair] : input.text, options());
}

async function ask() {
  key.set($("key").value.trim() || key.get());
  if (state.model === null) { // which models there are is told to those who have a key
    begin();
    return;
  }
  const input = given();
  if (typeof input === "string") {
    fail(input);
    return;
  }
  if (!$("top-part").hidden && !/^[1-9]\d*$/.test($("top").value)) {
    fail(t("badTop"));
    return;
  }
  cancel();
  const controller = new AbortController();
  state.running = controller;
  state.error = null;
  const { model } = state;
  const request = requestOf(input);
  renderBusy();
  try {
    const { answer, ms } = await send(request, controller.signal);
    if (state.running === controller) keep({ model, input, request, answer, ms, live: false });
  } catch (error) {
    if (state.running === controller) refused(error);
  } finally {
    if (state.running === controller) state.running = null;
    render();
  }
}

function cancel() {
  state.running?.abort();
  state.running = null;
}

function keep(entry) {
  state.history.unshift(entry);
  for (const old of state.history.splice(MOST)) forget(old);
  state.shown = entry;
  state.error = null;
}

function forget(entry) {
  const { url } = entry.input;
  if (url && url !== state.url && !state.history.some((one) => one.input.url === url)) URL.revokeObjectURL(url);
}

function refused(error) {
  if (error.name === "AbortError") return;
  if (!(error instanceof Refused)) throw error;
  state.shown = null;
  state.error = error.status === 401 ? `${t("keyWanted")} (${error.message})` : error.message;
  if (error.status === 401) wantKey();
}

function wantKey() {
  renderKey(true);
  $("key").focus();
}

function fail(sentence) {
  state.shown = null;
  state.error = sentence;
  renderResult();
  renderHistory();
}

function bringBack(entry) {
  if (entry.model !== state.model) choose(entry.model);
  state.shown = entry;
  state.error = null;
  if (entry.input.file) {
    setFile(entry.input.file, entry.input.url);
  } else {
    $("text").value = entry.input.text;
    $("text-pair").value = entry.input.pair ?? "";
  }
  render();
}

// ---- the microphone --------------------------------------------------------------------------

async function record() {
  if (state.recording) {
    await stopRecording();
    return;
  }
  cancel();
  const { model } = state;
  const isLive = model.live && $("live").checked;
  let transcription = null;
  try {
    const heard = (piece) => {
      $("level").value = loudness(piece);
      transcription?.send(piece);
    };
    if (isLive) transcription = new Transcription(model.name, hearing);
    const recording = await Recording.start(heard);
    const started = performance.now();
    state.recording = { recording, transcription, model, timer: setInterval(() => tick(started), 250) };
    state.error = null;
    state.shown = null;
    state.heard = isLive ? { text: "", partial: "" } : null;
    $("clock").textContent = "0:00";
    render();
  } catch (error) {
    transcription?.cancel();
    fail(t("noMicrophone", deviceTrouble(error)));
  }
}

function hearing(text, partial) {
  if (state.heard === null) return;
  state.heard = { text, partial };
  renderHeard();
}

function tick(started) {
  const seconds = Math.floor((performance.now() - started) / 1000);
  $("clock").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  if (seconds >= LONGEST * 60) stopRecording();
}

async function stopRecording() {
  const { recording, transcription, model, timer } = state.recording;
  clearInterval(timer);
  state.recording = null;
  const file = await recording.stop();
  if (file === null) {
    transcription?.cancel();
    state.heard = null;
    fail(t("nothingRecorded"));
    return;
  }
  setFile(file);
  render();
  const transcribed = transcription && (await transcription.finish());
  state.heard = null;
  if (!transcribed) { // not wanted, or there is no socket here: the whole recording is sent
    ask();
    return;
  }
  const input = { name: file.name, file, url: state.url };
  const { ms, ...prediction } = transcribed;
  const answer = { model: model.name, predictions: [prediction] };
  keep({ model, input, request: requestOf(input), answer, ms, live: true });
  render();
}

// ---- the rest --------------------------------------------------------------------------------

// Write into the address what is to be found again: {model, lang}; null takes it out.
function remember(values) {
  const address = new URL(location.href);
  for (const [name, value] of Object.entries(values)) {
    if (value === null) address.searchParams.delete(name);
    else address.searchParams.set(name, value);
  }
  history.replaceState(null, "", address);
}

async function copyCurl() {
  const line = $("curl").textContent;
  try {
    await navigator.clipboard.writeText(line);
    $("copied").textContent = t("copied");
  } catch { // no https, or not allowed
    getSelection().selectAllChildren($("curl"));
    $("copied").textContent = t("notCopied");
  }
}

function size(bytes) {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(bytes < 1e4 ? 1 : 0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function listen() {
  $("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  $("ask").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.tagName === "TEXTAREA") ask();
  });
  $("cancel").addEventListener("click", () => {
    cancel();
    render();
  });
  $("language").addEventListener("click", () => {
    setLanguage(currentLanguage() === "zh" ? "en" : "zh");
    remember({ lang: currentLanguage() });
    render();
  });
  $("model").addEventListener("change", () => choose(state.models.find((one) => one.name === $("model").value)));
  $("mask").addEventListener("click", () => {
    const { selectionStart, selectionEnd } = $("text");
    $("text").setRangeText(state.model.mask, selectionStart, selectionEnd, "end");
    $("text").focus();
  });
  $("key-forget").addEventListener("click", () => {
    key.set("");
    $("key").value = "";
    render();
  });
  $("key").addEventListener("change", () => {
    key.set($("key").value.trim());
    renderKey();
    if (state.model === null) begin();
  });
  $("choose").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => {
    if ($("file").files.length) takeFile($("file").files[0]);
    $("file").value = ""; // so that the same file may be chosen again
  });
  $("take").addEventListener("click", () => takePhoto(takeFile, (reason) => fail(t("noCamera", reason))));
  $("record").addEventListener("click", record);
  $("copy").addEventListener("click", copyCurl);
  $("picture").addEventListener("load", () => $("picture").classList.toggle("tiny", $("picture").naturalWidth < 100));
  $("clear").addEventListener("click", () => {
    for (const old of state.history.splice(0)) forget(old);
    state.shown = null;
    render();
  });
  listenToFiles();
}

// Files that are dropped anywhere or pasted; a browser would open them in place of the page.
function listenToFiles() {
  const over = (is) => $("drop").classList.toggle("over", is);
  const takesFiles = () => state.model !== null && state.model.kind !== "text" && !state.recording;
  addEventListener("dragover", (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    over(takesFiles());
  });
  addEventListener("dragleave", () => over(false));
  addEventListener("drop", (event) => {
    const [file] = event.dataTransfer.files;
    if (!file) return;
    event.preventDefault();
    over(false);
    if (takesFiles()) takeFile(file);
  });
  addEventListener("paste", (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (file && takesFiles()) {
      event.preventDefault();
      takeFile(file);
    }
  });
}

// Ask which models there are, and show the one that the address names, or the first.
async function begin() {
  try {
    state.models = await servedModels();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    beginFailed(error);
    return;
  }
  $("failed").hidden = state.models.length > 0;
  $("failed").textContent = t("noModels");
  if (!state.models.length) return;
  $("model").replaceChildren(...state.models.map((one) => make("option", { value: one.name }, one.name)));
  $("switcher").hidden = state.models.length < 2;
  const asked = new URLSearchParams(location.search).get("model");
  const first = state.models.find((one) => one.name === asked) ?? state.models[0];
  $("model").value = first.name;
  document.querySelector("main").hidden = false;
  for (const id of ["text-part", "file-part", "result"]) $(id).hidden = false;
  choose(first);
}

function beginFailed(error) {
  $("failed").hidden = false;
  $("failed").textContent = error.status === 401 ? t("keyWanted") : error.message;
  if (error.status !== 401) return;
  document.querySelector("main").hidden = false; // with nothing but the key
  for (const id of ["text-part", "file-part", "result"]) $(id).hidden = true;
  wantKey();
}

chooseLanguage();
listen();
render();
begin();
