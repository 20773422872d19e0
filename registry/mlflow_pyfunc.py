"""A package as MLflow's pyfunc model: what runs it, the column it takes, the options of its task, an example.

MLflow drops what the signature does not name, with nothing but a warning, so every option must be there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import inspect

from registry.package import ModelPackage
from tasks.generative_spec import GenerativeSpec
from tasks.task import task_class

LOADER_MODULE = "serving.pyfunc"
"""What MLflow imports by this name to run a package: the registry itself can not run one."""
PACKAGE_FOLDER = "package"
PYFUNC_REQUIREMENTS = ("tidegate[cpu]",)
PICTURES, TEXTS = "encoded_image", "text_input"
PARAM_TYPES: Mapping[type[inspect.Type], str] = {
    inspect.BoolType: "boolean",
    inspect.IntType: "long",
    inspect.FloatType: "double",
    inspect.LiteralType: "string",
    inspect.StrType: "string",
    inspect.DictType: "string",
    inspect.VarTupleType: "string",
}
"""Those of options in the words of MLflow; what is more than a word or a number is spelt as JSON."""


def save_pyfunc(package: ModelPackage, staging: Path, description: Any) -> None:
    """The package as an MLflow model in `staging`/model, with a golden input as the example of one."""
    import mlflow.pyfunc

    # MLflow keeps the last word of the path, and it must be the same for every package.
    data = staging / PACKAGE_FOLDER
    data.symlink_to(package.folder.resolve(), target_is_directory=True)
    mlflow.pyfunc.save_model(
        staging / "model",
        loader_module=LOADER_MODULE,
        data_path=str(data),
        mlflow_model=description,
        signature=pyfunc_signature(package),
        pip_requirements=list(PYFUNC_REQUIREMENTS),
        input_example=input_example(package),
    )


def pyfunc_signature(package: ModelPackage) -> Any:
    """One column of encoded pictures (base64 in JSON) or of texts, and the options of the task."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    options = inspect.type_info(task_class(str(package.manifest.task["kind"])).params_type)
    assert isinstance(options, inspect.StructType)
    generates = isinstance(package.task_spec, GenerativeSpec)
    # MLflow sends every default along. Of a model that generates they are null: which options were named at all
    # decides between samples and beams, and its own defaults stand in the package.
    params = [
        ParamSpec(option.name, param_type(option.type), None if generates else option.default)
        for option in options.fields
    ]
    column = ColSpec("string", TEXTS) if takes_texts(package) else ColSpec("binary", PICTURES)
    return ModelSignature(Schema([column]), params=ParamSchema(params))


def input_example(package: ModelPackage) -> dict[str, str | bytes]:
    """A golden input, by its column."""
    golden = package.golden_inputs()[0]
    return {TEXTS: golden.decode("utf-8")} if takes_texts(package) else {PICTURES: golden}


def takes_texts(package: ModelPackage) -> bool:
    return not package.manifest.image_sizes


def param_type(declared: inspect.Type) -> str:
    """An option's type, whether or not it may be left unset."""
    choices = declared.types if isinstance(declared, inspect.UnionType) else (declared,)
    return next(PARAM_TYPES[type(choice)] for choice in choices if type(choice) in PARAM_TYPES)
