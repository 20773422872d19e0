"""Retraining: the champion learns on from more data, and stands beside itself as the challenger.

What is to be done is written down before each step is begun, so that a retraining that was killed goes on where it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from export.recipe import AnyRecipe, typed_recipe
from registry.gates import PromotionPolicy
from registry.lock import Locked
from registry.package import ModelPackage
from registry.promotion import nominate
from registry.reference import CHALLENGER, CHAMPION, ModelRef, VersionInfo
from registry.sole_process import sole_process
from registry.store import PackageStore, open_store
from registry.tracking import HOME
from tasks.errors import BadInput, Conflict, GateFailed, InvalidPackage, InvalidRecipe, NotFound
from tidegate.build_folder import build_folder
from tidegate.lifecycle import publish, require_tracking
from tidegate.output import note
from tidegate.promotion import person, promote_model, replay_here
from tidegate.retrain_request import FOLDER, Request, training_recipe
from training.progress import pulse
from training.recipe import Recipe

NOTHING_NEW = PromotionPolicy(max_metric_drop=0.0)
"""For what has learnt from nothing new: if it might be a little worse each time, in a year it would be much worse."""
NO_WORSE = (
    "nothing new was learnt from, so it takes the champion's place by itself only if it is no worse on the same "
    "examples. It is the challenger: add labelled data by --data, or decide for yourself with tidegate promote {}"
)


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """<name>.json: a retraining that is not done yet. `learns_new`: whether from anything that the champion has not
    learnt from; `trained`, `package`: the versions that it made so far."""

    champion: str
    parent_run_id: str
    training: Recipe
    export: dict[str, Any]
    learns_new: bool = True
    trained: int | None = None
    package: str | None = None


@dataclass(frozen=True)
class Retraining:
    """One model's retraining. Every step may be taken again after it was interrupted."""

    name: str
    store: PackageStore
    tracking_uri: str

    @property
    def file(self) -> Path:
        return FOLDER / f"{self.name}.json"

    def resume(self) -> Plan:
        """The plan of the retraining that was interrupted. Raises NotFound."""
        try:
            return msgspec.json.decode(self.file.read_bytes(), type=Plan)
        except FileNotFoundError:
            raise NotFound(f"no interrupted retraining of {self.name!r} here; start it without --resume") from None
        except msgspec.MsgspecError as error:
            raise InvalidPackage(f"{self.file}: {error}; start the retraining again without --resume") from error

    def begin(self, request: Request) -> Plan:
        """A plan that goes on from the champion. Raises NotFound, BadInput, InvalidRecipe, NothingNew."""
        champion = self.store.resolve(ModelRef.parse(self.name))
        package = self.store.fetch(champion, HOME / "cache")
        run_id = package.manifest.lineage.run_id
        if not run_id:
            raise BadInput(
                f"{champion} was made elsewhere and imported: there is no recipe to train it by again; train it where "
                "it was made, and import it again"
            )
        with pulse("loading the training framework"):
            from training.checkpoint import read_facts
            from training.registered import newest_checkpoint, version_of_run
            from training.retraining import Origin
            from training.run import forget
        reference = f"{self.name}/{version_of_run(self.tracking_uri, self.name, run_id)}"
        note(f"the champion is {champion}, trained as {self.name}-trained version {reference.partition('/')[2]}")
        with TemporaryDirectory(prefix="tidegate-retrain-") as folder:
            found = newest_checkpoint(self.tracking_uri, reference, Path(folder)).folder
            origin = Origin(reference, found, read_facts(found))
            training, learns_new = training_recipe(origin, request)
        if request.recipe is None:
            export = package.manifest.lineage.recipe["export"]
        else:
            export = msgspec.to_builtins(request.recipe.for_task(training.task))
        forget(training, HOME)
        return self.keep(
            Plan(
                champion=champion.version,
                parent_run_id=run_id,
                training=training,
                export=export,
                learns_new=learns_new,
            )
        )

    def keep(self, plan: Plan, **changes: Any) -> Plan:
        """The plan as it is now, on disk."""
        plan = msgspec.structs.replace(plan, **changes)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        partial = self.file.with_suffix(".partial")
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(plan), indent=2))
        partial.rename(self.file)
        return plan

    def train(self, plan: Plan) -> Plan:
        """Registers the next version of "<name>-trained"."""
        if plan.trained is not None:
            return plan
        with pulse("loading the training framework"):
            from training.run import finished, is_interrupted, train

        trained = finished(plan.training, HOME) or train(
            plan.training,
            workdir=HOME,
            tracking_uri=self.tracking_uri,
            resume=is_interrupted(plan.training, HOME),
            parent_run_id=plan.parent_run_id,
        )
        note(f"registered {self.name}-trained version {trained.version}")
        return self.keep(plan, trained=trained.version)

    def export(self, plan: Plan) -> tuple[ModelPackage, VersionInfo]:
        """Registers a package, the champion tried on its held-out examples. Raises GateFailed."""
        if plan.package is not None:
            known = self.store.resolve(ModelRef(name=self.name, version=plan.package))
            return self.store.fetch(known, HOME / "cache"), known
        with pulse("loading the training framework"):
            from export.export_checkpoint import export_checkpoint
            from training.registered import newest_checkpoint

        champion = self.store.fetch(self.store.resolve(ModelRef(name=self.name, version=plan.champion)), HOME / "cache")
        recipe: AnyRecipe = typed_recipe(plan.export, f"the export recipe of {self.name}/{plan.champion}")
        with build_folder() as folder:
            found = newest_checkpoint(self.tracking_uri, f"{self.name}/{plan.trained}", folder)
            made = self.find_made(plan, champion, found.run_id)
            if made is None:
                output = folder / "package"
                try:
                    built = export_checkpoint(found.folder, recipe, output, run_id=found.run_id, rival=champion)
                except GateFailed:
                    # It would miss again. Another attempt begins anew, with other data or another recipe.
                    self.end()
                    raise
                made = publish(self.store, built)
        self.keep(plan, package=made[1].version)
        return made

    def find_made(self, plan: Plan, champion: ModelPackage, run_id: str) -> tuple[ModelPackage, VersionInfo] | None:
        """What `export` registered before it could be written down."""
        for info in reversed(self.store.versions(self.name)):
            if info.run_id == run_id:
                package = self.store.fetch(info, HOME / "cache")
                exported = package.manifest.lineage.recipe["export"]
                if exported == plan.export and champion.digest in package.manifest.rivals:
                    return package, info
        return None

    def nominate(self, made: VersionInfo) -> None:
        """Makes it the challenger."""
        ref = ModelRef(name=self.name, version=made.version)
        if not {CHALLENGER, CHAMPION} & {*self.store.resolve(ref).aliases}:
            nominate(self.store, ref, cache=HOME / "cache", who=person(), self_test=replay_here)

    def promote(self, made: VersionInfo, plan: Plan) -> None:
        """Makes it the champion. Raises GateFailed, Locked, and Conflict where another one has become champion
        meanwhile: then it was held against the wrong one."""
        if CHAMPION in self.store.resolve(ModelRef(name=self.name, version=made.version)).aliases:
            return  # It was promoted in the moment before it was killed.
        policy = None if plan.learns_new else NOTHING_NEW
        try:
            promote_model(self.store, str(made), expected=plan.champion, policy=policy)
        except GateFailed as failure:
            self.end()
            if plan.learns_new:
                raise
            raise GateFailed(f"{failure}\n{NO_WORSE.format(made)}") from failure
        except Locked:
            raise  # Somebody else is promoting: it may well be tried again.
        except Conflict:
            self.end()
            raise

    def run(self, request: Request, resume: bool, promotes: bool) -> ModelPackage:
        """All steps. Returns what they came to; raises what they raise."""
        plan = self.resume() if resume else self.begin(request)
        try:
            plan = self.train(plan)
            package, made = self.export(plan)
            self.nominate(made)
            note(f"{made} is the challenger" + ("" if promotes else f"; next: tidegate promote {made}"))
            if promotes:
                self.promote(made, plan)
                note(f"{made} is the champion")
        except (InvalidRecipe, BadInput):
            # It would be refused each time that it is resumed.
            self.end()
            raise
        except Locked as error:
            again = f"tidegate retrain {self.name} --resume" + (" --promote" if promotes else "")
            raise Locked(f"{error}. What was made is kept: {again}") from error
        self.end()
        return package

    def end(self) -> None:
        """Forgets the plan: there is nothing left to go on with."""
        self.file.unlink(missing_ok=True)


def retrain(request: Request, store_uri: str | None, resume: bool, promotes: bool) -> str:
    """Trains, exports, holds against the champion, registers as challenger; promotes it if asked and every gate holds.
    Returns what was measured, as a table.

    Raises GateFailed or Conflict where it can not be promoted: it is the challenger then; NothingNew where there is
    nothing to add; Locked where it is retrained already."""
    from export.report import format_report

    retraining = Retraining(request.name, open_store(store_uri), require_tracking(store_uri))
    # Of two each would forget the other's plan.
    with sole_process(retraining.file.with_suffix(".lock"), f"{request.name!r} is being retrained"):
        return format_report(retraining.run(request, resume, promotes))
