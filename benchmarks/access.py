"""What asking for a key costs a request: microseconds of the event loop, by what is sent.

python -m benchmarks.access
"""

from __future__ import annotations

import hashlib
import tempfile
import timeit
from collections.abc import Callable, Mapping
from pathlib import Path

from serving.access.access import Access
from serving.access.api_key import new_key
from serving.access.caller import Role
from serving.access.counts import AccessCounts
from serving.access.credential import headers_of
from serving.access.key_edits import issue_key
from serving.access.live_keys import LiveKeys
from tasks.errors import Unauthenticated

NUM_KEYS = 1000
CALLS, ROUNDS = 1_000, 200
OTHER_HEADERS = {b"host": b"tidegate:8000", b"user-agent": b"benchmark", b"content-type": b"image/jpeg"}


def microseconds(call: Callable[[], object]) -> float:
    """Of one call, in the round that was disturbed least."""
    return min(timeit.repeat(call, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6


def refused(access: Access, headers: Mapping[bytes, bytes]) -> None:
    try:
        access.admit(headers)
    except Unauthenticated:
        return
    raise AssertionError("a stranger was let in")


def sent(key: str) -> dict[bytes, bytes]:
    return OTHER_HEADERS | {b"authorization": f"Bearer {key}".encode()}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keys.toml"
        plain = issue_key(path, "plain", Role.PREDICT, None).text()
        limited = issue_key(path, "limited", Role.PREDICT, 1e6).text()
        few = Access("a-token", AccessCounts(), LiveKeys(path, AccessCounts()))
        for number in range(NUM_KEYS - 2):
            issue_key(path, f"key-{number}", Role.PREDICT, None)
        counts = AccessCounts()
        access = Access("a-token", counts, LiveKeys(path, counts))
    off, secret = Access("a-token", AccessCounts()), new_key().secret
    metadata = (("user-agent", "benchmark"), ("authorization", f"Bearer {plain}"))
    stranger = sent(new_key().text())
    rows: list[tuple[str, Callable[[], object]]] = [
        ("keys are off, nothing sent", lambda: off.admit(OTHER_HEADERS)),
        ("a key, of 2", lambda: few.admit(sent_plain)),
        (f"a key, of {NUM_KEYS}", lambda: access.admit(sent_plain)),
        ("a key with a rate", lambda: access.admit(sent_limited)),
        ("a key over gRPC, from its metadata", lambda: access.admit(headers_of(metadata))),
        ("the administrator's token", lambda: access.admit(sent_token)),
        ("refused: an unknown key", lambda: refused(access, stranger)),
        ("refused: no key", lambda: refused(access, OTHER_HEADERS)),
        ("for comparison: SHA-256 of 64 bytes alone", lambda: hashlib.sha256(secret).digest()),
    ]
    sent_plain, sent_limited, sent_token = sent(plain), sent(limited), sent("a-token")
    for what, call in rows:
        print(f"{microseconds(call):6.2f} µs  {what}", flush=True)


if __name__ == "__main__":
    main()
