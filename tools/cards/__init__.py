"""Model cards: README.md rendered from the evidence of a checkpoint, and checked against it.

    python -m tools.cards runs/bert_cls
    python -m tools.cards runs/bert_cls --check  # fails where a digit, a byte or a line was changed

A card is a pure function of the files of its folder and of the zoo's registry: the same files give
the same bytes. Every number that was measured carries the id of its fact in `evidence.jsonl` as a
comment; what was not measured is not there. Prose of one's own goes into `card.md` beside it, which
may begin with metadata (`license`, `language`, ...). MODEL_CARDS.md is rendered the same way, out
of what is committed under bench/results/models (`nox -s cards`).
"""
