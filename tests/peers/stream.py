#!/usr/bin/env python3
"""A loopback endpoint that answers from memory, so that a benchmark measures the client and not the server.

usage: python3 tests/peers/stream.py      prints 'listening http://127.0.0.1:PORT', ends when stdin does; PORT=0: any free one

POST BASE/chat/completions answers with as many tokens as the model's name says ('3', '20000'; 3 when it says none): as an
event stream when the request asks for one, else as one JSON object. The base URL says how the answer travels:
  /v1            the whole stream as one HTTP chunk
  /each/v1       one HTTP chunk per event, as llama.cpp and vLLM send it; still written at once
  /document/v1   Markdown with code in many languages, as many thousand bytes as the model's name says
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


CODE = {
    "rust": "fn main() -> Result<(), Box<dyn Error>> {{\n    let n: usize = {0}; // a comment\n    println!(\"{{n:?}} \\u{{1F600}}\");\n    Ok(())\n}}",
    "python": "@cache\ndef f{0}(x: int = 3, *args) -> str:\n    \"\"\"Doc.\"\"\"\n    return f\"{{x}} {{x!r}}\" if x > {0} else r'\\d+'",
    "javascript": "export async function f{0}(x) {{\n  const y = await fetch(`/a/${{x}}`); /* c */\n  return y?.ok ?? /re+/g.test('s');\n}}",
    "c": "#include <stdio.h>\nstatic int f{0}(const char *s) {{ return printf(\"%s\\n\", s) > 0x{0}; }}",
    "java": "public final class C{0}<T extends Comparable<T>> {{\n    private static final int N = {0};\n    @Override public String toString() {{ return \"x\" + N; }}\n}}",
    "go": "func f{0}(ctx context.Context) (n int, err error) {{\n\tdefer func() {{ recover() }}()\n\treturn {0}, nil\n}}",
    "sh": "for f in *.txt; do\n    if [ -n \"${{f%.txt}}\" ]; then echo \"$f\" | sed 's/a/b/' >out.{0}; fi\ndone",
    "sql": "SELECT a.id, count(*) FROM t{0} a LEFT JOIN u ON u.id = a.id WHERE a.name LIKE 'x%' GROUP BY 1;",
    "html": "<!doctype html>\n<p class=\"c{0}\" style=\"color: red\">a &amp; b</p>\n<script>let x = {0};</script>",
    "css": ".c{0} > a:hover {{ color: #ff{0}; margin: 1em auto; }}\n@media (max-width: 600px) {{ a {{ display: none; }} }}",
    "json": "{{\"a\": [1, 2.5e3, true, null], \"n\": {0}, \"s\": \"\\u00e9\"}}",
    "yaml": "key{0}: &anchor\n  - 'a'\n  - {{b: 1.5, c: ~}}\n# comment",
    "ruby": "class C{0} < Struct.new(:a)\n  def each(&block) = a.map {{ |x| \"#{{x}}\" =~ /re/ }}\nend",
    "php": "<?php\nfunction f{0}(?string $s = null): array {{ return ['a' => \"{{$s}}\"]; }}",
}


@functools.cache
def document(thousands):
    """Words, a list, a table and a block of code in one language after the other."""
    text, number = [], 0
    while sum(map(len, text)) < thousands * 1000:
        for language, code in CODE.items():
            number += 1
            text.append(f"## Part {number}\n\nSome *words* about `x{number}`, with **more** of them and [a link](https://example.com).\n\n"
                        f"- one\n- two\n\n| a | b |\n| --- | --- |\n| {number} | c |\n\n```{language}\n{code.format(number)}\n```\n\n")
    return "".join(text)


@functools.cache
def stream_of(text):
    events = [event({"role": "assistant", "content": ""})]
    events += (event({"content": text[at:at + 5]}) for at in range(0, len(text), 5))
    events += [event({}, "stop"), b"data: [DONE]\n\n"]
    return HEAD % (b"text/event-stream", b"Transfer-Encoding: chunked") + chunk(b"".join(events)) + chunk(b"")


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
        if path.startswith("/document/"):
            reply = stream_of(document(tokens))
        else:
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
