"""A fuzzer of the command line: seeded cases, each in a forked child of one warm process.

python -m tests.faults.fuzz --seed 1 --cases 1000
python -m tests.faults.fuzz --seed 1 --case 123      # one of them once more, with all it says

A case is a function of (seed, number): what kind it is, the files it is given, and the words of its
command. Whatever it is given, a command ends with a result or with one sentence and exit code 2:
no traceback, no hang, no partial output, no input touched. `checks` says it exactly.
"""
