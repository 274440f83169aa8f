#!/usr/bin/env python3
"""Writes bins/start.ld from what callgrind counted: the functions that ran, by names that another build has too.

usage: start_order.py FILE...      (made with --demangle=no)
"""
import re
import sys

HEAD = """\
/* The functions that run at each start of qwen, qwen-env and qwen-token, which the linker puts side by side (bins/build.rs).
   Written by 'tests/bench --order'. A name that no function has any longer changes nothing but the time. */
SECTIONS
{
  .text.start : {
    *("""

TAIL = """\
    )
  }
}
INSERT BEFORE .text;"""


def ran(path):
    """The functions of Rust that ran, as callgrind names them."""
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            found = re.match(r"c?fn=\(\d+\) (_(?:ZN|R)\S+)", line)
            if found:
                yield found.group(1)


def pattern(name):
    """A name without what differs from build to build: the digest at its end, or those of the crates in it, and a number that
    the compiler or callgrind added. One star or two are enough for a linker; with many it searches for minutes."""
    name = re.sub(r"'\d+$", "", name)
    if name.startswith("_ZN"):
        found = re.sub(r"17h[0-9a-f]{16}E.*$", "17h*", name)
    else:
        parts = re.split(r"Cs[0-9A-Za-z]+_", re.sub(r"\.\d+$", "*", name))
        found = "Cs*_".join(parts[:2]) + ("*" if len(parts) > 2 else "")
    return re.sub(r"[^A-Za-z0-9_.*]", "?", found)


patterns = sorted({pattern(name) for path in sys.argv[1:] for name in ran(path)})
print(HEAD)
for name in patterns:
    print(f"      .text.{name} .text.unlikely.{name}")
print(TAIL)
