"""The order that people expect of names with numbers in them."""

from __future__ import annotations

import re


def natural_key(name: str) -> tuple:
    """Return what to sort by so that "2" comes before "10", and upper case beside lower case.

    >>> sorted(["10", "b", "2", "A", "img12", "img2"], key=natural_key)
    ['2', '10', 'A', 'b', 'img2', 'img12']
    """
    parts = re.split("([0-9]+)", name.casefold())  # text, number, text, ..., so that like meets like
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], name
