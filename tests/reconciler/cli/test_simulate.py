"""`reconcile simulate` as a person starts it: addresses, faults from the start, what is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import urllib3
from click.testing import CliRunner

from reconciler.cli.simulate import simulate

COMMAND = (sys.executable, "-c", "from reconciler.cli import main; main()", "simulate")


def faults_of(url: str, fingerprint: str) -> list[dict[str, object]]:
    host, _, port = url.removeprefix("https://").partition(":")
    with urllib3.HTTPSConnectionPool(
        host, int(port), cert_reqs="CERT_NONE", assert_fingerprint=fingerprint
    ) as pool:
        found: list[dict[str, object]] = pool.request("GET", "/sim/faults").json()
        return found


def test_a_cluster_is_served_with_its_faults_until_it_is_told_to_end(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    file.write_text(json.dumps([{"kind": "task-fail", "task": "qmclone", "times": None}]))
    given = ["--port", "0", "--nodes", "2", "--fault", "node-down,node=pve2", "--faults", str(file)]
    with subprocess.Popen([*COMMAND, *given], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline().strip() for _ in range(5)]
        url = lines[0].removeprefix("serving ").removesuffix("/api2/json")
        found = faults_of(url, lines[2].removeprefix("certificate fingerprint "))
        child.terminate()
        assert child.wait(timeout=20) == 0
    assert lines[1].startswith("other nodes https://127.0.0.1:")
    assert [(one["kind"], one["times"]) for one in found] == [("node-down", 1), ("task-fail", None)]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--fault", "bogus"], "kind: expected one of error-before"),
        (["--fault", "lock,vmid"], "'vmid': expected FIELD=VALUE"),
        (["--fault", "latency,seconds=soon"], "Expected `float`"),
        (["--fault", "node-down,node=pve9"], "there is no node 'pve9'"),
    ],
)
def test_a_wrong_fault_is_named(given: list[str], words: str) -> None:
    result = CliRunner().invoke(simulate, ["--port", "0", *given])
    assert result.exit_code == 1
    assert f"the simulator cannot start: {words}" in result.output
