"""What the graphs of a generative model are called and what they take: written by export, run by serving.

Role "decoder", one graph for prompts and for single steps. Every state tensor has the slots as its first axis, so that
one slot, or the first few, are a contiguous part of it, and is read and written in place (`past_x` and `present_x` are
the same memory):

    tokens      INT64 [rows, length]       new tokens of each row, padded on the right
    num_cached  INT32 [rows]               tokens that the row's state holds already; 0 starts anew, whatever it holds
    num_new     INT32 [rows]               how many of `tokens` are meant; 0 leaves the state as it is
    wanted      INT64 [n, 2]               (row, column) of the tokens after which logits are wanted; n may be 0
    features    FP32  [rows, length, width] only of models with an encoder: stands for a token wherever that is −1
    past_x      …     [rows, …]            state, for every x
  → logits      FP32  [n, vocabulary]
    present_x   …     [rows, …]            the state after the new tokens

A key-value cache [rows, heads, context, width] may write whatever it likes behind `num_cached + num_new`, never before
it, and needs num_cached + length ≤ context, idle rows included. Its name begins with `key_` or `value_`: of such a
state any earlier length is still there, of all others only the last. With several rows, or with `num_cached` above zero
in any row of several, `length` must be 1 unless all rows start anew (GroupQueryAttention of ONNX Runtime).

Role "copy": `source_x` [1, …] → `target_x` [1, …], the state of one slot, for every x of the decoder.

Role "encoder": `image` UINT8 [batch, height, width, 3] → `features` FP32 [batch, positions, width], `embedding` FP32
[batch, dimension].
"""

from __future__ import annotations

DECODER, COPY, ENCODER = "decoder", "copy", "encoder"

TOKENS, NUM_CACHED, NUM_NEW, WANTED, FEATURES = "tokens", "num_cached", "num_new", "wanted", "features"
LOGITS, EMBEDDING = "logits", "embedding"
PAST, PRESENT, SOURCE, TARGET = "past_", "present_", "source_", "target_"
"""Prefixes: what follows is the name of the state tensor."""
CACHES = ("key_", "value_")
"""How the names of those states begin that hold every position, along axis CONTEXT_AXIS."""
CONTEXT_AXIS = 2

FEATURE_TOKEN = -1
"""In `tokens`, where a row of `features` stands."""
