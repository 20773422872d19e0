"""Coded decoders are stored small, and generate to the token what the plain ones do."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from export.compress.entropy_coding import EntropyCoding
from export.generative.pipeline import export_generative
from export.generative.recipe import GenerativeRecipe
from export.generative.subject import GenerativeSubject
from registry.package import open_package
from serving.generative_loader import open_generative
from serving.runtimes.compute_threads import ONE_THREAD


def test_coded_decoder_generates_as_the_plain_one(
    subject: GenerativeSubject, recipe: GenerativeRecipe, tmp_path: Path
) -> None:
    plain = recipe.variants["fp32"]
    coded = msgspec.structs.replace(plain, steps=(EntropyCoding(),))
    recipe = msgspec.structs.replace(recipe, variants={"fp32": plain, "coded": coded})
    package = open_package(export_generative(subject, recipe, tmp_path / "package").folder)
    graphs = package.variant("coded").graphs
    assert graphs["decoder"].decodes_to is not None
    assert graphs["copy"].decodes_to is None
    assert not (package.folder / "coded" / "decoder.onnx").exists()
    for output in ("logits", "continuation"):
        np.testing.assert_array_equal(package.golden_outputs("coded")[output], package.golden_outputs("fp32")[output])
    open_generative(package, "coded", 2, ONE_THREAD).close()
