"""Post-training static quantization to int8: QDQ, one scale per output channel of the weights.

Activations are unsigned bytes and weights signed ones: the pairing that x86 multiplies fastest (measured with a
ResNet-18 on AVX2: 2.0 times float32, while signed activations gain nothing). Ranges of activations come from training
data. `reduce_range` keeps weights within seven bits: hosts without VNNI add two byte products in 16 bits, which
saturates with eight; it costs no speed and, on the networks measured, no accuracy. Without it a variant asks for VNNI.

Before the first layer with weights everything stays in float, so that pictures are rounded once, after they were
normalised. And from the last layers with weights on: what follows them is little work, and eight bits are too few for
it. Of an average precision of 0.722, boxes decoded in bytes cost 0.020, and in float 0.003, at the same speed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal

import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from export.compress.int8_sensitivity import find_sensitive
from export.compress.prepared_graph import find_layers, find_lead, find_tail, prepare_graph, quiet_engine
from export.compress.technique import GraphTechnique
from export.graphs.graph_builder import save_graph
from export.section import Count, Positive
from export.to_onnx import quiet
from registry.manifest import Precision
from serving.variants import detect_host
from tasks.errors import InvalidRecipe
from tasks.task import Array
from training.recipe import TaskName

VNNI = "avx512_vnni"
"""What /proc/cpuinfo calls the instructions that add byte products in 32 bits."""
SENSITIVITY_FILE = "sensitivity.json"
METHODS: Mapping[str, Any] = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}


class Int8Static(GraphTechnique, frozen=True, kw_only=True, tag="int8_static"):
    """`calibration`: how the ranges of activations are found. `weight_scales`: one for each output channel of a layer,
    or one for the layer. `activations`: "unsigned" for processors, which multiply these by signed weights fastest;
    "signed", with zero in the middle, for TensorRT, which knows no other.

    `float_layers`: beside the last ones, none, or the most sensitive, as many of them (`max_float_layers`) as it takes
    until quantization adds little enough noise to the outputs (`min_sqnr_db`)."""

    precision: ClassVar[Precision | None] = "int8"
    is_drawn: ClassVar[bool] = True
    calibration: Literal["minmax", "entropy", "percentile"] = "minmax"
    weight_scales: Literal["channel", "tensor"] = "channel"
    activations: Literal["unsigned", "signed"] = "unsigned"
    reduce_range: bool = True
    float_layers: Literal["last", "sensitive"] = "last"
    min_sqnr_db: Positive = 30.0
    max_float_layers: Count = 4

    @property
    def cpu_features(self) -> tuple[str, ...]:
        return () if self.reduce_range else (VNNI,)

    def find_obstacle(self, task: TaskName) -> str:
        if task not in ("captioning", "text_generation"):
            return ""
        return "ranges of activations that are fixed beforehand do not hold from token to token; take int8_dynamic"

    def compress_graph(self, source: Path, target: Path, batches: Sequence[Mapping[str, Array]]) -> None:
        missing = set(self.cpu_features) - set(detect_host().cpu_features)
        if missing:
            raise InvalidRecipe(
                f"reduce_range = false is for processors with {VNNI}, and this one is without: sums would saturate in "
                "the very trial that is to prove the variant. Leave reduce_range out, or export on such a host"
            )
        quantize_int8(source, target, batches, self)


class BatchReader(CalibrationDataReader):  # type: ignore[misc]
    """Hands calibration batches to ONNX Runtime one at a time."""

    def __init__(self, batches: Sequence[Mapping[str, Array]]) -> None:
        self._batches: Iterator[Mapping[str, Array]] = iter(batches)

    def get_next(self) -> dict[str, Array] | None:
        batch = next(self._batches, None)
        return None if batch is None else dict(batch)


def quantize_int8(source: Path, target: Path, batches: Sequence[Mapping[str, Array]], config: Int8Static) -> None:
    """Writes the int8 form of a float32 graph, and beside it what was found out about its layers, where that was asked
    for. `batches`: input tensors [batch, …] by name, of training data. Raises InvalidRecipe for a graph whose only
    layers are its last ones."""
    plain = prepare_graph(source)
    in_float = [*find_lead(plain.graph), *find_tail(plain.graph)]
    if not any(layer.name not in in_float for layer in find_layers(plain.graph)):
        raise InvalidRecipe(
            "int8_static leaves the last layers of a network in float, and this one has no others with weights"
        )
    write_quantized(plain, target, batches, config, in_float)
    if config.float_layers == "sensitive":
        found = find_sensitive(plain, onnx.load(target), batches, config.min_sqnr_db, config.max_float_layers)
        target.with_name(SENSITIVITY_FILE).write_bytes(found.encode())
        write_quantized(plain, target, batches, config, [*in_float, *found.in_float])


def write_quantized(
    plain: Any, target: Path, batches: Sequence[Mapping[str, Array]], config: Int8Static, in_float: Sequence[str]
) -> None:
    """`in_float`: names of the nodes that are left as they are."""
    with TemporaryDirectory() as scratch, quiet(), quiet_engine():
        prepared = Path(scratch) / "prepared.onnx"
        save_graph(plain, prepared)
        quantize_static(
            prepared,
            target,
            BatchReader(batches),
            quant_format=QuantFormat.QDQ,
            per_channel=config.weight_scales == "channel",
            reduce_range=config.reduce_range,
            activation_type=QuantType.QUInt8 if config.activations == "unsigned" else QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=METHODS[config.calibration],
            nodes_to_exclude=list(in_float),
            extra_options={"ActivationSymmetric": config.activations == "signed"},
        )
