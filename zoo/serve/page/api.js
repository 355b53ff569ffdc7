// Talks to the service: requests as values, so that the very same is sent and written as a curl line.

import { t } from "./strings.js";

const KEY = "zoo-key"; // in sessionStorage: gone with the tab

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

// What the service, or the way to it, refused: its sentence, and the status (0: no answer at all).
export class Refused extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

// A request of texts. `input`: a text or two; `options`: top_k, parameters.
export function textRequest(model, input, options) {
  const body = JSON.stringify({ model, input, ...options });
  return { path: "predict", type: "application/json", body, file: null };
}

// A request of an image or sound: the file itself is the body.
export function fileRequest(model, file, options) {
  const query = new URLSearchParams({ model, ...options });
  return { path: `predict?${query}`, type: file.type || "application/octet-stream", body: file, file: file.name };
}

// A request of a text that is read while it is written: what goes on behind a prompt, or the answer
// of a model that chats.
export function writeRequest(model, prompt) {
  const chat = { model: model.name, messages: [{ role: "user", content: prompt }], temperature: 0, stream: true };
  const body = JSON.stringify(model.chats ? chat : { inputs: prompt, stream: true });
  return { path: model.chats ? "v1/chat/completions" : `models/${model.name}`, type: "application/json", body, file: null };
}

// Send a request. Returns {answer, ms}; raises Refused, or AbortError where `signal` says so.
export async function send(request, signal) {
  const started = performance.now();
  const { response, text } = await exchange(request.path, posted(request, signal));
  const ms = performance.now() - started;
  const answer = parsed(response, text);
  if (!Array.isArray(answer.predictions)) throw new Refused(t("notPredictions"), response.status);
  return { answer, ms };
}

// Send a request of `writeRequest`; `seen(text)` is called whenever the text has grown. What was
// written until `signal` ended it is the answer, if there is anything.
export async function sendWriting(model, request, signal, seen) {
  const started = performance.now();
  const response = await fetched(request.path, posted(request, signal));
  if (!response.ok) parsed(response, await response.text());
  let text = "";
  try {
    for await (const { token, choices, error } of events(response.body)) {
      if (error) throw new Refused(error.message ?? error, 0);
      text += token?.text ?? choices[0].delta.content ?? "";
      seen(text);
    }
  } catch (error) {
    if (error instanceof Refused || (error.name === "AbortError" && !text)) throw error;
    if (error.name !== "AbortError") throw new Refused(t("unreachable"), 0);
  }
  return { answer: { model, predictions: [{ text }] }, ms: performance.now() - started };
}

// The content of each server-sent event, as it comes; each is one line of JSON.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let { value, done } = await reader.read(); !done; { value, done } = await reader.read()) {
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line.startsWith("data: {")) yield JSON.parse(line.slice("data: ".length));
  }
}

function posted(request, signal) {
  return { method: "POST", headers: { "content-type": request.type }, body: request.body, signal };
}

export async function models() {
  const { response, text } = await exchange("page/models.json", {});
  return parsed(response, text).models;
}

async function exchange(path, options) {
  const response = await fetched(path, options);
  try {
    return { response, text: await response.text() };
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(t("unreachable"), 0);
  }
}

async function fetched(path, { headers = {}, ...options }) {
  const known = key.get();
  if (/[^\x21-\x7e]/.test(known)) throw new Refused(t("badKey"), 401); // no header can hold it
  if (known) headers = { ...headers, authorization: `Bearer ${known}` };
  try {
    return await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(t("unreachable"), 0);
  }
}

function parsed(response, text) {
  let content;
  try {
    content = JSON.parse(text);
  } catch {
    throw new Refused(response.ok ? t("notJson") : t("status", response.status), response.status);
  }
  if (response.ok) return content;
  const told = [content.error, content.error?.message, content.detail].find((sentence) => typeof sentence === "string");
  const parts = [told ?? t("status", response.status)];
  if (content.hint && !parts[0].includes(content.hint)) parts.push(content.hint);
  const wait = response.headers.get("retry-after");
  if (wait) parts.push(t("later", wait));
  throw new Refused(parts.join(" · "), response.status);
}

// The request as one line for a POSIX shell. A key is named, never written.
export function curlLine(request) {
  const words = ["curl", quoted(new URL(request.path, document.baseURI).href)];
  words.push("-H", quoted(`content-type: ${request.type}`));
  if (key.get()) words.push("-H", '"authorization: Bearer $ZOO_KEY"');
  if (request.file === null) words.push("--data-binary", quoted(request.body));
  else words.push("--data-binary", quoted(`@${request.file}`));
  return words.join(" ");
}

export function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
