"""The Dockerfile, stage by stage: what each starts from, copies and runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
STAGE = re.compile(r"^FROM (?P<base>\S+) AS (?P<name>\S+)$")
MOUNT = re.compile(r"--mount=\S+\s+")
BUILD = re.compile(r"docker build --target \S+ +--build-arg EXTRAS=(?P<extras>\S+) +--tag (?P<image>\S+)")
TARGETS = ("server-cpu", "server-gpu", "trainer", "mlflow")


@dataclass(frozen=True)
class Stage:
    """`instructions`: (keyword, rest), lines that go on joined, comments dropped."""

    base: str
    instructions: list[tuple[str, str]]

    def all(self, keyword: str) -> list[str]:
        return [rest for word, rest in self.instructions if word == keyword]

    @property
    def commands(self) -> list[str]:
        """What RUN gives to the shell."""
        return [MOUNT.sub("", rest) for rest in self.all("RUN")]


def extras_built(text: str) -> dict[str, set[str]]:
    """Image → the extras that it has by the commands which a page or the Dockerfile's head shows."""
    return {found["image"]: set(found["extras"].split(",")) for found in BUILD.finditer(text)}


def read_stages() -> tuple[dict[str, str], dict[str, Stage]]:
    """The arguments before the first stage, and the stages by name."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        keyword, rest = line.split(maxsplit=1)
        rest = " ".join(rest.split())
        if found := STAGE.fullmatch(f"{keyword} {rest}"):
            current = stages[found["name"]] = Stage(found["base"], [])
        elif not stages:
            name, value = rest.split("=", 1)
            arguments[name] = value
        else:
            current.instructions.append((keyword, rest))
    return arguments, stages


def lineage(name: str, stages: Mapping[str, Stage]) -> list[Stage]:
    """A stage and those that it starts from, itself first."""
    found = []
    while name in stages:
        found.append(stages[name])
        name = stages[name].base
    return found
