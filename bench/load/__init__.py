"""How many requests a second a service holds: `python -m bench load CHECKPOINT|URL`.

    python -m bench load runs/bert_cls --p99_ms 100 --rounds 3
    python -m bench load runs/bert_cls --deployments eager onnx+int8-dynamic -- --workers 2
    python -m bench load runs/bert_cls --peers transformers litserve ray --p99_ms 100
    python -m bench load http://127.0.0.1:8080 --data texts.csv --rate 50 100 200
    python -m bench load runs/bert_cls --clients 8

Open loop: requests arrive as a Poisson process of the rate that is asked for, whatever the service
does, and a latency is counted from the moment that the request was meant to start. So waiting in a
queue is seen, that of the client's own queue too, which a closed loop hides (Schroeder, Wierman and
Harchol-Balter 2006, "Open Versus Closed"). In a round each arm gets the same gaps, scaled by the
rate, and the same inputs in the same order; the next round has others.

Without a rate the highest one is looked for at which 99 of 100 requests are answered within
`--p99_ms`: the rate rises by half until a step breaks that or answers fail, then the gap is cut in
halves (geometrically) until its ends differ by `--resolution`. A request that failed counts as one
that took forever. A step whose p99 is broken for sure ends at once. The result of a round is the
highest rate that was kept; the interval is Student's t over the rounds, on logarithms. Arms take
turns in a random order in each round; one service is alive at a time, and the others are stopped:
each round is a launch of its own, so what differs between launches is in the interval. A search
that time ends before, one that kept no rate, and a step of too few requests for a p99 are told. A
service that ends under load has no further rounds, and other answers than those of the first
service have no number. A step is as sure as it is long: where a service stands still for 0.2 s
once, a hundredth of the requests of 10 s takes longer than 100 ms. Numbers that are to be quoted
want `--seconds 30`.

The client is one process or several (`--client_processes`), on the same cores as the service where
that is local. What it takes is measured and told: 0.1 ms of a core a request where
it is busy, 0.3 ms at 50 requests/s, as it then wakes up for each (uvloop, two busy cores).

A service of ours that wants a key is sent the first of the file behind `-- --keys`, or of
ZOO_SERVE_KEYS; one that runs elsewhere that of `--key_file`.

`python -m bench decide CHECKPOINT --p99_ms 50 --rate 200` tries the finalists of a decision so, and
chooses what keeps the p99 for the least of the processor.
"""
