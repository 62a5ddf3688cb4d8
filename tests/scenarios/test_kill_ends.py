"""`kill -9` of the real process in every phase of an end, a new start, an adoption: same end.

The process kills itself, at the first write of each run or once the answer is there, so that each
run gets one write further than the one before.
"""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.grounds import COMMAND, ROOT, Grounds
from tests.stores import stores_on

PROGRAM = """\
import os, signal, sys
from urllib3 import HTTPSConnectionPool as Pool
moment, real = sys.argv.pop(1), Pool.urlopen
def urlopen(self, method, *given, **named):
    if method != "GET" and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    answer = real(self, method, *given, **named)
    if method != "GET":
        os.kill(os.getpid(), signal.SIGKILL)
    return answer
Pool.urlopen = urlopen
from reconciler.cli import main
sys.exit(main())
"""
"""The command as it is, but for whom it meets at its first write."""

NIC = "nics: {net0: {ipv4: {pool: public-v4}}}"
GUARD = "guard: {destroys: 100%, minimum: 0}\n"
MOST = 20
RUN = ("--once",)
VMIDS = (1000, 1001)


@pytest.fixture(
    scope="module",
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.nightly)],
    autouse=True,
)
def stores(request: pytest.FixtureRequest) -> Iterator[None]:
    """Where the stores lie."""
    server = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    with stores_on(server):
        yield


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Grounds]:
    """A VM that is ready, and a fleet that may end it."""
    with Grounds(tmp_path, {"vms/vms.yaml": f"a: {{{NIC}}}\n"}) as grounds:
        grounds.write({"fleet.yaml": grounds.head() + GUARD})
        grounds.settle()
        yield grounds


def killed(grounds: Grounds, moment: str, *given: str) -> bool:
    """Run a command that is killed at its first write; False when it had none to make."""
    place = grounds.words(*given)[len(COMMAND) :]
    words = [sys.executable, "-c", PROGRAM, moment, *place]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stdout + done.stderr
    return done.returncode == -signal.SIGKILL


def killed_at_each_write(
    grounds: Grounds, *given: str, over: Callable[[], bool], both: bool = False
) -> int:
    """Kill run after run, until one that writes nothing leaves nothing; how many were killed."""
    count = 0
    for _ in range(MOST):
        if both:
            count += killed(grounds, "before", *given)
        if killed(grounds, "after", *given):
            count += 1
        elif over():
            return count
        grounds.later(15.0)
    raise AssertionError(f"still at it after {count} kills")


def is_made(grounds: Grounds) -> bool:
    """Whether the VM is ready, and nothing is open that was asked of it."""
    with grounds.store() as store:
        binding = store.bindings.of("a")
        return binding is not None and binding.phase == "ready" and not store.intents.of("a")


def is_ended(grounds: Grounds) -> bool:
    with grounds.store() as store:
        return store.bindings.of("a") is None


def calls(grounds: Grounds) -> dict[str, int]:
    """How often each call was made, by its last words."""
    found = grounds.sim("GET", "calls")
    return {
        "clone": found.get("POST /nodes/{node}/qemu/{vmid}/clone", 0),
        "delete": found.get("DELETE /nodes/{node}/qemu/{vmid}", 0),
    }


def told(grounds: Grounds, event: str) -> int:
    with grounds.store() as store:
        return sum(one.event == event for one in store.outbox.waiting())


def addresses(grounds: Grounds) -> list[str]:
    with grounds.store() as store:
        return [one.address for mine in store.leases.all().values() for one in mine]


def uuid_and_mac(grounds: Grounds) -> tuple[str, str]:
    config = grounds.world().vms[100].config
    return str(config["smbios1"]), str(config["net0"]).partition(",")[0]


def ask(verb: str) -> Callable[[Grounds], None]:
    def asked(grounds: Grounds) -> None:
        done = grounds.cli(verb, "a", "--yes")
        assert done.returncode == 0, done.stderr

    return asked


def absent(grounds: Grounds) -> None:
    grounds.write({"vms/vms.yaml": "a: {state: absent}\n"})


BEGUN = [pytest.param(absent, marks=pytest.mark.nightly), ask("terminate")]
VERBS = ["reinstall", pytest.param("redeploy", marks=pytest.mark.nightly)]
DEEP = [False, pytest.param(True, marks=pytest.mark.nightly)]
"""Whether runs are killed before each write too, when it was set down and not sent."""


@pytest.mark.parametrize("both", DEEP)
@pytest.mark.parametrize("begin", BEGUN, ids=["absent", "terminate"])
def test_an_end_that_is_killed_in_every_phase_comes_to_its_end(
    fleet: Grounds, begin: Callable[[Grounds], None], both: bool
) -> None:
    """TERM-07, TERM-09, TERM-16."""
    begin(fleet)
    assert killed_at_each_write(fleet, *RUN, over=lambda: is_ended(fleet), both=both) >= 2
    fleet.settle()
    assert 100 not in fleet.world().vms
    assert calls(fleet)["delete"] == 1 and told(fleet, "vm_terminated") == 1
    with fleet.store() as store:
        assert store.bindings.of("a") is None and "a" not in store.leases.all()


@pytest.mark.parametrize("both", DEEP)
@pytest.mark.parametrize("verb", VERBS)
def test_a_vm_made_anew_is_killed_in_every_phase_and_comes_to_be(
    fleet: Grounds, verb: str, both: bool
) -> None:
    """DEP-28, DEP-09: one end, one new machine, and what it keeps of the old one."""
    (address,), (uuid, mac) = addresses(fleet), uuid_and_mac(fleet)
    ask(verb)(fleet)
    assert killed_at_each_write(fleet, *RUN, over=lambda: is_made(fleet), both=both) >= 4
    fleet.settle()
    made = uuid_and_mac(fleet)
    assert made[0] != uuid and fleet.world().vms[100].status == "running"
    assert calls(fleet) == {"clone": 2, "delete": 1}
    assert len(addresses(fleet)) == 1
    if verb == "reinstall":
        assert addresses(fleet) == [address] and made[1] == mac
    with fleet.store() as store:
        assert [row.result for row in store.verbs.of("a")] == ["done"]


@pytest.mark.parametrize("both", DEEP)
def test_an_adoption_that_is_killed_in_every_phase_takes_all_over(
    tmp_path: Path, both: bool
) -> None:
    """Bound once, marked once; nothing but the marks is written."""
    with Grounds(tmp_path, {}) as grounds:
        for vmid in VMIDS:
            config = {"cores": 2, "memory": 1024, "scsi0": "local-lvm:1"}
            grounds.ask("POST", "/nodes/pve1/qemu", vmid=vmid, name=f"vm-{vmid}", **config)
        grounds.later(600)
        fleet = str(grounds.fleet)
        assert grounds.cli("adopt", "--all", "--write", fleet).returncode in (0, 1)
        words = ("adopt", "--all", "--apply")
        count = killed_at_each_write(grounds, *words, over=lambda: True, both=both)
        assert count >= 1  # several writes may be under way when the process dies
        grounds.settle()
        for vmid in VMIDS:
            marked = grounds.world().vms[vmid].config
            assert "reconcile-scene" in str(marked["tags"])
            assert f"vmid={vmid}" in str(marked["description"])
        put = grounds.sim("GET", "calls")["PUT /nodes/{node}/qemu/{vmid}/config"]
        with grounds.store() as store:
            assert sorted(one.vmid for one in store.bindings.all().values()) == [*VMIDS]
        assert put == len(VMIDS)
