"""Of trials that are equally good the faster one wins: the winner is one that no other beats."""

from __future__ import annotations

from export.search.export_search import fastest_first
from tests.search_trials import ended_trial
from training.search.trial import Objective


def test_of_equally_good_trials_the_faster_wins() -> None:
    speeds = {0: 0.482, 1: 0.477, 2: 0.480}
    trials = [ended_trial(number, accuracy=0.99, relative_latency=speed) for number, speed in speeds.items()]
    assert [trial.number for trial in fastest_first(trials, Objective("accuracy", "max"))] == [1, 2, 0]
