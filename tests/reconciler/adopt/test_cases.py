"""Every VM that the handlers' cases see is adopted as it is, or left out with the reason."""

from dataclasses import replace
from pathlib import Path

from desired.files import FileSource
from reconciler.adopt.found import Candidate
from reconciler.adopt.propose import Drafts, Proposed
from reconciler.config import Opened
from state.conf import VMConfig
from state.machine import Machine
from state.observed import SeenConfig, SeenVM
from state.store import Store
from tests.adoption import FILES
from tests.casefile import read_case
from tests.engine import AT, UUID, node, vm

CASES = Path(__file__).parents[2] / "cases"
ROOMS = (
    *("cloudinit", "cpu", "devices", "disks", "firewall", "firmware", "media", "memory"),
    *("network", "options", "passthrough", "pool", "power", "tags"),
)


def candidate(seen: SeenVM, vmid: int) -> Candidate | None:
    """The VM of a case as if others had made it: of a vmid and a name of its own."""
    if seen.config is None:
        return None
    named = {"name": f"vm-{vmid}", "smbios1": f"uuid={UUID}"}
    wanted = VMConfig({**seen.config.wanted.raw, **named})
    live = VMConfig({**seen.config.live.raw, **named})
    config = SeenConfig(wanted, live, seen.config.pending, "d1", AT)
    row = replace(seen.row or vm(vmid), vmid=vmid, node="pve1")
    view = replace(seen.cluster, name="demo", vms={vmid: row}, nodes={"pve1": node("pve1")})
    return Candidate(view, row, Machine(config, seen.firewall))


def proposals(folder: Path) -> tuple[Proposed, ...]:
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    paths = [path for room in ROOMS for path in sorted((CASES / room).glob("*.yaml"))]
    cases = [candidate(read_case(path).seen, 1000 + n) for n, path in enumerate(paths)]
    store = Store.temporary(at=AT)
    fleet = FileSource(folder, bare=True).load({}, AT)
    drafts = Drafts(Opened(fleet, store, folder / "x.db", True), folder, AT)
    return drafts.proposal([one for one in cases if one], []).vms


def test_each_is_proven_or_named(tmp_path: Path) -> None:
    found = proposals(tmp_path)
    taken = [one for one in found if not one.refused]
    assert len(found) > 200 and len(taken) > len(found) / 2
    assert all(one.key for one in taken)
    left = [one.refused for one in found if one.refused]
    assert [
        text for text in left if "is a copy of vm" not in text and ".waiting:" not in text
    ] == []
