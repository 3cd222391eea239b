"""to_onnx: the model in evaluation mode, as nodes of the ONNX standard."""

from __future__ import annotations

import copy
import importlib.util
import json
from pathlib import Path

import numpy as np

from minicnn import labels, nn
from minicnn.data.transforms.config import config_of
from minicnn.interop.onnx.operators import OPERATORS
from minicnn.nn.graph import INPUT
from minicnn.nn.tree import check_module

# Operators as of 2023, the first version with Gelu and with padding that wraps around.
OPSET, IR_VERSION = 20, 9


def is_installed() -> bool:
    """Say whether onnx can be imported, without importing it.

    >>> is_installed() in (True, False)
    True
    """
    return importlib.util.find_spec("onnx") is not None


def to_onnx(model: nn.Module, path, example_input: np.ndarray, classes=None, transform=None) -> None:
    """Write `model` to an ONNX file, as it computes in evaluation mode.

    Parameters
    ----------
    model : Module
        Of layers of `minicnn.nn`. It is left as it is.
    path : str or path
    example_input : ndarray of shape (N, ...)
        What the model takes. The file's model takes any number of images of this shape and dtype.
    classes : sequence of str or of int, optional
        The name of class 0, 1, 2, ...; kept in the file's metadata as JSON under "classes".
    transform : a transform of `minicnn.data.transforms`, optional
        From raw images to the model's input; kept as JSON under "transform". The file's model does not apply it.

    Raises
    ------
    RuntimeError
        If onnx is not installed.
    ValueError
        If a layer cannot be written in ONNX, there is not a name for each logit, or the checker of the onnx
        package finds a fault.
    TypeError
        If a module is none of `minicnn.nn`, or the transform none of `minicnn.data.transforms`.

    Notes
    -----
    Input and output are called "input" and "output", parameters as in `state_dict`. onnxruntime computes
    convolutions in float32 only.

    Examples
    --------
    >>> import tempfile
    >>> def written():
    ...     import onnx
    ...     with tempfile.TemporaryDirectory() as folder:
    ...         model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    ...         to_onnx(model, folder + "/a.onnx", np.zeros((1, 2, 2), np.float32), classes=["cat", "dog"])
    ...         return [node.op_type for node in onnx.load(folder + "/a.onnx").graph.node]
    >>> written() if is_installed() else ["Flatten", "Gemm"]
    ['Flatten', 'Gemm']
    """
    if not is_installed():
        raise RuntimeError(
            "to_onnx: onnx is needed here. Got no installed onnx. Install it with pip install 'minicnn[onnx]'."
        )
    import onnx

    check_module("to_onnx", "model", model)
    names = None if classes is None else labels.as_classes("to_onnx", classes).tolist()
    facts = {} if names is None else {"classes": json.dumps(names)}
    if transform is not None:
        facts["transform"] = json.dumps(config_of("to_onnx", transform))
    writer = Writer(onnx)
    with nn.no_grad():
        name, output = writer.write(copy.deepcopy(model).eval(), "input", example_input)
    labels.check_one_a_logit("to_onnx", names, output)
    writer.finish(name)
    graph = onnx.helper.make_graph(
        writer.nodes,
        "minicnn",
        [writer.value("input", example_input)],
        [writer.value("output", output)],
        writer.tensors(),
    )
    made = onnx.helper.make_model(
        graph,
        producer_name="minicnn",
        ir_version=IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
    )
    onnx.helper.set_model_props(made, facts)
    try:
        onnx.checker.check_model(made, full_check=True)
    except Exception as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise ValueError(
            f"to_onnx: the file must pass the checker of onnx. Got {reason}. Please report this model."
        ) from error
    Path(path).write_bytes(made.SerializeToString())


class Writer:
    """The nodes and constants of the file so far.

    Attributes
    ----------
    nodes : list of onnx.NodeProto
    constants : dict of str to ndarray
    """

    def __init__(self, onnx) -> None:
        self.onnx = onnx
        self.nodes: list = []
        self.constants: dict[str, np.ndarray] = {}
        self.taken: set[str] = {"input", "output"}
        self.layer = ""  # the name of the layer that is being written

    def free(self, name: str) -> str:
        """Return a name that nothing else in the file has."""
        found, number = name, 1
        while found in self.taken:
            found, number = f"{name}_{number}", number + 1
        self.taken.add(found)
        return found

    def node(self, operator: str, inputs: list[str], **attributes) -> str:
        """Add a node, called as the layer is, and return the name of its output."""
        output = self.free(self.layer or operator.lower())
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def finish(self, name: str) -> None:
        """Call the value `name` "output" from now on."""
        if name == "input":
            name = self.node("Identity", [name])
        for node in self.nodes:
            for values in (node.input, node.output):
                for position, value in enumerate(values):
                    if value == name:
                        values[position] = "output"

    def constant(self, name: str, array) -> str:
        """Add a constant, and return its name; a parameter that is used again stands there once."""
        array = np.asarray(array)
        if name in self.constants and np.array_equal(self.constants[name], array):
            return name
        name = self.free(name)
        self.constants[name] = array
        return name

    def tensors(self) -> list:
        """Return the constants as ONNX wants them."""
        return [
            self.onnx.numpy_helper.from_array(np.array(a, order="C"), n) for n, a in self.constants.items()
        ]

    def value(self, name: str, array: np.ndarray):
        """Return the description of an input or output; the batch may have any size."""
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        return self.onnx.helper.make_tensor_value_info(name, kind, ["N", *array.shape[1:]])

    def write(self, module: nn.Module, name: str, array) -> tuple[str, np.ndarray]:
        """Add what `module` does to the value `name`, of which `array` is an example.

        Returns the name and an example of what comes out. A module that joins gets lists of both.
        """
        if isinstance(module, nn.Sequential):
            for child in module:
                name, array = self.write(child, name, array)
            return name, array
        if isinstance(module, nn.Graph):
            values = {INPUT: (name, array)}
            for result, path, *read in module.nodes:
                child = module.find(path)
                found = [values[other] for other in read]
                given = tuple(zip(*found, strict=True)) if getattr(child, "joins", False) else found[0]
                values[result] = self.write(child, *given)
            return values[result]
        if isinstance(module, nn.Residual):
            body, _ = self.write(module.body, name, array)
            passed = name if module.shortcut is None else self.write(module.shortcut, name, array)[0]
            self.layer = module.name
            return self.node("Add", [body, passed]), module(array)
        operator = OPERATORS.get(type(module).__name__)
        if operator is None or type(module) is not getattr(nn, type(module).__name__, None):
            raise TypeError(
                f"to_onnx: every layer must be one of minicnn.nn. Got {module.who}. "
                "Build the model from the layers of minicnn.nn."
            )
        output, self.layer = module(array), module.name
        return operator(self, module, name, array, output), output
