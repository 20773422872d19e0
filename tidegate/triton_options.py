"""Options of `tidegate export --triton`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

if TYPE_CHECKING:
    from export.to_triton import TritonOrder

TritonOption = Annotated[
    Path | None,
    typer.Option(
        "--triton",
        metavar="DIR",
        help="Write a registered package (NAME may carry @ALIAS or /VERSION) into this model repository of Triton "
        "instead; see docs/triton.md.",
    ),
]
VariantOption = Annotated[
    str | None,
    typer.Option(
        "--variant", metavar="V", help="Which variant goes there. Default: the first of the package that passed."
    ),
]
BackendName = Literal["onnxruntime", "tensorrt", "python"]
BackendOption = Annotated[
    BackendName | None,
    typer.Option(
        "--backend",
        help="What runs it there; python: ONNX Runtime in Triton's Python backend.  [default: onnxruntime]",
    ),
]
EngineOption = Annotated[
    Path | None,
    typer.Option(
        "--engine",
        metavar="FILE",
        help="For backend tensorrt: an engine.plan that `tidegate build-engines` left in its cache.",
    ),
]


class TritonRequest(NamedTuple):
    """What is to be written, and where."""

    repository: Path
    order: TritonOrder


def triton_request(
    repository: Path | None, variant: str | None, backend: BackendName | None, engine: Path | None, builds: bool
) -> TritonRequest | None:
    """None where nothing is to go to Triton. `builds`: whether options of an ordinary export are there as well.

    Raises a usage error for options that do not belong together."""
    if repository is None:
        for option, value in (("--variant", variant), ("--backend", backend), ("--engine", engine)):
            if value is not None:
                raise typer.BadParameter(f"{option} belongs to --triton DIR: add that, or leave {option} out")
        return None
    if builds:
        raise typer.BadParameter("--triton writes a package that is registered already; export it first, without")

    from export.to_triton import TritonOrder

    order = TritonOrder(variant or TritonOrder.variant, backend or TritonOrder.backend, engine)
    return TritonRequest(repository, order)
