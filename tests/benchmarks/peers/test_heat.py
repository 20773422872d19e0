import math

import pytest

from benchmarks.contenders import Turn
from benchmarks.peers.__main__ import by_model, parsed
from benchmarks.peers.heat import at, attempt, key, record
from benchmarks.peers.running import PeerFailed
from benchmarks.peers.table import Failure
from benchmarks.rounds import Rounds


def test_a_failure_takes_one_row_away_and_its_reason_is_kept_once() -> None:
    failures: list[Failure] = []

    def broken() -> Turn:
        raise PeerFailed("503 from all")

    for _ in range(2):
        turn = attempt(broken, lambda reason: record(failures, "ray", "8 connections", reason))
        assert math.isnan(turn.requests_per_s)
    assert failures == [Failure("ray", "8 connections", "503 from all")]
    assert attempt(lambda: Turn(5.0), failures.clear) == Turn(5.0)  # type: ignore[arg-type]


def test_turns_are_told_apart_by_their_connections() -> None:
    turns = {key("ours", 1): Turn(1.0), key("ours", 31): Turn(31.0), key("peer", 1): Turn(2.0)}
    assert at(Rounds((turns,), (0.0,), 0), 1).kept == ({"ours": Turn(1.0), "peer": Turn(2.0)},)


def test_servers_start_once_for_each_model() -> None:
    assert [[w.kind for w in workloads] for workloads in by_model(["tensor", "jpeg", "small"]).values()] == [
        ["tensor", "picture"],
        ["tensor"],
    ]


def test_options_name_workloads_and_peers() -> None:
    chosen = parsed(["--rounds", "2", "--only", "jpeg", "--server", "ray", "--server", "triton"])
    assert (chosen.rounds, chosen.seconds, chosen.only, chosen.server) == (2, 1, ["jpeg"], ["ray", "triton"])
    with pytest.raises(SystemExit):
        parsed(["--server", "tidegate"])
