"""Detection as a kind of training."""

from __future__ import annotations

from tasks.detection_spec import DetectionSpec
from tasks.errors import InvalidRecipe
from tasks.task import TaskSpec
from training.data.pixels import TargetCodec
from training.data.source import AnnotatedSource, DataSource
from training.detection.learner import DetectionLearner
from training.detection.report import DetectionEvaluation, build_spec, evaluate
from training.detection.targets import BoxTargets
from training.image_kind import ImageKind
from training.learner import Learner
from training.networks.build import build_head
from training.networks.config import ModelConfig
from training.networks.detector import Detector
from training.networks.network import Trainable
from training.recipe import Recipe


class DetectionKind(ImageKind):
    """See TrainingKind."""

    def labels(self, source: DataSource) -> tuple[str, ...]:
        if not isinstance(source, AnnotatedSource) or not source.labels:
            raise InvalidRecipe(
                "a detector learns from boxes, and this data has none; scenes have boxes with data.max_digits above 1, "
                "and coco, voc and yolo always"
            )
        return source.labels

    def labelled_spec(self, labels: tuple[str, ...], recipe: Recipe) -> DetectionSpec:
        return build_spec(labels, recipe)

    def target_codec(self, spec: TaskSpec) -> TargetCodec:
        return BoxTargets()

    def network(self, config: ModelConfig, spec: TaskSpec) -> Detector:
        assert isinstance(spec, DetectionSpec)
        network = build_head(config, "detector", len(spec.labels), spec.image)
        assert isinstance(network, Detector)
        return network

    def learner(self, network: Trainable, recipe: Recipe, spec: TaskSpec) -> Learner:
        assert isinstance(network, Detector)
        assert isinstance(spec, DetectionSpec)
        return DetectionLearner(network, recipe, spec)

    def evaluate(self, network: Trainable, source: DataSource, recipe: Recipe) -> DetectionEvaluation:
        assert isinstance(network, Detector)
        return evaluate(network, source, recipe)
