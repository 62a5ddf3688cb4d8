"""What of a month's traffic counts, and what is over its allowance (USE-03)."""

import pytest

from desired.traffic import Traffic


@pytest.mark.parametrize(
    ("counts", "counted"), [("both", 40), ("in", 30), ("out", 10), ("larger", 30)]
)
def test_use_03_what_counts_is_as_the_package_says(counts: str, counted: int) -> None:
    traffic = Traffic.model_validate({"allowance": "1KiB", "counts": counts})
    assert traffic.counted(30, 10) == counted
    assert traffic.over(30, 10) == 0
    assert traffic.over(30 * 1024, 10 * 1024) == (counted - 1) * 1024


def test_without_an_allowance_nothing_is_over() -> None:
    assert Traffic().over(10**15, 10**15) == 0
