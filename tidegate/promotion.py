"""Promotion as a user asks for it: the newest version unless told otherwise, proved on this machine, on the record."""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path

import msgspec

from registry.event import PromotionEvent
from registry.gates import PromotionPolicy
from registry.manifest import GateResult
from registry.package import ModelPackage
from registry.promotion import promote
from registry.reference import CHAMPION
from registry.store import ModelRef, PackageStore, newest
from registry.tracking import HOME
from serving.model_kinds import prove_variant
from serving.runtimes.compute_threads import ONE_THREAD
from serving.variants import detect_host, find_obstacle
from tasks.errors import InvalidPackage, InvalidRecipe, NotFound, NotReady


def promote_model(
    store: PackageStore,
    reference: str,
    *,
    alias: str = CHAMPION,
    expected: str | None = None,
    force_reason: str = "",
    policy: PromotionPolicy | None = None,
) -> PromotionEvent:
    """Moves `alias` to a version, the newest for a plain name, if every gate holds; see `registry.promotion`."""
    ref = ModelRef.parse(reference)
    if ref.alias == CHAMPION and "@" not in reference:
        ref = ModelRef(name=ref.name, version=newest(store, ref.name).version)
    return promote(
        store,
        ref,
        cache=HOME / "cache",
        who=person(),
        alias=alias,
        policy=policy,
        expected=expected,
        force_reason=force_reason,
        self_test=replay_here,
    )


def replay_here(package: ModelPackage) -> tuple[GateResult, ...]:
    """The golden set on this machine's own engine, as a server will replay it. What cannot be tried is not proved, so
    a machine that can run no variant at all fails a gate."""
    host = detect_host()
    obstacles = {name: find_obstacle(package, name, host) for name in package.manifest.variants}
    runnable = [name for name, obstacle in obstacles.items() if not obstacle]
    problems = {name: problem for name in runnable if (problem := replay_problem(package, name))}
    return (
        GateResult(
            name="golden_replays",
            value=len(runnable),
            limit=1,
            passed=bool(runnable),
            detail="" if runnable else "; ".join(f"{name}: {obstacle}" for name, obstacle in obstacles.items()),
        ),
        GateResult(
            name="golden_replay_failures",
            value=len(problems),
            limit=0,
            passed=not problems,
            detail="; ".join(f"{name}: {problem}" for name, problem in problems.items()),
        ),
    )


def replay_problem(package: ModelPackage, variant: str) -> str:
    """Why a variant does not prove itself here, or nothing."""
    try:
        prove_variant(package, variant, ONE_THREAD)
    except (InvalidPackage, NotReady) as error:
        return str(error)
    return ""


def person() -> str:
    """Who is at the keyboard, for the record."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        # A container may run under a number that no account has.
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def load_policy(path: Path) -> PromotionPolicy:
    """The tolerances of a TOML file. Raises NotFound, or InvalidRecipe naming the file and the field."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=PromotionPolicy)
    except OSError as error:
        raise NotFound(f"the policy {path} can not be read: {error.strerror}") from error
    except (UnicodeDecodeError, msgspec.MsgspecError) as error:
        known = ", ".join(PromotionPolicy.__struct_fields__)
        raise InvalidRecipe(f"the policy {path}: {error}; it is TOML that may set {known}") from error
