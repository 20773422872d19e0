"""A folder of packages, as a server and several writers use it at once."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from pathlib import Path

import pytest

from registry.event import PromotionEvent
from registry.local_store import LocalStore
from registry.lock import LockRecord
from registry.reference import ModelRef
from registry.store import newest, open_store
from tasks.errors import BadInput, InvalidPackage, NotFound, NotReady
from tests.handmade import Handmade, build_package
from tests.registry.conftest import Variation


def event(id: str, version: str = "1") -> PromotionEvent:
    return PromotionEvent(
        id=id, action="promote", name="colours", alias="champion", version=version, digest="d", previous=None,
        who="me", at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip


def test_versions_count_from_1_and_carry_their_digest(store: LocalStore, vary: Variation) -> None:
    package = vary(0.5)
    published = store.publish(package.folder)
    assert (published.version, published.digest) == ("5", package.digest)
    assert [info.version for info in store.versions("colours")] == ["1", "2", "3", "4", "5"]
    assert newest(store, "colours") == published == store.resolve(ModelRef.parse("colours/5"))
    assert store.names() == ["colours"]


def test_a_fetched_package_is_the_one_in_the_folder(store: LocalStore, tmp_path: Path) -> None:
    info = store.resolve(ModelRef.parse("colours/2"))
    package = store.fetch(info, tmp_path / "cache")
    assert (package.digest, package.folder) == (info.digest, store.root / "colours" / "2")
    assert not (tmp_path / "cache").exists()


def test_versions_above_nine_are_sorted_as_numbers(store: LocalStore) -> None:
    shutil.copytree(store.root / "colours" / "1", store.root / "colours" / "10")
    assert [info.version for info in store.versions("colours")] == ["1", "2", "3", "4", "10"]


def test_aliases_move_and_go(store: LocalStore) -> None:
    store.set_alias("colours", "champion", "1")
    store.set_alias("colours", "challenger", "1")
    assert store.resolve(ModelRef.parse("colours")).aliases == ("challenger", "champion")
    store.set_alias("colours", "champion", "3")
    assert store.resolve(ModelRef.parse("colours")).version == "3"
    store.delete_alias("colours", "champion")
    store.delete_alias("colours", "champion")
    with pytest.raises(NotFound, match=r"there is no colours@champion; colours has 1@challenger, 2, 3, 4; promote one"):
        store.resolve(ModelRef.parse("colours"))


def test_an_alias_is_readable_by_the_account_of_a_server(store: LocalStore) -> None:
    umask = os.umask(0o022)
    try:
        store.set_alias("colours", "champion", "1")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((store.root / "colours" / "aliases" / "champion").stat().st_mode) == 0o644


@pytest.mark.parametrize("content", [b"", b"9\n", b"../../etc\n", b"\xff\xfe"])
def test_an_alias_that_points_nowhere_is_not_found(store: LocalStore, content: bytes) -> None:
    store.set_alias("colours", "champion", "1")
    (store.root / "colours" / "aliases" / "champion").write_bytes(content)
    with pytest.raises(NotFound, match="there is no colours@champion"):
        store.resolve(ModelRef.parse("colours"))
    assert store.versions("colours")[0].aliases == ()


@pytest.mark.parametrize("text", ["nobody", "colours@nobody", "colours/9"])
def test_what_is_not_there_is_not_found(store: LocalStore, text: str) -> None:
    with pytest.raises(NotFound):
        store.resolve(ModelRef.parse(text))
    with pytest.raises(NotFound):
        store.set_alias("colours", "champion", "9")


@pytest.mark.parametrize("name", ["../colours", "a/b", "", ".hidden", "a\nb"])
def test_a_name_that_is_a_path_is_refused(store: LocalStore, name: str) -> None:
    with pytest.raises(BadInput):
        store.versions(name)
    with pytest.raises(BadInput):
        store.events(name)


@pytest.mark.parametrize("alias", ["latest", "v1", "../champion", "", "a b"])
def test_an_alias_that_mlflow_could_not_keep_is_refused(store: LocalStore, alias: str) -> None:
    with pytest.raises(BadInput):
        store.set_alias("colours", alias, "1")
    with pytest.raises(BadInput):
        store.delete_alias("colours", alias)


def test_a_volume_that_is_not_mounted_is_not_an_empty_store(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "unmounted")
    for ask in (store.names, lambda: store.versions("a"), lambda: store.events("a"), lambda: newest(store, "a")):
        with pytest.raises(NotReady, match="unmounted is not a folder of packages"):
            ask()


def test_an_empty_folder_has_no_models(tmp_path: Path) -> None:
    assert LocalStore(tmp_path).names() == []
    with pytest.raises(NotFound, match=r"no model 'a' in .*; it has none"):
        LocalStore(tmp_path).versions("a")


def test_a_version_deleted_since_is_not_found(store: LocalStore, tmp_path: Path) -> None:
    info = store.resolve(ModelRef.parse("colours/4"))
    shutil.rmtree(store.root / "colours" / "4")
    with pytest.raises(NotFound, match="colours/4 is no longer in"):
        store.fetch(info, tmp_path / "cache")


def test_a_version_replaced_since_is_not_what_was_asked_for(store: LocalStore, tmp_path: Path) -> None:
    info = store.resolve(ModelRef.parse("colours/4"))
    shutil.rmtree(store.root / "colours" / "4")
    shutil.copytree(store.root / "colours" / "1", store.root / "colours" / "4")
    with pytest.raises(InvalidPackage, match="was replaced after registration"):
        store.fetch(info, tmp_path / "cache")


def test_one_damaged_version_hides_no_other(store: LocalStore, tmp_path: Path) -> None:
    (store.root / "colours" / "2" / "manifest.json").write_text("{")
    infos = store.versions("colours")
    assert [info.version for info in infos] == ["1", "2", "3", "4"]
    with pytest.raises(InvalidPackage):
        store.fetch(infos[1], tmp_path)
    assert store.fetch(infos[2], tmp_path).manifest.name == "colours"


def test_a_damaged_package_is_not_published(store: LocalStore, folder: Path) -> None:
    (folder / "fp32" / "model.onnx").write_bytes(b"")
    with pytest.raises(InvalidPackage):
        store.publish(folder)
    assert len(store.versions("colours")) == 4
    assert not list((store.root / "colours").glob(".incoming-*"))


def test_what_is_left_of_a_deleted_version_keeps_its_number(store: LocalStore, vary: Variation) -> None:
    (store.root / "colours" / "4" / "manifest.json").unlink()
    assert store.publish(vary().folder).version == "5"
    assert [info.version for info in store.versions("colours")] == ["1", "2", "3", "5"]


def test_writers_at_once_get_a_version_each(tmp_path: Path, vary: Variation) -> None:
    store, packages = LocalStore(tmp_path / "store"), [vary() for _ in range(6)]
    got: list[tuple[str, str]] = []

    def publish(index: int) -> None:
        info = store.publish(packages[index].folder)
        got.append((info.version, info.digest))

    threads = [threading.Thread(target=publish, args=(index,)) for index in range(len(packages))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(version for version, _ in got) == ["1", "2", "3", "4", "5", "6"]
    assert {(info.version, info.digest) for info in store.versions("colours")} == set(got)


def test_events_are_kept_in_the_order_of_their_ids(store: LocalStore) -> None:
    assert store.events("colours") == []
    for number in ("2", "3", "1"):
        store.append_event(event(number))
    assert [each.id for each in store.events("colours")] == ["1", "2", "3"]


def test_a_damaged_event_is_named_and_not_skipped(store: LocalStore) -> None:
    store.append_event(event("1"))
    (store.root / "colours" / "events" / "1.json").write_text("{}")
    with pytest.raises(NotReady, match=r"1\.json is damaged"):
        store.events("colours")


def test_lock_claims_come_back_and_go(store: LocalStore) -> None:
    record = LockRecord(owner="me", expires_at=1.5)
    store.put_lock("colours", "key", record)
    assert store.lock_records("colours") == {"key": record}
    store.drop_lock("colours", "key")
    store.drop_lock("colours", "key")
    assert store.lock_records("colours") == {}


def test_a_folder_that_can_not_be_written_says_so(store: LocalStore) -> None:
    (store.root / "colours" / "aliases").write_text("a file where a folder should be")
    with pytest.raises(NotReady, match="can not be written"):
        store.set_alias("colours", "champion", "1")


def test_a_folder_is_opened_by_path_or_file_url(store: LocalStore, tmp_path: Path) -> None:
    assert open_store(str(store.root)).names() == ["colours"]
    assert open_store(f"file://{store.root}").names() == ["colours"]


def test_models_live_side_by_side(store: LocalStore, tmp_path: Path) -> None:
    store.publish(build_package(tmp_path / "other", Handmade(name="alike")).folder)
    assert store.names() == ["alike", "colours"]
    assert store.versions("alike")[0].version == "1"
