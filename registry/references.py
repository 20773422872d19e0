"""Whether a manifest is at one with itself: what it refers to must be among what it lists."""

from __future__ import annotations

from registry.decoder_interface import DECODER
from registry.golden import CONTINUATION
from registry.manifest import Manifest
from tasks.errors import InvalidPackage


def check_references(manifest: Manifest) -> None:
    """Every path that the manifest mentions must be one of its files, and what describes the same thing must agree."""
    for name, variant in manifest.variants.items():
        graphs = [file for graph in variant.graphs.values() for file in (graph.file, *graph.data_files)]
        for file in (*graphs, variant.golden.file, variant.profile):
            if file not in manifest.files:
                raise InvalidPackage(f"variant {name!r} refers to {file!r}, which the manifest does not list")
        outputs = {spec.name for graph in variant.graphs.values() for spec in graph.outputs}
        if DECODER in variant.graphs:
            outputs.add(CONTINUATION)
        golden = set(variant.golden.max_abs_difference)
        if not golden or golden - outputs:
            raise InvalidPackage(
                f"variant {name!r} must have golden outputs for one or more of its outputs {sorted(outputs)}, and for "
                f"nothing else; the manifest names {sorted(golden)}"
            )
    for file in manifest.golden_inputs:
        if file not in manifest.files:
            raise InvalidPackage(f"golden input {file!r} is not listed among the manifest's files")
