#!/usr/bin/env python3
"""A loopback endpoint that answers from memory, so that a benchmark measures the client and not the server.

usage: python3 tests/peers/stream.py      prints 'listening http://127.0.0.1:PORT', ends when stdin does; PORT=0: any free one

POST BASE/chat/completions answers with as many tokens as the model's name says ('3', '20000'; 3 when it says none): as an
event stream when the request asks for one, else as one JSON object. The base URL says how the answer travels:
  /v1            the whole stream as one HTTP chunk
  /each/v1       one HTTP chunk per event, as llama.cpp and vLLM send it; still written at once
  /wait100/v1    the answer comes 100 ms after the request (any number of milliseconds)
"""
import asyncio
import functools
import json
import os
import re
import sys

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n%s\r\n\r\n"


def event(delta, finish=None):
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    chunk = {"id": "chatcmpl-8d2f1a7c5b3e4f60", "object": "chat.completion.chunk", "created": 1700000000,
             "model": "bench", "system_fingerprint": "fp_bench", "choices": [choice]}
    return b"data: %s\n\n" % json.dumps(chunk, separators=(",", ":")).encode()


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


@functools.cache
def stream(tokens, each):
    events = [event({"role": "assistant", "content": ""})]
    events += (event({"content": f" token{number % 1000}"}) for number in range(tokens))
    events += [event({}, "stop"), b"data: [DONE]\n\n"]
    body = b"".join(map(chunk, events)) if each else chunk(b"".join(events))
    return HEAD % (b"text/event-stream", b"Transfer-Encoding: chunked") + body + chunk(b"")


@functools.cache
def single(tokens):
    text = "".join(f" token{number % 1000}" for number in range(tokens))
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": 1 + tokens}
    body = json.dumps({"id": "chatcmpl-8d2f1a7c5b3e4f60", "object": "chat.completion", "created": 1700000000,
                       "model": "bench", "choices": [choice], "usage": usage}).encode()
    return HEAD % (b"application/json", b"Content-Length: %d" % len(body)) + body


class Connection(asyncio.Protocol):
    """Answers each request as soon as it is whole; the connection stays open for the next one."""

    def connection_made(self, transport):
        self.transport, self.pending = transport, b""

    def data_received(self, data):
        self.pending += data
        head, end, rest = self.pending.partition(b"\r\n\r\n")
        if not end:
            return
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        length = int(length[1]) if length else 0
        if len(rest) < length:
            return
        self.pending = rest[length:]
        self.answer(head.split(b" ")[1].decode(), json.loads(rest[:length] or b"{}"))

    def answer(self, path, request):
        number = re.search(r"\d+", str(request.get("model")))
        tokens = int(number[0]) if number else 3
        reply = stream(tokens, path.startswith("/each/")) if request.get("stream") else single(tokens)
        wait = re.match(r"/wait(\d+)/", path)
        asyncio.get_running_loop().call_later(int(wait[1]) / 1000 if wait else 0, self.transport.write, reply)


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", int(os.environ.get("PORT") or 0), backlog=1024)
    for each in (False, True):
        stream(20000, each)
    print(f"listening http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)


asyncio.run(main())
