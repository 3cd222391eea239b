"""Adam and AdamW: a running mean of the gradient over the root of a running mean of its square."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from minicnn import checks, kernels
from minicnn.optim.optimizer import Optimizer
from minicnn.parameter import Parameter


class Adam(Optimizer):
    """Step by the mean gradient, divided by the gradient's usual size.

    In step t: ``m ← m + (1 - β₁)(g - m)``, ``v ← β₂ v + (1 - β₂) g²``. Both begin at zero, and are too
    small at first by the factors ``1 - β₁ᵗ`` and ``1 - β₂ᵗ``, which are divided out:
    ``w ← w - lr · m / (1 - β₁ᵗ) / (√(v / (1 - β₂ᵗ)) + eps)``. With amsgrad the largest v so far stands in
    place of v. Weight decay is added to the gradient: ``g ← g + weight_decay · w``.

    Parameters
    ----------
    params : iterable of Parameter, or list of dict
    lr : float
    betas : pair of float
        β₁ and β₂.
    eps, weight_decay : float
    amsgrad : bool

    Notes
    -----
    Source: Kingma and Ba, "Adam" (2015); amsgrad: Reddi et al., "On the convergence of Adam and beyond"
    (2018). Arguments, order and defaults are those of ``torch.optim.Adam``.

    Examples
    --------
    >>> weight = Parameter(np.array([1.0, 1.0]))
    >>> optimizer = Adam([weight], lr=0.1)
    >>> weight.grad = np.array([0.001, -1000.0])
    >>> optimizer.step()
    >>> weight.data.round(4)                    # the first step is lr · sign(g), whatever its size
    array([0.9, 1.1])
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
        super().__init__(params, defaults)

    def check_settings(self, settings: dict) -> None:
        """Raise also unless the betas are two numbers from 0 on, less than 1."""
        super().check_settings(settings)
        betas = settings["betas"]
        if np.ndim(betas) != 1 or len(betas) != 2:
            raise ValueError(
                f"{self.who}: betas must be two numbers. Got {betas}. Pass such as (0.9, 0.999)."
            )
        for beta in betas:
            checks.as_number(self.who, "betas", beta, low=0)
            if beta >= 1:
                raise ValueError(
                    f"{self.who}: betas must be less than 1. Got {betas}. Pass such as (0.9, 0.999)."
                )

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        self._update_all()  # the kernel does not warn of anything, so nobody needs to be told not to

    @checks.without_warnings
    def decayed(self, parameter: Parameter, grad: np.ndarray, group: dict) -> np.ndarray:
        """Return the gradient with weight decay added.

        >>> adam = Adam([Parameter(np.array([2.0]))], weight_decay=0.5)
        >>> adam.decayed(adam.param_groups[0]["params"][0], np.array([1.0]), adam.param_groups[0])
        array([2.])
        """
        return grad + group["weight_decay"] * parameter.data

    def update(self, parameter: Parameter, grad: np.ndarray, state: dict, group: dict) -> None:
        """Take one step."""
        if not state:
            state.update(
                step=0, exp_avg=np.zeros_like(parameter.data), exp_avg_sq=np.zeros_like(parameter.data)
            )
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = np.zeros_like(parameter.data)
        state["step"] += 1
        if group["weight_decay"]:
            grad = self.decayed(parameter, grad, group)
        largest = state["max_exp_avg_sq"] if group["amsgrad"] else None
        how = group["lr"], group["betas"], group["eps"], state["step"]
        kernels.adam(parameter.data, grad, state["exp_avg"], state["exp_avg_sq"], largest, *how)


class AdamW(Adam):
    """Adam whose weight decay shrinks the weights themselves: ``w ← w - lr · weight_decay · w`` first.

    The decay then does not pass through Adam's division, which would take most of it away where gradients
    are large.

    Parameters
    ----------
    params : iterable of Parameter, or list of dict
    lr, betas, eps, weight_decay, amsgrad
        As in `Adam`; the weight decay is 0.01.

    Notes
    -----
    Source: Loshchilov and Hutter, "Decoupled weight decay regularization" (2019); ``torch.optim.AdamW``.

    Examples
    --------
    >>> weight = Parameter(np.array([1.0]))
    >>> optimizer = AdamW([weight], lr=0.1, weight_decay=0.5)
    >>> weight.grad = np.array([2.0])
    >>> optimizer.step()
    >>> weight.data.round(4)                    # 1 - 0.1·0.5·1 = 0.95, then 0.1 less
    array([0.85])
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad)

    @checks.without_warnings
    def decayed(self, parameter: Parameter, grad: np.ndarray, group: dict) -> np.ndarray:
        """Shrink the weights, and return the gradient as it is.

        >>> adam = AdamW([Parameter(np.array([2.0]))], lr=0.1, weight_decay=0.5)
        >>> adam.decayed(adam.param_groups[0]["params"][0], np.array([1.0]), adam.param_groups[0])
        array([1.])
        """
        parameter.data *= 1 - group["lr"] * group["weight_decay"]
        return grad
