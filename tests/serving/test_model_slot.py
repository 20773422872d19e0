from __future__ import annotations

import pytest

from registry.reference import ModelRef
from serving.model_slot import ModelSlot, ModelState, State
from tasks.errors import NotReady


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("/srv/packages/a/1: 'x' not in the manifest", "…/1: 'x' not in the manifest"),
        ("Load model from /srv/cache/ab/fp32/model.onnx failed", "Load model from …/model.onnx failed"),
        ("http://user:word@registry:5000/api/x can not be reached", "http:…/x can not be reached"),
        ("http://registry:5000 can not be reached", "http:…/ can not be reached"),
        ("sqlite:////srv/mlflow.db is locked", "sqlite:…/mlflow.db is locked"),
        ("1/2 of the golden inputs and/or labels differ", "1/2 of the golden inputs and/or labels differ"),
        ("unloaded", "unloaded"),
    ],
)
def test_callers_learn_the_reason_and_not_where_packages_lie(reason: str, told: str) -> None:
    state = ModelState("colours", "1", State.UNAVAILABLE, reason)
    assert state.without_places() == ModelState("colours", "1", State.UNAVAILABLE, told)


def test_a_failure_is_told_once_until_it_is_another() -> None:
    slot = ModelSlot(ModelRef.parse("colours"))
    assert slot.note_failure(NotReady("the registry is away"))
    assert not slot.note_failure(NotReady("the registry is away"))
    assert slot.note_failure(NotReady("there is no champion"))
    assert slot.describe(60.0) == ModelState("colours", "", State.UNAVAILABLE, "there is no champion")
