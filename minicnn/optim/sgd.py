"""SGD and RMSprop: a step against the gradient, with momentum or scaled by the gradient's usual size."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from minicnn.optim.optimizer import Optimizer
from minicnn.parameter import Parameter


class SGD(Optimizer):
    """Step against the gradient, and keep some of the last steps' direction.

    ``g ← g + weight_decay · w``; with momentum ``v ← momentum · v + (1 - dampening) · g`` (at first
    ``v = g``), and the step is along v, or with Nesterov along ``g + momentum · v``: ``w ← w - lr · step``.

    Parameters
    ----------
    params : iterable of Parameter, or list of dict
    lr, momentum, dampening, weight_decay : float
    nesterov : bool
        Needs momentum, and no dampening.
    maximize : bool
        Climb instead.

    Notes
    -----
    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning" (2013);
    arguments, order and defaults are those of ``torch.optim.SGD``.

    Examples
    --------
    >>> weight = Parameter(np.array([1.0]))
    >>> optimizer = SGD([weight], lr=0.1, momentum=0.5)
    >>> for _ in range(2):
    ...     weight.grad = np.array([2.0])
    ...     optimizer.step()
    ...     weight.data.round(6)                # 1 - 0.1·2, then v = 0.5·2 + 2 = 3: 0.8 - 0.1·3
    array([0.8])
    array([0.5])
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_settings(self, settings: dict) -> None:
        """Raise also if Nesterov's momentum has none, or is dampened."""
        super().check_settings(settings)
        if settings["nesterov"] and (settings["momentum"] <= 0 or settings["dampening"] != 0):
            raise ValueError(
                "SGD: nesterov needs momentum and no dampening. Got "
                f"momentum={settings['momentum']}, dampening={settings['dampening']}. Pass momentum=0.9."
            )

    def update(self, parameter: Parameter, grad: np.ndarray, state: dict, group: dict) -> None:
        """Take one step."""
        if group["maximize"]:
            grad = -grad
        if group["weight_decay"]:
            grad = grad + group["weight_decay"] * parameter.data
        if group["momentum"]:
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = np.array(grad, parameter.data.dtype)  # also of a single number
            else:
                velocity = state["momentum_buffer"]
                velocity *= group["momentum"]
                velocity += (1 - group["dampening"]) * grad
            velocity = state["momentum_buffer"]
            grad = grad + group["momentum"] * velocity if group["nesterov"] else velocity
        parameter.data -= group["lr"] * grad


class RMSprop(Optimizer):
    """Divide the gradient by its usual size, so that every weight steps at its own pace.

    ``s ← alpha · s + (1 - alpha) · g²``; centred, the mean's square is taken away:
    ``a ← alpha · a + (1 - alpha) · g`` and ``s - a²`` in place of s. ``step = g / (√s + eps)``, with
    momentum ``v ← momentum · v + step``: ``w ← w - lr · v``.

    Parameters
    ----------
    params : iterable of Parameter, or list of dict
    lr, alpha, eps, weight_decay, momentum : float
    centered : bool

    Notes
    -----
    Source: Hinton, "Neural networks for machine learning", lecture 6e (2012); centred: Graves, "Generating
    sequences with recurrent neural networks" (2013). Arguments as in ``torch.optim.RMSprop``.

    Examples
    --------
    >>> weight = Parameter(np.array([1.0]))
    >>> optimizer = RMSprop([weight], lr=0.1, alpha=0.75, eps=0)
    >>> weight.grad = np.array([2.0])
    >>> optimizer.step()
    >>> weight.data                             # s = 0.25·2² = 1: 1 - 0.1·2/√1
    array([0.8])
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
        }
        super().__init__(params, defaults)

    def update(self, parameter: Parameter, grad: np.ndarray, state: dict, group: dict) -> None:
        """Take one step."""
        alpha = group["alpha"]
        if group["weight_decay"]:
            grad = grad + group["weight_decay"] * parameter.data
        if not state:
            state["square_avg"] = np.zeros_like(parameter.data)
            if group["centered"]:
                state["grad_avg"] = np.zeros_like(parameter.data)
            if group["momentum"]:
                state["momentum_buffer"] = np.zeros_like(parameter.data)
        square = state["square_avg"]
        square *= alpha
        square += (1 - alpha) * grad * grad
        if group["centered"]:
            state["grad_avg"] += (1 - alpha) * (grad - state["grad_avg"])
            square = square - state["grad_avg"] ** 2
        step = grad / (np.sqrt(square) + group["eps"])
        if group["momentum"]:
            state["momentum_buffer"] *= group["momentum"]
            state["momentum_buffer"] += step
            step = state["momentum_buffer"]
        parameter.data -= group["lr"] * step
