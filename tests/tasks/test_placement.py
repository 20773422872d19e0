"""Geometry there and back, for every fit and any size."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.placement import ImageSpec, place_image

sides = st.integers(1, 20_000)
specs = st.builds(
    ImageSpec,
    height=st.integers(1, 1024),
    width=st.integers(1, 1024),
    fit=st.sampled_from(["stretch", "letterbox", "crop"]),
)
fractions = st.tuples(st.floats(0, 1), st.floats(0, 1))


@given(sides, sides, specs, fractions)
def test_a_point_survives_the_way_to_the_input_and_back(height, width, spec, fraction):
    placement = place_image(height, width, spec)
    point = np.array([fraction[0] * width, fraction[1] * height])
    np.testing.assert_allclose(placement.to_original(placement.to_input(point)), point, rtol=1e-9, atol=1e-6)


@given(sides, sides, specs)
def test_each_fit_puts_the_edges_of_the_picture_where_it_promises(height, width, spec):
    left, top, right, bottom = place_image(height, width, spec).to_input([[0, 0], [width, height]]).ravel()
    tolerance = 1e-6 * max(right - left, bottom - top, 1)
    if spec.fit == "stretch":
        assert np.allclose([left, top, right, bottom], [0, 0, spec.width, spec.height])
    elif spec.fit == "crop":
        assert left <= tolerance
        assert top <= tolerance
        assert right >= spec.width - tolerance
        assert bottom >= spec.height - tolerance
        assert min(right - left - spec.width, bottom - top - spec.height) <= tolerance
    else:
        assert left >= 0
        assert top >= 0
        assert right <= spec.width + tolerance
        assert bottom <= spec.height + tolerance
        assert max(right - left - spec.width, bottom - top - spec.height) >= -tolerance


@given(sides, sides, specs)
def test_the_centre_stays_in_the_centre(height, width, spec):
    centre = place_image(height, width, spec).to_input([width / 2, height / 2])
    slack = 1.0 if spec.fit == "letterbox" else 1e-3
    np.testing.assert_allclose(centre, [spec.width / 2, spec.height / 2], atol=slack)


@given(st.integers(16, 4000), st.integers(16, 4000), st.integers(16, 512), st.sampled_from(["letterbox", "crop"]))
def test_letterbox_and_crop_keep_the_aspect_ratio_to_a_pixel(height, width, side, fit):
    placement = place_image(height, width, ImageSpec(height=side, width=side, fit=fit))
    assert abs(placement.placed_width - placement.placed_height * width / height) <= max(1.0, width / height)


@pytest.mark.parametrize(
    "wrong",
    [
        {"height": 0},
        {"width": 10**9},
        {"pad_value": 256},
        {"fit": "squash"},
        {"interpolation": "nearest"},
        {"depth": 3},
    ],
)
def test_a_wrong_fact_is_refused_when_the_spec_is_read(wrong):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"height": 4, "width": 4} | wrong, ImageSpec)
