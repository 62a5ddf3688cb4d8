"""`kill -9` of the real process, many threads at work: the next runs end in the same world."""

import json
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.grounds import ROOT, Grounds
from tests.portrait import Portrait
from tests.scenarios.sample import FLEET, summary

POINTS = 20
WRITES = 133
"""Writes that deploying the sample fleet takes; `test_sample_fleet` asserts them one by one."""


def grounds_of_sample(folder: Path) -> Grounds:
    """A cluster of its own, which outlives the runner, and the sample fleet pointed at it."""
    shutil.copytree(FLEET, folder / "fleet")
    head = (FLEET / "fleet.yaml").read_text()
    grounds = Grounds(folder, {})
    (grounds.fleet / "pools" / "pools.yaml").unlink()
    entry = json.dumps(
        {
            "endpoints": [grounds.server.url],
            "token": {"id": "reconcile@pve!fleet", "secret": "file:token"},
            "tls": {"fingerprints": [grounds.server.fingerprint]},
        }
    )
    written = re.sub(r"demo: \{simulated: .*$", f"demo: {entry}", head, flags=re.M)
    assert written != head
    grounds.write({"fleet.yaml": written})
    return grounds


def killed_after(grounds: Grounds, writes: int) -> int:
    """Start a run and kill it once it has told of so many writes; its exit status."""
    runner = subprocess.Popen(
        grounds.words("--once", "--output", "json", "--verbose"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert runner.stdout is not None
    told = 0
    for line in runner.stdout:
        event = json.loads(line)
        told += event["event"] == "request" and event["method"] != "GET"
        if told >= writes:
            runner.kill()
            break
    runner.stdout.close()
    return runner.wait(60)


def alike(shot: Portrait) -> str:
    """A portrait as text, the drawn name of `guest` aside."""
    return re.sub(r"guest-[a-z]{6}", "guest-?", json.dumps(shot, sort_keys=True, default=str))


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The end of a deploy that nobody killed."""
    with grounds_of_sample(tmp_path_factory.mktemp("calm")) as grounds:
        assert grounds.cli("--once").returncode == 0
        return alike(grounds.shot())


def ends_well(grounds: Grounds, wanted: str) -> None:
    """Run on: everything is ready, nothing was made twice, and nothing is left to do."""
    grounds.settle(apart=100.0, time_limit=15.0)
    assert alike(grounds.shot()) == wanted
    calls = grounds.sim("GET", "calls")
    assert calls["POST /nodes/{node}/qemu/{vmid}/clone"] == 12
    last = grounds.cli("--once", "--output", "json")
    assert last.returncode == 0 and summary(last)["writes"] == 0


def test_a_runner_killed_twenty_times_over_ends_in_the_same_world(
    tmp_path: Path, wanted: str
) -> None:
    """DEP-08, LOCK-04: every run is killed a few writes later; no lock and no lease is left."""
    with grounds_of_sample(tmp_path) as grounds:
        killed = 0
        for _ in range(POINTS):
            killed += killed_after(grounds, WRITES // (POINTS + 2)) == -signal.SIGKILL
        assert killed >= POINTS - 2  # what was under way at a kill may have been the last of it
        ends_well(grounds, wanted)


@pytest.mark.nightly
@pytest.mark.parametrize("point", range(1, POINTS + 1))
def test_a_runner_killed_anywhere_ends_in_the_same_world(
    tmp_path: Path, wanted: str, point: int
) -> None:
    """One kill, at one of twenty points spread over the run."""
    with grounds_of_sample(tmp_path) as grounds:
        assert killed_after(grounds, point * WRITES // (POINTS + 1)) == -signal.SIGKILL
        ends_well(grounds, wanted)
