"""Checkpoints to the Hugging Face Hub and back: push, pull, verify, diff.

    python -m tools.hub push runs/bert_cls me/reviews --dry_run   # what would go; no network
    python -m tools.hub push runs/bert_cls me/reviews --artifacts onnx,onnx+int8-dynamic
    python -m tools.hub verify me/reviews@main --data reviews.csv # sums, card, parity, metrics
    python -m tools.hub pull me/reviews --output_dir runs/reviews
    python -m tools.hub diff me/reviews v1 main --fail_if 'accuracy<-0.005'

A push checks card, sums, proofs and licence first, makes one commit with everything, and reads back
what arrived. Only what is on a list of allowed files goes; ONNX programs go to `onnx/`, where the
Hub's own tools look for them. Names of people stay here: of a path that is absolute, leads up
(`..`) or has a scheme or a password only the last part is recorded or published, and a push finds
what older records hold. What comes from a repository is safetensors and ONNX only.
"""
