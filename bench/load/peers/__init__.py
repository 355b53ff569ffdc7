"""Services as people write them with other tools, to be measured beside ours: text in, label out.

Each file is a server of its own, `python -m bench.load.peers.NAME CHECKPOINT --port 8080`, with
`transformers.pipeline` behind `POST /predict` of `{"input": TEXT}`; the answer is
`{"predictions": [{"label": ..., "score": ...}]}`. Their packages are the extra `peers`.
"""
