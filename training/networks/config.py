"""The table of a recipe that says which network is trained."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Building = Literal["backbone", "detector", "segmenter", "captioner", "language_model"]
"""What an architecture builds."""


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`architecture` names a file of training/models; `options` are that file's own, checked by its `Options`.

    A detector, segmenter or captioner stands on a `backbone`, which is a table of the same form. `warm_start` names
    where the first weights come from: a checkpoint folder, the registered model NAME of "NAME-trained", or one version
    of it as NAME/VERSION. All weights are taken over where the classes or words are the same, else those of the
    backbone, of any task. A language model takes all or none.
    """

    architecture: str
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    backbone: ModelConfig | None = None
    warm_start: str = ""
