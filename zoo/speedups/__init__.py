"""What makes training fast with the same result, each on the devices where it pays.

On NVIDIA's GPUs `finetune` packs texts: the samples of an optimizer step lie one after the other in
rows of one size, without padding, and attention looks at each alone (`--packing`; BERT, RoBERTa,
XLM-R, CamemBERT, ELECTRA, DistilBERT, ModernBERT; others are padded to at most eight lengths). A
step of one shape is recorded once as a CUDA graph and replayed (`--cuda_graphs`,
`zoo.train.step_graphs`), and layers that repeat are compiled where the run is long enough
(`--compile_layers`).

On processors attention, dropout, the embedding's gradient and the copies of bf16 weights have code
of their own. `--token_budget` cuts a step into passes that fit the memory, and changes no result.
"""
