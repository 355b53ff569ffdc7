// The OpenAPI document of this service as a page from which each request can be sent.
"use strict";

const KEY = "zoo-key";
const SHOWN = 400; // characters of a long text in an example

function element(tag, text, ...children) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

function headers() {
  const key = sessionStorage.getItem(KEY);
  return key ? { authorization: `Bearer ${key}` } : {};
}

// What is long (a file in base64) is cut in what is shown, and sent whole.
function shortened(value) {
  return JSON.stringify(
    value,
    (_, one) => (typeof one === "string" && one.length > SHOWN ? `${one.slice(0, 40)}...` : one),
    2
  );
}

function binaryType(content) {
  return Object.keys(content).find((type) => type.endsWith("/*"));
}

// The names of the models, as the examples have them.
function modelsOf(paths) {
  const content = paths["/predict"]?.post?.requestBody?.content ?? {};
  return Object.keys(content["application/json"]?.examples ?? {});
}

function operation(path, method, described, models) {
  const content = described.requestBody?.content ?? {};
  const examples = content["application/json"]?.examples ?? {};
  const form = content["multipart/form-data"]?.schema.properties;
  const names = Object.keys(examples);
  const fields = element("form");
  const parameters = (described.parameters ?? []).filter((one) => one.in === "path");
  const filled = parameters.map((one) => {
    const input = element("input");
    input.name = one.name;
    input.value = one.name === "name" ? (models[0] ?? "") : "";
    input.required = true;
    fields.append(element("label", one.name, input));
    return input;
  });
  let body = null, choice = null, changed = false;
  if (names.length) {
    choice = element("select", "", ...names.map((name) => element("option", name)));
    body = element("textarea");
    body.setAttribute("aria-label", "JSON");
    const show = () => {
      body.value = shortened(examples[choice.value].value);
      changed = false;
      for (const input of filled) if (input.name === "name") input.value = choice.value;
    };
    choice.onchange = show;
    body.oninput = () => { changed = true; };
    show();
    fields.append(element("label", "example for", choice), element("label", "JSON", body));
  }
  const raw = binaryType(content);
  const files = form
    ? Object.keys(form).filter((name) => form[name].format === "binary")
    : raw ? ["file"] : [];
  const file = element("input");
  file.type = "file";
  file.required = !names.length;
  if (files.length) {
    const either = names.length ? "or a file" : "a file";
    const what = form ? `${either}, as the form field ${files.join(" or ")}` : `${either} as it is`;
    fields.append(element("label", what, file));
  }
  const send = element("button", "Send");
  const answer = element("pre");
  answer.hidden = true;
  answer.setAttribute("aria-live", "polite");
  fields.append(send, answer);
  fields.onsubmit = async (event) => {
    event.preventDefault();
    const asked = { method: method.toUpperCase(), headers: headers() };
    let url = path;
    for (const input of filled) url = url.replace(`{${input.name}}`, encodeURIComponent(input.value));
    if (file.files.length && form) {
      asked.body = new FormData();
      asked.body.append(files[files.length - 1], file.files[0]);
      if (choice) asked.body.append("model", choice.value);
    } else if (file.files.length) {
      asked.body = file.files[0];
    } else if (body) {
      asked.headers["content-type"] = "application/json";
      asked.body = changed ? body.value : JSON.stringify(examples[choice.value].value);
    }
    send.disabled = true;
    const began = performance.now();
    try {
      const got = await fetch(`.${url}`, asked);
      const text = await got.text();
      const took = Math.round(performance.now() - began);
      answer.textContent = `${got.status} ${got.statusText}, ${took} ms\n${pretty(text)}`;
    } catch (error) {
      answer.textContent = `no answer: ${error.message}`;
    }
    answer.hidden = send.disabled = false;
  };
  const head = element("summary", "", element("b", method.toUpperCase()), element("code", path));
  head.append(element("span", described.summary ?? ""));
  return element("details", "", head, fields);
}

function pretty(text) {
  try {
    return shortened(JSON.parse(text));
  } catch {
    return text.slice(0, 10000);
  }
}

// A link brings no key, so that with one the file is what was read already.
let linkedUrl = "";
function linked(text) {
  if (!sessionStorage.getItem(KEY)) return;
  URL.revokeObjectURL(linkedUrl);
  linkedUrl = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = document.querySelector("#file");
  link.href = linkedUrl;
  link.download = "openapi.json";
}

async function show() {
  const got = await fetch("./openapi.json", { headers: headers() });
  const trouble = document.querySelector("#trouble");
  document.querySelector("#key").hidden = got.status !== 401;
  trouble.hidden = got.ok;
  if (!got.ok) {
    trouble.textContent = (await got.json()).error;
    return;
  }
  const text = await got.text();
  linked(text);
  const groups = new Map();
  const paths = JSON.parse(text).paths;
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, described] of Object.entries(methods)) {
      const tag = described.tags?.[0] ?? "service";
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(operation(path, method, described, modelsOf(paths)));
    }
  }
  const shown = [...groups].flatMap(([tag, operations]) => [element("h2", tag), ...operations]);
  document.querySelector("#operations").replaceChildren(...shown);
}

document.querySelector("#key button").onclick = () => {
  sessionStorage.setItem(KEY, document.querySelector("#key input").value);
  show();
};
show();
