"""Classification as a kind of training."""

from __future__ import annotations

from tasks.classification import ClassificationSpec
from tasks.errors import InvalidRecipe
from tasks.task import TaskSpec
from training.classification.learner import ClassificationLearner
from training.classification.report import ClassificationEvaluation, build_spec, evaluate
from training.classification.targets import ClassTargets
from training.data.pixels import TargetCodec
from training.data.source import AnnotatedSource, DataSource
from training.image_kind import ImageKind
from training.learner import Learner
from training.networks.build import build_classifier
from training.networks.classifier import Classifier
from training.networks.config import ModelConfig
from training.networks.network import Trainable
from training.recipe import Recipe


class ClassificationKind(ImageKind):
    """See TrainingKind."""

    def labels(self, source: DataSource) -> tuple[str, ...]:
        if isinstance(source, AnnotatedSource):
            raise InvalidRecipe("a classifier learns one class for each picture, and this data has objects: see task")
        return source.labels

    def labelled_spec(self, labels: tuple[str, ...], recipe: Recipe) -> ClassificationSpec:
        return build_spec(labels, recipe)

    def target_codec(self, spec: TaskSpec) -> TargetCodec:
        return ClassTargets()

    def network(self, config: ModelConfig, spec: TaskSpec) -> Classifier:
        assert isinstance(spec, ClassificationSpec)
        return build_classifier(config, len(spec.labels), spec.image)

    def learner(self, network: Trainable, recipe: Recipe, spec: TaskSpec) -> Learner:
        assert isinstance(network, Classifier)
        return ClassificationLearner(network, recipe)

    def evaluate(self, network: Trainable, source: DataSource, recipe: Recipe) -> ClassificationEvaluation:
        assert isinstance(network, Classifier)
        return evaluate(network, source, recipe)
