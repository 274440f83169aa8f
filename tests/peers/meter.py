#!/usr/bin/env python3
"""Time commands, turn about, so that all of them meet the same state of the machine.

usage: meter.py RUNS COMMAND...       each COMMAND is one word, split as a shell would

Prints a line per command: median milliseconds to its first byte, median milliseconds to its end, and its peak memory in KiB
(the largest of three more runs); '-' for what there is not. A command that fails is run no more, and has no figures.
"""
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import time

WARM_UP = 2
NOTHING = os.open(os.devnull, os.O_RDONLY)


class Command:
    def __init__(self, word):
        self.words = shlex.split(word)
        self.program = shutil.which(self.words[0])
        self.first, self.whole = [], []
        self.is_good = self.program is not None

    def run(self):
        """Times one run. Spawned without a copy of this process, whose size would count."""
        read, write = os.pipe()
        actions = [(os.POSIX_SPAWN_DUP2, NOTHING, 0), (os.POSIX_SPAWN_DUP2, write, 1)]
        started = time.perf_counter()
        process = os.posix_spawn(self.program, self.words, os.environ, file_actions=actions)
        os.close(write)
        first = os.read(read, 1) and time.perf_counter()
        while os.read(read, 1 << 16):
            pass
        os.close(read)
        _, status = os.waitpid(process, 0)
        ended = time.perf_counter()
        if status:
            self.is_good = False
            print(f"meter: exit {os.waitstatus_to_exitcode(status)} from {shlex.join(self.words)}", file=sys.stderr)
        if first:
            self.first.append((first - started) * 1e3)
        self.whole.append((ended - started) * 1e3)

    def peak(self):
        """KiB. GNU time starts the command from a process smaller than it, so the peak is the command's and not Python's."""
        process = subprocess.run(["/usr/bin/time", "-q", "-f", "%M", *self.words], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)
        return int(process.stderr.split()[-1])

    def figures(self):
        if not self.is_good:
            return "- - -"
        first = f"{statistics.median(self.first[WARM_UP:]):.3f}" if self.first else "-"
        return f"{first} {statistics.median(self.whole[WARM_UP:]):.3f} {max(self.peak() for _ in range(3))}"


runs, commands = int(sys.argv[1]), [Command(word) for word in sys.argv[2:]]
for turn in range(runs + WARM_UP):
    for command in commands:
        if command.is_good:
            command.run()
for command in commands:
    print(command.figures(), flush=True)
