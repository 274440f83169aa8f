"""OpenAI's client for Python, with what it finds in its environment: 'ask.py CLASS' asks once and prints the answer."""
import os
import sys

import openai

client = getattr(openai, sys.argv[1])(max_retries=0)
messages = [{"role": "user", "content": "hi"}]
answer = client.chat.completions.create(model=os.environ["OPENAI_MODEL"], messages=messages)
print(answer.choices[0].message.content)
