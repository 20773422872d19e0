from __future__ import annotations

import contextlib
import os
import stat
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.access.caller import Role
from serving.access.key_file import KeyEntry, edit_key_file, exposure_of, format_keys, parse_keys, read_key_file
from tasks.errors import InvalidRecipe

HEXADECIMAL = "0123456789abcdef"
IDS = st.text(HEXADECIMAL, min_size=12, max_size=12)
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
ENTRIES = st.builds(
    KeyEntry,
    name=st.builds(str.__add__, st.sampled_from("aZ9"), st.text("aZ9._-", max_size=8)),
    role=st.sampled_from(Role),
    sha256=st.text(HEXADECIMAL, min_size=64, max_size=64),
    created=st.datetimes(timezones=ZONES).map(lambda moment: moment.replace(microsecond=0)),
    rate=st.none() | st.floats(1e-6, 1e6),
)
ENTRY = KeyEntry(name="shop", role=Role.PREDICT, sha256="a" * 64, created=datetime(2026, 11, 21, tzinfo=UTC), rate=5.0)
GOOD = format_keys({"0" * 12: ENTRY}).decode()


@given(st.dictionaries(IDS, ENTRIES, max_size=6))
def test_what_is_written_is_read(entries: dict[str, KeyEntry]) -> None:
    if len({entry.name for entry in entries.values()}) == len(entries):
        assert parse_keys(format_keys(entries)) == entries
    else:
        with pytest.raises(InvalidRecipe, match="two keys have the name"):
            parse_keys(format_keys(entries))


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_no_file_breaks_more_than_itself(document: bytes) -> None:
    with contextlib.suppress(InvalidRecipe):
        assert parse_keys(document) == {}


@given(st.data())
def test_a_file_cut_short_is_never_half_understood(data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(GOOD) - 1))
    try:
        found = parse_keys(GOOD[:cut].encode())
    except InvalidRecipe:
        return
    assert not found or found["0" * 12].sha256 == ENTRY.sha256


@pytest.mark.parametrize(
    ("line", "instead", "told"),
    [
        ('role = "predict"', 'role = "root"', "Invalid enum value 'root'"),
        ("rate = 5.0", "rate = 0", "rate"),
        ("rate = 5.0", "rate = inf", "rate"),
        ("rate = 5.0", "rate = nan", "rate"),
        ("rate = 5.0", "rates = 5.0", "rates"),
        ("00:00:00+00:00", "00:00:00", "created"),
        ('name = "shop"', 'name = "the shop"', "name"),
        ('name = "shop"', "", "name"),
        ("a" * 64, "a" * 63, "sha256"),
        ("[keys.000000000000]", "[keys.shop]", "keys"),
        ("[keys]", "[other]", "other"),
    ],
)
def test_a_wrong_field_is_named(line: str, instead: str, told: str) -> None:
    assert line in GOOD
    with pytest.raises(InvalidRecipe, match=told):
        parse_keys(GOOD.replace(line, instead).encode())


def test_an_empty_file_is_no_file_without_keys() -> None:
    assert parse_keys(b"[keys]\n") == {}
    with pytest.raises(InvalidRecipe, match="keys"):
        parse_keys(b"")


def test_a_missing_file_says_how_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecipe, match=r"keys\.toml: there is none; `tidegate keys add"):
        read_key_file(tmp_path / "keys.toml")


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text("keys = 3")
    with pytest.raises(InvalidRecipe, match=r"key file .*keys\.toml: Expected `object`, got `int`"):
        read_key_file(path)
    with pytest.raises(InvalidRecipe, match="can not be read"):
        read_key_file(tmp_path)


def test_an_edited_file_is_its_owners_alone_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text("[keys]\n")
    path.chmod(0o644)
    assert "0644" in exposure_of(path)
    with edit_key_file(path) as entries:
        entries["0" * 12] = ENTRY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not exposure_of(path)
    assert read_key_file(path) == {"0" * 12: ENTRY}
    assert os.listdir(tmp_path) == ["keys.toml"]


def test_an_edit_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    with edit_key_file(path) as entries:
        entries["0" * 12] = ENTRY

    def fail() -> None:
        with edit_key_file(path) as entries:
            entries.clear()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert read_key_file(path) == {"0" * 12: ENTRY}


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "keys.toml"
    link.symlink_to("real/keys.toml")
    with edit_key_file(link) as entries:
        entries["0" * 12] = ENTRY
    assert link.is_symlink()
    assert read_key_file(tmp_path / "real" / "keys.toml") == {"0" * 12: ENTRY}


def test_edits_at_the_same_time_all_arrive(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"

    def add(number: int) -> None:
        with edit_key_file(path) as entries:
            entries[f"{number:012x}"] = KeyEntry(
                name=f"key-{number}", role=Role.PREDICT, sha256="b" * 64, created=ENTRY.created
            )

    threads = [threading.Thread(target=add, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_key_file(path)) == 12


@pytest.mark.parametrize(("mode", "is_exposed"), [(0o600, False), (0o440, False), (0o604, True), (0o660, True)])
def test_who_may_read_or_write_is_looked_at(tmp_path: Path, mode: int, is_exposed: bool) -> None:
    path = tmp_path / "keys.toml"
    path.write_text("[keys]\n")
    path.chmod(mode)
    assert bool(exposure_of(path)) == is_exposed
