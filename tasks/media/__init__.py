"""Images and sounds as examples: folders, tables, parquet; decoding within bounds.

They come as folders by label (`train/cat/1.jpg`, or without the split), as files beside a
`metadata.csv` or `metadata.jsonl` (column `file_name`), as columns of parquet, and as tables of
paths; pictures also as MNIST's idx files and CIFAR's binary version.

A broken file is named and stops the run, or is left out with `--on_bad_file skip`; what a file
claims is checked before it is decoded (`--max_pixels`, `--max_seconds`).

A checkpoint keeps how its images were read, and `evaluate`, `predict` and every artifact read
theirs so. In plain transformers stretched, cropped and (on black) padded images are the same;
transparency it throws away, and more than 8 bits it clips.

A microphone: `arecord -q -f S16_LE -r 16000 | zoo predict runs/stream_ctc --stream --partials`.
Every model of sound takes one; from Python it is `zoo.speech.streaming.SpeechStream`.

From Python an image or sound is a path, bytes, an open file, an array or tensor (images: 0..255 or
0..1, channels first or last; sounds: one channel at the model's rate), an image also PIL's, a sound
also {"array", "sampling_rate"}.
"""
