// Sound of any rate as 16 kHz, in pieces: a windowed sinc (Hann, 16 zero crossings on either side)
// at the places of the new samples. What the new rate can't hold is filtered out before.

export const RATE = 16000;
const CROSSINGS = 16;
const FINENESS = 512; // values of the kernel from one crossing to the next
const KERNEL = Float32Array.from({ length: CROSSINGS * FINENESS + 2 }, (_, i) => {
  const x = i / FINENESS;
  if (x >= CROSSINGS) return 0;
  return (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x)) * (0.5 + 0.5 * Math.cos((Math.PI * x) / CROSSINGS));
});

export class Resampler {
  constructor(from, to = RATE) {
    this.step = from / to; // old samples from one new sample to the next
    this.cutoff = Math.min(1, to / from); // of the old rate's half
    this.reach = Math.ceil(CROSSINGS / this.cutoff); // old samples on either side that count
    this.held = new Float32Array(this.reach); // old samples that are still wanted; silence first
    this.place = this.reach; // of the next new sample, in `held`
  }

  // The new samples that can be told with these old ones: Float32Array.
  push(samples) {
    const all = new Float32Array(this.held.length + samples.length);
    all.set(this.held);
    all.set(samples, this.held.length);
    const made = [];
    while (this.place + this.reach < all.length) {
      made.push(this.at(all, this.place));
      this.place += this.step;
    }
    const passed = Math.max(0, Math.floor(this.place) - this.reach);
    this.held = all.slice(passed);
    this.place -= passed;
    return Float32Array.from(made);
  }

  // The new samples at the end, as if silence followed.
  finish() {
    return this.push(new Float32Array(this.reach));
  }

  at(all, place) {
    if (this.step === 1) return all[place];
    let sum = 0;
    const last = Math.floor(place) + this.reach;
    for (let i = Math.max(0, Math.ceil(place) - this.reach); i <= last; i++) {
      const x = Math.min(CROSSINGS, Math.abs(place - i) * this.cutoff) * FINENESS;
      const k = Math.floor(x);
      sum += all[i] * (KERNEL[k] + (x - k) * (KERNEL[k + 1] - KERNEL[k]));
    }
    return sum * this.cutoff;
  }
}

export function toInt16(samples) {
  return Int16Array.from(samples, (x) => Math.round(Math.max(-1, Math.min(1, x)) * 32767));
}
