"""Text generation as a kind of training."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tasks.errors import InvalidRecipe
from tasks.task import TaskSpec
from tasks.text import Tokenizer
from tasks.text_generation import TextGenerationSpec
from training.data.batches import Datasets
from training.data.source import DataSource, DocumentSource
from training.language.chat_template_file import CHAT_TEMPLATE_FILE, open_chat_template_file
from training.language.learner import LanguageLearner
from training.language.origin import find_misfit
from training.language.report import LanguageEvaluation, evaluate, payloads
from training.language.token_stream import open_token_stream
from training.language.windows import JudgingWindows, LearningWindows
from training.learner import Learner
from training.networks.build import build_language_model
from training.networks.config import ModelConfig
from training.networks.language_network import LanguageNetwork
from training.networks.network import Trainable
from training.recipe import Recipe
from training.tokenizer_file import TOKENIZER_FILE, open_tokenizer_file

MONITORED_BYTES = 65_536
"""How much of the validation texts is judged after an epoch: enough to tell epochs apart, in a few seconds."""


class LanguageKind:
    """See TrainingKind."""

    def spec(self, source: DataSource, recipe: Recipe) -> TextGenerationSpec:
        config = recipe.text_config
        tokenizer = Tokenizer(self._tokenizer_file(source, recipe))
        end_of_text = tokenizer.token_id(config.tokenizer.end_of_text)
        assert end_of_text is not None
        return TextGenerationSpec(
            vocabulary=tokenizer.vocabulary,
            context=config.context,
            tokenizer=TOKENIZER_FILE,
            begin_token=end_of_text,
            end_tokens=(end_of_text,),
            chat_template=CHAT_TEMPLATE_FILE if config.chat_template else None,
        )

    def datasets(self, source: DataSource, recipe: Recipe) -> Datasets:
        spec, file = self.spec(source, recipe), self._tokenizer_file(source, recipe)
        training, validation = (
            open_token_stream(source.split(name), file, spec.end_tokens[0]) for name in ("train", "validation")
        )
        return Datasets(
            LearningWindows(training, spec.context), JudgingWindows(validation, spec.context, MONITORED_BYTES)
        )

    def assets(self, source: DataSource, recipe: Recipe) -> tuple[Path, ...]:
        config, tokenizer = recipe.text_config, self._tokenizer_file(source, recipe)
        if not config.chat_template:
            return (tokenizer,)
        return tokenizer, open_chat_template_file(config.chat_template, config.tokenizer.end_of_text)

    def network(self, config: ModelConfig, spec: TaskSpec) -> LanguageNetwork:
        assert isinstance(spec, TextGenerationSpec)
        return build_language_model(config, spec.vocabulary, spec.context)

    def find_misfit(self, source: DataSource, recipe: Recipe, checkpoint: Path) -> str:
        return find_misfit(checkpoint, recipe.model, self._tokenizer_file(source, recipe))

    def answers_alike(self, source: DataSource, recipe: Recipe, checkpoint: Path) -> bool:
        return not self.find_misfit(source, recipe, checkpoint)

    def learner(self, network: Trainable, recipe: Recipe, spec: TaskSpec) -> Learner:
        assert isinstance(network, LanguageNetwork)
        return LanguageLearner(network, recipe)

    def evaluate(self, network: Trainable, source: DataSource, recipe: Recipe) -> LanguageEvaluation:
        assert isinstance(network, LanguageNetwork)
        return evaluate(network, source, self.spec(source, recipe), self._tokenizer_file(source, recipe))

    def _tokenizer_file(self, source: DataSource, recipe: Recipe) -> Path:
        """Raises InvalidRecipe for data that is no text."""
        if not isinstance(source, DocumentSource):
            raise InvalidRecipe("a language model learns from texts, and this data has pictures: see data.source")
        split = source.split("train")
        return open_tokenizer_file(recipe.text_config.tokenizer, partial(decode_texts, source), split.digest)


def decode_texts(source: DocumentSource) -> list[str]:
    """All that is learnt from."""
    return [payload.decode() for payload in payloads(source.split("train"))]
