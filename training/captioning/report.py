"""The evidence of a finished training: figures over held-out splits, sentences, and where the model looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from torch import Tensor

from tasks.captioning import CaptioningSpec
from training.captioning.attention import attention_maps
from training.captioning.evaluation import Captioned, Speaker
from training.captioning.figures import Gaze, Panel, draw_captions, draw_gazes, draw_lengths
from training.captioning.references import longest_in_words, references_of
from training.data.batches import BatchDataset
from training.data.source import Split
from training.figures import draw_learning_curve
from training.history import EpochRecord

PICTURES_SHOWN, GAZES_SHOWN = 12, 6
WRONG_LISTED = 100


@dataclass(frozen=True)
class CaptioningEvaluation:
    """What the model is worth."""

    spec: CaptioningSpec
    validation: Captioned
    test: Captioned
    panels: tuple[Panel, ...]
    """Some validation pictures, as the network saw them."""
    gazes: tuple[Gaze, ...]

    @property
    def metrics(self) -> dict[str, float]:
        splits = (("val", self.validation), ("test", self.test))
        return {f"{prefix}_{name}": value for prefix, split in splits for name, value in split.metrics.items()}

    def write_figures(self, history: Sequence[EpochRecord], folder: Path) -> None:
        draw_learning_curve(history, "validation token accuracy", folder / "learning_curve.png")
        draw_captions(self.panels, folder / "captions.png")
        draw_gazes(self.gazes, folder / "attention.png")
        lengths = longest_in_words(self.validation.references)
        draw_lengths(lengths, self.validation.exact, folder / "exact_match_by_length.png")
        facts = {
            **self.metrics,
            "exact_match_by_words": exact_by_length(lengths, self.validation.exact),
            "wrong": list_wrong(self.validation),
        }
        (folder / "captions.json").write_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=2))


def exact_by_length(lengths: Sequence[int], exact: Sequence[bool]) -> dict[str, float]:
    """Words of the reference → share of the captions that are right."""
    groups = {words: [right for each, right in zip(lengths, exact, strict=True) if each == words] for words in lengths}
    return {str(words): sum(groups[words]) / len(groups[words]) for words in sorted(groups)}


def list_wrong(split: Captioned) -> list[dict[str, object]]:
    """The first captions that are not one of their references, beside these."""
    compared = zip(split.captions, split.references, split.exact, strict=True)
    wrong: list[dict[str, object]] = [{"said": said, "references": right} for said, right, ok in compared if not ok]
    return wrong[:WRONG_LISTED]


def show_some(speaker: Speaker, split: Split, pixels: BatchDataset) -> tuple[tuple[Panel, ...], tuple[Gaze, ...]]:
    """The first pictures of a split: the captions of all of them, the attention behind a few."""
    images = pixels.__getitems__(list(range(min(PICTURES_SHOWN, len(pixels)))))[0]
    said = speaker.say(images)
    references = references_of(split)[: len(images)]
    panels = [
        Panel(picture, speaker.text(tokens), right)
        for picture, tokens, right in zip(images.numpy(), said, references, strict=True)
    ]
    gazes = [look(speaker, image, tokens) for image, tokens in zip(images, said, strict=True) if tokens]
    return tuple(panels), tuple(gazes[:GAZES_SHOWN])


def look(speaker: Speaker, image: Tensor, tokens: list[int]) -> Gaze:
    """Where the network looked for each token of what it said of one picture."""
    maps = attention_maps(speaker.network, image.to(speaker.device), tokens, speaker.task.spec.begin_token)
    pieces = [speaker.task.tokenizer.pieces[token].decode(errors="replace") for token in tokens]
    return Gaze(image.numpy(), tuple(pieces), maps.cpu().numpy())
