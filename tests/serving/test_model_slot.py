from __future__ import annotations

import pytest

from serving.model_slot import ModelState, State


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
