"""A night in small: lines against a server that refuses, restarts and is brought down, a resolver that goes away, and a run
that is killed again and again while its clock jumps.

Runs in a network and a mount namespace of its own (unshare -rnm); everything happens by what was observed: numbers of
requests, failed lookups, and what the run has said. Prints what happened as one JSON object. The output is the caller's to
judge.

usage: night.py COUNT SEED PROGRAM ARGUMENT...        (in the directory of the run; prompts are 'q0' and on, or 'poison…')
"""

import asyncio
import glob
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time

PORT = 8080
# So many requests in a row are refused, three times in the night.
STORM = 5
# So many lookups fail after the run has said that it waits.
LOOKUPS = 4
# How often the run is killed.
KILLS = 5
# The clock of the run, against that of the machine.
CLOCKS = ["+0", "-2d", "+3h", "+400d", "-1h", "+1d", "-20m", "+90s"]
OUTAGE = b"trying one request at a time"
REFUSALS = [
    ("application/json", b'{"error":{"message":"Rate limit reached","code":"rate_limit_exceeded"}}'),
    ("text/html", b"<html><h1>429 Too Many Requests</h1></html>"),
    ("text/plain", b""),
]


class Night:
    def __init__(self, count, seed, command):
        self.count, self.command, self.random = count, command, random.Random(seed)
        part = count // 12
        # What happens at which request.
        self.events = {part * 2: self.restart, part * 5: self.restart, part * 8: self.restart, part * 6: self.lose_names}
        self.storms = [(part * place, part * place + STORM) for place in (1, 4, 7)]
        self.kills = sorted(self.random.sample(range(count // 20, count), KILLS))
        self.connections = set()
        self.server, self.began = None, time.monotonic()
        self.is_back = asyncio.Event()
        self.has_names, self.lookups_left = True, 0
        self.did = dict(requests=0, answers=0, refusals=0, restarts=0, crashes=0, lookups_failed=0, kills=0, outages=0)

    # The server.

    async def listen(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", PORT, backlog=512)

    def reset_all(self):
        """Ends every connection with a reset, as the end of a process does."""
        for writer in self.connections:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        self.connections.clear()

    def restart(self):
        """Goes away until the run has said so."""
        self.did["restarts"] += 1
        self.is_back.clear()
        self.server.close()
        self.reset_all()
        asyncio.create_task(self.come_back())

    async def come_back(self):
        await self.is_back.wait()
        await self.listen()

    def lose_names(self):
        """The name of the server has no address until the run has said so, and for a number of lookups after it."""
        self.has_names, self.lookups_left = False, LOOKUPS
        self.is_back.clear()
        self.reset_all()

    async def serve(self, reader, writer):
        self.connections.add(writer)
        try:
            while writer in self.connections:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                body = json.loads(await reader.readexactly(length))
                prompt = body["messages"][-1]["content"]
                reply = self.reply(prompt)
                if reply is None or writer not in self.connections:
                    return
                writer.write(reply)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.connections.discard(writer)
            writer.close()

    def reply(self, prompt):
        number = self.did["requests"]
        self.did["requests"] += 1
        if (event := self.events.pop(number, None)) is not None:
            self.set_clock()
            event()
            return None
        if prompt.startswith("poison"):
            self.did["crashes"] += 1
            self.reset_all()
            return None
        if number % 401 == 13 or any(first <= number < last for first, last in self.storms):
            self.did["refusals"] += 1
            kind, body = REFUSALS[number % 3]
            return http("429 Too Many Requests", kind, body)
        self.did["answers"] += 1
        choice = {"index": 0, "message": {"role": "assistant", "content": prompt}, "finish_reason": "stop"}
        answer = {"id": "chatcmpl-1", "object": "chat.completion", "model": "m-1", "choices": [choice]}
        return http("200 OK", "application/json", json.dumps(answer).encode())

    # The resolver.

    def answer_lookup(self, query):
        """The answer to a question for an address; none, or SERVFAIL, while names are lost."""
        end = 12
        while query[end]:
            end += query[end] + 1
        question, kind = query[12 : end + 5], struct.unpack(">H", query[end + 1 : end + 3])[0]
        if not self.has_names:
            self.did["lookups_failed"] += 1
            if self.is_back.is_set():
                self.lookups_left -= 1
                self.has_names = self.lookups_left == 0
            if self.did["lookups_failed"] <= LOOKUPS // 2:
                return None
            return query[:2] + struct.pack(">HHHHH", 0x8182, 1, 0, 0, 0) + question
        address = kind == 1
        answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 0, 4) + socket.inet_aton("127.0.0.1") if address else b""
        return query[:2] + struct.pack(">HHHHH", 0x8180, 1, int(address), 0, 0) + question + answer

    # The runs.

    def set_clock(self):
        with open("clock.new", "w") as file:
            file.write(self.random.choice(CLOCKS))
        os.replace("clock.new", "clock")

    async def watch(self, errors):
        """Follows what the run says."""
        async for line in errors:
            sys.stderr.write(f"{time.monotonic() - self.began:7.1f} {self.did['requests']} {line.decode()}")
            if OUTAGE not in line:
                continue
            self.did["outages"] += 1
            self.is_back.set()

    async def run(self):
        self.set_clock()
        environment = {
            **os.environ,
            "LD_PRELOAD": glob.glob("/usr/lib/*/faketime/libfaketime.so.1")[0],
            "FAKETIME_TIMESTAMP_FILE": os.path.abspath("clock"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        run = await asyncio.create_subprocess_exec(*self.command, env=environment, stderr=subprocess.PIPE)
        watching = asyncio.create_task(self.watch(run.stderr))
        ended = asyncio.create_task(run.wait())
        while not ended.done():
            await asyncio.wait([ended], timeout=0.002)
            if self.kills and self.did["requests"] >= self.kills[0] and not ended.done():
                self.kills.pop(0)
                self.did["kills"] += 1
                sys.stderr.write(f"{time.monotonic() - self.began:7.1f} {self.did['requests']} killed\n")
                run.send_signal(signal.SIGKILL)
                await ended
        await watching
        return run.returncode

    async def pass_by(self):
        await self.listen()
        loop = asyncio.get_running_loop()
        night = self

        class Resolver(asyncio.DatagramProtocol):
            def connection_made(self, transport):
                self.transport = transport

            def datagram_received(self, query, sender):
                if (answer := night.answer_lookup(query)) is not None:
                    self.transport.sendto(answer, sender)

        await loop.create_datagram_endpoint(Resolver, local_addr=("127.0.0.1", 53))
        code = -signal.SIGKILL
        while code == -signal.SIGKILL:
            code = await self.run()
        print(json.dumps({"exit": code, **self.did}))


def http(status, kind, body):
    return b"HTTP/1.1 %s\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n%s" % (
        status.encode(),
        kind.encode(),
        len(body),
        body,
    )


def main():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    files = {"resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n", "nsswitch.conf": "hosts: files dns\n"}
    for name, content in files.items():
        with open(name, "w") as file:
            file.write(content)
        subprocess.run(["mount", "--bind", name, os.path.realpath(f"/etc/{name}")], check=True)
    count, seed, *command = sys.argv[1:]

    async def night():
        await Night(int(count), int(seed), command).pass_by()

    asyncio.run(night())


main()
