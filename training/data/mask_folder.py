"""Pictures and masks in two folders, paired by name: what most people who segment have.

images/a/b.jpg belongs to masks/a/b.png, a PNG of one channel (grey or palette) that holds class indices, 255 where a
pixel is to be ignored. Masks refer to the upright picture. There are no objects in such data, so a detector has
nothing to learn from it.
"""

from __future__ import annotations

from pathlib import Path

from tasks.errors import NotFound
from training.data.annotated_file import AnnotatedFile, open_annotated_files
from training.data.config import MaskFolderConfig
from training.data.file_facts import measure_pictures
from training.data.file_split import inner_name, name_pictures
from training.data.mask_files import complain_of_masks
from training.data.problems import Problems
from training.data.source import AnnotatedSplitSource
from training.data.split_folders import find_split_folders
from training.data.visible_files import find_visible

PICTURES, MASKS = "images", "masks"


def open_mask_folder(config: MaskFolderConfig) -> AnnotatedSplitSource:
    """The source of such folders, in one or in one for each split; what there is none for is drawn.

    Raises NotFound, and BadInput with everything that is broken."""
    root = Path(config.path)
    problems = Problems()
    folders = find_split_folders(root)
    parts = {name: pair_files(folder, len(config.labels), problems) for name, folder in folders.items()}
    problems.raise_any("mask_folder")
    return open_annotated_files((), config.labels, parts, config)


def pair_files(folder: Path, num_labels: int, problems: Problems) -> list[AnnotatedFile]:
    """Every picture of a folder that has a mask. Raises NotFound."""
    for name in (PICTURES, MASKS):
        if not (folder / name).is_dir():
            raise NotFound(f"data.path: {folder} has no folder {name}; pictures belong in {PICTURES}, masks in {MASKS}")
    masks = {inner_name(path, folder / MASKS): path for path in find_visible(folder / MASKS, "**/*.png")}
    pictures = name_pictures(folder / PICTURES, problems)
    for name in sorted(pictures.keys() - masks.keys()):
        problems.add(pictures[name], f"it has no mask: {folder / MASKS / name}.png is missing")
    for name in sorted(masks.keys() - pictures.keys()):
        problems.add(masks[name], f"it has no picture: {folder / PICTURES / name} is missing, with any suffix")
    both = sorted(pictures.keys() & masks.keys())
    facts = measure_pictures([pictures[name] for name in both], problems)
    complain_of_masks([masks[name] for name in both], facts, num_labels, problems)
    return [AnnotatedFile(pictures[name], (), masks[name].read_bytes) for name in both]
