"""`reconcile doctor` looks at every cluster, also when one cannot even be opened."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler.cli import cli

FLEET = """\
fleet: two
database: store.db
clusters:
  locked-out:
    endpoints: ["https://127.0.0.1:9"]
    token: {id: "a@pve!b", secret: "env:NOBODY_SET_THIS"}
  unreachable:
    endpoints: ["https://127.0.0.1:9"]
    token: {id: "a@pve!b", secret: "env:SOMEBODY_SET_THIS"}
templates: {debian: {unreachable: [9000]}}
"""


def test_a_missing_secret_of_one_cluster_hides_nothing_of_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fleet.yaml").write_text(FLEET)
    (tmp_path / "vms").mkdir()
    (tmp_path / "vms" / "all.yaml").write_text("one: {cluster: unreachable, template: debian}\n")
    monkeypatch.setenv("SOMEBODY_SET_THIS", "0d64c9d4-6b1e-4b0e-9a57-2f0c6a1f6c3e")
    done = CliRunner().invoke(cli, ["--fleet", str(tmp_path), "doctor"])
    assert done.exit_code == 1
    assert "the environment variable NOBODY_SET_THIS is not set" in done.output
    assert "not reached: 127.0.0.1:9" in done.output
