"""Services as people write them with other tools, to be measured beside ours: text in, label out.

Each file is a server of its own, `python -m bench.load.peers.NAME CHECKPOINT --port 8080`, that
answers `POST /predict` of `{"input": TEXT}` with `{"predictions": [{"label": ..., "score": ...}]}`.
FastAPI has `transformers.pipeline` behind it, as tutorials have; LitServe and Ray Serve make
batches, and have tokenizer and model themselves, as in their own examples: a pipeline makes the
tokens of a batch text by text. All cut texts where ours does, compute in fp32 without gradients,
and write no line for a request. Workers, threads, batch and wait are flags: for the processor
LitServe asks for as many workers as cores (`--peer_workers`). Their packages are the extra `peers`.
"""
