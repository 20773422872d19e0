"""The table of a recipe that says which network is trained."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Building = Literal["backbone", "detector", "segmenter", "captioner", "language_model"]
"""What an architecture builds."""


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`architecture` names a file of training/models; `options` are that file's own, checked by its `Options`.

    A detector, segmenter or captioner stands on a `backbone`, which is a table of the same form. `warm_start` names
    where the backbone's first weights come from: a checkpoint folder, or the registered model NAME of "NAME-trained",
    of any task whose backbone is the same. A language model takes over all weights, of one with the same options and
    the same tokenizer.
    """

    architecture: str
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    backbone: ModelConfig | None = None
    warm_start: str = ""
