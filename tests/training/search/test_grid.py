from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from training.search.grid import every_point, shuffled_points
from training.search.space import Choices, Dimension, Range, SearchSpace

values = st.one_of(
    st.lists(st.integers() | st.lists(st.booleans(), max_size=2), min_size=1, max_size=3, unique_by=repr).map(
        lambda found: Choices(tuple(found))
    ),
    st.tuples(st.integers(-5, 5), st.integers(1, 4), st.sampled_from([None, 1, 2])).map(
        lambda each: Range(each[0], each[0] + each[1], step=each[2])
    ),
)


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    dimensions = [Dimension(f"d{index}", draw(values)) for index in range(draw(st.integers(0, 2)))]
    labels = draw(st.integers(0, 2))
    options = {f"l{n}": tuple(Dimension("x", draw(values), f"o=l{n}") for _ in range(n)) for n in range(labels)}
    return SearchSpace(tuple(dimensions), {"o": options} if options else {})


@given(spaces(), st.integers(0, 9))
def test_there_are_as_many_different_points_as_the_space_counts(space: SearchSpace, seed: int) -> None:
    points = list(every_point(space))
    assert len(points) == space.size
    assert len({repr(point) for point in points}) == len(points)
    shuffled = shuffled_points(space, seed)
    assert sorted(map(repr, shuffled)) == sorted(map(repr, points))
    assert shuffled_points(space, seed) == shuffled


def test_a_point_has_what_its_alternative_has() -> None:
    depth = Dimension("depth", Range(0.5, 1.5, step=0.5), "block=deep")
    space = SearchSpace((Dimension("widths", Choices(([8], [16]))),), {"block": {"plain": (), "deep": (depth,)}})
    points = list(every_point(space))
    assert {"widths": "[8]", "block": "plain"} in points
    assert {"widths": "[16]", "block": "deep", "depth (block=deep)": 1.5} in points
    assert len(points) == 2 * (1 + 3)
