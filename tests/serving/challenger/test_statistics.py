from __future__ import annotations

from serving.challenger.statistics import MAX_KNOWN, ChallengerStatistics


def test_a_pair_that_meets_again_goes_on_where_it_was() -> None:
    statistics = ChallengerStatistics()
    statistics.pair("digits", "1", "2").count("compared", 3)
    statistics.pair("digits", "1", "2").count("compared", 1)
    assert statistics.pair("digits", "1", "2").outcomes == {"compared": 4}


def test_versions_of_long_ago_are_forgotten_model_by_model() -> None:
    statistics = ChallengerStatistics()
    statistics.pair("cats", "1", "2").count("failed", 1)
    for version in range(2, 20):
        statistics.pair("digits", "1", str(version)).count("compared", 1)
        statistics.canary("digits", str(version)).count("answered")
    assert [key[2] for key in statistics.pairs if key[0] == "digits"] == ["16", "17", "18", "19"]
    assert len(statistics.canaries) == MAX_KNOWN
    assert statistics.pair("cats", "1", "2").outcomes == {"failed": 1}
