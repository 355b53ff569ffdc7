"""What lies on disk: the folder of a run, what was measured of it, and pretrained weights.

The folder of a run:

    config.json, model.safetensors, tokenizer files
                     the model one would use: the best by validation, fp32
    zoo.json         how it came about: settings, fingerprint of the data, versions, seed, commit,
                     and the sums of the files
    evidence.jsonl   what was measured, append-only
    plots/           curves of the training; the confusion matrix
    logs/            metrics.jsonl, samples.jsonl (which rows each step saw), TensorBoard's files
    artifacts/       what `export` and `quantize` made, a folder each
    state/           what `--resume` needs (`zoo.train.resume`)

A folder that holds another run is moved aside (`runs/reviews.1`), never overwritten. While a run
writes to its folder no other can: the second one is told the process that has it.

Pretrained weights are looked for in a folder, an installed package, the Hub's cache, and on the
Hub. They are checked against the sha256 where one is known, and are safetensors only. No code or
pickle from outside is run, and nobody is asked for consent: a folder whose configuration names a
module (`auto_map`), a kernel of the Hub, an adapter, quantized weights or files elsewhere is
refused, by every verb and by `zoo.load`. `HF_HUB_OFFLINE=1` keeps everything from asking the Hub.
"""
