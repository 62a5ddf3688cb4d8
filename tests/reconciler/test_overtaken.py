"""A run that stood still while another took its place: the cluster hears no more of it."""

import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, text

from state.place import read_place
from tests.grounds import ROOT, Grounds
from tests.reconciler.tenants import until
from tests.stores import KINDS, stores_on

WEB = "".join(
    f"web-{number}: {{memory: 1GiB, nics: {{net0: {{ipv4: {{pool: public-v4}}}}}}}}\n"
    for number in range(3)
)
LOCKS = "locks: {timeout: 1s}\n"
CLONE = "clone"


@pytest.fixture(params=KINDS)
def grounds(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Grounds]:
    server = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    with stores_on(server), Grounds(tmp_path, {"vms/web.yaml": WEB}, speed=20.0) as ready:
        ready.write({"fleet.yaml": ready.head() + LOCKS})
        yield ready


def writes(grounds: Grounds) -> dict[str, int]:
    calls: dict[str, int] = grounds.sim("GET", "calls")
    return {path: count for path, count in calls.items() if not path.startswith("GET ")}


def stopped_at_rest(process: "subprocess.Popen[str]", grounds: Grounds) -> bool:
    """Stop a run, unless it is amid a transaction: then nobody could use the store."""
    process.send_signal(signal.SIGSTOP)
    if "://" in grounds.where:
        busy = "SELECT 1 FROM pg_stat_activity WHERE state = 'idle in transaction'"
        engine = create_engine(read_place(grounds.where, key=Path("k")).url, poolclass=NullPool)
        with engine.connect() as link:
            rests = link.execute(text(busy)).first() is None
    else:
        file = sqlite3.connect(grounds.database, timeout=0.1, isolation_level=None)
        with closing(file), suppress(sqlite3.OperationalError):
            file.execute("BEGIN IMMEDIATE")
            return True
        rests = False
    if not rests:
        process.send_signal(signal.SIGCONT)
    return rests


def test_lock_05_a_run_that_was_overtaken_writes_nothing_more(grounds: Grounds) -> None:
    """LOCK-02, LOCK-05: stopped amid its clones; another run makes the fleet ready meanwhile."""
    first = subprocess.Popen(
        grounds.words("--once", "-q"), cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    try:
        until(lambda: any(path.endswith(CLONE) for path in writes(grounds)))
        until(lambda: stopped_at_rest(first, grounds))
        until(lambda: grounds.cli("--once", "-q").returncode != 75)
        until(lambda: grounds.run().writes == 0)
        before, calls = grounds.world(), writes(grounds)
        first.send_signal(signal.SIGCONT)
        _, said = first.communicate(timeout=60)
    finally:
        first.kill()
        first.wait()
    assert first.returncode == 75, said
    assert "the lock of process_vms is lost" in said and "nothing more is written" in said
    assert writes(grounds) == calls
    assert sum(count for path, count in calls.items() if path.endswith(CLONE)) == 3
    assert grounds.world().vms.keys() == before.vms.keys()
    with grounds.store() as store:
        assert all(run.finished_at for run in store.journal.runs()[:1])
