"""A captioning recipe that trains in seconds: one to three digits, pictures of 32 pixels."""

from __future__ import annotations

from typing import Any

from training.recipe import Recipe, parse_recipe


def tiny_recipe(**changes: Any) -> Recipe:
    """Tables given as `changes` replace those of the same name."""
    facts: dict[str, Any] = {
        "name": "tiny-captioning",
        "task": "captioning",
        "data": {"source": "scenes", "max_digits": 2, "train_size": 48, "validation_size": 12, "test_size": 12},
        "image": {"height": 32, "width": 32},
        "text": {"context": 64, "tokenizer": {"vocabulary": 300}},
        "model": {
            "architecture": "prefix_captioner",
            "options": {
                "strides": [4, 8],
                "channels": 8,
                "depth": 1,
                "decoder": {"width": 32, "depth": 2, "heads": 2, "kv_heads": 1},
            },
            "backbone": {
                "architecture": "resnet",
                "options": {"depths": [1, 1, 1], "widths": [8, 8, 16], "stem": "halve"},
            },
        },
        "schedule": {"epochs": 2, "batch_size": 16},
        "augment": {"invert": 0.5},
    }
    return parse_recipe({**facts, **changes}, "test")
