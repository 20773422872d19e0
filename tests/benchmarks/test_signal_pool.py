from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.signal_pool import SignalPool, picture_row, scenes_of
from registry.package import ModelPackage
from tasks.errors import BadInput
from tasks.task import Category, Observation, Scalar, SignalSpec, WeightedBins
from tests.handmade import Handmade, build_package

SPECS = {
    "light": SignalSpec(kind="scalar"),
    "found": SignalSpec(kind="weighted", categories=("car", "bus", "tram")),
    "answer": SignalSpec(kind="category", categories=("cat", "dog")),
}
PICTURES = st.fixed_dictionaries(
    {},
    optional={
        "light": st.builds(Scalar, st.floats(-1e9, 1e9)),
        "found": st.lists(st.floats(0, 1), min_size=3, max_size=3).map(lambda w: WeightedBins(np.array(w))),
        "answer": st.builds(Category, st.integers(0, 1)),
    },
)


def plain(picture: dict[str, Observation]) -> dict[str, list[float]]:
    return {name: np.ravel(seen[0]).tolist() for name, seen in picture.items()}


@given(st.lists(PICTURES, min_size=1, max_size=10), st.data())
def test_a_pool_gives_back_what_each_picture_had_and_nothing_else(
    pictures: list[dict[str, Observation]], data: st.DataObject
) -> None:
    pool = SignalPool(SPECS, np.array([picture_row(SPECS, picture) for picture in pictures]))
    indices = data.draw(st.lists(st.integers(0, len(pictures) - 1), max_size=12))
    drawn = list(pool.observations(np.array(indices, np.int64)))
    assert [plain(picture) for picture in drawn] == [plain(pictures[i]) for i in indices]
    assert all(
        type(seen) is type(pictures[i][name])
        for i, one in zip(indices, drawn, strict=True)
        for name, seen in one.items()
    )


def test_only_packages_trained_on_scenes_have_pictures_to_draw(tmp_path_factory: pytest.TempPathFactory) -> None:
    package: ModelPackage = build_package(tmp_path_factory.mktemp("package") / "colours", Handmade())
    with pytest.raises(BadInput, match="trained on scenes"):
        scenes_of(package)
