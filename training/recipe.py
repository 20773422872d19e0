"""A recipe: every choice of a training run, typed, frozen and JSON-able. Read from one TOML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from tasks.errors import InvalidRecipe
from tasks.image import ImageSpec
from training.data.config import DataConfig, Seed
from training.data.source import SOURCE_FACTORIES
from training.loss_config import ClassificationLoss, LossConfig
from training.networks.config import Building, ModelConfig
from training.recipe_file import RecipeFolder, convert_tables
from training.recipe_section import AtLeastOne, NonNegative, Positive, Section, Share, ZeroOrMore

RECIPES = RecipeFolder(Path(__file__).parent / "recipes", "recipe")

TaskName = Literal["classification", "detection", "segmentation", "captioning", "text_generation"]
NETWORK_KINDS: Mapping[TaskName, Building] = {
    "classification": "backbone",
    "detection": "detector",
    "segmentation": "segmenter",
    "captioning": "captioner",
    "text_generation": "language_model",
}
"""Task → what `model.architecture` of its recipe must build."""


class OptimiserConfig(Section, frozen=True, kw_only=True):
    """AdamW or SGD. `backbone_factor` scales the learning rate of everything below the classifier head."""

    name: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Positive = 3e-3
    weight_decay: NonNegative = 0.05
    betas: tuple[Share, Share] = (0.9, 0.999)
    """How long AdamW remembers gradients and their squares; SGD has a momentum of 0.9."""
    backbone_factor: Positive = 1.0
    gradient_clip_norm: NonNegative = 1.0
    """Gradients beyond this global norm are scaled down to it; 0 leaves them alone."""


class ScheduleConfig(Section, frozen=True, kw_only=True):
    """How long, and the learning rate over time: a linear warm-up, then half a cosine down to `final_factor`."""

    epochs: AtLeastOne = 10
    batch_size: AtLeastOne = 64
    batches_per_epoch: ZeroOrMore = 0
    """An epoch ends after so many batches, drawn anew for each; 0 takes all the data there is."""
    accumulate_batches: AtLeastOne = 1
    warmup_fraction: Share = 0.1
    final_factor: NonNegative = 0.01
    frozen_epochs: ZeroOrMore = 0
    """For this many epochs only the classifier head learns (transfer learning)."""
    patience_epochs: ZeroOrMore = 0
    """Stop after this many epochs without a better validation loss; 0 trains to the end."""


class TokenizerConfig(Section, frozen=True, kw_only=True):
    """A byte-level BPE with `vocabulary` tokens, learnt from the training texts; or the tokenizer.json at `path`."""

    vocabulary: Annotated[int, msgspec.Meta(ge=257)] = 2048
    path: str = ""
    end_of_text: str = "<|endoftext|>"
    """The token between texts, by its name; a tokenizer.json must have it."""


class TextConfig(Section, frozen=True, kw_only=True):
    """`context`: the most tokens that the network ever sees at once."""

    context: Annotated[int, msgspec.Meta(ge=2)] = 256
    tokenizer: TokenizerConfig = TokenizerConfig()
    chat_template: str = ""
    """Path of a Jinja template that makes a prompt of a conversation; it travels with the model."""


class AugmentConfig(Section, frozen=True, kw_only=True):
    """Random changes of a training batch. Zero everywhere = none. See data/augment.py for what each does."""

    rotate_degrees: NonNegative = 0.0
    scale: Share = 0.0
    translate: Share = 0.0
    shear: Share = 0.0
    brightness: Share = 0.0
    contrast: Share = 0.0
    invert: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    flip_horizontal: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    erase: Share = 0.0
    mixup_alpha: NonNegative = 0.0


class Recipe(Section, frozen=True, kw_only=True):
    """One training run. `name` becomes the model's name in the registry."""

    name: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9-]*$")]
    description: str = ""
    task: TaskName = "classification"
    seed: Seed = 0
    precision: Literal["auto", "32-true", "16-mixed", "bf16-mixed"] = "auto"
    """"auto": bfloat16 mixed precision on a GPU that has it, full precision elsewhere."""
    distribution: Literal["replicate", "shard"] = "replicate"
    """Of several processes each holds all weights (DDP), or its share of every block of the network (FSDP)."""
    ema_decay: Share = 0.0
    """Validate and keep an exponential moving average of the weights; 0 keeps the weights themselves."""
    data: DataConfig
    image: ImageSpec | None = None
    """What pictures are made into; only of tasks that have pictures."""
    text: TextConfig | None = None
    """What texts are made into; only of tasks that have texts."""
    model: ModelConfig
    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = ClassificationLoss()
    """What the table may hold depends on `task`."""

    @property
    def image_spec(self) -> ImageSpec:
        """The table [image]. Raises InvalidRecipe where there is none."""
        if self.image is None:
            raise InvalidRecipe(f"{self.name}: {self.task} learns from pictures: add [image] with height and width")
        return self.image

    @property
    def text_config(self) -> TextConfig:
        """The table [text]. Raises InvalidRecipe where there is none."""
        if self.text is None:
            raise InvalidRecipe(f"{self.name}: {self.task} learns texts: add [text] with context, in tokens")
        return self.text


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe by name or by path to a TOML file, with `section.field=value` overrides (values in TOML).

    Raises NotFound, or InvalidRecipe naming the file and the field.
    """
    facts, origin = RECIPES.read(name_or_path, overrides)
    recipe = parse_recipe(facts, origin)
    from training.networks.build import check_model

    check_model(recipe.model, NETWORK_KINDS[recipe.task], origin)
    return recipe


def parse_recipe(facts: Mapping[str, Any], origin: str) -> Recipe:
    """Nested tables → a recipe. `origin` is named in the error. Raises InvalidRecipe."""
    check_source(facts, origin)
    recipe = convert_tables(assign_loss(facts), Recipe, origin)
    try:
        check_tables(recipe)
        check_distribution(recipe)
    except InvalidRecipe as error:
        raise InvalidRecipe(f"{origin}: {error}") from error
    schedule = recipe.schedule
    if schedule.frozen_epochs >= schedule.epochs:
        raise InvalidRecipe(
            f"{origin}: schedule.frozen_epochs ({schedule.frozen_epochs}) must be below schedule.epochs "
            f"({schedule.epochs})"
        )
    return recipe


def check_source(facts: Mapping[str, Any], origin: str) -> None:
    """Raises InvalidRecipe, naming all sources, where the table [data] is of none of them."""
    table = facts.get("data")
    source = table.get("source") if isinstance(table, Mapping) else None
    if not isinstance(source, str) or source not in SOURCE_FACTORIES:
        raise InvalidRecipe(
            f"{origin}: data.source is {source!r}; give one of {', '.join(sorted(SOURCE_FACTORIES))} (docs/data.md)"
        )


def check_distribution(recipe: Recipe) -> None:
    """Raises InvalidRecipe for what cannot be done to weights that no process holds as a whole."""
    if recipe.distribution == "shard" and (recipe.ema_decay or recipe.precision == "16-mixed"):
        raise InvalidRecipe(
            "distribution shard goes with no ema_decay and no 16-mixed: leave them out, or take bf16-mixed"
        )


def check_tables(recipe: Recipe) -> None:
    """Whether pictures and texts are described where the task has them, and nowhere else. Raises InvalidRecipe."""
    pictures, texts = recipe.task != "text_generation", recipe.task in ("captioning", "text_generation")
    if pictures:
        _ = recipe.image_spec
    elif recipe.image is not None or recipe.augment != AugmentConfig():
        raise InvalidRecipe(f"{recipe.task} has no pictures: leave out [image] and [augment]")
    elif recipe.schedule.frozen_epochs or recipe.optimiser.backbone_factor != 1:
        raise InvalidRecipe(
            f"{recipe.task} has no backbone: leave out schedule.frozen_epochs and optimiser.backbone_factor"
        )
    if texts:
        _ = recipe.text_config
    elif recipe.text is not None:
        raise InvalidRecipe(f"{recipe.task} has no texts: leave out [text]")


def assign_loss(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's tables with the loss marked as that of its task: nobody has to name the task twice."""
    loss = facts.get("loss", {})
    others = {name: value for name, value in facts.items() if name != "loss"}
    task = facts.get("task", "classification")
    # Behind the others, so that a task that does not exist is complained about where it was written.
    return others | {"loss": {**loss, "task": task} if isinstance(loss, Mapping) else loss}
