"""Two processes that lease from one pool and are killed (`kill -9`) again and again."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from state.quarantine import Resting
from state.store import Store
from tests.engine import AT
from tests.stores import KINDS, stores_on, where

NURSERY = """
import json, os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from sqlalchemy import Engine, event
from desired.catalog import Pool
from desired.source import Fleet
from desired.spec import VMSpec
from reconciler.allocation.addresses import Addresses
from reconciler.allocation.addressing import lease_addresses
from state.memory import Binding, Phase
from state.store import Store

place, world = sys.argv[1:]
at = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
pool = Pool.model_validate({"network": "10.0.0.0/21", "start": "10.0.0.1", "stop": "10.0.3.236"})
fleet = Fleet("f", {}, {}, pools={"p": pool})

def live(first, point, after):
    done = dict.fromkeys(("transaction", "lease", "write"), 0)

    def reached(here, *_):
        done[here] += 1
        if here == point and done[here] == after:
            os.kill(os.getpid(), signal.SIGKILL)

    store = Store.open(place, at=at)
    resting = {one.address: one.key for one in store.quarantine.all().values()}
    addresses = Addresses(store.leases.taken(), resting=resting)
    event.listen(Engine, "commit", lambda link: reached("transaction"))
    for number in range(first, first + 10):
        key = f"vm-{number}"
        if store.bindings.of(key) is None:
            store.bindings.bind(Binding(key, "lab", 1000 + number, key))
        for count in range(5, 51, 5):
            nics = {"net0": {"ipv4": {"pool": "p", "count": count}}}
            spec = VMSpec(key=key, cluster="lab", name=key, template="t", nics=nics)
            leases, notes = lease_addresses(spec, store.leases.of(key), fleet, addresses, store)
            assert not notes, notes
            reached("lease")
            Path(world, key + ".new").write_text(json.dumps([one.address for one in leases]))
            os.rename(Path(world, key + ".new"), Path(world, key))
            reached("write")
        store.bindings.change(Binding(key, "lab", 1000 + number, key, phase=Phase.READY))

for line in sys.stdin:
    point, after = line.split()
    children = []
    for first in (0, 10):
        child = os.fork()
        if not child:
            live(first, point, int(after))
            os._exit(0)
        children.append(child)
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    print(json.dumps(ends), flush=True)
"""
LIVES = (("lease", 30), ("transaction", 130), ("write", 25), ("transaction", 99), ("well", 0))
"""Where each life of both processes ends, and at the how-manieth time; the last ones end well."""


@pytest.fixture(params=KINDS)
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    server = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    with stores_on(server):
        yield where(tmp_path / "fleet.db")


@pytest.fixture
def nursery(place: str, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Gives life to two processes that lease side by side, whenever it is told where they end."""
    (tmp_path / "world").mkdir()
    command = [sys.executable, "-c", NURSERY, place, str(tmp_path / "world")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, text=True, bufsize=1, stdin=pipe, stdout=pipe) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
    assert process.returncode == 0


def test_ip_11_killed_processes_lease_no_address_twice_and_lose_none(
    place: str, nursery: subprocess.Popen[str], tmp_path: Path
) -> None:
    """IP-11: 1,000 addresses, 8 deaths between lease, write and commit; 4 rest in between."""
    world = tmp_path / "world"
    assert nursery.stdin is not None and nursery.stdout is not None
    resting = {f"10.0.1.{number}" for number in range(4)}
    with Store.open(place, at=AT) as store:
        for address in resting:
            until = AT + timedelta(days=1)
            store.quarantine.put(Resting(address, "p", AT, until, "old-1", "given back"))
        for point, after in LIVES:
            nursery.stdin.write(f"{point} {after}\n")
            ends = json.loads(nursery.stdout.readline())
            assert ends == ([0, 0] if point == "well" else [-9, -9])
            written = {path.name: json.loads(path.read_text()) for path in world.glob("vm-*[0-9]")}
            leased = {
                key: [lease.address for lease in leases]
                for key, leases in store.leases.all().items()
            }
            counted = Counter(address for mine in written.values() for address in mine)
            assert set(counted.values()) <= {1}
            assert all(set(mine) <= set(leased[key]) for key, mine in written.items())
        assert written == leased and [len(mine) for mine in leased.values()] == [50] * 20
        assert (
            store.leases.taken()
            == {f"10.0.{number // 256}.{number % 256}" for number in range(1, 1005)} - resting
        )
