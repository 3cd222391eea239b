"""Optimizer: what all optimizers share. They see Parameters only, and change them in place."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable

import numpy as np

from minicnn import checks, kernels
from minicnn.parameter import Parameter


class Optimizer:
    """Holds parameters in groups, each with its own settings, and a state for each parameter.

    A subclass names its settings in `defaults` and writes `update`.

    Parameters
    ----------
    params : iterable of Parameter, or list of dict
        A dict holds "params" and the settings that differ from the defaults in this group.
    defaults : dict
        Settings of every group that does not name its own.

    Attributes
    ----------
    param_groups : list of dict
    state : dict
        From the parameter's number, counted over all groups, to its arrays and counters.

    Examples
    --------
    >>> from minicnn import optim
    >>> weight, bias = Parameter(np.ones(2)), Parameter(np.ones(1))
    >>> optimizer = optim.SGD([{"params": [weight]}, {"params": [bias], "lr": 0.5}], lr=0.1)
    >>> [group["lr"] for group in optimizer.param_groups]
    [0.1, 0.5]
    """

    def __init__(self, params: Iterable, defaults: dict) -> None:
        self.defaults = defaults
        self.param_groups: list[dict] = []
        self.state: dict[int, dict] = {}
        listed = self._listed(params)
        if not listed:
            raise ValueError(
                f"{self.who}: params must hold at least one Parameter. Got none. "
                "Pass model.parameters(), freshly called."
            )
        groups = listed if isinstance(listed[0], dict) else [{"params": listed}]
        for group in groups:
            self.add_param_group(group)
        dtypes = {parameter.data.dtype for group in self.param_groups for parameter in group["params"]}
        if kernels.FUSES and dtypes == {np.dtype(np.float32)}:
            kernels.expect_training()

    @property
    def who(self) -> str:
        """How messages call this optimizer."""
        return type(self).__name__

    def _listed(self, params: Iterable) -> list:
        try:
            iterator = iter(params)
        except TypeError:
            raise TypeError(
                f"{self.who}: params must be a list of Parameters. Got {type(params).__name__}. "
                "Pass model.parameters(), or [parameter]."
            ) from None
        return list(iterator)

    def add_param_group(self, group: dict) -> None:
        """Let the optimizer change further parameters, with settings of their own.

        >>> from minicnn import optim
        >>> optimizer = optim.SGD([Parameter(np.ones(2))], lr=0.1)
        >>> optimizer.add_param_group({"params": [Parameter(np.ones(1))], "lr": 0.01})
        >>> len(optimizer.param_groups)
        2
        """
        if not isinstance(group, dict) or "params" not in group:
            raise TypeError(
                f'{self.who}: a parameter group must be a dict with "params". Got {type(group).__name__}. '
                'Pass {"params": [...], "lr": ...}.'
            )
        unknown = sorted(set(group) - set(self.defaults) - {"params"})
        if unknown:
            raise ValueError(
                f"{self.who}: a parameter group may hold params, {', '.join(self.defaults)}. "
                f"Got {', '.join(unknown)}. Leave it out."
            )
        params = group["params"]
        params = [params] if isinstance(params, Parameter) else self._listed(params)
        known = {id(p) for other in self.param_groups for p in other["params"]}
        for parameter in params:
            if not isinstance(parameter, Parameter):
                raise TypeError(
                    f"{self.who}: params must be Parameters. Got {type(parameter).__name__}. "
                    "Pass model.parameters()."
                )
            if id(parameter) in known:
                raise ValueError(
                    f"{self.who}: every Parameter must stand in one place. Got one of shape "
                    f"{parameter.data.shape} twice. Remove the second."
                )
            known.add(id(parameter))
        settings = {**self.defaults, **group, "params": params}
        self.check_settings(settings)
        self.param_groups.append(settings)

    def check_settings(self, settings: dict) -> None:
        """Raise unless the settings of a group make sense; each optimizer names its own rules."""
        for name in ("lr", "momentum", "weight_decay", "eps", "alpha"):
            if name in settings:
                checks.as_number(self.who, name, settings[name], low=0)

    def update(self, parameter: Parameter, grad: np.ndarray, state: dict, group: dict) -> None:
        """Change `parameter.data` in place, given its gradient."""
        raise TypeError(
            f"{self.who}: update is missing. Got an optimizer without one. "
            "Define update(parameter, grad, state, group)."
        )

    @checks.without_warnings
    def step(self) -> None:
        """Change every parameter that has a gradient."""
        self._update_all()

    def _update_all(self) -> None:
        number, state = 0, self.state
        for group in self.param_groups:
            for parameter in group["params"]:
                grad = parameter.grad
                if grad is not None:
                    if type(grad) is not np.ndarray or grad.shape != parameter.data.shape:
                        self._check_grad(number, grad, parameter.data.shape)
                    if number not in state:
                        state[number] = {}
                    self.update(parameter, grad, state[number], group)
                number += 1

    def _check_grad(self, number: int, grad, shape: tuple[int, ...]) -> None:
        checks.as_float_array(self.who, f"grad of parameter {number}", grad)
        if grad.shape != shape:
            raise ValueError(
                f"{self.who}: grad of parameter {number} must have the parameter's shape {shape}. Got {grad.shape}. "
                "Set a gradient of its shape, or call zero_grad() and backward."
            )

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def state_dict(self) -> dict:
        """Return copies of state and settings: {"state": ..., "param_groups": ...}, as torch does.

        >>> from minicnn import optim
        >>> optim.SGD([Parameter(np.ones(2))], lr=0.1).state_dict()["param_groups"][0]["params"]
        [0]
        """
        groups, number = [], 0
        for group in self.param_groups:
            settings = {key: copy.deepcopy(value) for key, value in group.items() if key != "params"}
            settings["params"] = list(range(number, number + len(group["params"])))
            number += len(group["params"])
            groups.append(settings)
        return {"state": copy.deepcopy(self.state), "param_groups": groups}

    def load_state_dict(self, state_dict: dict) -> None:
        """Take over what `state_dict` of an optimizer of the same parameters returned.

        Raises
        ------
        TypeError
            If it is no state of an optimizer; nothing is changed then, nor in the next case.
        ValueError
            If the names of the settings, the numbers of groups or parameters, or an array's shape, differ.
        """
        if not isinstance(state_dict, dict) or not {"state", "param_groups"} <= set(state_dict):
            got = (
                ", ".join(map(str, state_dict)) if isinstance(state_dict, dict) else type(state_dict).__name__
            )
            raise TypeError(
                f"{self.who}: load_state_dict needs state and param_groups. Got {got:.200}. "
                "Pass optimizer.state_dict()."
            )
        groups = state_dict["param_groups"]
        for settings in groups:
            if not set(self.defaults) <= set(settings):  # there may be more: schedulers keep rates there
                raise ValueError(
                    f"{self.who}: load_state_dict needs the settings {', '.join(self.defaults)} of every group. "
                    f"Got {', '.join(name for name in settings if name != 'params')}. "
                    "Build the optimizer as it was when it was saved."
                )
        have = [len(group["params"]) for group in self.param_groups]
        given = [len(group["params"]) for group in groups]
        if have != given:
            raise ValueError(
                f"{self.who}: load_state_dict needs groups of {have} parameters. Got {given}. "
                "Build the optimizer as it was when it was saved."
            )
        params = [parameter for group in self.param_groups for parameter in group["params"]]
        state = {int(number): copy.deepcopy(values) for number, values in state_dict["state"].items()}
        for number, values in state.items():
            for name, value in values.items():
                got = value.shape if isinstance(value, np.ndarray) else type(value).__name__
                if np.ndim(value) and got != params[number].data.shape:
                    raise ValueError(
                        f"{self.who}: load_state_dict needs {name} of parameter {number} as an array of shape "
                        f"{params[number].data.shape}. Got {got}. "
                        "Build the optimizer as it was when it was saved."
                    )
        self.state = state
        for group, settings in zip(self.param_groups, groups, strict=True):
            group.update({key: copy.deepcopy(value) for key, value in settings.items() if key != "params"})

    def __repr__(self) -> str:
        lines = [
            ", ".join(f"{key}={value}" for key, value in group.items() if key != "params")
            for group in self.param_groups
        ]
        return f"{self.who}(" + "; ".join(lines) + ")"


@checks.without_warnings
def clip_grad_norm_(
    parameters: Iterable[Parameter], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> float:
    """Shrink all gradients together so that their norm is at most `max_norm`, and return the norm before.

    ``grad ← grad · min(1, max_norm / (norm + 1e-6))``, with the norm over all numbers of all gradients.

    Parameters
    ----------
    parameters : Parameter or iterable of Parameter
    max_norm : float
    norm_type : float
        Greater than 0: 2 for the root of the sum of squares, ``math.inf`` for the largest magnitude.
    error_if_nonfinite : bool
        Whether a norm that is NaN or infinite raises RuntimeError.

    Notes
    -----
    Source: Pascanu et al., "On the difficulty of training recurrent neural networks" (2013); the 1e-6 is
    that of ``torch.nn.utils.clip_grad_norm_``.

    Examples
    --------
    >>> parameter = Parameter(np.zeros(2))
    >>> parameter.accumulate(np.array([3.0, 4.0]))
    >>> clip_grad_norm_([parameter], max_norm=1.0)          # √(3² + 4²)
    5.0
    >>> parameter.grad.round(6)
    array([0.6, 0.8])
    """
    listed = [parameters] if isinstance(parameters, Parameter) else list(parameters)
    checks.as_number("clip_grad_norm_", "max_norm", max_norm, low=0)
    if checks.as_number("clip_grad_norm_", "norm_type", norm_type) <= 0:
        raise ValueError(
            f"clip_grad_norm_: norm_type must be greater than 0. Got {norm_type}. "
            "Pass 2 for the root of the sum of squares."
        )
    given = [parameter for parameter in listed if parameter.grad is not None]
    sizes = [np.abs(parameter.grad) for parameter in given]
    if math.isinf(norm_type):
        norm = float(np.max([size.max(initial=0) for size in sizes], initial=0))
    else:
        total = sum(float(np.sum(size.astype(np.float64) ** norm_type)) for size in sizes)
        norm = float(np.float64(total) ** (1 / norm_type))
    if error_if_nonfinite and not math.isfinite(norm):
        raise RuntimeError(
            f"clip_grad_norm_: the norm of the gradients must be finite. Got {norm}. "
            "Look for the first NaN with inspection.trace."
        )
    factor = max_norm / (norm + 1e-6)
    if not factor >= 1:  # NaN too: it must show
        for parameter in given:
            parameter.grad = np.asarray(parameter.grad * factor, parameter.grad.dtype)
    return norm
