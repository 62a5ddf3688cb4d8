"""Merging of spec maps: fleet defaults < package < VM; maps merge, everything else replaces."""

from collections.abc import Mapping

from desired.nodes import Tree


def merge(base: Mapping[str, object], over: Mapping[str, object]) -> Tree:
    """Return `base` with `over` laid on it; an explicit null removes what was inherited.

    Neither argument is changed, and parts that do not differ are shared with the result.
    """
    merged = dict(base)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            below = merged.get(key)
            merged[key] = merge(below if isinstance(below, dict) else {}, value)
        else:
            merged[key] = value
    return merged
