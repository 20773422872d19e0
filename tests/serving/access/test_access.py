from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from serving.access.access import Access
from serving.access.api_key import new_key
from serving.access.caller import Role
from serving.access.counts import AccessCounts, Reason
from serving.access.key_edits import revoke_key
from serving.access.live_keys import LiveKeys
from serving.metrics import Metrics
from tasks.errors import Forbidden, InvalidRecipe, Overloaded, Unauthenticated
from tests.serving.access.keys import issue, sent

TOKEN = "a-token"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


def guarded(path: Path, admin_token: str = TOKEN) -> tuple[Access, LiveKeys, AccessCounts]:
    counts = AccessCounts()
    keys = LiveKeys(path, counts)
    return Access(admin_token, counts, keys), keys, counts


def test_where_no_key_is_asked_for_everybody_predicts_and_the_token_administrates() -> None:
    access = Access(TOKEN, AccessCounts())
    assert access.admit({}).role is access.admit(sent("anything")).role is Role.PREDICT
    access.identify(sent(TOKEN)).require_admin()
    for headers in ({}, sent("anything"), sent(f"{TOKEN} "), sent(TOKEN[:-1])):
        with pytest.raises(Unauthenticated, match="TIDEGATE_ADMIN_TOKEN"):
            access.identify(headers).require_admin()


def test_without_a_configured_token_an_empty_one_makes_no_administrator() -> None:
    with pytest.raises(Unauthenticated):
        Access("", AccessCounts()).identify(sent("")).require_admin()


def test_a_key_tells_who_calls_and_what_for(path: Path) -> None:
    shop, operations = issue(path, "shop"), issue(path, "operations", Role.ADMIN)
    access, _, counts = guarded(path)
    assert access.identify(sent(shop)).name == "shop"
    assert access.identify({b"x-api-key": shop.encode()}).name == "shop"
    access.identify(sent(operations)).require_admin()
    access.identify(sent(TOKEN)).require_admin()
    with pytest.raises(Forbidden, match="key 'shop' has the role predict"):
        access.identify(sent(shop)).require_admin()
    assert (counts.refused[Reason.ROLE], counts.keys["shop"].num_without_role) == (1, 1)


def test_who_has_no_key_of_this_server_is_nobody(path: Path) -> None:
    shop = issue(path, "shop")
    access, _, counts = guarded(path)
    mixed = f"{shop[:16]}{new_key().text()[16:]}"  # the id of one key, the secret of another
    for stranger in (sent(new_key().text()), sent(mixed), sent(""), sent("anything"), sent(shop + " ")):
        with pytest.raises(Unauthenticated, match="no API key of this server"):
            access.identify(stranger)
    for nothing in ({}, {b"authorization": shop.encode()}, {b"authorization": b"Basic " + shop.encode()}):
        with pytest.raises(Unauthenticated, match="an API key is needed"):
            access.identify(nothing)
    assert (counts.refused[Reason.UNKNOWN], counts.refused[Reason.MISSING]) == (5, 3)


@given(st.binary(max_size=200), st.sampled_from([b"authorization", b"x-api-key"]))
def test_nothing_that_can_be_sent_does_more_than_be_refused(
    tmp_path_factory: pytest.TempPathFactory, value: bytes, header: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp() / "sent"
    folder.mkdir(exist_ok=True)
    if not (path := folder / "keys.toml").exists():
        issue(path, "shop")
    access, _, _ = guarded(path)
    with pytest.raises(Unauthenticated):
        access.admit({header: value})


def test_one_request_too_many_is_told_when_to_come_back_and_others_are_not_concerned(path: Path) -> None:
    slow, fast = issue(path, "slow", rate=0.1), issue(path, "fast")
    access, _, counts = guarded(path)
    access.admit(sent(slow))
    with pytest.raises(Overloaded, match=r"key 'slow' may ask 0\.1 times a second") as refused:
        access.admit(sent(slow))
    assert refused.value.retry_after_s == 10
    access.identify(sent(slow))  # costs nothing
    for _ in range(100):
        access.admit(sent(fast))
    assert (counts.keys["slow"].num_admitted, counts.keys["slow"].num_over_rate) == (1, 1)
    assert counts.keys["fast"].num_admitted == 100


def test_an_edited_file_counts_from_then_on(path: Path) -> None:
    shop, slow = issue(path, "shop"), issue(path, "slow", rate=0.1)
    access, keys, counts = guarded(path)
    access.admit(sent(slow))
    later = issue(path, "later")
    revoke_key(path, "shop")
    keys.reread()
    assert access.identify(sent(later)).name == "later"
    with pytest.raises(Unauthenticated):
        access.identify(sent(shop))
    with pytest.raises(Overloaded):  # its rate is as used up as before
        access.admit(sent(slow))
    assert set(counts.keys) == {"slow", "later"}


def test_a_bad_edit_leaves_the_keys_as_they_were_and_is_complained_about(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shop = issue(path, "shop")
    good = path.read_bytes()
    access, keys, counts = guarded(path)
    for bad in (b"", b"[keys", good.replace(b"predict", b"root")):
        path.write_bytes(bad)
        keys.reread()
        assert access.identify(sent(shop)).name == "shop"
        assert not counts.key_file_ok
        assert "stay valid" in caplog.records[-1].getMessage()
        assert caplog.records[-1].levelname == "ERROR"
    path.unlink()
    keys.reread()
    assert access.identify(sent(shop)).name == "shop"
    path.write_bytes(good)
    keys.reread()
    assert counts.key_file_ok


def test_a_bad_file_at_the_start_is_refused(path: Path) -> None:
    with pytest.raises(InvalidRecipe, match="tidegate keys add"):
        guarded(path)
    path.write_text("keys = 1")
    with pytest.raises(InvalidRecipe, match="key file"):
        guarded(path)


def test_a_file_without_keys_or_open_to_others_is_warned_of(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_text("[keys]\n")
    path.chmod(0o644)
    access, _, _ = guarded(path)
    told = " ".join(record.getMessage() for record in caplog.records)
    assert "holds no keys" in told
    assert "chmod 600" in told
    access.identify(sent(TOKEN)).require_admin()


def test_metrics_tell_names_and_reasons_and_no_key(path: Path) -> None:
    shop = issue(path, "shop", rate=1.0)
    metrics = Metrics()
    access = Access("", metrics.access, LiveKeys(path, metrics.access))
    access.admit(sent(shop))
    for headers in ({}, sent("unknown"), sent(shop)):
        with pytest.raises((Unauthenticated, Overloaded)):
            access.admit(headers)
    shown = generate_latest(metrics.registry).decode()
    for reason in ("missing", "unknown", "rate"):
        assert f'tidegate_access_refused_total{{reason="{reason}"}} 1.0' in shown
    assert 'tidegate_access_refused_total{reason="role"} 0.0' in shown
    assert 'tidegate_key_requests_total{key="shop",outcome="admitted"} 1.0' in shown
    assert 'tidegate_key_requests_total{key="shop",outcome="rate"} 1.0' in shown
    assert "tidegate_key_file_ok 1.0" in shown
    assert shop.rpartition("_")[2] not in shown
