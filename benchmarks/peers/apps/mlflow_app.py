"""MLflow: a pyfunc over the same graph, saved here and served by `mlflow models serve`.

    python -m benchmarks.peers.apps.mlflow_app FOLDER

Its scoring server takes JSON (or CSV) and does not batch. Raw bytes travel as base64 in a column, as its documents say
of binary data: far cheaper than a list of numbers."""

import base64
import sys
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.models import set_model

from benchmarks.peers.apps.classifier import Classifier, top_classes
from benchmarks.peers.apps.settings import Settings


class ClassifierModel(mlflow.pyfunc.PythonModel):
    """A table with a column `payload` of base64 → a list of answers."""

    def load_context(self, context: Any) -> None:
        settings = Settings.from_environment()
        self.classifier = Classifier(settings.graph, settings.size)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> list[Any]:
        images = np.stack([self.classifier.read(base64.b64decode(text)) for text in model_input["payload"]])
        return [top_classes(logits) for logits in self.classifier.logits(images)]


if __name__ == "__main__":
    mlflow.pyfunc.save_model(sys.argv[1], python_model=__file__, pip_requirements=["mlflow"])
else:
    set_model(ClassifierModel())
