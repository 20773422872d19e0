"""Captioning as a kind of training."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from registry.package import sha256_of
from tasks.captioning import Captioning, CaptioningSpec
from tasks.errors import InvalidRecipe
from tasks.task import TaskSpec
from tasks.text import Tokenizer
from training.captioning.evaluation import Speaker, measure
from training.captioning.learner import CaptioningLearner
from training.captioning.references import check_captions, references_of
from training.captioning.report import CaptioningEvaluation, show_some
from training.captioning.targets import CaptionTargets
from training.data.batches import BatchDataset, Datasets
from training.data.pixels import open_encoder_pixels
from training.data.source import DataSource, SplitName
from training.networks.build import build_captioner, caption_grid
from training.networks.captioner import Captioner
from training.networks.config import ModelConfig
from training.networks.network import Trainable
from training.recipe import Recipe
from training.tokenizer_file import TOKENIZER_FILE, open_tokenizer_file


class CaptioningKind:
    """See TrainingKind."""

    def spec(self, source: DataSource, recipe: Recipe) -> CaptioningSpec:
        check_captions(source)
        (path,) = self.assets(source, recipe)
        tokenizer, text = Tokenizer(path), recipe.text_config
        end = tokenizer.token_id(text.tokenizer.end_of_text)
        assert end is not None
        rows, columns = caption_grid(recipe.model, recipe.image_spec)
        room = text.context - rows * columns - 1
        if room < 1:
            raise InvalidRecipe(
                f"{recipe.name}: text.context ({text.context}) has no room for a caption behind {rows * columns} "
                "positions of the picture and the token that begins it: raise it, or see the picture in larger strides"
            )
        return CaptioningSpec(
            vocabulary=tokenizer.vocabulary,
            context=text.context,
            tokenizer=TOKENIZER_FILE,
            begin_token=end,
            end_tokens=(end,),
            # A caption ends by itself: no shorter limit than there is room for should cut it.
            defaults={"max_tokens": room},
            image=recipe.image_spec,
            positions=rows * columns,
        )

    def datasets(self, source: DataSource, recipe: Recipe) -> Datasets:
        spec = self.spec(source, recipe)
        (path,) = self.assets(source, recipe)
        return Datasets(*(open_split(source, name, spec, path) for name in ("train", "validation")))

    def assets(self, source: DataSource, recipe: Recipe) -> tuple[Path, ...]:
        split = source.split("train")

        def captions() -> Iterable[str]:
            return chain.from_iterable(references_of(split))

        return (open_tokenizer_file(recipe.text_config.tokenizer, captions, split.digest),)

    def network(self, config: ModelConfig, spec: TaskSpec) -> Captioner:
        assert isinstance(spec, CaptioningSpec)
        return build_captioner(config, spec.vocabulary, spec.context, spec.image)

    def find_misfit(self, source: DataSource, recipe: Recipe, checkpoint: Path) -> str:
        return ""  # where words differ, only what sees is taken over

    def answers_alike(self, source: DataSource, recipe: Recipe, checkpoint: Path) -> bool:
        (path,) = self.assets(source, recipe)
        words = checkpoint / TOKENIZER_FILE
        return words.is_file() and words.read_bytes() == path.read_bytes()

    def learner(self, network: Trainable, recipe: Recipe, spec: TaskSpec) -> CaptioningLearner:
        assert isinstance(network, Captioner)
        assert isinstance(spec, CaptioningSpec)
        return CaptioningLearner(network, recipe, spec.begin_token)

    def evaluate(self, network: Trainable, source: DataSource, recipe: Recipe) -> CaptioningEvaluation:
        assert isinstance(network, Captioner)
        spec = self.spec(source, recipe)
        (path,) = self.assets(source, recipe)
        speaker = Speaker(network, Captioning(spec, path.parent))
        validation, test = (open_split(source, name, spec, path) for name in ("validation", "test"))
        return CaptioningEvaluation(
            spec,
            measure(speaker, source.split("validation"), validation),
            measure(speaker, source.split("test"), test),
            *show_some(speaker, source.split("validation"), validation),
        )


def open_split(source: DataSource, name: SplitName, spec: CaptioningSpec, tokenizer: Path) -> BatchDataset:
    """Pictures of a split, and its captions as tokens."""
    task = Captioning(spec, tokenizer.parent)
    codec = CaptionTargets(task.tokenizer, sha256_of(tokenizer), spec)
    return open_encoder_pixels(source.split(name), task.encoder, codec)
