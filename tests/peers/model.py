#!/usr/bin/env python3
"""The llama.cpp server with the tiny model, on a free port of the loopback interface.

usage: python3 tests/peers/model.py       prints 'listening http://127.0.0.1:PORT', ends when stdin does

The API is below /v1 and knows the model 'tiny'. Settings come from the environment:
  PORT=0           0: any free one
  API_KEY=         the key to ask for; none when empty
  MAX_TOKENS=256   what an answer may have when the request names no limit (the model seldom ends one by itself)
  PARALLEL=4       answers at a time
"""
import os
import pathlib
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
PEERS = pathlib.Path(os.environ.get("QWEN_PEERS_DIR") or HERE.parent.parent / "target" / "peers")


def ask_for_install():
    sys.exit(f"{sys.argv[0]}: the llama.cpp server is not there; run tests/peers/install model")


try:
    import xllamacpp
except ImportError:
    python = PEERS / "venv" / "bin" / "python"
    if not python.exists() or sys.prefix == str(PEERS / "venv"):
        ask_for_install()
    os.execv(python, [str(python), *sys.argv])

model = PEERS / "tiny.gguf"
if not model.exists() or model.stat().st_mtime < (HERE / "make_model.py").stat().st_mtime:
    subprocess.run([sys.executable, HERE / "make_model.py", model], check=True)

params = xllamacpp.CommonParams()
params.model.path = str(model)
params.model_alias = {"tiny"}
params.hostnames = ["127.0.0.1"]
params.port = int(os.environ.get("PORT") or 0)
params.n_parallel = int(os.environ.get("PARALLEL") or 4)
params.n_ctx = 32768 * params.n_parallel     # Qwen Code's first message is 20,000 bytes, each a token
params.n_predict = int(os.environ.get("MAX_TOKENS") or 256)
params.cpuparams.n_threads = 1               # the model is too small to share, and tests run beside it
params.verbosity = 0
if os.environ.get("API_KEY"):
    params.api_keys = [os.environ["API_KEY"]]

server = xllamacpp.Server(params)
print(f"listening {server.listening_address}", flush=True)
signal.signal(signal.SIGINT, signal.SIG_DFL)
while os.read(0, 4096):
    pass
os._exit(0)                                  # the server's threads have nothing to finish that anyone waits for
