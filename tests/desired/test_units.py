"""Sizes, rates and durations as written."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desired.spec import VMSpec
from desired.units import format_size, parse_duration, parse_rate, parse_size


def test_units_are_powers_of_1024() -> None:
    texts = ("10GiB", "10 G", "512M", "1.5T", "64K", "7B", "0", 0)
    sizes = [10 << 30, 10 << 30, 512 << 20, 1536 << 30, 64 << 10, 7]
    assert [parse_size(text) for text in texts[:6]] == sizes
    assert parse_size(0) == 0


@pytest.mark.parametrize("value", ["10GB", "10", 10, True, False, "1.3B", "x", None, [], "-1G"])
def test_a_size_without_a_clear_unit_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_size(value)


@given(st.integers(0, 1 << 50))
def test_a_formatted_size_is_parsed_back(size: int) -> None:
    assert parse_size(format_size(size)) == size


def test_rates_and_durations_need_their_unit() -> None:
    assert [parse_rate(rate) for rate in ("12.5MB/s", "3 MB/s", 0)] == [12.5, 3.0, 0.0]
    spans = ("90s", "15min", "24h", "7d")
    assert [parse_duration(span) for span in spans] == [90, 900, 86400, 604800]
    for parse in (parse_rate, parse_duration):
        for wrong in (5, "5", True, "5GB", None):
            with pytest.raises(ValueError, match="expected"):
                parse(wrong)


def test_a_spec_prints_its_sizes_with_units() -> None:
    spec = VMSpec.model_validate(
        {
            "key": "a",
            "cluster": "c",
            "name": "a",
            "memory": "1536MiB",
            "balloon": 0,
            "nics": {"net0": {"rate": "12.5MB/s"}, "net1": {"rate": 0}},
        }
    )
    shown = spec.model_dump(mode="json")
    assert (shown["memory"], shown["balloon"]) == ("1536MiB", 0)
    assert (shown["nics"]["net0"]["rate"], shown["nics"]["net1"]["rate"]) == ("12.5MB/s", 0)
    assert spec.fqdn is None


@given(st.decimals(0, 10240, places=9, allow_nan=False))
def test_a_spec_prints_its_rates_to_the_last_digit(rate: Decimal) -> None:
    plain = {"key": "a", "cluster": "lab", "name": "a", "nics": {"net0": {"rate": f"{rate:f}MB/s"}}}
    spec = VMSpec.model_validate(plain)
    assert VMSpec.model_validate_json(spec.model_dump_json()) == spec
