"""How layers that give another shape, take a part or turn axes are written in ONNX; see `operators`."""

from __future__ import annotations

import numpy as np


def refuse(layer, what: str, advice: str) -> ValueError:
    """Return the error for a layer that ONNX has no operator for."""
    return ValueError(f"to_onnx: every layer must have a form in ONNX. Got {layer.who} with {what}. {advice}")


def shaped(writer, name: str, sizes) -> str:
    """Add a Reshape; 0 and -1 mean the same as in nn.Reshape."""
    return writer.node("Reshape", [name, writer.constant("shape", np.array(sizes, np.int64))])


def flatten(writer, layer, name, array, output) -> str:
    if layer.start_dim % array.ndim == 1 and layer.end_dim % array.ndim == array.ndim - 1:
        return writer.node("Flatten", [name], axis=1)
    return shaped(writer, name, [-1 if layer.start_dim % array.ndim == 0 else 0, *output.shape[1:]])


def reshape(writer, layer, name, array, output) -> str:
    return shaped(writer, name, layer.shape)


def squeeze(writer, layer, name, array, output) -> str:
    axes = range(array.ndim) if layer.dim is None else [dim % array.ndim for dim in layer.dim]
    if 0 in axes:
        raise refuse(layer, f"dim={layer.dim}", "Name the axes to drop, without that of the batch.")
    dropped = sorted(axis for axis in axes if array.shape[axis] == 1)
    return writer.node("Squeeze", [name, writer.constant("axes", np.array(dropped, np.int64))])


def unsqueeze(writer, layer, name, array, output) -> str:
    return writer.node("Unsqueeze", [name, writer.constant("axes", np.array([layer.dim], np.int64))])


def permute(writer, layer, name, array, output) -> str:
    return writer.node("Transpose", [name], perm=[dim % array.ndim for dim in layer.dims])


def sliced(writer, layer, name, array, output) -> str:
    first, stop, step = slice(layer.start, layer.stop, layer.step).indices(array.shape[layer.dim])
    if layer.dim % array.ndim == 0:
        raise refuse(layer, f"dim={layer.dim}", "Take a part of another axis than that of the batch.")
    places = {"start": first, "stop": stop, "axis": layer.dim % array.ndim, "step": step}
    return writer.node(
        "Slice", [name, *(writer.constant(k, np.array([v], np.int64)) for k, v in places.items())]
    )
