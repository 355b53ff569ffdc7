"""Model cards: README.md rendered from the evidence of a checkpoint, and checked against it.

    python -m tools.cards runs/bert_cls
    python -m tools.cards runs/bert_cls --check

A card is a pure function of the files of its folder and of the zoo's registry: the same files give
the same bytes. Every number that was measured carries the id of its fact as a comment.
"""
