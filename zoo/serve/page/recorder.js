// An AudioWorklet: what the microphone hears as pieces of int16, mono, 16 kHz, a tenth of a second each.

import { RATE, Resampler, toInt16 } from "./resample.js";

const PIECE = RATE / 10; // samples

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate);
    this.waiting = [];
    this.count = 0;
    this.ended = false;
    this.port.onmessage = () => { // the only message: it is over
      this.keep(this.resampler.finish());
      this.give();
      this.port.postMessage("end");
      this.ended = true;
    };
  }

  process([channels]) {
    if (this.ended) return false;
    if (channels.length) this.keep(this.resampler.push(mono(channels)));
    if (this.count >= PIECE) this.give();
    return true;
  }

  keep(samples) {
    this.waiting.push(samples);
    this.count += samples.length;
  }

  give() {
    const all = new Float32Array(this.count);
    let place = 0;
    for (const samples of this.waiting) {
      all.set(samples, place);
      place += samples.length;
    }
    this.waiting = [];
    this.count = 0;
    const piece = toInt16(all);
    if (piece.length) this.port.postMessage(piece.buffer, [piece.buffer]);
  }
}

function mono(channels) {
  if (channels.length === 1) return channels[0];
  return channels[0].map((_, i) => channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length);
}

registerProcessor("recorder", Recorder);
