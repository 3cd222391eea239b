"""What a race comes to: every racer's times beside ours, and the best torch."""

from __future__ import annotations

from minicnn.benchmark.race import Times


def outcome(times: dict[str, Times], struck_out: dict[str, str]) -> dict:
    """Return one case as plain data: times, who was struck out and why, and times relative to ours.

    Parameters
    ----------
    times : dict of str to Times
    struck_out : dict of str to str
        Names and reasons.

    Returns
    -------
    dict
        ``times``, ``struck_out``, ``ratios`` (median / our median), ``best_torch`` (the name of the fastest
        form of torch, or None) and ``ratio`` (its time / ours, or None).

    Examples
    --------
    >>> times = {"ours": Times([1.0]), "torch eager": Times([3.0]), "torch channels_last": Times([2.0])}
    >>> found = outcome(times, {"mygrad": "logits differ by 1e+00"})
    >>> found["best_torch"], found["ratio"], found["ratios"]
    ('torch channels_last', 2.0, {'torch eager': 3.0, 'torch channels_last': 2.0})
    """
    medians = {name: found.median for name, found in times.items()}
    ours = medians.get("ours")
    ratios = {name: m / ours for name, m in medians.items() if name != "ours"} if ours else {}
    torches = [name for name in medians if name.startswith("torch")]
    best = min(torches, key=medians.get, default=None)
    return {
        "times": {name: found.as_dict() for name, found in times.items()},
        "struck_out": dict(struck_out),
        "ratios": ratios,
        "best_torch": best,
        "ratio": ratios.get(best),
    }


def as_text(seconds: float) -> str:
    """Return a time with its unit, in three digits.

    >>> as_text(2.5), as_text(0.01234), as_text(0.000000678)
    ('2.50 s', '12.3 ms', '0.678 us')
    """
    unit, size = ("s", 1.0) if seconds >= 1 else ("ms", 1e-3) if seconds >= 1e-3 else ("us", 1e-6)
    number = seconds / size
    digits = 3 if number < 1 else 2 if number < 10 else 1 if number < 100 else 0
    return f"{number:.{digits}f} {unit}"
