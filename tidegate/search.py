"""Searches as the command line runs them: what is told while they run, and what in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from registry.reference import ModelRef
from registry.store import open_store
from registry.tracking import HOME
from tidegate.build_folder import build_folder
from tidegate.lifecycle import publish, require_tracking
from tidegate.output import note, print_table
from tidegate.search_options import SearchRequest
from training.progress import pulse

if TYPE_CHECKING:
    from registry.package import ModelPackage
    from registry.store import VersionInfo
    from training.search.search import Findings, Ledger
    from training.search.space_file import SearchPlan
    from training.search.trial import Trial


def search_recipe(name_or_path: str, overrides: Sequence[str], request: SearchRequest, store: str | None) -> None:
    """`tidegate train --search`."""
    uri = require_tracking(store)
    with pulse("loading the training framework"):
        from training.search.train_search import AskedRecipe, command_of, load_training_plan, search_training

    asked = AskedRecipe(name_or_path, tuple(overrides))
    plan = planned(load_training_plan(request.space, asked), request)
    findings = search_training(asked, plan, ledger_of(uri, request), tell)
    name = asked.load().name
    show(findings, lambda trial: command_of(asked, trial))
    if findings.conclusion:
        version, trial = findings.conclusion["version"], findings.conclusion["trial"]
        note(
            f"trained trial {trial} in full, registered {name}-trained version {version}; next: tidegate export {name}"
        )


def search_exports(
    name: str, recipe: str, overrides: Sequence[str], request: SearchRequest, store_uri: str | None
) -> tuple[ModelPackage, VersionInfo] | None:
    """`tidegate export --search`: the package that was registered, None where another process registers it."""
    uri = require_tracking(store_uri)
    with pulse("loading the training framework"):
        from export.search.bench import open_bench
        from export.search.export_search import AskedExport, command_of, load_export_plan, search_export
        from training.checkpoint import read_facts
        from training.registered import newest_checkpoint

    store, asked = open_store(uri), AskedExport(recipe, tuple(overrides))
    with build_folder() as folder:
        checkpoint = newest_checkpoint(uri, name, folder)
        plan = load_export_plan(request.space, asked, read_facts(checkpoint.folder).task["kind"])
        ledger = ledger_of(uri, request)
        bench = open_bench(checkpoint.folder, checkpoint.run_id, folder)
        findings = search_export(
            bench, folder, asked, planned(plan, request), ledger, lambda package: publish(store, package)[1], tell
        )
    show(findings, lambda trial: command_of(name, asked, trial))
    if not findings.conclusion:
        return None
    found = store.resolve(ModelRef(name=name, version=findings.conclusion["version"]))
    note(f"trial {findings.conclusion['trial']} is the fastest that passed")
    return store.fetch(found, HOME / "cache"), found


def planned(plan: SearchPlan, request: SearchRequest) -> SearchPlan:
    """With as many trials as were asked for."""
    return msgspec.structs.replace(plan, num_trials=request.num_trials or plan.num_trials)


def ledger_of(tracking_uri: str, request: SearchRequest) -> Ledger:
    """Where a search is written down."""
    from training.search.search import Ledger

    return Ledger(workdir=HOME, tracking_uri=tracking_uri, storage_url=request.storage_url)


def tell(trial: Trial) -> None:
    """One line about a trial that ended here."""
    from training.search.report import format_figure

    figures = ", ".join(f"{name} {format_figure(value)}" for name, value in trial.figures.items())
    about = trial.reason if not figures else f"{figures}; missed {trial.reason}" if trial.reason else figures
    note(f"trial {trial.number} {trial.state}: {about}  ({'  '.join(trial.overrides)})")


def show(findings: Findings, command_of: Callable[[Trial], str]) -> None:
    """The front, how the others ended, and the command behind each member of the front."""
    from training.search.report import table_of

    header, rows = table_of(findings.front, findings.front, findings.objectives)
    columns = [index for index, name in enumerate(header) if name not in ("", "changes", "reason")]
    print_table([header[i].upper() for i in columns], [[row[i] for i in columns] for row in rows])
    states = Counter(trial.state for trial in findings.trials)
    note(f"{len(findings.trials)} trials: {', '.join(f'{count} {state}' for state, count in states.items())}")
    for trial in findings.front:
        note(f"trial {trial.number}: {command_of(trial)}")
    note(f"picture and table of all trials: MLflow run {findings.run_id}, folder search")
    if not findings.conclusion:
        note("another process that takes part in this search makes the winner")
