"""python-dotenv: a file in base64 per line of stdin, its meaning as JSON per line of stdout; null where it cannot be read."""
import base64
import io
import json
import logging
import os
import sys

from dotenv import dotenv_values

logging.disable(logging.CRITICAL)
os.environ.clear()
for line in sys.stdin:
    try:
        text = base64.b64decode(line).decode("utf-8-sig")
        read = dotenv_values(stream=io.StringIO(text, newline=""))
        print(json.dumps({name: value for name, value in read.items() if value is not None}))
    except Exception:
        print("null")
