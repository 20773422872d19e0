import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.profile import Profile, build_profile, decode_profile, encode_profile
from tasks.errors import InvalidPackage
from tasks.task import Category, Observation, Scalar, SignalSpec, WeightedBins

SPECS = {
    "light": SignalSpec(kind="scalar"),
    "answer": SignalSpec(kind="category", categories=("cat", "dog")),
    "found": SignalSpec(kind="weighted", categories=("car", "bus", "tram")),
}
SCALARS = st.builds(Scalar, st.floats(allow_nan=True, allow_infinity=True))
CATEGORIES = st.builds(Category, st.integers(-3, 5))
WEIGHTS = st.lists(st.floats(-0.1, 1e6) | st.just(math.nan), max_size=4).map(lambda w: WeightedBins(np.array(w)))
PICTURES = st.fixed_dictionaries({}, optional={"light": SCALARS, "answer": CATEGORIES, "found": WEIGHTS})


def reference(num_images: int = 200) -> Profile:
    rng = np.random.default_rng(0)
    return build_profile(SPECS, [picture(rng) for _ in range(num_images)])


def picture(rng: np.random.Generator) -> dict[str, Observation]:
    return {
        "light": Scalar(float(rng.standard_normal())),
        "answer": Category(int(rng.integers(2))),
        "found": WeightedBins(rng.dirichlet([1, 2, 3])),
    }


@given(st.lists(PICTURES, min_size=1, max_size=30), PICTURES)
def test_every_picture_counts_once_in_every_signal_it_has(
    pictures: list[dict[str, Observation]], live: dict[str, Observation]
) -> None:
    profile = build_profile(SPECS, pictures)
    for name, histogram in profile.signals.items():
        assert sum(histogram.counts) == sum(name in picture for picture in pictures)
    binned = profile.bin(live)
    assert set(binned) == set(live)
    for name, weights in binned.items():
        assert weights.shape == (profile.signals[name].num_bins,) == (len(profile.signals[name].bin_names()),)
        assert weights.sum() == 1
        assert (weights >= 0).all()


@given(st.lists(PICTURES, min_size=1, max_size=30))
def test_a_profile_survives_the_package(pictures: list[dict[str, Observation]]) -> None:
    profile = build_profile(SPECS, pictures)
    assert decode_profile(encode_profile(profile)) == profile


def test_nonsense_goes_to_the_last_bin_and_infinities_to_the_ends() -> None:
    profile = reference()
    assert profile.signals["light"].bin(Scalar(math.nan))[-1] == 1
    assert profile.signals["light"].bin(Category(0))[-1] == 1
    for odd in (Category(-1), Category(2)):
        assert profile.signals["answer"].bin(odd)[-1] == 1
    for odd in ([0.0, 0, 0], [math.nan, 1, 0], [1.0], [-1, 2, 0]):
        assert profile.signals["found"].bin(WeightedBins(np.array(odd)))[-1] == 1
    assert profile.signals["found"].bin(WeightedBins(np.array([5e-324, 0, 0]))).tolist() == [1, 0, 0, 0]
    assert profile.signals["light"].bin(Scalar(-math.inf))[0] == 1
    assert profile.signals["light"].bin(Scalar(math.inf))[-2] == 1


def test_values_on_either_side_of_an_edge_fall_into_the_bins_that_the_names_say() -> None:
    light = reference().signals["light"]
    edge = light.edges[3]
    assert light.bin(Scalar(edge)).argmax() == 4
    assert light.bin(Scalar(math.nextafter(edge, -math.inf))).argmax() == 3
    assert light.bin_names()[4].startswith(f"{edge:.9g} to")


def test_bins_of_classes_with_one_name_can_be_told_apart() -> None:
    spec = SignalSpec(kind="category", categories=("crane", "gull", "crane", "other"))
    names = build_profile({"answer": spec}, [{"answer": Category(0)}]).signals["answer"].bin_names()
    assert names == ("crane (0)", "gull", "crane (2)", "other (3)", "other (4)")


def test_weights_are_kept_to_a_few_millionths() -> None:
    weights = reference().signals["found"].bin(WeightedBins(np.array([1.0, 1.0, 2.0])))
    assert weights.tolist() == pytest.approx([0.25, 0.25, 0.5, 0], abs=1e-4)


def test_squares_tell_how_concentrated_the_weights_of_a_picture_are() -> None:
    focused = build_profile(SPECS, [{"found": WeightedBins(np.array([1.0, 0, 0]))}] * 10).signals["found"]
    spread = build_profile(SPECS, [{"found": WeightedBins(np.array([0.5, 0.5, 0]))}] * 10).signals["found"]
    assert focused.squares[0] == 10
    assert spread.squares[0] == 2.5


def test_a_binned_picture_can_not_be_changed_by_who_receives_it() -> None:
    with pytest.raises(ValueError, match="read-only"):
        reference().bin({"light": Scalar(0.0)})["light"][0] = 5


def test_no_pictures_no_profile() -> None:
    with pytest.raises(InvalidPackage, match="held-out"):
        build_profile(SPECS, [])


CHANGES = {
    "schema 2": ("schema", 2),
    "num_images must": ("num_images", 0),
    "are more than": ("num_images", 7),
}


@pytest.mark.parametrize("message", CHANGES)
def test_a_profile_that_contradicts_itself_is_refused(message: str) -> None:
    facts = msgspec.to_builtins(reference())
    field, value = CHANGES[message]
    with pytest.raises(InvalidPackage, match=message):
        decode_profile(msgspec.json.encode({**facts, field: value}))


SIGNAL_CHANGES = [
    ("light", "edges", [1.0, 0.0], "increasing"),
    ("light", "counts", [200.0], "counts"),
    ("answer", "counts", [200.0, 1.0, 0.0], "more than"),
    ("light", "categories", ["a"], "only scalars"),
    ("answer", "edges", [1.0], "only scalars"),
    ("answer", "counts", [-1.0, 201.0, 0.0], "negative"),
    ("answer", "squares", [1.0, 1.0, 1.0], "squares"),
    ("found", "squares", [], "squares"),
    ("found", "squares", [1e6, 0.0, 0.0, 0.0], "squares"),
    ("found", "kind", "poem", "poem"),
]


@pytest.mark.parametrize(("signal", "field", "value", "message"), SIGNAL_CHANGES)
def test_a_histogram_that_contradicts_itself_is_refused(signal: str, field: str, value: object, message: str) -> None:
    facts = msgspec.to_builtins(reference())
    facts["signals"][signal][field] = value
    with pytest.raises(InvalidPackage, match=message):
        decode_profile(msgspec.json.encode(facts))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_profile_are_refused(payload: bytes) -> None:
    with pytest.raises(InvalidPackage):
        decode_profile(payload)
