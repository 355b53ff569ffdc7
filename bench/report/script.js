// Sorts and filters tables and charts, and tells the command of a point.
// What is shown stands in the address: #sort=latency&filter=onnx (sort=-latency: downwards).
"use strict";

const input = document.querySelector("#filter");
const counter = document.querySelector("#shown");
const tip = document.querySelector("#tip");
const rows = [...document.querySelectorAll("tr[data-row]")]; // those that are of a case
const state = { sort: "", filter: "" };
let asked = null; // whose tip is shown
let pinned = false;

function readAddress() {
  const text = location.hash.slice(1);
  if (text && !text.includes("=")) return; // a section
  const given = new URLSearchParams(text);
  state.sort = given.get("sort") ?? "";
  state.filter = given.get("filter") ?? "";
  input.value = state.filter;
}

function writeAddress() {
  const said = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) if (value) said.set(name, value);
  history.replaceState(null, "", said.size ? `#${said}` : location.pathname + location.search);
}

// Numbers by size, words by the alphabet; what has no number comes last in either direction.
function compare(one, other, down) {
  if (one === undefined || other === undefined) return (one === undefined) - (other === undefined);
  const order = typeof one === "number" && typeof other === "number"
    ? one - other
    : String(one).localeCompare(String(other), undefined, { numeric: true });
  return down ? -order : order;
}

function sort() {
  const down = state.sort.startsWith("-");
  const name = down ? state.sort.slice(1) : state.sort;
  for (const button of document.querySelectorAll("th button[data-sort]")) {
    const chosen = button.dataset.sort === name;
    button.dataset.order = chosen ? (down ? "down" : "up") : "";
    const head = button.closest("th");
    if (chosen) head.setAttribute("aria-sort", down ? "descending" : "ascending");
    else if (!head.querySelector(`[data-sort="${CSS.escape(name)}"]`)) head.removeAttribute("aria-sort");
  }
  for (const body of new Set(rows.map((row) => row.parentElement))) {
    const known = body.closest("table").querySelector(`[data-sort="${CSS.escape(name)}"]`);
    const value = (row) => (known ? JSON.parse(row.dataset.values)[name] : Number(row.dataset.place));
    const sorted = [...body.rows].map((row) => [value(row), row]);
    sorted.sort((one, other) => compare(one[0], other[0], known && down));
    body.append(...sorted.map(([, row]) => row));
  }
}

// A word stands somewhere in what names the row; batch-1 is not the beginning of batch-16.
function fits(row, word) {
  if (/^(batch|length)-/.test(word)) return row.dataset.words.split(" ").includes(word);
  return row.dataset.words.includes(word);
}

function filter() {
  const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const hidden = new Set();
  for (const row of rows) {
    const shown = words.every((word) => fits(row, word));
    row.classList.toggle("off", !shown);
    if (!shown) hidden.add(row.dataset.row);
  }
  for (const point of document.querySelectorAll(".point")) {
    point.classList.toggle("off", hidden.has(point.dataset.row));
  }
  for (const line of document.querySelectorAll("[data-rows]")) {
    const through = line.dataset.rows.split(" ").filter(Boolean);
    line.classList.toggle("off", through.some((row) => hidden.has(row)));
  }
  for (const figure of document.querySelectorAll("figure")) {
    figure.classList.toggle("off", !points(figure).length);
    settleTabStop(figure);
  }
  for (const group of document.querySelectorAll("details.group")) {
    group.classList.toggle("off", !group.querySelector("figure:not(.off)"));
  }
  const all = new Set(rows.map((row) => row.dataset.row));
  counter.textContent = `${all.size - hidden.size} of ${all.size} cases`;
  if (asked && hidden.has(asked.dataset.row)) hide();
}

function points(figure) {
  return [...figure.querySelectorAll(".point:not(.off)")];
}

// A chart is one stop of the tab key; arrows go from point to point.
function settleTabStop(figure) {
  const shown = points(figure);
  if (shown.length && !shown.some((point) => point.tabIndex === 0)) shown[0].tabIndex = 0;
}

function show(source, pin) {
  hide();
  asked = source;
  pinned = pin;
  source.classList.add("shown");
  const row = document.querySelector(`tr[data-row="${CSS.escape(source.dataset.row)}"]`);
  tip.querySelector("p").textContent = source.dataset.says ?? source.getAttribute("aria-label");
  tip.querySelector("code").textContent = row.dataset.command;
  tip.querySelector("button").textContent = "Copy the command";
  tip.classList.toggle("is-pinned", pin);
  tip.hidden = false;
  const at = (source.querySelector(".mark") ?? source).getBoundingClientRect();
  const size = tip.getBoundingClientRect();
  const left = Math.min(Math.max(8, at.left + at.width / 2 - size.width / 2), innerWidth - size.width - 8);
  const above = at.top - size.height - 10;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 8 ? above : Math.min(at.bottom + 10, innerHeight - size.height - 8)}px`;
}

function hide() {
  if (asked) asked.classList.remove("shown");
  asked = null;
  pinned = false;
  tip.hidden = true;
}

function focusOn(point) {
  for (const other of point.closest("figure").querySelectorAll(".point")) other.tabIndex = -1;
  point.tabIndex = 0;
  point.focus();
}

// The point of a chart that is nearest to a place on the screen, if it is near enough for a finger.
function nearest(chart, x, y) {
  let best = null;
  let least = 28;
  for (const point of points(chart)) {
    const box = point.querySelector(".mark").getBoundingClientRect();
    const apart = Math.hypot(box.left + box.width / 2 - x, box.top + box.height / 2 - y);
    if (apart < least) [best, least] = [point, apart];
  }
  return best;
}

async function copy() {
  const command = tip.querySelector("code");
  const button = tip.querySelector("button");
  try {
    await navigator.clipboard.writeText(command.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(command); // the browser forbids it: the rest is a key press
    button.textContent = "Selected: copy it";
  }
}

for (const title of document.querySelectorAll(".chart title")) title.remove(); // the tip says it
for (const chart of document.querySelectorAll(".chart")) {
  chart.addEventListener("pointermove", (event) => {
    if (pinned || event.pointerType === "touch") return;
    const point = nearest(chart, event.clientX, event.clientY);
    if (point && point !== asked) show(point, false);
    else if (!point && asked) hide();
  });
  chart.addEventListener("pointerleave", () => pinned || hide());
  chart.addEventListener("click", (event) => {
    const point = nearest(chart, event.clientX, event.clientY);
    if (!point) return;
    event.stopPropagation();
    focusOn(point);
    show(point, true);
  });
  chart.addEventListener("focusin", (event) => {
    const point = event.target.closest(".point");
    if (point && point !== asked) show(point, false);
  });
  chart.addEventListener("focusout", () => pinned || hide());
  chart.addEventListener("keydown", (event) => {
    const own = points(chart);
    const place = own.indexOf(event.target);
    if (place < 0) return;
    const goal = { ArrowRight: place + 1, ArrowDown: place + 1, ArrowLeft: place - 1,
      ArrowUp: place - 1, Home: 0, End: own.length - 1 }[event.key];
    if (goal !== undefined) focusOn(own[(goal + own.length) % own.length]);
    else if (event.key === "Enter" || event.key === " ") {
      show(event.target, true);
      tip.querySelector("button").focus();
    } else return;
    event.preventDefault();
  });
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.classList.contains("command")) {
    show(button, true);
    tip.querySelector("button").focus();
  } else if (button?.dataset.sort) {
    const name = button.dataset.sort;
    state.sort = state.sort === name ? `-${name}` : state.sort === `-${name}` ? "" : name;
    writeAddress();
    sort();
  } else if (!event.target.closest("#tip")) hide();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !asked) return;
  const source = asked;
  hide();
  source.focus();
  hide(); // focus has shown it again
});
tip.querySelector("button").addEventListener("click", copy);
addEventListener("scroll", () => pinned || hide(), { passive: true });
input.addEventListener("input", () => {
  state.filter = input.value.trim();
  writeAddress();
  filter();
});
function follow() {
  readAddress();
  sort();
  filter();
}
addEventListener("hashchange", follow);
document.querySelector(".find").hidden = false;
follow();
