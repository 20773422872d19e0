"""What a recipe may say about its data: one Struct for each source, told apart by the field `source`.

No field names a number of workers or a cache folder: those belong to the machine, not to the recipe.
"""

from __future__ import annotations

from typing import Annotated

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


class FolderConfig(SourceConfig, frozen=True, kw_only=True, tag="folder"):
    """One directory per class under `path`, or under `path`/train, /validation and /test where those exist."""

    path: str
    validation_fraction: Fraction = 0.15
    test_fraction: Fraction = 0.15


class Cifar10Config(SourceConfig, frozen=True, kw_only=True, tag="cifar10"):
    """`path`: the folder of the binary version (data_batch_1.bin … test_batch.bin). Validation is cut from training."""

    path: str
    validation_fraction: Fraction = 0.1


class MnistConfig(SourceConfig, frozen=True, kw_only=True, tag="mnist"):
    """`path`: the folder of the four IDX files, gzipped or not. Validation is cut from training."""

    path: str
    validation_fraction: Fraction = 0.1


DataConfig = ScenesConfig | DigitsConfig | FolderConfig | Cifar10Config | MnistConfig
