#!/usr/bin/env python3
"""Time commands that write to a pipe, turn about, so that all of them meet the same state of the machine.

usage: meter.py RUNS COMMAND...       each COMMAND is one word, split as a shell would

Prints a line per command: median milliseconds to its first byte, median milliseconds to its end, and its peak memory in KiB
(the largest of three more runs). A command that fails ends the measurement.
"""
import os
import shlex
import statistics
import subprocess
import sys
import time


def timed(command):
    """Milliseconds to the first byte and to the end."""
    started = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        read = process.stdout.fileno()
        first = os.read(read, 1) and time.perf_counter()
        while os.read(read, 1 << 16):
            pass
    ended = time.perf_counter()
    if process.returncode or not first:
        sys.exit(f"meter: exit {process.returncode} from {shlex.join(command)}")
    return (first - started) * 1e3, (ended - started) * 1e3


def peak(command):
    """KiB. GNU time starts the command from a process smaller than it, so the peak is the command's and not Python's."""
    process = subprocess.run(["/usr/bin/time", "-q", "-f", "%M", *command], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    return int(process.stderr.split()[-1])


runs, commands = int(sys.argv[1]), [shlex.split(command) for command in sys.argv[2:]]
results = [[] for _ in commands]
for turn in range(runs + 2):
    for command, result in zip(commands, results):
        measured = timed(command)
        if turn >= 2:                                        # the first two turns warm up
            result.append(measured)
for command, result in zip(commands, results):
    first, whole = zip(*result)
    print(f"{statistics.median(first):.2f} {statistics.median(whole):.2f} {max(peak(command) for _ in range(3))}")
