"""A study: the trials of one search, wherever they run.

Its state is a database. A search that was interrupted goes on with what is there; several processes, on one machine or
on many, that open the same study share its trials. What ended counts, whoever measured it; what a dead process left
behind is measured again by another.
"""

from __future__ import annotations

import math
import time
import uuid
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from tasks.errors import GateFailed, InvalidRecipe, NotReady
from training.search.attempt import Attempt, Measure, SuggestedDraw
from training.search.grid import shuffled_points
from training.search.sampler import choose_sampler
from training.search.space import SearchSpace
from training.search.trial import Hopeless, Objective, Result, Trial

POLL_SECONDS = 2.0
"""How often a process that has nothing left to start looks whether the others are done."""
MAX_FAILURES = 3
"""Errors in a row, after which the search ends with the last of them: it is not the trials that are at fault."""
MAX_REPEATS = 200
"""Draws in a row that were drawn before, after which there is nothing new to be found."""
OVERRIDES, FIGURES, MISSED, REASON, RUN, REPEATS, WORKER = (
    f"tidegate.{name}" for name in ("overrides", "figures", "missed", "reason", "run_id", "repeats", "worker")
)
CONCLUSION, VOID = "tidegate.conclusion", "tidegate.void"


class Repeated(Exception):
    """A draw that was drawn before."""


class Failed(Exception):
    """A trial whose error was noted."""


class Study:
    """See above. `name` says which trials in the storage belong together: the same name goes on with them."""

    def __init__(
        self,
        storage: optuna.storages.BaseStorage,
        name: str,
        space: SearchSpace,
        objectives: Sequence[Objective],
        num_trials: int,
        seed: int,
    ) -> None:
        """`num_trials`: how many different ones the search has in the end, over all that take part."""
        self.name, self.objectives = name, tuple(objectives)
        self._space = space
        self._grid = shuffled_points(space, seed) if space.size is not None and space.size <= num_trials else []
        self._goal = len(self._grid) or num_trials
        self._worker = uuid.uuid4().hex
        self._errors: list[Exception] = []
        self._num_repeats = 0
        self._taken_for_dead = False
        optuna.logging.set_verbosity(optuna.logging.CRITICAL)
        self._study = optuna.create_study(
            storage=storage,
            study_name=name,
            directions=["minimize" if each.direction == "min" else "maximize" for each in objectives],
            sampler=choose_sampler(num_trials, len(objectives), seed),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2),
            load_if_exists=True,
        )

    def run(self, measure: Measure, on_trial: Callable[[Trial], None]) -> None:
        """Measures until all trials have ended, those of other processes too. `on_trial` hears of each that ended
        here. An interruption leaves its trial to be measured again. Raises the error of a trial where nothing but
        errors comes; NotReady when the database is gone."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                self._run(measure, on_trial)
        except StorageInternalError as error:
            raise NotReady(f"search {self.name}: its database can not be used any more: {error}") from error

    def _run(self, measure: Measure, on_trial: Callable[[Trial], None]) -> None:
        def heard(_: optuna.Study, ended: FrozenTrial) -> None:
            if self._ended(ended):
                on_trial(describe(ended))

        while len(self.trials()) < self._goal and self._num_repeats < MAX_REPEATS:
            optuna.storages.fail_stale_trials(self._study)
            if self._num_open() >= self._goal and not self._trials(TrialState.WAITING):
                time.sleep(POLL_SECONDS)
                continue
            self._queue_next()
            try:
                once = partial(self._measure, measure)
                self._study.optimize(once, n_trials=1, catch=(Failed, Repeated), callbacks=[heard])
            except UpdateFinishedTrialError:
                pass  # taken for dead while it ended: what the other measured counts
            except ValueError:
                if not self._taken_for_dead:
                    raise
                self._taken_for_dead = False
            if len(self._errors) >= MAX_FAILURES:
                self._void()
                raise self._errors[-1]

    def _queue_next(self) -> None:
        """Of a space that can be tried whole, the first point that nobody tries or tried; others the sampler draws."""
        taken = [drawn(each) for each in self._trials() if self._counts(each)]
        untried = [point for point in self._grid if point not in taken]
        if untried and not self._trials(TrialState.WAITING):
            self._study.enqueue_trial(untried[0])

    def _measure(self, measure: Measure, trial: optuna.Trial) -> list[float]:
        """One trial, as Optuna wants it told."""
        try:
            trial.set_user_attr(WORKER, self._worker)
            overrides = self._space.assign(SuggestedDraw(trial))
            trial.set_user_attr(OVERRIDES, overrides)
            self._refuse_repeat(trial)
            return self._record(trial, self._try(measure, trial, overrides))
        except UpdateFinishedTrialError:
            # The process gave no sign of life for too long, and another measures the trial again.
            self._taken_for_dead = True
            raise

    def _try(self, measure: Measure, trial: optuna.Trial, overrides: tuple[str, ...]) -> Result:
        """Notes what came instead of figures, if that came."""
        try:
            result = measure(Attempt(trial, overrides, prunes=len(self.objectives) == 1))
            if unknown := [each.name for each in self.objectives if math.isnan(result.figures[each.name])]:
                raise ArithmeticError(f"{', '.join(unknown)} came out as no number: the network diverged")
        except Hopeless as hopeless:
            trial.set_user_attr(REASON, str(hopeless))
            self._errors.clear()
            raise optuna.TrialPruned from hopeless
        except Exception as error:
            trial.set_user_attr(REASON, f"{type(error).__name__}: {error}")
            # A recipe that can not be, or a graph that does not hold, is the fault of what was drawn.
            if not isinstance(error, InvalidRecipe | GateFailed):
                self._errors.append(error)
            raise Failed from error
        except BaseException as interruption:
            # The same trial again, by whoever goes on. (What Ctrl-C raises has become something else on its way.)
            retry = optuna.storages.RetryHeartbeatStaleTrialCallback()
            retry(self._study, next(each for each in self._trials() if each.number == trial.number))
            raise KeyboardInterrupt from interruption
        self._errors.clear()
        return result

    def _record(self, trial: optuna.Trial, result: Result) -> list[float]:
        """Keeps what was measured; samplers prefer trials that missed no gate."""
        trial.set_user_attr(FIGURES, result.figures)
        trial.set_user_attr(RUN, result.run_id)
        trial.set_user_attr(MISSED, result.missed)
        trial.set_constraint("gates", float(len(result.missed)))
        return [result.figures[each.name] for each in self.objectives]

    def _refuse_repeat(self, trial: optuna.Trial) -> None:
        """Raises Repeated where a trial before this one tries the same, or did so."""
        for other in self._trials():
            if self._counts(other) and other.number < trial.number and drawn(other) == trial.params:
                self._num_repeats += 1
                trial.set_user_attr(REPEATS, other.number)
                raise Repeated
        self._num_repeats = 0

    def trials(self) -> list[Trial]:
        """All that have ended, in the order in which they began."""
        return [describe(each) for each in self._trials() if self._ended(each)]

    def closes_here(self) -> bool:
        """Is it for this process to draw the conclusion? It falls to the one whose trial ended last; and where a
        search is complete that nobody concluded, to whoever comes along."""
        ended = [each for each in self._trials() if self._ended(each)]
        if self.conclusion() or not ended:
            return False
        last = max(ended, key=lambda each: (each.datetime_complete, each.number))
        took_part = any(each.user_attrs.get(WORKER) == self._worker for each in ended)
        return not took_part or last.user_attrs.get(WORKER) == self._worker

    def conclusion(self) -> dict[str, Any]:
        """What `conclude` noted; empty where nobody did."""
        noted: dict[str, Any] = self._study.user_attrs.get(CONCLUSION, {})
        return noted if noted.get("num_trials", 0) >= len(self.trials()) else {}

    def conclude(self, facts: dict[str, Any]) -> None:
        """Notes what came of the search, for whoever asks again. More trials than there are now make it void."""
        self._study.set_user_attr(CONCLUSION, {**facts, "num_trials": len(self.trials())})

    def _ended(self, trial: FrozenTrial) -> bool:
        """By itself: with figures, given up, or with an error of its own; not by the death of its process."""
        if trial.state == TrialState.FAIL:
            return REASON in trial.user_attrs and trial.number not in self._study.user_attrs.get(VOID, ())
        return bool(trial.state in (TrialState.COMPLETE, TrialState.PRUNED))

    def _counts(self, trial: FrozenTrial) -> bool:
        """Has it ended, or will it?"""
        return self._ended(trial) or (trial.state == TrialState.RUNNING and REPEATS not in trial.user_attrs)

    def _void(self) -> None:
        """The errors in a row were nobody's fault here: whoever goes on may try the same again."""
        failed = [each.number for each in self._trials(TrialState.FAIL)][-MAX_FAILURES:]
        self._study.set_user_attr(VOID, [*self._study.user_attrs.get(VOID, ()), *failed])

    def _num_open(self) -> int:
        """How many trials there will be when those that run have ended."""
        return len(self.trials()) + len(self._trials(TrialState.RUNNING))

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        found: list[FrozenTrial] = self._study.get_trials(deepcopy=False, states=states or None)
        return found


def drawn(trial: FrozenTrial) -> dict[str, Any]:
    """What a trial tries, also where it was queued for it and has only just begun."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def describe(trial: FrozenTrial) -> Trial:
    """Optuna's trial → ours."""
    facts = trial.user_attrs
    missed = facts.get(MISSED, ())
    state = {TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}.get(
        trial.state, "missed" if missed else "measured"
    )
    return Trial(
        number=trial.number,
        overrides=tuple(facts.get(OVERRIDES, ())),
        state=state,  # type: ignore[arg-type]
        figures=dict(facts.get(FIGURES, {})),
        reason="; ".join(missed) or facts.get(REASON, ""),
        run_id=facts.get(RUN, ""),
    )
