"""The bound that the part `graph` of bench.py measures against: an ONNX file of a model's weight GEMMs and of nothing else.

Four of D × D and two of D × F in each layer, one after the other, on as many rows as a run has tokens. Attention, layer
norms and activations are left out, and so is whatever lies between them: no graph for ONNX Runtime that multiplies by all of
these weights takes less time. The weights are drawn: what they are is worth no time."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MICROSOFT = "com.microsoft"


class Gemms:
    """The nodes and the weights so far."""

    def __init__(self, form: str):
        self.form = form
        self.nodes, self.weights = [], []
        self._draw = np.random.default_rng(0)

    def _weight(self, array: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def _node(self, kind: str, inputs: list, outputs: int = 1, domain: str = "") -> list:
        names = [f"n{len(self.nodes)}.{at}" for at in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, domain=domain))
        return names

    def quantised(self, rows: str) -> list:
        """The rows as bytes, with their scale and their zero point; as they are where the weights are floats."""
        return [rows] if self.form == "fp32" else self._node("DynamicQuantizeLinear", [rows], 3)

    def product(self, rows: list, width: int, columns: int) -> str:
        """The product of quantised rows and a weight of their own."""
        if self.form == "fp32":
            drawn = self._draw.standard_normal((width, columns), np.float32) * np.float32(width**-0.5)
            return self._node("MatMul", [rows[0], self._weight(drawn)])[0]
        drawn = self._draw.integers(-127, 128, (width, columns), np.int8)
        # Divided by the standard deviation of what is drawn, so that the products stay as large as the rows.
        scale = self._weight(np.float32(width**-0.5 / 73.3))
        values, row_scale, zero_point = rows
        inputs = [values, self._weight(drawn), row_scale, scale, zero_point]
        return self._node("MatMulIntegerToFloat", inputs, domain=MICROSOFT)[0]


def write(config: Path, form: str, file: Path) -> None:
    """Writes the GEMMs of the model whose config.json this is, as `int8` or as `fp32`. Input `rows`, [tokens, D]; the first
    output is that of the last product."""
    said = json.loads(config.read_text())
    width, inner = said["hidden_size"], said["intermediate_size"]
    gemms, rows, unused = Gemms(form), "rows", []
    for _ in range(said["num_hidden_layers"]):
        # Queries, keys and values are made from the same bytes.
        shared = gemms.quantised(rows)
        queries, keys, values = (gemms.product(shared, width, width) for _ in range(3))
        unused += [queries, keys]
        mixed = gemms.product(gemms.quantised(values), width, width)
        wide = gemms.product(gemms.quantised(mixed), width, inner)
        rows = gemms.product(gemms.quantised(wide), inner, width)
    # What nothing reads would not be computed at all; an output always is.
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (rows, *unused)]
    inputs = [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["tokens", width])]
    graph = helper.make_graph(gemms.nodes, "gemms", inputs, outputs, gemms.weights)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(file))
