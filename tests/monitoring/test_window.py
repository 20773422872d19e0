import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitoring.profile import Profile, build_profile
from monitoring.window import Window
from tasks.task import Category, Observation, Scalar, SignalSpec, WeightedBins

SPECS = {
    "light": SignalSpec(kind="scalar"),
    "answer": SignalSpec(kind="category", categories=("cat", "dog")),
    "found": SignalSpec(kind="weighted", categories=("car", "bus", "tram")),
}


def profile() -> Profile:
    return build_profile(SPECS, [{"light": Scalar(float(i))} for i in range(50)])


PICTURES = st.fixed_dictionaries(
    {},
    optional={
        "light": st.builds(Scalar, st.floats(-10, 60) | st.just(float("nan"))),
        "answer": st.builds(Category, st.integers(-1, 3)),
        "found": st.lists(st.floats(0, 1), min_size=3, max_size=3).map(lambda w: WeightedBins(np.array(w))),
    },
)


@given(st.lists(PICTURES, max_size=60), st.integers(1, 20))
def test_counts_are_exactly_those_of_the_last_pictures(pictures: list[dict[str, Observation]], size: int) -> None:
    reference = profile()
    window = Window(reference, size)
    for picture in pictures:
        window.add(reference.bin(picture))
    assert len(window) == min(size, len(pictures))
    for name, counts in window.counts().items():
        kept = [0 * counts.weights]
        kept += [reference.bin(picture)[name] for picture in pictures[-size:] if name in picture]
        assert counts.weights.tolist() == np.sum(kept, axis=0).tolist()
        assert counts.squares.tolist() == np.sum(np.square(kept), axis=0).tolist()


def test_counts_handed_out_do_not_follow_the_window() -> None:
    reference = profile()
    window = Window(reference, 5)
    before = window.counts()
    window.add(reference.bin({"answer": Category(0)}))
    assert before["answer"].num_images == 0
