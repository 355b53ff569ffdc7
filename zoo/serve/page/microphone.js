// The microphone: recorded as a WAV file, and sent as it comes to /websocket where text is wanted live.

import { key } from "./api.js";
import { RATE } from "./resample.js";
import { t } from "./strings.js";

const PATIENCE = 2000; // ms for what was heard last: a device that is gone says nothing more
export const LONGEST = 5; // minutes of a recording: 9.6 MB

// Why a device can't be used, in the words of the page.
export function deviceTrouble(error) {
  if (!window.isSecureContext) return t("insecure");
  if (error?.name === "NotAllowedError") return t("notAllowed");
  if (error?.name === "NotFoundError") return t("noDevice");
  return error?.message ?? String(error);
}

// A recording that runs from `start` to `stop`.
export class Recording {
  // `heard(piece)`: an Int16Array of each tenth of a second, as it comes.
  static async start(heard) {
    const recording = new Recording();
    if (!navigator.mediaDevices?.getUserMedia) throw new Error(t("insecure"));
    // What is made for calls (echo, noise, gain) changes what the model hears
    const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true };
    recording.stream = await navigator.mediaDevices.getUserMedia({ audio });
    try {
      recording.context = new AudioContext();
      await recording.context.audioWorklet.addModule("page/recorder.js");
      recording.node = new AudioWorkletNode(recording.context, "recorder");
      recording.node.connect(recording.context.destination); // silence: some browsers run no other
      recording.pieces = [];
      recording.ended = new Promise((resolve) => {
        recording.node.port.onmessage = ({ data }) => {
          if (data === "end") return resolve();
          const piece = new Int16Array(data);
          recording.pieces.push(piece);
          return heard(piece);
        };
      });
      recording.context.createMediaStreamSource(recording.stream).connect(recording.node);
      await recording.context.resume();
    } catch (error) {
      recording.release();
      throw error;
    }
    return recording;
  }

  // End it. Returns the sound as a WAV file, or null where nothing was heard.
  async stop() {
    this.node.port.postMessage("stop");
    await Promise.race([this.ended, new Promise((resolve) => setTimeout(resolve, PATIENCE))]);
    this.release();
    const count = this.pieces.reduce((sum, piece) => sum + piece.length, 0);
    return count ? new File([wavHeader(count), ...this.pieces], "recording.wav", { type: "audio/wav" }) : null;
  }

  release() {
    for (const track of this.stream.getTracks()) track.stop();
    this.context?.close();
  }
}

// The head of a WAV file of so many samples: 16 bit, mono, 16 kHz.
function wavHeader(samples) {
  const bytes = 2 * samples;
  const head = new DataView(new ArrayBuffer(44));
  const word = (place, letters) => [...letters].forEach((letter, i) => head.setUint8(place + i, letter.charCodeAt(0)));
  word(0, "RIFF");
  head.setUint32(4, 36 + bytes, true);
  word(8, "WAVEfmt ");
  head.setUint32(16, 16, true); // bytes of the format
  head.setUint16(20, 1, true); // PCM
  head.setUint16(22, 1, true); // channels
  head.setUint32(24, RATE, true);
  head.setUint32(28, 2 * RATE, true); // bytes a second
  head.setUint16(32, 2, true); // bytes a sample, of all channels
  head.setUint16(34, 16, true); // bits
  word(36, "data");
  head.setUint32(40, bytes, true);
  return head;
}

// How loud a piece is, from 0 to 1 over 60 dB.
export function loudness(piece) {
  const power = piece.reduce((sum, x) => sum + x * x, 0) / Math.max(1, piece.length) / 32768 ** 2;
  return Math.max(0, Math.min(1, 1 + (10 * Math.log10(power + 1e-12)) / 60));
}

// A live transcription over /websocket: int16 in, {"type": "partial" | "final", "text", "words"} out.
export class Transcription {
  // `said(text, words, isFinal)`: all that was said until now, as it comes.
  constructor(model, said) {
    const address = new URL(`websocket?${new URLSearchParams({ model })}`, document.baseURI);
    address.protocol = address.protocol.replace("http", "ws");
    this.finals = [];
    this.words = [];
    this.partial = "";
    this.waiting = []; // what was heard before the socket was open
    this.trouble = null;
    this.socket = new WebSocket(address, protocols());
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      for (const piece of this.waiting) this.socket.send(piece);
      this.waiting = [];
    };
    this.closed = new Promise((resolve) => {
      this.socket.onclose = (event) => {
        if (!event.wasClean || event.code >= 1002) this.trouble ??= event.reason || t("unreachable");
        resolve();
      };
    });
    this.socket.onmessage = ({ data }) => this.take(JSON.parse(data), said);
  }

  take(message, said) {
    if (message.error) {
      this.trouble = message.error.message ?? message.error;
      return;
    }
    if (message.type === "final") {
      if (message.text) this.finals.push(message.text);
      this.words.push(...(message.words ?? []));
      this.partial = "";
    } else if (message.type === "partial") {
      this.partial = message.text;
    } else {
      return;
    }
    this.last = performance.now();
    said(this.finals.join(" "), this.partial);
  }

  send(piece) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(piece);
    else if (this.socket.readyState === WebSocket.CONNECTING) this.waiting.push(piece);
  }

  // Say that the sound is over. Returns {text, words, ms}, or null where the socket gave no text.
  async finish() {
    const ended = performance.now();
    this.send("end");
    const patience = setTimeout(() => this.socket.close(), 15000);
    await this.closed;
    clearTimeout(patience);
    if (this.last === undefined || this.trouble !== null) return null;
    const text = [...this.finals, this.partial].filter(Boolean).join(" ");
    return { text, words: this.words, ms: Math.max(0, this.last - ended) };
  }

  cancel() {
    this.socket.close();
  }
}

// A browser can't set headers of a WebSocket: the key goes as a subprotocol, in letters it may have.
function protocols() {
  if (!key.get()) return [];
  const bytes = new TextEncoder().encode(key.get());
  const letters = btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return ["zoo", `bearer.${letters}`];
}
