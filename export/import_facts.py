"""What a model file does not say about itself: the small TOML that `tidegate import` is given beside it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from export.section import Positive, Section
from tasks.errors import InvalidRecipe
from tasks.image import ImageSpec
from training.recipe_file import convert_tables

TaskName = Literal["classification", "detection", "segmentation", "text_generation"]
Triple = tuple[float, float, float]
PositiveTriple = tuple[Positive, Positive, Positive]


class InputFacts(Section, frozen=True, kw_only=True):
    """What the model expects of a picture: (pixel · rescale − mean) / std, per channel, in this layout and order."""

    layout: Literal["nchw", "nhwc"] = "nchw"
    channels: Literal["rgb", "bgr"] = "rgb"
    rescale: Positive = 1 / 255
    mean: Triple = (0.0, 0.0, 0.0)
    std: PositiveTriple = (1.0, 1.0, 1.0)

    @property
    def is_identity(self) -> bool:
        """Does the model take pixels as they are?"""
        return self.rescale == 1 and self.mean == (0, 0, 0) and self.std == (1, 1, 1)


class OutputFacts(Section, frozen=True, kw_only=True):
    """Which tensors of the graph answer. `scores`: its name (default: the first output), which holds `kind`.

    `embedding` names any tensor of the graph, inner ones too; what has more than two axes is averaged over space.
    Without it the logits stand in: drift is then seen only as far as the classes see it.
    """

    scores: str = ""
    kind: Literal["logits", "probabilities"] = "logits"
    embedding: str = ""


class DetectionFacts(Section, frozen=True, kw_only=True):
    """`score_threshold`: what a detection must score where a request does not say. 0.5 is the default of transformers,
    and above it a query that tells classes apart by a softmax can not be two things at once."""

    score_threshold: Annotated[float, msgspec.Meta(ge=0.01, le=1)] = 0.5


class TextFacts(Section, frozen=True, kw_only=True):
    """`context`: positions of prompt and answer together, at most; a model that was made for fewer keeps to those.
    Memory is taken for all of them, in every slot."""

    context: Annotated[int, msgspec.Meta(ge=2)] = 4096


class ImportFacts(Section, frozen=True, kw_only=True):
    """The whole TOML. `labels` in the order of the model's outputs; `image` as the model's input takes it.

    A transformers folder knows its labels, size and preprocessing; what is given here overrides that. Detectors,
    segmenters and language models can be imported from such a folder alone.
    """

    name: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9-]*$")]
    task: TaskName = "classification"
    labels: tuple[str, ...] = ()
    image: ImageSpec | None = None
    input: InputFacts | None = None
    output: OutputFacts = OutputFacts()
    temperature: Positive = 1.0
    """Divides the logits of a classifier; 1 leaves the model's own confidence."""
    detection: DetectionFacts = DetectionFacts()
    text: TextFacts = TextFacts()


def load_import_facts(path: Path) -> ImportFacts:
    """Raises InvalidRecipe naming the file and the field."""
    try:
        facts = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidRecipe(f"{path}: not a readable TOML file ({error})") from error
    return convert_tables(facts, ImportFacts, str(path))
