"""Hooks: functions that see what passes through a module, without a change to its code.

A watched module gets an attribute `forward` (or `backward`) of its own, which stands before the method of
its class. A module that nobody watches pays nothing, and ``"forward" in vars(module)`` tells which is which.
"""

from __future__ import annotations

from collections.abc import Callable


class Watched:
    """A module's method, followed by its hooks.

    A hook that returns None only looks on; what another returns takes the place of the result.

    Examples
    --------
    >>> import numpy as np
    >>> from minicnn import nn
    >>> layer = nn.ReLU()
    >>> handle = layer.register_forward_hook(lambda module, input, output: print(input, "->", output))
    >>> output = layer(np.float32([3, -4]))
    [ 3. -4.] -> [3. 0.]
    >>> handle.remove()
    >>> output = layer(np.float32([3, -4]))
    """

    def __init__(self, module, method: str) -> None:
        self.module, self.method = module, method
        self.before = vars(module).get(method)  # None, unless something else has put itself there
        self.hooks: list[Callable] = []

    def __call__(self, argument):
        if self.before is None:
            result = getattr(type(self.module), self.method)(self.module, argument)
        else:
            result = self.before(argument)
        for hook in tuple(self.hooks):
            first, second = (argument, result) if self.method == "forward" else (result, argument)
            replacement = hook(self.module, first, second)
            result = result if replacement is None else replacement
        return result


class Handle:
    """What `register` returns: `remove()` takes the hook off again; so does the end of a `with` block.

    >>> import numpy as np
    >>> from minicnn import nn
    >>> layer, seen = nn.ReLU(), []
    >>> with layer.register_full_backward_hook(lambda *arrays: seen.append(arrays)):
    ...     grad_input = layer.backward(layer(np.ones(3)))
    >>> len(seen), "backward" in vars(layer)
    (1, False)
    """

    def __init__(self, watched: Watched, hook: Callable) -> None:
        self.watched, self.hook = watched, hook

    def remove(self) -> None:
        """Take the hook off; a second time does nothing."""
        watched = self.watched
        if self.hook in watched.hooks:
            watched.hooks.remove(self.hook)
        if not watched.hooks and vars(watched.module).get(watched.method) is watched:
            delattr(watched.module, watched.method)
            if watched.before is not None:
                setattr(watched.module, watched.method, watched.before)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *exception) -> None:
        self.remove()


def register(module, method: str, hook: Callable) -> Handle:
    """Let `hook` be called after every call of the module's "forward" or "backward".

    A forward hook is called as ``hook(module, input, output)``, a backward hook as
    ``hook(module, grad_input, grad_output)``; the arrays are the real ones, no copies. (torch hands over
    tuples, because its modules may have several inputs.)

    >>> import numpy as np
    >>> from minicnn import nn
    >>> layer = nn.ReLU()
    >>> handle = register(layer, "forward", lambda module, input, output: 2 * output)
    >>> layer(np.float32([3, -4]))
    array([6., 0.], dtype=float32)
    """
    watched = vars(module).get(method)
    if not isinstance(watched, Watched):
        watched = Watched(module, method)
        setattr(module, method, watched)
    watched.hooks.append(hook)
    return Handle(watched, hook)
