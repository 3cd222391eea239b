"""To ONNX: a file that runs in a browser, on a phone, in a server. onnx is imported when it is needed."""

from minicnn.interop.onnx.export import to_onnx

__all__ = ["to_onnx"]
