"""Many at once: threads of one process, and processes on one store of either kind."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from state.memory import Binding, Lease
from state.store import Store, Taken

START = """
import sys
from datetime import UTC, datetime
from state.memory import Binding, Lease
from state.store import Store, Taken
path, name = sys.argv[1:]
at = datetime(2026, 3, 1, tzinfo=UTC)
store = Store.open(path, at=at)
"""
COUNT = (
    START
    + """
for number in range(100):
    store.attempts.fail("fleet", "cpu", name, at, at)
    store.cache.mark_dirty("lab", 100 + number % 7, at)
"""
)
LEASE = (
    START
    + """
store.bindings.bind(Binding(name, "lab", 200 + int(name), name))
pool = [f"10.0.0.{host}" for host in range(1, 101)]
ordinal = 0
while ordinal < 50:
    taken = store.leases.taken()
    free = next(address for address in pool if address not in taken)
    try:
        store.leases.take(Lease(name, "net0", "ipv4", ordinal, free, 24, "public"))
    except Taken:
        continue
    ordinal += 1
"""
)


def run_all(script: str, place: str, count: int) -> None:
    """Runs a script in several processes at once; each must end well."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, place, str(number)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    errors = [process.communicate()[1] for process in running]
    assert errors == [""] * count


def test_four_processes_read_modify_and_write_without_an_error(place: str, at: datetime) -> None:
    """800 transactions; the four also race to create the store."""
    run_all(COUNT, place, 4)
    with Store.open(place, at=at) as store:
        assert store.attempts.of("fleet")["cpu"].count == 400
        assert len(store.cache.all("lab")) == 7


def test_ip_11_two_processes_never_lease_one_address_twice(place: str, at: datetime) -> None:
    Store.open(place, at=at).close()
    run_all(LEASE, place, 2)
    with Store.open(place, at=at) as store:
        assert len(store.leases.taken()) == 100
        assert [len(leases) for leases in store.leases.all().values()] == [50, 50]


def test_sixteen_threads_share_one_store(place: str, at: datetime) -> None:
    with Store.open(place, at=at) as store, ThreadPoolExecutor(16) as threads:

        def work(number: int) -> int:
            key = f"vm-{number}"
            store.bindings.bind(Binding(key, "lab", 100 + number, key))
            store.attempts.fail("fleet", "cpu", key, at, at)
            return len(store.memories([key])[key].leases)

        assert list(threads.map(work, range(160))) == [0] * 160
        assert store.attempts.of("fleet")["cpu"].count == 160


def test_one_of_many_threads_gets_an_address(store: Store) -> None:
    def take(ordinal: int) -> bool:
        try:
            store.leases.take(Lease("web-1", "net0", "ipv4", ordinal, "10.0.0.7", 24, "public"))
        except Taken:
            return False
        return True

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(take, range(32))) == 1
