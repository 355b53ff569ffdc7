// Shows what a model said: scores as bars, spans in their text, words for gaps, numbers, texts, boxes,
// areas.

import { number, percent, t } from "./strings.js";

export const TINY = 100; // pixels across, below which a picture is enlarged
const COLOURS = 8; // of marks (m0...) and boxes (b0...), see page.css

// Make an element: make("p", { class: "note" }, "text", child...).
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

// The elements that show a prediction. `input`: {text, pair, url}, what it is of.
export function show(model, prediction, input) {
  if (Array.isArray(prediction.boxes)) return boxes(prediction, input.url);
  if (Array.isArray(prediction.shares)) return areas(prediction, input.url);
  if (Array.isArray(prediction.spans)) return spans(prediction.spans, input.text);
  if (Array.isArray(prediction.guesses)) return guesses(prediction.guesses, model.mask, input.text);
  if (model.writes) return [written(prediction.text, model.chats ? "" : input.text)];
  if (typeof prediction.text === "string") return text(prediction);
  if (typeof prediction.value === "number") return [best(number(prediction.value))];
  if (model.answer === "number" && typeof prediction.score === "number") return [best(number(prediction.score))];
  if (model.answer === "numbers") return [values(pairs(prediction.label, prediction.score))];
  if (prediction.label !== undefined) return labels(prediction);
  if (Array.isArray(prediction.labels)) return [bars(pairs(prediction.labels, prediction.scores))];
  return [make("pre", {}, make("code", {}, JSON.stringify(prediction, null, 2)))];
}

// What a prediction says in a few words, for the history.
export function summary(model, prediction) {
  if (Array.isArray(prediction.boxes)) return t("boxesFound", prediction.boxes.length);
  if (Array.isArray(prediction.shares)) return pairs(prediction.labels, prediction.shares).map(([name, share]) => `${name} ${percent(share)}`).join(" · ");
  if (Array.isArray(prediction.spans)) return prediction.spans.map((span) => `${span.label}: ${span.text}`).join(" · ") || t("nothingFound");
  if (typeof prediction.text === "string") return prediction.text || t(model.writes ? "nothingWritten" : "noText");
  if (typeof prediction.value === "number") return number(prediction.value);
  if (model.answer === "number") return number(prediction.score);
  if (model.answer === "numbers") return pairs(prediction.label, prediction.score).map(([name, value]) => `${name} ${number(value)}`).join(" · ");
  if (Array.isArray(prediction.label)) return prediction.label.join(" · ") || t("noLabel");
  if (prediction.label !== undefined) return `${prediction.label} ${percent(prediction.score)}`;
  return JSON.stringify(prediction);
}

function labels(prediction) {
  const several = Array.isArray(prediction.label);
  const given = new Set(several ? prediction.label : [prediction.label]);
  const scores = prediction.scores
    ? Object.entries(prediction.scores)
    : pairs([prediction.label].flat(), [prediction.score].flat());
  scores.sort((one, other) => other[1] - one[1]); // keys that are numbers come sorted by JavaScript
  if (several) {
    return [best(prediction.label.length ? prediction.label.join(" · ") : t("noLabel")), bars(scores, given)];
  }
  return [best(prediction.label, percent(prediction.score)), bars(scores, given)];
}

function best(said, beside = null) {
  return make("p", { class: "best", dir: "auto" }, String(said), beside === null ? null : make("small", {}, ` ${beside}`));
}

// Bars of [name, share from 0 to 1]; those of `given` stand out.
function bars(scores, given = new Set(scores.slice(0, 1).map(([name]) => name))) {
  return make("ol", { class: "bars" }, ...scores.map(([name, share]) => {
    const fill = make("span");
    fill.style.setProperty("--share", `${Math.max(0, Math.min(1, share)) * 100}%`);
    return make("li", { class: given.has(name) ? "given" : null },
      make("span", { class: "name", dir: "auto" }, name),
      make("span", { class: "value" }, percent(share)),
      make("span", { class: "track", "aria-hidden": "true" }, fill));
  }));
}

function values(rows) {
  return table([t("label"), t("score")], rows.map(([name, value]) => [name, number(value)]));
}

function text(prediction) {
  const shown = [make("p", { class: "read", dir: "auto" }, prediction.text || t("noText"))];
  if (prediction.scores) shown.push(values(Object.entries(prediction.scores)));
  if (prediction.words?.length) shown.push(times(prediction.words));
  return shown;
}

// What goes on behind a prompt.
function written(text, prompt) {
  const said = text ? make(prompt ? "mark" : "span", { class: prompt ? "m0" : null }, text) : make("span", { class: "note" }, ` ${t("nothingWritten")}`);
  return make("p", { class: "read", dir: "auto" }, prompt, said);
}

// Words with the seconds in which they were said: {word | text, start, end}.
export function times(words) {
  const rows = words.map((word) => [word.word ?? word.text, `${seconds(word.start)}–${seconds(word.end)}`]);
  return make("details", {}, make("summary", {}, t("words")), table([t("words"), t("time")], rows));
}

function seconds(value) {
  return typeof value === "number" ? value.toFixed(2) : "?";
}

// Spans count characters as Python does, by code points, and JavaScript by halves of some.
function spans(found, said) {
  const characters = Array.from(said);
  const colours = new Map();
  for (const { label } of found) if (!colours.has(label)) colours.set(label, colours.size % COLOURS);
  const cut = (start, end) => characters.slice(start, end).join("");
  const line = make("p", { class: "read", dir: "auto" });
  let place = 0;
  for (const span of [...found].sort((one, other) => one.start - other.start)) {
    if (span.start < place) continue; // it overlaps what is marked already; the table has it
    line.append(cut(place, span.start));
    line.append(make("mark", { class: `m${colours.get(span.label)}` }, cut(span.start, span.end),
      make("span", { class: "tag" }, span.label)));
    place = span.end;
  }
  line.append(cut(place));
  if (!found.length) return [line, make("p", { class: "note" }, t("nothingFound"))];
  return [line, table([t("words"), t("label"), t("score")], found.map((span) => [span.text, span.label, percent(span.score)]))];
}

// Of each gap its best words, and the text with the first of each put in.
function guesses(found, mask, said) {
  const shown = [];
  const parts = mask ? said.split(mask) : [said];
  if (parts.length === found.length + 1) {
    const line = make("p", { class: "read", dir: "auto" }, parts[0]);
    found.forEach((words, i) => line.append(make("mark", { class: "m0" }, words[0].token_str), parts[i + 1]));
    shown.push(line);
  }
  found.forEach((words, i) => {
    if (found.length > 1) shown.push(make("h3", {}, t("gap", i + 1)));
    shown.push(bars(words.map((word) => [word.token_str, word.score])));
  });
  return shown;
}

// The picture at `url`, over which an answer is drawn; one of few pixels is enlarged.
function drawnOver(url) {
  const picture = make("img", { src: url, alt: "" });
  picture.addEventListener("load", () => picture.classList.toggle("tiny", picture.naturalWidth < TINY), { once: true });
  return picture;
}

// Boxes [x0, y0, x1, y1] in pixels of the picture at `url`, with labels and scores where there are.
function boxes(prediction, url) {
  const picture = drawnOver(url);
  const frame = make("div", { class: "frame" }, picture);
  const drawn = () => drawBoxes(frame, picture.naturalWidth, picture.naturalHeight, prediction);
  if (picture.complete && picture.naturalWidth) drawn();
  else picture.addEventListener("load", drawn, { once: true });
  const rows = prediction.boxes.map((_, i) => [prediction.labels?.[i] ?? "", scoreOf(prediction, i)]);
  return [make("p", { class: "note" }, t("boxesFound", rows.length)), frame, table([t("label"), t("score")], rows)];
}

// Draw boxes over the picture that fills `frame`: by shares of its size, so they stay where they
// belong however large it is shown.
export function drawBoxes(frame, width, height, prediction) {
  for (const old of frame.querySelectorAll(".box")) old.remove();
  const colours = new Map();
  prediction.boxes.forEach(([x0, y0, x1, y1], i) => {
    const label = prediction.labels?.[i] ?? "";
    if (!colours.has(label)) colours.set(label, colours.size % COLOURS);
    const told = [label, scoreOf(prediction, i)].filter(Boolean).join(" ");
    const box = make("div", { class: `box b${colours.get(label)}`, "aria-hidden": "true" }, told ? make("span", {}, told) : null);
    box.classList.toggle("inside", y0 < height * 0.08); // above it there is no room for the label
    box.style.left = `${(100 * x0) / width}%`;
    box.style.top = `${(100 * y0) / height}%`;
    box.style.width = `${(100 * (x1 - x0)) / width}%`;
    box.style.height = `${(100 * (y1 - y0)) / height}%`;
    frame.append(box);
  });
}

// The classes of pixels: the picture at `url` under a colour for each, and the shares they have.
function areas(prediction, url) {
  const picture = make("div", { class: "frame" }, drawnOver(url));
  (prediction.masks ?? []).forEach((mask, i) => {
    const area = make("div", { class: `area b${i % COLOURS}`, "aria-hidden": "true" });
    const bytes = Uint8Array.from(atob(mask), (character) => character.charCodeAt(0));
    area.style.maskImage = `url("${URL.createObjectURL(new Blob([bytes], { type: "image/png" }))}")`;
    picture.append(area);
  });
  const shown = bars(pairs(prediction.labels, prediction.shares));
  shown.querySelectorAll(".track span").forEach((bar, i) => bar.classList.add(`b${i % COLOURS}`));
  return [picture, shown];
}

function scoreOf(prediction, i) {
  return typeof prediction.scores?.[i] === "number" ? percent(prediction.scores[i]) : "";
}

function table(heads, rows) {
  const last = heads.length - 1;
  const cell = (tag, content, i) => make(tag, { class: i === last ? "value" : null, dir: "auto" }, content);
  return make("table", {},
    make("thead", {}, make("tr", {}, ...heads.map((head, i) => cell("th", head, i)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((content, i) => cell("td", content, i))))));
}

function pairs(names, numbers) {
  return names.map((name, i) => [name, numbers[i]]);
}
