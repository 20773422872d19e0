"""Clusters of numbers: what Lloyd's algorithm ends at, for any numbers, and fast enough for a layer of millions."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from export.compress.scalar_k_means import find_centroids, nearest

numbers = st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=60)


@given(numbers, st.integers(1, 16))
def test_every_number_becomes_the_nearest_of_few(values: list[float], count: int) -> None:
    given_numbers = np.array(values, np.float32)
    centroids = find_centroids(given_numbers, count)
    assert (np.diff(centroids) >= 0).all()
    shared = nearest(given_numbers, centroids)
    assert len(np.unique(shared)) <= count
    best = np.abs(given_numbers[:, None] - centroids[None]).min(axis=1)
    np.testing.assert_allclose(np.abs(given_numbers - shared), best, atol=1e-3)


@given(numbers)
def test_enough_values_change_nothing_that_is_evenly_spread(values: list[float]) -> None:
    low, high = min(values), max(values)
    even = np.linspace(low, high, 8).astype(np.float32)
    np.testing.assert_allclose(nearest(even, find_centroids(even, 8)), even, atol=1e-3)


def test_it_ends_where_the_textbook_does() -> None:
    weights = np.random.default_rng(0).normal(size=20_000).astype(np.float32)
    ours = find_centroids(weights, 16)
    start = np.linspace(weights.min(), weights.max(), 16)[:, None]
    textbook = KMeans(16, init=start, n_init=1, max_iter=300, tol=0).fit(weights[:, None])
    np.testing.assert_allclose(ours, np.sort(textbook.cluster_centers_[:, 0]), atol=1e-2)


def test_a_value_that_stands_apart_keeps_a_centroid() -> None:
    centroids = find_centroids(np.array([0.0] * 1000 + [0.1] * 1000 + [50.0]), 4)
    np.testing.assert_allclose(centroids[-1], 50)
