"""The database server goes away in the middle of a run: one error, nothing lost, nothing twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.errors import status_and_words
from state.change import Call
from state.store import Lost
from tests.lab import Lab
from tests.laws.fleets import fleet_files
from tests.servers.postgres import Postgres, programs
from tests.stores import stores_on

VMS = {"one": {"tags": ["a"]}, "two": {"tags": ["b"]}}


@pytest.fixture
def mortal() -> Iterator[Postgres]:
    """A server of this test's own, which may be stopped."""
    found = programs()
    if found is None:
        pytest.skip("needs PostgreSQL's server programs: apt-get install postgresql")
    server = Postgres(found)
    with stores_on(server):
        yield server
    server.close()


def test_a_run_whose_store_goes_away_ends_at_once_and_is_gone_on_with(
    mortal: Postgres, tmp_path: Path
) -> None:
    lab = Lab(tmp_path / "lost", fleet_files(VMS))

    def crash(call: Call) -> bool:
        if not call.path.endswith("/config"):
            return False
        mortal.stop()
        return True

    lab.wire.meanwhile = crash
    with pytest.raises(Lost) as lost:
        lab.run()
    status, words = status_and_words(lost.value) or (0, "")
    assert status == 1 and words.startswith("database: postgresql://") and words.count("\n") == 0
    assert "the next run goes on" in words
    sent = [one.path for one in lab.wire.writes(1)]
    assert sum(path.endswith("/config") for path in sent) <= len(VMS), "only what was on its way"
    assert not any(path.endswith("/status/start") for path in sent)
    mortal.start()
    lab.clock.sleep(60.0)
    assert lab.settle().ready == 2
    clones = [sent for sent in lab.wire.writes() if sent.path.endswith("/clone")]
    assert len(clones) == 2
    quiet = Lab(tmp_path / "quiet", fleet_files(VMS))
    quiet.settle()
    assert lab.shot()["leases"] == quiet.shot()["leases"]
