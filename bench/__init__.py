"""Measurements: cases, comparisons, decisions. Imports zoo.

    python -m bench decide runs/bert_cls --p95_ms 20 --max_drop 0.005 --memory_mb 500
    python -m bench compare runs/bert_cls --deployments eager onnx --fail_if slower:3%
    python -m bench run minilm resnet18 --deployments eager onnx --batch_sizes 1 16
    python -m bench report bench-results.jsonl --out report.html  # one page, works offline
    python -m bench peers runs/bert_cls --deployments onnx        # beside transformers.pipeline
    python -m bench peers runs/gpt_lm --batch_sizes 1 8           # beside transformers.generate
    python -m bench load runs/bert_cls --p99_ms 100               # requests/s that a service holds
    python -m bench trace runs/bert_cls --batch_size 16           # torch.profiler, for TensorBoard
    python -m bench doctor                                        # what this machine grants
    python -m bench selftest                                      # the harness on itself
    pytest bench/regression --benchmark-autosave --benchmark-compare

Each arm is a fresh process; all are live, one runs at a time, in blocks of random order. Medians
come with a 99% interval over processes. A verdict is faster, slower, same (within 3%) or can't
tell, and nothing smaller than the noise floor, measured in the same run by a second process of the
baseline, is claimed. `--minutes` is a limit for everything: the most valuable comes first, what was
left out is told, and the same command goes on with it. `run` forks its processes off one that has
imported the libraries (`--launcher preloaded`); `compare` and the verdicts of `decide` use fresh
ones. A deployment whose outputs disagree with eager fp32 gets no time.

`decide` makes, proves and times the deployments, by successive halving, and prints the Pareto front
of metric, latency, memory and size; the winner is confirmed once on the test split. On two cores of
an AMD EPYC, in 7 minutes (bench/results/decide.png is its picture), with
`--p95_ms 20 --max_drop 0.005 --memory_mb 500 --minutes 6 --export`:

    deployment         lost                          a call [99%]             times as fast  memory
    eager              +0.0000 (-0.0020 to +0.0020)  13.54 ms [9.363, 19.57]  1              229 MB
    openvino           +0.0000 (-0.0020 to +0.0020)  5.175 ms [3.857, 6.944]  2.536          175 MB
    openvino+bf16      +0.0000 (-0.0020 to +0.0020)  3.554 ms [2.296, 5.501]  3.878          150 MB
    onnx+int8-dynamic  -0.0020 (-0.0079 to +0.0039)  2.858 ms [2.237, 3.652]  4.693           41 MB
    onnx+int8-static   -0.0030 (-0.0092 to +0.0032)  3.26 ms [2.443, 4.35]    4.092           51 MB
    onnx               +0.0000 (-0.0020 to +0.0020)  5.44 ms, then pruned

The winner, onnx+int8-static, has accuracy 0.8533 on the test split, where fp32 has 0.8553: it lost
+0.0020 (-0.0056 to +0.0096), n = 1,500. openvino, openvino+bf16 and onnx+int8-dynamic are as fast,
as far as can be told; the two int8 programs are the front.

How often the verdicts are right, live, on these two cores (`python -m bench selftest --repeat 30
--minutes 0.2`): of 30 comparisons of a thing with itself none said faster or slower (17 same, 13
can't tell); of 30 with one that was 3% slower 23 said so, 7 can't tell, none the contrary; where
the noise floor was below 3% all 8 were found. Replayed over 10,010 draws from recordings of ten
models, three of them beside another load too (`python -m bench replay`): 0.03% false, the contrary
never, 96.2% found where the floor was below 3%, which for six launches of a minute it seldom was
(median 9.5%). Alone, the floor of a call of 10 ms is 1.1% within a minute (`python -m bench
doctor`).

Beside what a user would run in its place, real texts in and labels out, batch 1 (`python -m bench
peers runs/reviews --deployments eager onnx --batch_sizes 1 --launches 3`), times as fast as
`transformers.pipeline`: plain `torch.compile` 1.14 [0.99, 1.30], plain `onnxruntime` 1.83 [1.25,
2.70], eager of ours 1.07 [0.96, 1.22], onnx of ours 1.86 [1.52, 2.29].

On a GPU: `python -m bench gpu_check --minutes 8 --wheels wheels --weights minilm-fp16` is all that
needs one and leaves one folder; `python -m bench run bert-base-uncased --device cuda --phases
training --deployments eager eager:cuda-graphs compile:reduce-overhead` times training steps;
`python -m bench decide runs/bert_cls --device cuda --max_drop 0.005` tries tf32, bf16, fp16,
compiled programs and CUDA graphs.
"""
