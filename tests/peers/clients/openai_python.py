"""Uses an endpoint in every way that programs with OpenAI's client for Python do, by the environment alone.

usage: openai_python.py        prints a JSON object of what came
"""
import json
import os

from openai import OpenAI

model = os.environ["OPENAI_MODEL"]
client = OpenAI(max_retries=0)
question = [{"role": "user", "content": "What is the capital of France?"}]
came = {}

whole = client.chat.completions.create(model=model, messages=question)
came["chat"] = whole.choices[0].message.content

stream = client.chat.completions.create(model=model, messages=question, stream=True)
came["stream"] = [chunk.choices[0].delta.content for chunk in stream if chunk.choices and chunk.choices[0].delta.content]

if os.environ.get("ALL_OF_IT"):
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
    called = client.chat.completions.create(model=model, messages=question, tools=[tool])
    came["tools"] = called.choices[0].message.tool_calls[0].function.name
    came["embeddings"] = client.embeddings.create(model="embed", input=["a", "b"]).data[1].embedding
    came["responses"] = client.responses.create(model=model, input="hi").output_text
    picture = ("cat.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 64, "image/png")
    came["images"] = client.images.edit(model="gpt-image-1", image=picture, prompt="a hat").data[0].b64_json
    came["slash"] = client.models.retrieve("qwen/qwen3:free").id
    slashed = client.chat.completions.create(model="qwen/qwen3:free", messages=question)
    came["slash_chat"] = slashed.model
    came["models"] = [one.id for one in client.models.list()]
print(json.dumps(came))
