"""What MLflow is told of a model that generates, and what it can do with one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from registry.mlflow_pyfunc import input_example, pyfunc_signature
from registry.mlflow_store import MlflowStore
from registry.package import ModelPackage
from tasks.generation_params import GenerationParams
from tests.tiny_captioner import build_captioner_package
from tests.tiny_language import build_language_package


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return build_language_package(tmp_path_factory.mktemp("language") / "tiny")


@pytest.fixture(scope="module")
def captioner(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return build_captioner_package(tmp_path_factory.mktemp("captioner") / "tiny")


def test_every_option_is_named_and_none_is_set(language: ModelPackage) -> None:
    signature = pyfunc_signature(language)
    assert [param.name for param in signature.params] == list(GenerationParams.__struct_fields__)
    assert all(param.default is None for param in signature.params)
    types = {param.name: param.dtype.name for param in signature.params}
    assert (types["max_tokens"], types["top_p"], types["ignore_end"]) == ("long", "double", "boolean")
    assert types["stop"] == types["logit_bias"] == types["json_schema"] == "string"


def test_texts_and_pictures_have_columns_of_their_own(language: ModelPackage, captioner: ModelPackage) -> None:
    assert pyfunc_signature(language).inputs.input_names() == ["text_input"]
    assert pyfunc_signature(captioner).inputs.input_names() == ["encoded_image"]
    assert input_example(language) == {"text_input": language.golden_inputs()[0].decode()}
    assert input_example(captioner) == {"encoded_image": captioner.golden_inputs()[0]}


def test_mlflow_generates_with_registered_packages(
    language: ModelPackage, captioner: ModelPackage, tmp_path: Path
) -> None:
    """In a process of its own, because MLflow keeps the address of its store in global state."""
    store = MlflowStore(f"sqlite:///{tmp_path / 'mlflow.db'}")
    for package in (language, captioner):
        store.publish(package.folder)
    program = """
import sys, mlflow, pandas
mlflow.set_tracking_uri(sys.argv[1])
writer = mlflow.pyfunc.load_model("models:/tiny/1")
frame = pandas.DataFrame({"text_input": ["Return the", "Wait"]})
print([len(answer["choices"]) for answer in writer.predict(frame)])
asked = {"max_tokens": 3, "temperature": 0.0, "ignore_end": True, "logit_bias": '{"5": -1.5}', "stop": '["?!"]'}
print([answer["choices"][0]["num_tokens"] for answer in writer.predict(frame, params=asked)])
captioner = mlflow.pyfunc.load_model("models:/tiny-captioner/1")
picture = open(sys.argv[2], "rb").read()
(answer,) = captioner.predict(pandas.DataFrame({"encoded_image": [picture]}), params={"n": 2})
print(len(answer["captions"]))
"""
    picture = captioner.folder / "golden" / "0000.png"
    done = subprocess.run(
        [sys.executable, "-c", program, store.uri, str(picture)],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[1, 1]", "[3, 3]", "2"]
