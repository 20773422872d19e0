"""Have servers that capture a place and the means to, and does retraining read what they write?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from serving.config import ServerConfig
from serving.config_sources import load_config
from tests.deploy.pod_checks import CAPTURE_TAG
from tests.deploy.pods import Pod, mount_of, pods_of, serves, variables
from tests.deploy.rendering import Document
from tests.deploy.setting_checks import command_lines, ours

Place = tuple[str, str]
"""A claim, and a path on it."""
GIB = 2**30


def check_capture(documents: list[Document]) -> Iterator[str]:
    """What captures has pyarrow, may write to a volume that all replicas share, and leaves it room."""
    for pod in pods_of(documents):
        for container in pod.containers:
            config = load_config(ours(variables(container, documents)), {})
            # Also those of the start: they read the same settings and refuse what they can not do.
            if config.capture_share and not container["image"].endswith(f":{CAPTURE_TAG}"):
                yield f"{pod.owner}: {container['image']} comes without the extra capture"
            if config.capture_share and serves(container):
                yield from folder_problems(pod, container, config, documents)


def folder_problems(
    pod: Pod, container: Mapping[str, Any], config: ServerConfig, documents: list[Document]
) -> Iterator[str]:
    """Of the folder that a server captures into."""
    place = place_of(config.capture_dir, pod, container)
    if place is None:
        yield f"{pod.owner}: no claim is mounted where capture_dir is"
        return
    mount = mount_of(config.capture_dir, container) or {}
    if mount.get("readOnly") or "fsGroup" not in pod.spec["securityContext"]:
        yield f"{pod.owner}: {config.capture_dir} can not be written"
    (claim,) = (
        d["spec"] for d in documents if d["kind"] == "PersistentVolumeClaim" and d["metadata"]["name"] == place[0]
    )
    if claim["accessModes"] != ["ReadWriteMany"]:
        yield f"{pod.owner}: replicas on two nodes can not both write to {place[0]}"
    held = int(claim["resources"]["requests"]["storage"].removesuffix("Gi")) * GIB
    if config.capture_budget_bytes > held * 7 // 8:
        yield f"{pod.owner}: capture_budget_bytes leaves no room on {place[0]} for what others write meanwhile"
    for other, read in places_read(documents):
        if read[0] == place[0] and read[1] != place[1]:
            yield f"{other} reads {read[1]} of {place[0]}, and {pod.owner} writes to {place[1]}"


def places_read(documents: list[Document]) -> Iterator[tuple[str, Place]]:
    """The claims that commands are given as --data, by pod."""
    for pod in pods_of(documents):
        for container in pod.containers:
            for command in command_lines(container):
                if "--data" in command:
                    place = place_of(command[command.index("--data") + 1], pod, container)
                    if place is not None:
                        yield pod.owner, place


def place_of(path: str, pod: Pod, container: Mapping[str, Any]) -> Place | None:
    """Where a path lies, None where that is no claim."""
    mount = mount_of(path, container)
    if mount is None:
        return None
    (volume,) = (one for one in pod.spec["volumes"] if one["name"] == mount["name"])
    if "persistentVolumeClaim" not in volume:
        return None
    below = path.removeprefix(mount["mountPath"]).strip("/")
    inside = "/".join(part for part in (mount.get("subPath", ""), below) if part)
    return volume["persistentVolumeClaim"]["claimName"], f"/{inside}"
