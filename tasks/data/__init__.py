"""Data: where examples come from, their columns, labels and splits.

`--data` takes a file (csv, tsv, xlsx, json, jsonl, parquet), a folder of split files (`train.csv`,
`test.csv`, ...), a folder of texts by label (`train/pos/1.txt`, as IMDb and 20 Newsgroups have
them), or a Hub id (with `--data_config` where it has several configurations); `tasks.media` says
how images and sounds may lie. Words with tags come as CoNLL files (`train.conll` or `train.txt`,
...; CoNLL-U too) or as lists (`tokens`, `tags`) in jsonl and parquet; IOB1, BIO and BIOES are
understood, and F1 is seqeval's. With `--tags_from punctuation` they are made of any texts: words in
small letters, whose tags say which mark follows and how they were written. `embedded`, the default,
is a toy: sentences out of the docstrings of installed libraries (the label is the library, or the
tags are their punctuation), scikit-learn's digits, words and strings of digits spoken by espeak-ng
(extra `speech-demo`).

    text,label
    "fine, I loved it",positive
    two hours of my life,negative

Columns are found by their usual names (`text`, `sentence`, ...; `label`, `category`, ...) or named
with `--text_column`, `--text_pair_column` (two texts, as in entailment) and `--label_column`; with
commas that names several numbers to predict. Labels that are lists are several labels a text,
floating point numbers are a regression; `--problem_type` decides where that guess is wrong, as in a
csv, where all is text (there, several labels are written `comedy|drama`).

Splits that are missing are cut from train by seed (`--validation_size`, `--test_size`), stratified.
A split in which no row has a label (a test set of Kaggle's, or one of -1 as `datasets` writes it)
is told and not measured; a row without one among others stops the run.

Before training the data are looked over: empty or duplicate texts, a label in one split only,
classes that differ by blanks only, how much is truncated or unknown to the tokenizer; images and
sounds that can't be read, silence, transcriptions too long for their sound. `--clean` mends texts:
HTML, blanks, duplicates.

`predict` reads tables as training does, in the columns that training read, or a text a line, and
writes csv, jsonl or parquet. Every row has its prediction or the command fails, and the other
columns are kept (an input's own `label` becomes `input_label`).
"""
