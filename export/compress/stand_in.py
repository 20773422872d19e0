"""Whether a student can learn from a teacher, and stand in for it afterwards: found out before hours of learning."""

from __future__ import annotations

from tasks.errors import InvalidRecipe
from training.detection.learner import DetectionAnswer
from training.lesson import Answer, Lesson
from training.networks.captioner import Captioner
from training.networks.dense import DenseGuess
from training.networks.network import Network, Trainable

OF_ITS_OWN = ("embedding",)
"""Outputs whose width is a network's own business."""


def check_outputs(student: Trainable, teacher: Trainable, lesson: Lesson) -> None:
    """Raises InvalidRecipe where the graph of the student would not answer in the shapes of the teacher's."""
    if isinstance(student, Captioner) and isinstance(teacher, Captioner):
        check_grids(student, teacher)
    elif isinstance(student, Network):
        image = lesson.inputs[0]
        for name, output, wanted in zip(student.output_names, student(image), teacher(image), strict=True):
            if name not in OF_ITS_OWN and output.shape != wanted.shape:
                raise InvalidRecipe(
                    f"the student answers {describe(output.shape[1:])} {name} to a picture and the trained network "
                    f"{describe(wanted.shape[1:])}: give it the same options that decide it, as num_candidates"
                )


def check_grids(student: Captioner, teacher: Captioner) -> None:
    """Raises InvalidRecipe where a picture would take another number of places before its caption."""
    if student.grid != teacher.grid:
        raise InvalidRecipe(
            f"the student sees a picture in {describe(student.grid)} cells and the trained network in "
            f"{describe(teacher.grid)}: give both the same largest stride"
        )


def check_answers(taught: Answer, known: Answer) -> None:
    """Raises InvalidRecipe where what is imitated can not be laid side by side."""
    if isinstance(known, DetectionAnswer) and not isinstance(known.guess, DenseGuess):
        raise InvalidRecipe(
            "the trained detector does not show its guesses: its architecture has no `guess` of its own"
        )
    if taught.logits.shape != known.logits.shape:
        raise InvalidRecipe(
            f"the student scores {describe(taught.logits.shape[1:])} places and classes and the trained network "
            f"{describe(known.logits.shape[1:])}: a detector must search the same strides, in as many stages"
        )


def check_features(taught: Answer, known: Answer) -> None:
    """Raises InvalidRecipe where features can not be laid side by side, their channels aside."""
    seen, wanted = ([each.shape[:-1] for each in answer.features] for answer in (taught, known))
    if seen != wanted:
        maps = " and ".join(", ".join(describe(shape[1:]) for shape in shapes) for shapes in (seen, wanted))
        raise InvalidRecipe(
            f"the maps of the student and of the trained network are of {maps}: give it a backbone with the same "
            "strides, or leave out feature_weight"
        )


def describe(sizes: tuple[int, ...]) -> str:
    return "×".join(map(str, sizes)) or "one number"
