// The page: which model, what it is given, what it said, and what it said before.

import { Refused, fileRequest, key, models as servedModels, send, sendWriting, textRequest, writeRequest } from "./api.js";
import { TINY, make } from "./answers.js";
import { takePhoto } from "./camera.js";
import { LONGEST, Recording, Transcription, deviceTrouble, loudness } from "./microphone.js";
import { chooseLanguage, currentLanguage, setLanguage, t } from "./strings.js";
import { $, RANKED, render, renderBusy, renderHeard, renderHistory, renderKey, renderModel, renderResult, state } from "./view.js";

const MOST = 20; // entries of the history
const USUAL = 5; // answers shown

// ---- what is asked ---------------------------------------------------------------------------

function choose(model) {
  cancel();
  dropRecording();
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
  state.isCut = false;
  for (const id of ["picture", "sound"]) $(id).removeAttribute("src");
  $("picture").classList.remove("unseen");
  if (file !== null) $(state.model.kind === "image" ? "picture" : "sound").src = url;
}

// Take a file that was chosen, dropped, pasted, recorded or photographed, and ask.
function takeFile(file) {
  dropRecording();
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

async function tryExample(example) {
  dropRecording();
  if (example.file) {
    const name = example.file.split("/").pop();
    try {
      const blob = await (await fetch(example.file)).blob();
      takeFile(new File([blob], name, { type: blob.type }));
    } catch {
      fail(t("unreachable"));
    }
    return;
  }
  $("text").value = example.text;
  $("text-pair").value = example.text_pair ?? "";
  if (example.labels) $("labels").value = example.labels;
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

// Separated by commas, Chinese ones too.
function zeroShotLabels() {
  return $("labels").value.split(/[,\uff0c\u3001\n]/).map((label) => label.trim()).filter(Boolean);
}

function options() {
  const { model } = state;
  if (model.answer === "areas") return { masks: true };
  const asked = RANKED.includes(model.answer) ? { top_k: Number($("top").value) } : {};
  return model.zero_shot ? { ...asked, labels: zeroShotLabels() } : asked;
}

function requestOf(input) {
  const { model } = state;
  if (input.file) return fileRequest(model.name, input.file, options());
  if (model.writes) return writeRequest(model, input.text);
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
  renderResult();
  try {
    const seen = (text) => showWritten(controller, text);
    const { answer, ms } = await (model.writes ? sendWriting(model.name, request, controller.signal, seen) : send(request, controller.signal));
    if (state.running === controller) keep({ model, input, request, answer, ms, live: false });
  } catch (error) {
    if (state.running === controller) refused(error);
  } finally {
    if (state.running === controller) {
      state.running = null;
      state.heard = null;
    }
    render();
    reveal();
  }
}

// A text that is being written, as far as it has come.
function showWritten(controller, text) {
  if (state.running !== controller) return;
  state.heard = { text, partial: "" };
  renderHeard();
}

// On a narrow screen the answer stands below what was asked.
function reveal() {
  const { top } = $("result").getBoundingClientRect();
  if (top > 0.7 * innerHeight) $("result").scrollIntoView({ block: "start" });
}

function cancel() {
  state.running?.abort();
  if (state.running !== null) state.heard = null;
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
  if (state.isStarting) return; // the browser still asks whether it may
  state.isStarting = true;
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
    if (state.model !== model) { // another one was chosen meanwhile
      transcription?.cancel();
      recording.release();
      return;
    }
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
  } finally {
    state.isStarting = false;
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
  if (seconds >= LONGEST * 60) stopRecording(true);
}

// `isCut`: nobody has stopped it, it was as long as may be.
async function stopRecording(isCut = false) {
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
  if (state.model !== model) { // another one was chosen meanwhile
    transcription?.cancel();
    state.heard = null;
    render();
    return;
  }
  setFile(file);
  state.isCut = isCut;
  render();
  const transcribed = transcription && (await transcription.finish());
  state.heard = null;
  if (!transcribed) { // not wanted, or there is no socket here: the whole recording is sent
    if (state.file === file) ask();
    return;
  }
  const url = state.file === file ? state.url : URL.createObjectURL(file);
  const input = { name: file.name, file, url };
  const { ms, ...prediction } = transcribed;
  const answer = { model: model.name, predictions: [prediction] };
  keep({ model, input, request: fileRequest(model.name, file, {}), answer, ms, live: true });
  render();
}

// End a recording that nobody waits for any more.
function dropRecording() {
  if (!state.recording) return;
  const { recording, transcription, timer } = state.recording;
  clearInterval(timer);
  transcription?.cancel();
  recording.release();
  state.recording = null;
  state.heard = null;
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
  let isCopied = true;
  try {
    await navigator.clipboard.writeText($("curl").textContent);
  } catch { // no https, or not allowed: as browsers did before
    getSelection().selectAllChildren($("curl"));
    isCopied = document.execCommand("copy");
  }
  $("copied").textContent = t(isCopied ? "copied" : "notCopied");
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
    if (state.model.writes) state.running?.abort(); // what is written until then stays
    else cancel();
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
  // A format that only the service reads has no preview
  $("picture").addEventListener("error", () => $("picture").classList.add("unseen"));
  $("picture").addEventListener("load", () => $("picture").classList.toggle("tiny", $("picture").naturalWidth < TINY));
  $("clear").addEventListener("click", () => {
    for (const old of state.history.splice(0)) forget(old);
    state.shown = null;
    render();
  });
  listenToPlaces($("examples"), (place) => tryExample(state.model.examples[place]));
  listenToPlaces($("history"), (place) => bringBack(state.history[place]));
  listenToFiles();
}

// A button in a list stands for an entry by its place.
function listenToPlaces(list, chosen) {
  list.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-place]");
    if (button) chosen(Number(button.dataset.place));
  });
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
