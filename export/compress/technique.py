"""The Technique protocol: one step on the way from the trained network to a variant. One file of this folder each.

A variant is made by steps in the order of its recipe: first those that change the network itself (pruning, clustering,
training that knows of the quantization to come), then those that change its ONNX graph (bytes, half floats), and last
how its weights lie on disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from export.section import Section
from registry.manifest import Precision
from tasks.task import Array
from training.recipe import TaskName

if TYPE_CHECKING:
    from export.compress.learning import Learning
    from training.networks.network import Trainable


Form = Literal["zeros", "zeros in fours", "shared values", "fewer channels", "thin layers", "rounded weights"]
"""What a step can make of a network that a later one may undo."""
ALL_FORMS: frozenset[Form] = frozenset(get_args(Form))


class Technique(Section, frozen=True, kw_only=True, tag_field="technique"):
    """One step with its options: a table of a recipe, in which the field `technique` names it."""

    precision: ClassVar[Precision | None] = None
    """Of the variant after this step; None where the step leaves it as it was."""
    needs_gpu: ClassVar[bool] = False
    """Whether the variant is of use on a GPU alone."""
    is_drawn: ClassVar[bool] = False
    """Whether another seed gives another result: other examples to learn or to calibrate from, another order."""

    @property
    def cpu_features(self) -> tuple[str, ...]:
        """What a processor must have to run the variant, in the words of /proc/cpuinfo."""
        return ()

    def find_obstacle(self, task: TaskName) -> str:
        """Why this step makes no sense for models of a task; empty where it does."""
        return ""


class NetworkTechnique(Technique, frozen=True, kw_only=True):
    """Changes the network, before there is a graph of it; most let it learn on afterwards."""

    is_drawn: ClassVar[bool] = True
    makes: ClassVar[Form | None] = None
    """What the network has after this step; None where the step gives it no form of its own."""
    undoes: ClassVar[frozenset[Form]] = frozenset()
    """Of what steps before it may have made: it must not follow those."""

    def compress(self, network: Trainable, learning: Learning) -> Trainable:
        """A network in evaluation mode, on the CPU → its compressed form, the same or another one: the caller gives it
        away. Raises InvalidRecipe, GateFailed."""
        raise NotImplementedError


class GraphTechnique(Technique, frozen=True, kw_only=True):
    """Changes the ONNX graph of a model that answers at once. (Decoder graphs are written in the form that their steps
    ask for, see export/generative/variants.py.)"""

    def compress_graph(self, source: Path, target: Path, batches: Sequence[Mapping[str, Array]]) -> None:
        """Writes the compressed form of the graph `source`. `batches`: inputs [batch, …] by name, of training data.
        Raises InvalidRecipe where there is nothing that it could change."""
        raise NotImplementedError


class StorageTechnique(Technique, frozen=True, kw_only=True):
    """Changes how the weights of the finished graph lie on disk, and no number of its answers."""
