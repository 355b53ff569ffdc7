"""From data to a service in one command.

    zoo ship reviews.csv --minutes 10 --p95_ms 20 --max_drop 0.005 --serve

It looks what the data are, takes the model and the recipe that suit them, trains for its share of
the time, refuses what is worth nothing, has `bench decide` search, prove and confirm the
deployment, writes the card, and starts the service. Each choice is a line with its reason, and the
command that does it alone: every step but the look is a program of its own.

- Texts or pairs with one label, several, or numbers: `bert_cls` from a preset that is at hand and
  whose tokenizer reads them, else `rnn_cls`. Words with tags: `bert_tok` from such a preset.
- Images: `cnn_cls`, with boxes `fcos_det`, with masks `unet_seg`. Sounds: `kws_cls` with labels,
  `conformer_ctc` with transcriptions.
- Tables of numbers and names, without a column of texts: `mlp_tab`.

`--model` names another one, a preset, or a checkpoint of yours to go on from; `--model mlp_tab`
leaves columns of texts out.

The time is shared out at the start, and each step gets what the ones before have left. Training
takes as many steps as fit into its share, and no more than its recipe makes sense with (`finetune
--minutes`). A command that was killed goes on from where it was when it is given again, also with
more minutes: `logs/ship/` in the output folder has the record, and what each program printed. With
other data it is refused, unless nothing was trained yet. Where all other deployments fall out, as
none is installed or keeps to the limits, eager fp32 is served, and a line says so.
"""
