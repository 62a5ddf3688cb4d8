"""The files of an adoption: nothing that stands there is lost, and twice is once."""

from pathlib import Path

import pytest

from reconciler.adopt.folder import compared, write
from reconciler.adopt.found import Selection
from tests.adoption import ALL, FILES, applied, make, proposed, wrote
from tests.lab import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path, FILES)
    make(made, 300, "one", tags="a")
    make(made, 301, "two", tags="b")
    return made


def vms(lab: Lab) -> list[str]:
    return sorted(str(path.relative_to(lab.fleet)) for path in lab.fleet.glob("vms/**/*.yaml"))


def marks(lab: Lab, selection: Selection = ALL) -> dict[str, str]:
    found = proposed(lab, selection)
    return {one.inner: one.mark for one in compared(lab.fleet, found.texts, found.batch)}


def test_files_are_new_then_the_same_then_edited(lab: Lab) -> None:
    assert marks(lab) == {"vms/adopted/single.yaml": "+"}
    wrote(lab)
    assert marks(lab) == {"vms/adopted/single.yaml": "="}
    lab.ask("PUT", "/nodes/pve1/qemu/300/config", cores=4)
    assert marks(lab) == {"vms/adopted/single.yaml": "~"}
    wrote(lab)
    assert "cores: 4" in (lab.fleet / "vms/adopted/single.yaml").read_text()


def test_a_file_that_is_not_wanted_any_more_is_told(lab: Lab) -> None:
    wrote(lab)
    stale = lab.fleet / "vms/adopted/adopted-9c-1gib.yaml"
    stale.write_text("")
    assert marks(lab)["vms/adopted/adopted-9c-1gib.yaml"] == "-"
    found = proposed(lab)
    write(lab.fleet, compared(lab.fleet, found.texts, found.batch))
    assert vms(lab) == ["vms/adopted/single.yaml"]


def test_another_adoption_has_files_of_its_own(lab: Lab) -> None:
    wrote(lab, Selection(tags=("a",)))
    wrote(lab, Selection(tags=("b",)))
    assert vms(lab) == ["vms/adopted-2/single.yaml", "vms/adopted/single.yaml"]
    assert marks(lab, Selection(tags=("a",))) == {"vms/adopted/single.yaml": "="}
    assert marks(lab, Selection(tags=("b",))) == {"vms/adopted-2/single.yaml": "="}
    assert {one.refused for one in applied(lab).vms if not one.expected} == {""}


def test_vms_that_are_bound_keep_their_files(lab: Lab) -> None:
    wrote(lab, Selection(tags=("a",)))
    applied(lab)
    before = (lab.fleet / "vms/adopted/single.yaml").read_bytes()
    wrote(lab)
    assert vms(lab) == ["vms/adopted-2/single.yaml", "vms/adopted/single.yaml"]
    assert (lab.fleet / "vms/adopted/single.yaml").read_bytes() == before


def test_a_spec_that_a_person_moved_is_left_to_them(lab: Lab) -> None:
    wrote(lab, Selection(tags=("a",)))
    (lab.fleet / "vms/adopted/single.yaml").rename(lab.fleet / "vms/mine.yaml")
    (found,) = proposed(lab, Selection(tags=("a",))).vms
    assert (found.key, found.refused) == ("one", "has a spec already (one): --apply takes it over")
    assert found.expected
    assert [one.key for one in applied(lab).taken] == ["one"]


def test_packages_of_others_keep_their_names(lab: Lab) -> None:
    make(lab, 302, "three")
    lab.write({"packages/p.yaml": "adopted-2c-2gib: {memory: 1GiB}\n"})
    found = wrote(lab)
    assert {one.package for one in found.taken} == {"adopted-2c-2gib-2"}
    assert len(applied(lab).taken) == 3
