"""Entrants and results that are planted, so that the tests know what must come out."""

from __future__ import annotations

import numpy as np

from minicnn.benchmark.entrants import Ours

PLANTED_MACHINE = {
    "processor": "a processor",
    "cores": 2,
    "system": "Linux x86_64",
    "versions": {"python": "3.12.0", "minicnn": "0.1.0"},
    "threads": {"minicnn": 2},
    "busy": 0.0,
}


class Wrong(Ours):
    """Ours, with one thing wrong."""

    kind = "peer"

    def __init__(self, fault: str) -> None:
        self.fault, self.name = fault, f"wrong {fault}"

    def net(self, model, images, targets):
        if self.fault == "refusal":
            raise NotImplementedError("no stride\nhere")
        runner = super().net(model, images, targets)
        if self.fault == "logits":
            right = runner.forward
            runner.forward = lambda: right() + 0.01
        elif self.fault == "nan":
            runner.forward = lambda: np.full((len(images), 3), np.nan, np.float32)
        elif self.fault == "shape":
            right = runner.forward
            runner.forward = lambda: right()[:1]
        elif self.fault == "gradient":
            found = runner.gradients
            runner.gradients = lambda: found() | {"0.weight": found()["0.weight"][:, :, ::-1]}
        elif self.fault == "frozen":
            runner.optimizer.step = lambda: None
        elif self.fault == "half steps":
            runner.optimizer.param_groups[0]["lr"] /= 2
        return runner

    def convolution(self, shape, arrays):
        functions = super().convolution(shape, arrays)
        if self.fault in functions:
            right = functions[self.fault]
            functions[self.fault] = lambda: right() * np.float32(1.001)
        return functions

    def layer(self, layer, input, grad_output):
        functions = super().layer(layer, input, grad_output)
        right = functions["forward and backward"]
        if self.fault == "backward":
            functions["forward and backward"] = lambda: [grad * 2 for grad in right()]
        if self.fault == "missing":
            functions["forward and backward"] = lambda: right()[1:]
        return functions


def timed(median: float, runs: int = 30) -> dict:
    """Return the entry of a racer in a row."""
    return {"median": median, "minimum": median, "quartiles": [median, median], "runs": runs}


def planted_row(ratio: float, **fields) -> dict:
    """Return a row in which eager torch takes `ratio` times as long as ours."""
    return {
        **fields,
        "times": {"ours": timed(0.001), "torch eager": timed(0.001 * ratio)},
        "struck_out": {},
        "ratios": {"torch eager": ratio},
        "best_torch": "torch eager",
        "ratio": ratio,
    }


def planted_results(**changed) -> dict:
    """Return a race in which every figure is met, except for what is changed."""
    nets = [
        planted_row(2.5, net=net, N=N, **{"pass": name})
        for net in ("SimpleCNN", "DeeperCNN")
        for N in (1, 64)
        for name in ("forward", "training step")
    ]
    nets[0]["ratios"]["mygrad"], nets[0]["times"]["mygrad"] = 50.0, timed(0.05, runs=5)
    nets[0]["struck_out"]["pydynet"] = "strided: logits differ by 1e+00"
    convolution = {"shape": "64x16x14x14 -> 32, 3x3", "flops": 10**8, "full_tile": True, "share": 0.9}
    results = {
        "machine": PLANTED_MACHINE,
        "settings": {},
        "absent": {"jax": "not installed"},
        "limits": {"sgemm_gflops": 180.0, "sgemm_by": "NumPy", "copy_gbytes_per_second": 20.0, "threads": 2},
        "nets": nets,
        "threads": {
            "net": "DeeperCNN",
            "N": 64,
            "threads": 2,
            "forward": 1.9,
            "training step": 1.8,
            "arithmetic alone": 1.95,
        },
        "cost_per_image": [
            {"net": "DeeperCNN", "small": 64, "large": 1024, "forward": 1.0, "training step": 1.05}
        ],
        "complete": {"accuracy": [0.98, 0.991], "seconds": [5.0, 10.0], "seconds_to_goal": 10.0},
        "convolutions": [planted_row(1.5, **convolution, **{"pass": "forward"})],
        "layers": [planted_row(1.5, operation="ReLU", shape="64x10", **{"pass": "forward"})],
        "cold": {
            "import": {"minicnn": 0.7, "numba": 0.5},
            "first_step": {"empty cache": 5.0, "full cache": 1.0, "torch": 3.0},
        },
        "memory": [
            {"net": "DeeperCNN", "N": 256, "step": {"ours": 100.0, "torch eager": 200.0}, "ratio": 0.5}
        ],
    }
    return results | changed
