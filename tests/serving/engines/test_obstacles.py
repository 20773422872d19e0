from __future__ import annotations

from registry.package import ModelPackage
from serving.engines.obstacles import build_obstacle, operator_obstacle
from serving.engines.onnx_operators import Operator, Operators


def test_a_plain_graph_is_worth_trying(package: ModelPackage) -> None:
    assert build_obstacle(package.graph_path("fp32")) == ""


def test_operators_of_onnx_runtime_are_named() -> None:
    names = ("MatMulNBits", "BiasGelu", "FusedConv", "QAttention")
    nodes = [Operator("com.microsoft", name, ()) for name in names]
    obstacle = operator_obstacle(Operators([Operator("", "Relu", ()), *nodes]))
    assert "com.microsoft.BiasGelu, com.microsoft.FusedConv, com.microsoft.MatMulNBits and 1 more" in obstacle


def test_unsigned_quantization_is_refused_and_signed_is_not() -> None:
    node = Operator("", "QuantizeLinear", ("x", "scale", "zero"))
    assert "unsigned" in operator_obstacle(Operators([node], {"zero": 2}))
    assert operator_obstacle(Operators([node], {"zero": 3})) == ""
    assert operator_obstacle(Operators([Operator("", "QuantizeLinear", ("x", "scale"))], {"x": 2})) == ""
