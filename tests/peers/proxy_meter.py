#!/usr/bin/env python3
"""Measure what a proxy adds, side by side: the same requests to several addresses, turn about.

usage: proxy_meter.py RUNS URL TOKEN PID [URL TOKEN PID]...      PID 0 for none

Prints a line per address: median milliseconds of a small answer, median milliseconds to the first byte of a stream, and the
peak memory in KiB of the process with 256 streams open at once ('-' without one). A request that fails ends the measurement.
"""
import http.client
import statistics
import sys
import time
import urllib.parse

STREAMS = 256
SMALL = b'{"model":"3","messages":[{"role":"user","content":"hi"}]}'
STREAM = SMALL[:-1] + b',"stream":true}'


class Address:
    def __init__(self, url, token, pid):
        self.url, self.pid = urllib.parse.urlsplit(url), int(pid)
        self.headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        self.connection = self.connect()
        self.small, self.first = [], []

    def connect(self):
        return http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=60)

    def ask(self, connection, body, path=""):
        connection.request("POST", f"{path}{self.url.path}/chat/completions", body, self.headers)
        answer = connection.getresponse()
        if answer.status != 200:
            sys.exit(f"proxy_meter: {answer.status} from {self.url.geturl()}: {answer.read(200)}")
        return answer

    def turn(self):
        started = time.perf_counter()
        self.ask(self.connection, SMALL).read()
        self.small.append(time.perf_counter() - started)
        started = time.perf_counter()
        answer = self.ask(self.connection, STREAM)
        answer.read(1)
        self.first.append(time.perf_counter() - started)
        answer.read()

    def memory(self):
        """Peak memory with many streams open. Their answers have begun, and nobody has read them to the end."""
        if not self.pid:
            return "-"
        long = STREAM.replace(b"\"3\"", b"\"2000\"")
        held = [(connection, self.ask(connection, long)) for connection in (self.connect() for _ in range(STREAMS))]
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
        for connection, answer in held:
            answer.read()
            connection.close()
        return peak


runs, words = int(sys.argv[1]), sys.argv[2:]
addresses = [Address(*words[at:at + 3]) for at in range(0, len(words), 3)]
for turn in range(runs + 20):
    for address in addresses:
        address.turn()
for address in addresses:
    small, first = (statistics.median(times[20:]) * 1e3 for times in (address.small, address.first))
    print(f"{small:.3f} {first:.3f} {address.memory()}", flush=True)
