"""Checkpoints to the Hugging Face Hub and back: push, pull, verify, diff."""
