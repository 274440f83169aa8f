#!/usr/bin/env python3
"""Ask the endpoint of the environment many small questions, one after the other, by one connection.

usage: proxy_requests.py COUNT      with OPENAI_BASE_URL, OPENAI_API_KEY and OPENAI_MODEL
"""
import http.client
import json
import os
import sys
import urllib.parse

url = urllib.parse.urlsplit(os.environ["OPENAI_BASE_URL"])
connection = http.client.HTTPConnection(url.hostname, url.port, timeout=600)
headers = {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
question = json.dumps({"model": os.environ["OPENAI_MODEL"], "messages": [{"role": "user", "content": "hi"}]})
for _ in range(int(sys.argv[1])):
    connection.request("POST", f"{url.path}/chat/completions", question, headers)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        sys.exit(f"proxy_requests: {answer.status}: {body[:200]}")
