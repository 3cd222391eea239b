"""A torch model's forward as a list of operations, each with the line of code that asked for it."""

from __future__ import annotations

import functools
import linecache
import operator
import sys
import traceback
import types
from pathlib import Path

from minicnn.interop.torch.fxnodes import is_of_shape, is_torchs, reads_batch
from minicnn.interop.torch.library import import_torch


def place_of(filename: str, number: int) -> str:
    """Return a line as messages call it, with its text if the file can be read.

    >>> place_of("net.py", 12)
    'net.py, line 12'
    """
    line = linecache.getline(filename, number).strip()
    return f'{filename}, line {number}: "{line}"' if line else f"{filename}, line {number}"


@functools.cache
def folders() -> tuple[str, str]:
    """Return where torch's code lies, and ours: lines there are not the user's."""
    return str(Path(import_torch().__file__).parent), str(Path(__file__).parent)


def current_place() -> str | None:
    """Return the line of the user's code that is running now."""
    frame = sys._getframe(1)
    while frame is not None:
        if not frame.f_code.co_filename.startswith(folders()):
            return place_of(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None


def place_of_forward(module) -> str:
    """Return the line on which a module's forward begins."""
    code = type(module).forward.__code__
    return place_of(code.co_filename, code.co_firstlineno)


def place_of_error(error: BaseException) -> str | None:
    """Return the innermost line of the user's code in an error's traceback."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(folders())
    ]
    return place_of(frames[-1].filename, frames[-1].lineno) if frames else None


def recorded(function):
    """Return a method that writes a call of `function` into the trace."""

    def method(self, other):
        return self.tracer.create_proxy("call_function", function, (self, other), {})

    return method


@functools.cache
def tracer_class():
    """Return the class of torch.fx tracers that know places and leave modules whole."""
    torch = import_torch()

    class Sized:
        """What a shape is: as long as that of the example."""

        def __len__(self) -> int:
            if is_of_shape(self.node):
                return len(self.tracer.value_of_shape(self.node))
            raise torch.fx.proxy.TraceError(
                "len() of a tensor, which cannot be followed as x.size(0) can be,"
            )

    class Attribute(Sized, torch.fx.proxy.Attribute):
        """What ``x.shape`` is."""

    class Proxy(Sized, torch.fx.Proxy):
        """A value that notes when it is written over: torch's own takes ``y += x`` for ``y = y + x``."""

        def __getattr__(self, name):
            return Attribute(self, name)

    for name in ("iadd", "isub", "imul", "itruediv"):
        setattr(Proxy, f"__{name}__", recorded(getattr(operator, name)))

    class Tracer(torch.fx.Tracer):
        """Trace one module; those inside are calls, but for the ones that must be opened.

        A module is opened if it is called with anything but one tensor, or if it is in `opened`. `evaluate` gives
        the values of a graph's nodes: what forward asks about shapes is answered for those of the example.
        """

        def __init__(self, opened, evaluate) -> None:
            super().__init__()
            self.opened, self.evaluate, self.whole, self.evaluating = opened, evaluate, True, False

        def proxy(self, node):
            return Proxy(node, self)

        def create_proxy(self, kind, target, arguments, *more, **named):
            # Somebody's own function, which torch.fx.wrap keeps whole: look inside.
            if isinstance(target, types.FunctionType) and not is_torchs(target):
                return target(*arguments, **more[0])
            if kind == "placeholder" and arguments and len(self.graph.nodes):
                return arguments[0]  # only the first is an input: any other has its default
            return super().create_proxy(kind, target, arguments, *more, **named)

        def to_bool(self, proxy):
            value = self.value_of_shape(proxy.node)
            if reads_batch(proxy.node, self.values):
                raise torch.fx.proxy.TraceError("a decision on the number of images, which changes,")
            return bool(value)

        def iter(self, proxy):
            return iter([proxy[i] for i in range(len(self.value_of_shape(proxy.node)))])

        def value_of_shape(self, node):
            if is_of_shape(node):
                self.evaluating = True
                self.values = self.evaluate(self.graph)
                self.evaluating = False
                if node in self.values:
                    return self.values[node]
            raise torch.fx.proxy.TraceError("control flow that depends on data")

        def is_leaf_module(self, module, name) -> bool:
            return self.whole

        def call_module(self, module, forward, arguments, named):
            if self.evaluating:  # while it traces, torch hands over every call of a module
                return forward(*arguments, **named)
            if type(module).__module__.startswith("torch.nn") and not arguments and list(named) == ["input"]:
                arguments, named = (named["input"],), {}
            one = len(arguments) == 1 and not named and isinstance(arguments[0], torch.fx.Proxy)
            self.whole = one and module not in self.opened
            return super().call_module(module, forward, arguments, named)

        def create_node(self, *arguments, **named):
            node = super().create_node(*arguments, **named)
            if node.op in ("call_function", "call_method", "call_module", "get_attr"):
                node.meta["place"] = current_place()
            return node

    return Tracer


def graph_of(module, opened, evaluate):
    """Return the torch.fx graph of a module's forward; for `opened` and `evaluate` see the tracer.

    Raises
    ------
    ValueError
        If forward asks for values, which a trace has not.
    """
    torch = import_torch()
    if isinstance(module, torch.fx.GraphModule):
        return module.graph
    tracer = tracer_class()(opened, evaluate)
    try:
        return tracer.trace(module)
    except Exception as error:
        if tracer.evaluating:  # then it names an operation and its line already
            raise
        if isinstance(error, torch.fx.proxy.TraceError):
            what = str(error)
        else:
            what = f"{type(error).__name__} ({str(error).splitlines()[0] if str(error) else 'no reason'})"
        place = place_of_error(error) or type(module).__name__
        raise ValueError(
            f"from_torch: forward must do the same for every input. Got {what} in {place}. "
            "Take it out of forward, or convert the parts on both sides of it."
        ) from None
