"""The graphs of a variant as its package keeps them: as they are, or coded where its recipe says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from export.compress.entropy_coding import StoredGraph, store_coded
from export.compress.steps import is_coded
from export.compress.storage_stages import StorageStages, add_stages
from export.compress.technique import Technique
from export.weight_zeros import count_zeros
from registry.decoder_interface import COPY
from registry.manifest import Graph

SUFFIX = ".coded"
STAGE_METRIC = "stored_bytes_"
"""In the evidence of a coded variant, before the name of each stage."""


@dataclass(frozen=True)
class StoredGraphs:
    """`files`: role → ONNX file, what is tried and measured; `coded`: those of them that are stored coded."""

    files: Mapping[str, Path]
    coded: Mapping[str, StoredGraph]

    @property
    def num_bytes(self) -> int:
        """Of all that is kept on disk."""
        plain = sum(file.stat().st_size for role in self.files.keys() - self.coded for file in self.parts(role))
        return plain + sum(each.path.stat().st_size for each in self.coded.values())

    def metrics(self) -> dict[str, float]:
        """What coded graphs take at every stage of Deep Compression, and zeros of pruned ones; nothing of others."""
        zeros = count_zeros(self.files.values()).metrics()
        if not self.coded:
            return zeros
        stages: StorageStages = add_stages(each.stages for each in self.coded.values())
        return zeros | {f"{STAGE_METRIC}{name}": float(size) for name, size in asdict(stages).items()}

    def parts(self, role: str) -> list[Path]:
        """The file of a graph, and those of weights beside it."""
        path = self.files[role]
        return [each for each in sorted(path.parent.glob(f"{path.name}*")) if each.suffix != SUFFIX]

    def settle(self, role: str, graph: Graph, package: Path) -> Graph:
        """The description of a graph in its package, from that of its tensors; of a coded one only that is kept."""
        files = [each.relative_to(package).as_posix() for each in self.parts(role)]
        if role not in self.coded:
            return msgspec.structs.replace(graph, file=files[0], data_files=tuple(files[1:]))
        for each in self.parts(role):
            each.unlink()
        stored = self.coded[role]
        file = stored.path.relative_to(package).as_posix()
        return msgspec.structs.replace(graph, file=file, decodes_to=stored.decodes_to)


def store_graphs(steps: Sequence[Technique], files: Mapping[str, Path]) -> StoredGraphs:
    """Codes the graphs of a variant if its steps end so: those in its own folder, for others are not its alone. One
    that only copies states has no weights."""
    own = min((path.parent for path in files.values()), key=lambda folder: -len(folder.parts))
    if not is_coded(steps):
        return StoredGraphs(files, {})
    coded = {
        role: store_coded(path, path.with_suffix(SUFFIX))
        for role, path in files.items()
        if role != COPY and path.parent == own
    }
    return StoredGraphs(files, coded)
