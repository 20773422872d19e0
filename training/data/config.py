"""What a recipe may say about its data: one Struct for each source, told apart by the field `source`.

No field names a number of workers or a cache folder: those belong to the machine, not to the recipe.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Fraction = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Seed = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]


class SourceConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="source"):
    """Fields that every source has. `seed` decides the splits, and the pictures where they are generated."""

    seed: Seed = 0

    @property
    def source(self) -> str:
        """The word that chose this source in the recipe."""
        return str(self.__struct_config__.tag)


class ScenesConfig(SourceConfig, frozen=True, kw_only=True, tag="scenes"):
    """Handwritten digits placed on crops of photographs; as many pictures as asked for.

    With one digit to a picture its class is the target; with up to `max_digits`, overlapping, boxes, masks and captions
    are.
    """

    max_digits: Annotated[int, msgspec.Meta(ge=1, le=6)] = 1
    train_size: Count = 12_000
    validation_size: Count = 10_000
    test_size: Count = 10_000


class DigitsConfig(SourceConfig, frozen=True, kw_only=True, tag="digits"):
    """scikit-learn's 1,797 scans of 8×8 pixels, as they are."""

    validation_fraction: Fraction = 0.2
    test_fraction: Fraction = 0.2


class FilesConfig(SourceConfig, frozen=True, kw_only=True):
    """Fields of every source that reads a folder of the user's own. The fractions say how much of the training data is
    drawn at random for those of validation and test that the folder does not have."""

    path: str
    validation_fraction: Fraction = 0.15
    test_fraction: Fraction = 0.15


class FolderConfig(FilesConfig, frozen=True, kw_only=True, tag="folder"):
    """One directory per class under `path`, or under the folders of its splits (split_folders.py)."""


class CocoPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One instances file and the folder of its pictures, both relative to the `path` of the source."""

    instances: str
    pictures: str = ""


class CocoConfig(FilesConfig, frozen=True, kw_only=True, tag="coco"):
    """Instances as COCO writes them. `validation` and `test` are drawn from `train` where they are not given."""

    train: CocoPart
    validation: CocoPart | None = None
    test: CocoPart | None = None


class CocoCaptionsPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One captions file and the folder of its pictures, both relative to the `path` of the source."""

    captions: str
    pictures: str = ""


class CocoCaptionsConfig(FilesConfig, frozen=True, kw_only=True, tag="coco_captions"):
    """Captions as COCO writes them, several to a picture. `validation` and `test` are drawn from `train` where they are
    not given."""

    train: CocoCaptionsPart
    validation: CocoCaptionsPart | None = None
    test: CocoCaptionsPart | None = None


class VocConfig(FilesConfig, frozen=True, kw_only=True, tag="voc"):
    """A folder as of Pascal VOC: Annotations/, JPEGImages/ and, for masks, SegmentationClass/.

    The splits are those of ImageSets/`image_set` where that exists. With "Segmentation" every picture has a mask;
    with "Main" masks are not looked at. No `labels`: the twenty classes of VOC.
    """

    labels: tuple[str, ...] = ()
    image_set: Literal["Main", "Segmentation"] = "Main"


class YoloConfig(FilesConfig, frozen=True, kw_only=True, tag="yolo"):
    """images/ and labels/ beside each other under `path` or under its train, val and test; the class names in
    data.yaml or classes.txt."""


class MaskFolderConfig(FilesConfig, frozen=True, kw_only=True, tag="mask_folder"):
    """Pictures in images/ and a PNG of class indices for each, of the same name, in masks/: under `path`, or under the
    folders of its splits (split_folders.py). `labels`: what the indices mean, from 0 on."""

    labels: Annotated[tuple[str, ...], msgspec.Meta(min_length=2, max_length=255)]


class Cifar10Config(SourceConfig, frozen=True, kw_only=True, tag="cifar10"):
    """`path`: the folder of the binary version (data_batch_1.bin … test_batch.bin). Validation is cut from training."""

    path: str
    validation_fraction: Fraction = 0.1


class MnistConfig(SourceConfig, frozen=True, kw_only=True, tag="mnist"):
    """`path`: the folder of the four IDX files, gzipped or not. Validation is cut from training."""

    path: str
    validation_fraction: Fraction = 0.1


class TextFilesConfig(FilesConfig, frozen=True, kw_only=True, tag="files"):
    """UTF-8 texts: the file at `path`, or what `pattern` (as in `pathlib.Path.glob`) finds in that folder, or in those
    of its splits (split_folders.py). Each file is one text, or several with `separator` between them."""

    pattern: str = "**/*"
    separator: str = ""


class StdlibConfig(SourceConfig, frozen=True, kw_only=True, tag="stdlib"):
    """The documentation strings of the Python files below `path`; none given: of the standard library on this machine.

    The fractions are those of top-level modules, of which each belongs to one split as a whole."""

    path: str = ""
    validation_fraction: Fraction = 0.1
    test_fraction: Fraction = 0.1


class JoinedConfig(SourceConfig, frozen=True, kw_only=True, tag="joined"):
    """Several sources as one, each split that of all parts. The classes are those of the first part. `repeat`: how
    often an epoch goes through the training data of each part behind the first, where that is the larger by far.
    `normal_parts`: how many of the last parts show what the world has become: drift is measured from their held-out
    examples; 0 stands for all parts."""

    parts: Annotated[tuple[DataConfig, ...], msgspec.Meta(min_length=1)]
    repeat: Count = 1
    normal_parts: Annotated[int, msgspec.Meta(ge=0)] = 0


DataConfig = (
    ScenesConfig
    | DigitsConfig
    | FolderConfig
    | MaskFolderConfig
    | CocoConfig
    | CocoCaptionsConfig
    | VocConfig
    | YoloConfig
    | Cifar10Config
    | MnistConfig
    | TextFilesConfig
    | StdlibConfig
    | JoinedConfig
)
