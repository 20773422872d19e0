"""Segmentation as a kind of training."""

from __future__ import annotations

from tasks.errors import InvalidRecipe
from tasks.segmentation import SegmentationSpec
from tasks.task import TaskSpec
from training.data.pixels import TargetCodec
from training.data.source import AnnotatedSource, DataSource
from training.image_kind import ImageKind
from training.learner import Learner
from training.loss_config import SegmentationLoss
from training.networks.build import build_head
from training.networks.config import ModelConfig
from training.networks.network import Trainable
from training.networks.segmenter import Segmenter
from training.recipe import Recipe
from training.segmentation.learner import SegmentationLearner
from training.segmentation.report import SegmentationEvaluation, evaluate
from training.segmentation.targets import MaskTargets


class SegmentationKind(ImageKind):
    """See TrainingKind."""

    def labels(self, source: DataSource) -> tuple[str, ...]:
        labels = source.mask_labels if isinstance(source, AnnotatedSource) else ()
        if not labels:
            raise InvalidRecipe(
                "a segmenter learns from masks, and this data has none; scenes have masks with data.max_digits above "
                "1, voc with data.image_set Segmentation, coco where objects have regions, and mask_folder always"
            )
        return labels

    def labelled_spec(self, labels: tuple[str, ...], recipe: Recipe) -> SegmentationSpec:
        return SegmentationSpec(labels=labels, image=recipe.image_spec)

    def target_codec(self, spec: TaskSpec) -> TargetCodec:
        assert isinstance(spec, SegmentationSpec)
        return MaskTargets(spec.image)

    def network(self, config: ModelConfig, spec: TaskSpec) -> Segmenter:
        assert isinstance(spec, SegmentationSpec)
        network = build_head(config, "segmenter", len(spec.labels), spec.image)
        assert isinstance(network, Segmenter)
        return network

    def learner(self, network: Trainable, recipe: Recipe, spec: TaskSpec) -> Learner:
        assert isinstance(network, Segmenter)
        assert isinstance(recipe.loss, SegmentationLoss)
        assert isinstance(spec, SegmentationSpec)
        labels = spec.labels
        num_weights = len(recipe.loss.class_weights)
        if num_weights not in (0, len(labels)):
            raise InvalidRecipe(
                f"loss.class_weights has {num_weights} numbers and the data {len(labels)} labels: give one for each of "
                f"{', '.join(labels)}"
            )
        return SegmentationLearner(network, recipe, len(labels))

    def evaluate(self, network: Trainable, source: DataSource, recipe: Recipe) -> SegmentationEvaluation:
        assert isinstance(network, Segmenter)
        return evaluate(network, source, self.labelled_spec(self.labels(source), recipe))
