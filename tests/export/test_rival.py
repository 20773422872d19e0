"""A champion tried on the examples of the export that would replace it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from export.pipeline import export_subject
from export.recipe import ExportRecipe
from export.report import format_report
from export.rival import Rival
from export.subject import Data, Subject
from monitoring.profile import decode_profile
from registry.gates import PromotionPolicy, judge
from registry.package import ModelPackage, open_package
from tasks.errors import InvalidRecipe
from tests.export_subjects import Colour, colour
from tests.handmade import picture
from training.data.digits import encode_png


def inverted(seed: int) -> Colour:
    """What the champion has never seen: a negative, which still bears the name of the colour."""
    return Colour(encode_png(255 - picture(seed)), colour(seed).target)


@pytest.fixture(scope="module")
def champion(subject: Subject, recipe: ExportRecipe, tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return export_subject(subject, recipe, tmp_path_factory.mktemp("champion") / "package")


@pytest.fixture(scope="module")
def challenger(
    subject: Subject, recipe: ExportRecipe, champion: ModelPackage, tmp_path_factory: pytest.TempPathFactory
) -> ModelPackage:
    """The same network, proved on pictures of which half are negatives, which were added since: worse there than the
    champion on its own."""
    mixed = [colour(seed) if seed % 2 else inverted(seed) for seed in range(3000, 3200)]
    harder = replace(subject, data=Data(subject.data.calibration, mixed, subject.data.spare))
    folder = tmp_path_factory.mktemp("challenger") / "package"
    rival = Rival(champion, np.array([seed % 2 == 1 for seed in range(3000, 3200)]))
    return open_package(export_subject(harder, recipe, folder, rival).folder)


def test_every_variant_of_the_champion_is_tried_on_the_same_examples(
    champion: ModelPackage, challenger: ModelPackage
) -> None:
    (tried,) = challenger.manifest.rivals.values()
    assert set(challenger.manifest.rivals) == {champion.digest}
    assert set(tried) == set(champion.manifest.variants)
    for name, evidence in tried.items():
        ours, theirs = challenger.variant(name).evidence, champion.variant(name).evidence
        assert evidence.metrics["accuracy"] == ours.metrics["accuracy"], "it is the same network"
        assert evidence.metrics["accuracy"] < theirs.metrics["accuracy"] - 0.1
        assert [(each.label, each.variant) for each in evidence.per_class] == [
            (each.label, each.variant) for each in ours.per_class
        ]
        assert (evidence.num_bytes, evidence.latency_ms) == (theirs.num_bytes, theirs.latency_ms)


def test_each_part_is_measured_by_itself(champion: ModelPackage, challenger: ModelPackage) -> None:
    for variant in challenger.manifest.variants.values():
        whole, parts = variant.evidence, variant.evidence.parts[champion.digest]
        assert (parts["known"].num_examples, parts["added"].num_examples) == (100, 100)
        assert all(part.variant == part.rival for part in parts.values()), "it is the same network"
        assert parts["known"].variant > parts["added"].variant + 0.2, "negatives are harder"
        assert whole.metrics["accuracy"] == pytest.approx((parts["known"].variant + parts["added"].variant) / 2)
    said = format_report(challenger)
    assert re.search(r"^fp32, 100 of the champion's data +[\d.]+ % +[\d.]+ %$", said, re.MULTILINE)
    assert re.search(r"^fp32, 100 added +[\d.]+ % +[\d.]+ %$", said, re.MULTILINE)


def test_without_added_data_there_are_no_parts(
    subject: Subject, recipe: ExportRecipe, champion: ModelPackage, tmp_path: Path
) -> None:
    plain = msgspec.structs.replace(recipe, variants={"fp32": recipe.variants["fp32"]})
    again = export_subject(subject, plain, tmp_path / "package", Rival(champion, np.ones(300, bool)))
    assert again.variant("fp32").evidence.parts == {}
    assert champion.digest in again.manifest.rivals


def test_a_person_sees_both_side_by_side(champion: ModelPackage, challenger: ModelPackage) -> None:
    share = f"{challenger.variant('fp32').evidence.metrics['accuracy'] * 100:.2f} %"
    (row,) = re.findall(r"^fp32 +([\d.]+ %) +([\d.]+ %)$", format_report(challenger), re.MULTILINE)
    assert row == (share, share), "it is the same network"
    assert "accuracy on the same 200 held-out examples" in format_report(challenger)
    assert "on the same" not in format_report(champion)


def test_promotion_goes_by_the_same_examples(champion: ModelPackage, challenger: ModelPackage) -> None:
    assert all(gate.passed for gate in judge(challenger, champion, PromotionPolicy()))
    forgetful = ModelPackage(
        challenger.folder, msgspec.structs.replace(challenger.manifest, rivals={}), challenger.digest
    )
    failed = {gate.name for gate in judge(forgetful, champion, PromotionPolicy()) if not gate.passed}
    assert "metric_drop" in failed, "without the trial, harder examples look like a worse model"
    other = ModelPackage(champion.folder, champion.manifest, "0" * 64)
    assert "metric_drop" in {gate.name for gate in judge(challenger, other, PromotionPolicy()) if not gate.passed}


def test_the_profile_may_be_of_normal_examples_alone(
    subject: Subject, recipe: ExportRecipe, challenger: ModelPackage, tmp_path: Path
) -> None:
    data = replace(subject.data, normal=[inverted(seed) for seed in range(4000, 4120)])
    changed = export_subject(replace(subject, data=data), recipe, tmp_path / "package")
    profile = decode_profile(changed.profile_bytes("fp32"))
    assert profile.num_images == 120
    everything = decode_profile(challenger.profile_bytes("fp32"))
    assert everything.num_images == 300, "200 held-out examples and 100 spare ones"
    assert changed.variant("fp32").evidence.num_examples == 200, "evidence is of all that is held out"


def test_a_model_of_other_classes_is_no_rival(
    subject: Subject, recipe: ExportRecipe, champion: ModelPackage, tmp_path: Path
) -> None:
    labels = tuple(np.roll(subject.task_spec.labels, 1).tolist())
    other = replace(subject, task_spec=msgspec.structs.replace(subject.task_spec, labels=labels))
    with pytest.raises(InvalidRecipe, match="can not be held against the package"):
        export_subject(other, recipe, tmp_path / "package", Rival(champion, np.ones(300, bool)))
    assert not (tmp_path / "package").exists()
