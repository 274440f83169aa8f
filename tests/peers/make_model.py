#!/usr/bin/env python3
"""Write a model of half a megabyte for the llama.cpp server: real in form, with random weights.

usage: target/peers/venv/bin/python tests/peers/make_model.py FILE

Two llama layers over a byte-level vocabulary. Its answers are a salad of a few words that ends sooner or later, the same
for the same seed; what the tests need is the server around it: HTTP, event streams, key checks, sampling, grammars that
force an answer into a schema.
"""
import os
import sys

import gguf
import numpy

WIDTH, INNER, HEADS, LAYERS, CONTEXT = 64, 128, 4, 2, 32768
PROMPT = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"
WORDS = "the a of and in is qwen model answer question word words says asks plain small".split()


def vocabulary():
    """Text, kind and liking of every token: markers, all bytes, a few words, the printable characters."""
    kind, blank = gguf.TokenType, "\u2581"
    yield from (("<unk>", kind.UNKNOWN, -9), ("<s>", kind.CONTROL, -9), ("</s>", kind.CONTROL, 0.9))
    yield from ((f"<0x{byte:02X}>", kind.BYTE, -3) for byte in range(256))
    yield from ((blank + word, kind.NORMAL, 1) for word in WORDS)
    yield from ((character, kind.NORMAL, -1) for character in (blank, *map(chr, range(33, 127))))


def tensors(likings):
    """Name and value of every weight the architecture asks for."""
    random = numpy.random.default_rng(1)

    def matrix(rows, columns, spread=0.05):
        return (random.standard_normal((rows, columns)) * spread).astype(numpy.float32)

    # The first element is the same for every token and survives both layers, so that it can carry the likings.
    embedding, output = matrix(len(likings), WIDTH, 0.15), matrix(len(likings), WIDTH, 0.2)
    embedding[:, 0], output[:, 0] = 1, likings

    ones = numpy.ones(WIDTH, numpy.float32)
    yield "token_embd.weight", embedding
    for layer in range(LAYERS):
        shapes = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (WIDTH, WIDTH))
        shapes |= {"ffn_gate": (INNER, WIDTH), "ffn_up": (INNER, WIDTH), "ffn_down": (WIDTH, INNER)}
        yield f"blk.{layer}.attn_norm.weight", ones
        yield f"blk.{layer}.ffn_norm.weight", ones
        for name, (rows, columns) in shapes.items():
            yield f"blk.{layer}.{name}.weight", matrix(rows, columns)
    yield "output_norm.weight", ones
    yield "output.weight", output


def write(path):
    texts, kinds, likings = zip(*vocabulary())
    out = gguf.GGUFWriter(path, "llama")
    out.add_context_length(CONTEXT)
    out.add_embedding_length(WIDTH)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(INNER)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_rope_dimension_count(WIDTH // HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_vocab_size(len(texts))
    out.add_file_type(gguf.LlamaFileType.ALL_F32)
    out.add_tokenizer_model("llama")
    out.add_token_list([text.encode() for text in texts])
    out.add_token_scores([-float(rank) for rank in range(len(texts))])
    out.add_token_types([int(kind) for kind in kinds])
    out.add_unk_token_id(0)
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    out.add_chat_template(PROMPT)
    for name, value in tensors(likings):
        out.add_tensor(name, value)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


if len(sys.argv) != 2:
    sys.exit(__doc__)
partial = f"{sys.argv[1]}.{os.getpid()}"
write(partial)
os.replace(partial, sys.argv[1])            # whole or not at all: another test may look at the same moment
