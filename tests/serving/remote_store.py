"""A store that is reached over a network, without one: packages are copied into the cache, and it can go away."""

from __future__ import annotations

import shutil
from pathlib import Path

from registry.local_store import LocalStore
from registry.package import ModelPackage
from registry.package_cache import fetch_into
from registry.reference import ModelRef, VersionInfo
from tasks.errors import NotReady


class RemoteStore(LocalStore):
    """`away`: nobody answers. `num_downloads` counts packages that really travelled."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        root.mkdir(parents=True, exist_ok=True)
        self.away = False
        self.num_downloads = 0

    def check(self) -> None:
        if self.away:
            raise NotReady("the registry does not answer")

    def names(self) -> list[str]:
        self.check()
        return super().names()

    def versions(self, name: str) -> list[VersionInfo]:
        self.check()
        return super().versions(name)

    def resolve(self, ref: ModelRef) -> VersionInfo:
        self.check()
        return super().resolve(ref)

    def fetch(self, info: VersionInfo, cache: Path) -> ModelPackage:
        return fetch_into(cache, info, lambda folder: self.download(info, folder))

    def download(self, info: VersionInfo, folder: Path) -> Path:
        self.check()
        self.num_downloads += 1
        return Path(shutil.copytree(self.folder(info.name, info.version), folder / "package"))
