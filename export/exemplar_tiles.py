"""What changed by compression, example by example, as tiles of a contact sheet: the truth, before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from export.contact_sheet import BETTER, FADED, MAX_TILES, WORSE, Line, Tile, draw_sheet
from export.forgotten import Change, Forgotten
from export.held_out import Item, decode_batches, stack
from export.subject import Example, Subject
from export.trial import answer
from export.verify import Variant, open_graph
from tasks.classification import ClassificationPrediction
from tasks.detection import Detection
from tasks.draw_boxes import draw_boxes
from tasks.draw_mask import draw_mask
from tasks.image import MAX_PIXELS
from tasks.segmentation import BACKGROUND, Segmentation
from tasks.task import Prediction, Task, open_task


@dataclass(frozen=True)
class TrueBox:
    """An annotated object, as `draw_boxes` wants it."""

    label: str
    class_id: int
    box: tuple[float, float, float, float]
    score: float = 1.0


def draw_changes(
    subject: Subject,
    population: Sequence[Variant],
    forgotten: Forgotten,
    examples: Mapping[int, Example],
    title: Sequence[str],
) -> bytes:
    """The worst changes of one variant as a PNG. `examples`: by their index in the held-out data; the models are asked
    again about those that are shown, because the answers to all would not fit into memory."""
    shown = forgotten.changes[:MAX_TILES]
    task, runtimes = open_task(subject.task_spec), [open_graph(variant) for variant in population]
    tiles, changes = [], iter(shown)
    for items in decode_batches(task, [examples[change.index] for change in shown]):
        tensors = stack(items)
        trained = answer(task, subject.reference, items, tensors, subject.max_batch)
        found = [
            answer(variant.task, runtime.run, items, tensors, subject.max_batch)
            for variant, runtime in zip(population, runtimes, strict=True)
        ]
        for place, (item, change) in enumerate(zip(items, changes, strict=False)):
            after = found[change.seed].predictions[place]
            tiles.append(draw_change(task, item, trained.predictions[place], after, change, len(population)))
    for runtime in runtimes:
        runtime.close()
    return draw_sheet(title, tiles)


def draw_change(task: Task, item: Item, before: Prediction, after: Prediction, change: Change, num_seeds: int) -> Tile:
    """The picture, or what its truth and both answers look like on it, and what they say."""
    payload, params = item.example.payload, task.parse_params({})
    panels: tuple[bytes, ...] = (payload,)
    if task.media_types:
        answers = (task.draw(payload, each, params).content for each in (before, after))
        panels = (draw_truth(task, item), *answers)
    colour = FADED if change.worth_after == change.worth_before else WORSE
    if change.worth_after > change.worth_before:
        colour = BETTER
    lines = [
        Line(f"truth {change.truth}"),
        Line(f"before {change.before}{confidence(before)}"),
        Line(f"after {change.after}{confidence(after)}", colour),
    ]
    if num_seeds > 1:
        lines.append(Line(f"{change.num_seeds} of {num_seeds} seeds", FADED))
    return Tile(panels, tuple(lines))


def draw_truth(task: Task, item: Item) -> bytes:
    """What is annotated, drawn like an answer."""
    payload, target = item.example.payload, item.example.target
    if isinstance(task, Detection):
        objects = [
            TrueBox(task.labels[class_id], class_id, tuple(box))
            for class_id, box in zip(target.class_ids.tolist(), target.boxes.tolist(), strict=True)
        ]
        return draw_boxes(payload, objects, MAX_PIXELS).content
    if isinstance(task, Segmentation):
        plain = 0 if task.labels[0] == BACKGROUND else None
        return draw_mask(payload, target.mask(), plain, MAX_PIXELS).content
    return payload


def confidence(prediction: Prediction) -> str:
    """Of the best label, where there is one for the whole picture."""
    if not isinstance(prediction, ClassificationPrediction):
        return ""
    return f" {prediction.classes[0].score:.0%}"
