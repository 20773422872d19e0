"""History and rollback: what would happen is told before, happens after, and only to administrators."""

from __future__ import annotations

from pathlib import Path

from registry.promotion import rollback
from registry.reference import ModelRef
from serving.access.caller import Role
from tests.serving.access.keys import bearer, issue
from tests.serving.console.conftest import ADMIN, Console, open_console
from tests.serving.host_server import publish, until
from tests.serving.remote_store import RemoteStore

ROLLBACK = "/console/api/models/colours/rollback"
SEEN = {"expected": "2"}


def champion(console: Console) -> str:
    return console.store.resolve(ModelRef.parse("colours")).version


async def test_history_is_told_newest_first_with_its_gates(console: Console) -> None:
    told = await console.get("models/colours/promotions")
    assert [(event["version"], event["previous"]) for event in told["events"]] == [("2", "1"), ("1", None)]
    assert all(event["gates"] and event["who"] == "somebody" for event in told["events"])
    assert [version["version"] for version in told["versions"]] == ["2", "1"]
    assert told["interrupted"] == []


async def test_what_a_rollback_would_do_is_what_it_does(console: Console) -> None:
    undo = (await console.get("models/colours/promotions"))["undo"]
    assert (undo["alias"], undo["current"], undo["target"]["version"]) == ("champion", "2", "1")

    answer = await console.http.post(ROLLBACK, json={"expected": undo["current"]}, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["action"], answer.json()["version"]) == ("rollback", "1")
    assert champion(console) == "1"
    told = await console.get("models/colours/promotions")
    assert told["events"][0]["who"] == "admin_token (console)"
    await until(lambda: console.server.host.get("colours").version == "1")


async def test_undoing_the_first_promotion_is_told_to_leave_nobody(console: Console) -> None:
    rollback(console.store, "colours", who="somebody")
    told = await console.get("models/colours/promotions")
    assert (told["undo"]["current"], told["undo"]["target"]) == ("1", None)


async def test_without_an_administrator_nothing_moves(console: Console) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "a-token"}):
        answer = await console.http.post(ROLLBACK, json=SEEN, headers=headers)
        assert answer.status_code == 401
        assert "administration" in answer.json()["error"]
    assert champion(console) == "2"


async def test_a_rollback_of_what_was_not_seen_is_a_conflict(console: Console) -> None:
    answer = await console.http.post(ROLLBACK, json={"expected": "1"}, headers=ADMIN)
    assert answer.status_code == 409
    assert champion(console) == "2"


async def test_a_rollback_that_does_not_say_what_it_saw_is_refused(console: Console) -> None:
    for body in ({}, {"expected": 2}, {"expected": "2", "force": True}):
        answer = await console.http.post(ROLLBACK, json=body, headers=ADMIN)
        assert answer.status_code == 400, body
        assert "expected" in answer.json()["error"]
    assert champion(console) == "2"


async def test_names_that_are_paths_are_refused(console: Console) -> None:
    for name in ("..", "%2e%2e", "..%2fstore", "colours%2f1"):
        answer = await console.http.get(f"/console/api/models/{name}/promotions")
        assert answer.status_code in (400, 404), name


async def test_nobody_is_told_where_the_store_lies(console: Console) -> None:
    answers = [
        await console.http.get("/console/api/models/nobody/promotions"),
        await console.http.post("/console/api/models/nobody/rollback", json=SEEN, headers=ADMIN),
    ]
    for answer in answers:
        assert answer.status_code == 404
        assert str(console.store.root.parent) not in answer.text


async def test_an_alias_set_by_hand_has_nothing_to_undo(tmp_path: Path, versions: Path) -> None:
    store = RemoteStore(tmp_path / "store")
    publish(store, versions / "colours-0")
    async with open_console(store) as console:
        told = await console.get("models/colours/promotions")
    assert (told["undo"], told["events"]) == (None, [])
    assert "no promotion" in told["undo_refused"]


async def test_a_store_that_is_away_is_told_and_all_else_goes_on(console: Console) -> None:
    console.store.away = True
    answer = await console.http.get("/console/api/models/colours/promotions")
    assert (answer.status_code, answer.json()["error"]) == (503, "the registry does not answer")
    assert (await console.get("models"))["models"][0]["state"] == "READY"


async def test_with_keys_the_page_is_open_and_what_it_shows_is_not(promoted: RemoteStore, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    looker, administrator = issue(keys, "looker"), issue(keys, "boss", Role.ADMIN)
    async with open_console(promoted, keys) as console:
        assert (await console.http.get("/console")).status_code == 200
        assert (await console.http.get("/console/app.js")).status_code == 200
        for path in ("models", "live", "drift", "session", "models/colours/promotions", "models/colours/examples/0"):
            assert (await console.http.get(f"/console/api/{path}")).status_code == 401, path
            assert (await console.http.get(f"/console/api/{path}", headers=bearer(looker))).status_code == 200, path
        assert await console.get("session", headers=bearer(looker)) == {"name": "looker", "is_admin": False}

        refused = await console.http.post(ROLLBACK, json=SEEN, headers=bearer(looker))
        assert refused.status_code == 403
        assert champion(console) == "2"
        assert (await console.http.post(ROLLBACK, json=SEEN, headers=bearer(administrator))).status_code == 200
        told = await console.get("models/colours/promotions", headers=bearer(looker))
        assert told["events"][0]["who"] == "boss (console)"
