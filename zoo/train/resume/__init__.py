"""Going on with a training that was stopped.

`--resume` goes on from the newest whole state, or begins anew where there is none. A state is saved
every ten minutes (`--save_minutes`, `--save_steps`), on Ctrl-C, SIGTERM and a closed terminal;
after SIGTERM the same command goes on by itself.

The order of the samples is a function of seed and epoch alone, so a run may go on with another
batch size or another number of processes and still sees every sample once. Length, device, learning
rate, and what is logged and saved may change too: that is told, and recorded in `zoo.json` under
`changes`. Other data, labels, weights or flags are refused, with then and now.
"""
