"""docs/simulator.md names every fault with fields that exist, and every call of the tests' door."""

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import click

from reconciler.cli.simulate import simulate
from reconciler.sim.faults.fault import OWN_FIELDS, Fault, Kind
from reconciler.sim.http import control

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "simulator.md").read_text()
KNOWN = {one.name for one in fields(Fault)} - OWN_FIELDS


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    part = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def names(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_every_kind_of_fault_has_its_row() -> None:
    assert sorted(names(row[0])[0] for row in rows("Faults")) == sorted(get_args(Kind))


def test_the_fields_that_count_exist_and_each_is_told() -> None:
    counted = {name for row in rows("Faults") for name in names(row[2])}
    matching = {"method", "path", "vmid", "task", "nth", "times", "lasting"}
    assert counted | matching | {"kind"} == KNOWN
    assert all(f"`{name}`" in PAGE for name in matching)


def test_every_call_of_the_door_is_told() -> None:
    told = {call for row in rows("The door for tests") for call in names(row[0])}
    calls = {call.partition("[")[0] for call in told if call.startswith(("GET", "POST", "DELETE"))}
    written = re.findall(r"(?:GET|POST|DELETE)\s+/sim/\w+", control.__doc__ or "")
    assert calls >= {" ".join(call.split()) for call in written}


def test_every_option_of_the_command_is_told() -> None:
    part = PAGE.partition("| option |")[2].partition("\n\n")[0]
    told = {word for name in names(part) for word in name.split() if word.startswith("--")}
    ours = {name for one in simulate.params for name in one.opts if isinstance(one, click.Option)}
    assert ours - {"--host"} == told
