"""Opening a fleet: where its store lies, what it may read, how its clusters are reached."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from desired.catalog import FleetFile
from reconciler.config import Opened, open_live, open_preview
from reconciler.pve.client import ProxmoxApi
from reconciler.secrets import SecretError
from state.api import ApiError
from state.store import Store, StoreError
from tests.engine import AT

REAL = {"endpoints": ["https://127.0.0.1:1"], "token": {"id": "a@pve!b", "secret": "env:T"}}
SIMULATED = {"simulated": {"nodes": 2, "speed": 1000, "vms": 1}}


def head(clusters: object = None, **fields: object) -> dict[str, object]:
    return {"fleet": "shop", "clusters": clusters or {"demo": SIMULATED}, **fields}


def model(**fields: object) -> FleetFile:
    return FleetFile.model_validate(head(**fields))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A fleet of one VM on a simulated cluster."""
    path = tmp_path / "fleet"
    (path / "vms").mkdir(parents=True)
    (path / "fleet.yaml").write_text(yaml.safe_dump(head()))
    (path / "vms" / "all.yaml").write_text("one: {cluster: demo}\n")
    return path


@pytest.fixture
def database(tmp_path: Path) -> str:
    return str(tmp_path / "state" / "fleet.db")


def test_opening_live_makes_the_store_and_opening_to_look_makes_nothing(
    folder: Path, database: str
) -> None:
    with open_preview(folder, database, AT) as opened:
        assert (opened.fleet.name, opened.preview) == ("shop", True)
        with pytest.raises(StoreError):
            opened.store.settings.put("a", 1)
    assert not Path(database).parent.exists()
    with open_live(folder, database, None) as opened:
        opened.store.settings.put("a", 1)
    with open_preview(folder, database, AT) as opened:
        assert opened.store.settings.get("a") == 1


@pytest.fixture
def opened(folder: Path) -> Opened:
    with open_preview(folder, None, AT) as found:
        fleet = found.fleet
    return Opened(fleet, Store.temporary(at=AT), folder / "x.db", preview=True)


def counted(folder: Path, then: str) -> Callable[[], int]:
    """Write a command that notes each call, then does something; returns how often it ran."""
    script = folder / "secret.sh"
    script.write_text(f"#!/bin/sh\necho once >> {folder}/calls\n{then}\n")
    script.chmod(0o700)
    return lambda: len((folder / "calls").read_text().splitlines())


def test_a_reference_is_read_once_however_many_vms_refer_to_it(
    opened: Opened, folder: Path
) -> None:
    times = counted(folder, "echo geheim")
    for _ in range(3):
        assert opened.resolve("exec:./secret.sh").reveal() == "geheim"
    assert times() == 1


def test_a_command_that_fails_is_run_once_and_fails_for_every_vm(
    opened: Opened, folder: Path
) -> None:
    times = counted(folder, "exit 3")
    for _ in range(3):
        with pytest.raises(SecretError, match="exit status 3"):
            opened.resolve("exec:./secret.sh")
    assert times() == 1


def test_clusters_side_by_side_read_a_reference_once(opened: Opened, folder: Path) -> None:
    times = counted(folder, "echo geheim")
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(opened.resolve, ["exec:./secret.sh"] * 8))
    assert {one.reveal() for one in found} == {"geheim"}
    assert times() == 1


def test_whom_to_ask_first_is_kept_for_the_next_run(
    folder: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OPT-08: an endpoint that hangs costs one run its time, not each."""
    monkeypatch.setenv("T", "x")
    lab = {**REAL, "endpoints": ["https://127.0.0.1:1", "https://127.0.0.1:2"]}
    (folder / "fleet.yaml").write_text(yaml.safe_dump(head({"lab": lab}, database=database)))
    (folder / "vms" / "all.yaml").write_text("one: {cluster: lab}\n")

    def ports() -> list[int]:
        api = found.connect("lab")
        assert isinstance(api, ProxmoxApi)
        return [one.port for one in api.addresses.endpoints]

    with open_live(folder, None, AT) as found:
        assert ports() == [1, 2]
        api = found.connect("lab")
        assert isinstance(api, ProxmoxApi)
        api.addresses.reached(api.addresses.endpoints[1])
    with open_preview(folder, None, AT) as found:
        assert ports() == [2, 1]
    with open_live(folder, None, AT) as found:
        assert ports() == [2, 1]


def test_a_real_cluster_that_is_not_there_says_so_at_the_first_call(
    folder: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("T", "s3cret-token")
    (folder / "fleet.yaml").write_text(yaml.safe_dump(head({"lab": REAL}, database=database)))
    (folder / "vms" / "all.yaml").write_text("one: {cluster: lab}\n")
    with open_live(folder, None, AT) as found:
        api = found.connect("lab")
        with pytest.raises(ApiError) as refused:
            api.get("/version")
        assert "s3cret" not in str(refused.value)


def test_a_simulated_cluster_is_started_and_its_world_kept_beside_the_store(
    folder: Path, database: str
) -> None:
    """A look starts it on a copy of the world, which is thrown away."""
    kept = Path(database).with_name("fleet.demo.world.json")
    with open_preview(folder, database, AT) as found:
        assert found.connect("demo").get("/version")
    assert not kept.exists()
    with open_live(folder, database, AT) as found:
        assert found.connect("demo").get("/version")
    world = json.loads(kept.read_text())
    with open_preview(folder, database, AT) as found:
        assert found.connect("demo").get("/version")
    assert json.loads(kept.read_text()) == world
