"""ISOs are shown by group."""

import pytest

from reconciler.pve.files import Stored
from reconciler.show.isos import group_of, grouped, render_isos
from reconciler.show.text import Paint


@pytest.mark.parametrize(
    ("file", "group"),
    [("debian-12-amd64.iso", "debian"), ("memtest.iso", "OTHER"), ("-odd.iso", "OTHER")],
)
def test_an_iso_s_group_is_the_name_before_its_first_hyphen_ci_07(file: str, group: str) -> None:
    assert group_of(file) == group


FILES = [
    Stored("local:iso/memtest.iso", 900, ("pve1",)),
    Stored("local:iso/debian-13.iso", 700 << 20, ("pve1", "pve2")),
    Stored("nfs:iso/debian-12.iso", 600 << 20, ("pve1",)),
    Stored("local:iso/Zorin-1.iso", 1 << 30, ("pve1",)),
]


def test_groups_are_in_order_and_other_last_ci_07() -> None:
    names = {name: [one.file for one in files] for name, files in grouped(FILES).items()}
    assert names == {
        "Zorin": ["Zorin-1.iso"],
        "debian": ["debian-12.iso", "debian-13.iso"],
        "OTHER": ["memtest.iso"],
    }


def test_a_group_s_name_stands_once() -> None:
    lines = [line.rstrip() for line in render_isos("demo", FILES, Paint()).split("\n")]
    assert lines == [
        "cluster demo",
        "GROUP   ISO                      SIZE     NODES",
        "Zorin   local:iso/Zorin-1.iso    1 GiB    pve1",
        "debian  nfs:iso/debian-12.iso    600 MiB  pve1",
        "        local:iso/debian-13.iso  700 MiB  pve1, pve2",
        "OTHER   local:iso/memtest.iso    1 MiB    pve1",
    ]
    assert render_isos("demo", [], Paint()).endswith("no storage that was seen holds one")
