"""Every kind of broken input: what is reported, where, and that the other VMs go on (DEP-27)."""

from pathlib import Path

import pytest
import yaml

from desired.errors import UnusableSource
from tests.desired.fleets import lines, load

CASES = sorted((Path(__file__).parents[1] / "cases" / "specs").glob("*.yaml"))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_bad_input_is_reported_whole_and_the_other_vms_go_on_dep_27(
    case: Path, tmp_path: Path
) -> None:
    wanted = yaml.safe_load(case.read_text())
    try:
        fleet = load(tmp_path, wanted["files"])
    except UnusableSource as unusable:
        assert lines(unusable.errors, tmp_path) == wanted["unusable"]
        return
    assert lines(fleet.errors, tmp_path) == wanted["errors"]
    assert sorted(fleet.broken) == wanted.get("broken", [])
    assert sorted(fleet.vms) == wanted.get("sound", ["ok"])
    assert not fleet.broken & fleet.vms.keys()
