import math

from benchmarks.contenders import Turn
from benchmarks.peers.contender import OURS
from benchmarks.peers.table import Failure, Start, failure_list, figure, load_table, markdown, start_table
from benchmarks.rounds import Rounds

NAN = math.nan
FAILED = Turn(NAN, NAN, NAN, NAN)


def rounds_of(*kept: dict[str, Turn]) -> Rounds[Turn]:
    return Rounds(kept, (0.0,) * len(kept), 0)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_ratio_is_ours_by_theirs_and_taken_within_each_round() -> None:
    rounds = rounds_of(
        {OURS: Turn(100, 1, 2, 300), "slow": Turn(50, 2, 4, 900)},
        {OURS: Turn(10, 10, 20, 300), "slow": Turn(5, 20, 40, 900)},
    )
    head, _, ours, slow = map(cells, load_table(rounds, 8).splitlines())
    assert head[0] == "8 connections"
    assert ours[-1] == "1"
    assert slow == ["slow", "27.5", "11.0", "22.0", "900", "2.00 [2.00, 2.00]"]


def test_who_failed_in_any_round_has_no_figures() -> None:
    rounds = rounds_of({OURS: Turn(100), "flaky": Turn(90)}, {OURS: Turn(100), "flaky": FAILED})
    assert cells(load_table(rounds, 1).splitlines()[-1]) == ["flaky", *["failed"] * 4, "–"]
    assert load_table(rounds, 1).startswith("| 1 connection |")


def test_there_is_nothing_to_compare_with_where_ours_failed() -> None:
    table = load_table(rounds_of({OURS: FAILED, "other": Turn(90, 1, 2, 3)}), 8).splitlines()
    assert cells(table[-2])[1:] == [*["failed"] * 4, "–"]
    assert cells(table[-1])[1:] == ["90.0", "1.00", "2.00", "3.00", "–"]


def test_figures_show_three_digits() -> None:
    assert [figure(value) for value in (0.234, 12.34, 123.4, 12345.6, NAN)] == [
        "0.23",
        "12.3",
        "123",
        "12,346",
        "failed",
    ]


def test_a_cell_cannot_break_the_table() -> None:
    assert markdown(["a", "b"], [["x|y", "1"]]).splitlines()[-1] == "| x/y | 1 |"


def test_starts_and_failures_are_told() -> None:
    assert cells(start_table({"tidegate": Start(1.25, 84.0)}).splitlines()[-1]) == ["tidegate", "1.25", "84.0"]
    assert failure_list([Failure("ray", "to start", "no such file")]) == "- **ray**, to start: no such file"
