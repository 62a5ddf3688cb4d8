"""Where a fleet says that its store is, and whose secrets the URL may name."""

import re
from pathlib import Path

import pytest

from desired.catalog import FleetFile
from desired.errors import UnusableSource
from reconciler.location import fleet_lock, store_place
from reconciler.secrets import SecretError
from state.store import Unreadable

REAL = {"endpoints": ["https://127.0.0.1:1"], "token": {"id": "a@pve!b", "secret": "env:T"}}
SIMULATED = {"simulated": {"nodes": 2, "speed": 1000, "vms": 1}}
SERVED = "postgresql://ann:env:PG_WORD@db.example:6432/fleets"


def model(clusters: object = None, **fields: object) -> FleetFile:
    given = {"fleet": "shop", "clusters": clusters or {"demo": SIMULATED}, **fields}
    return FleetFile.model_validate(given)


def test_the_store_is_where_one_asks_then_where_the_fleet_says() -> None:
    said = model(database="state/fleet.db")
    assert store_place(Path("/f"), said, "x.db").file == Path("x.db").absolute()
    assert store_place(Path("/f"), said, "sqlite:////var/x.db").file == Path("/var/x.db")
    assert store_place(Path("/f"), said, None).file == Path("/f/state/fleet.db")
    absolute = model(database="sqlite:////var/fleet.db")
    assert store_place(Path("/f"), absolute, None).file == Path("/var/fleet.db")


def test_a_demo_fleet_keeps_its_store_in_the_users_state_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert store_place(Path("/f"), model(), None).file == Path("/state/reconcile/shop.db")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/ann")
    expected = Path("/home/ann/.local/state/reconcile/shop.db")
    assert store_place(Path("/f"), model(), None).file == expected


def test_a_fleet_on_a_real_cluster_must_say_where_its_store_is() -> None:
    real = model(clusters={"lab": REAL, "demo": SIMULATED})
    with pytest.raises(UnusableSource) as refused:
        store_place(Path("/f"), real, None)
    assert "cluster lab is real, so say where the store is kept" in str(refused.value)


def test_the_lock_of_a_file_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text("fleet: shop\nclusters: {demo: {simulated: {}}}\n")
    with fleet_lock(tmp_path, str(tmp_path / "x.db")) as lock:
        assert lock.held()
        assert (tmp_path / "x.db.lock").exists()
    assert not lock.held()


def test_the_password_of_a_servers_database_is_a_secrets_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PG_WORD", "p@ss/word")
    place = store_place(Path("/f"), model(database=SERVED), None)
    assert (place.url.password, place.url.host, place.url.port) == ("p@ss/word", "db.example", 6432)
    assert place.file is None
    assert str(place) == "postgresql://ann@db.example:6432/fleets"
    assert "p@ss" not in repr(place)


def test_the_whole_url_may_be_a_reference_with_its_password(
    tmp_path: Path,
) -> None:
    (tmp_path / "url").write_text("postgres://ann:p%40ss@db/fleets?sslmode=require\n")
    place = store_place(tmp_path, model(database="file:url"), None)
    assert (place.url.password, dict(place.url.query)) == ("p@ss", {"sslmode": "require"})


def test_a_password_in_clear_is_refused_and_not_repeated() -> None:
    given = SERVED.replace("env:PG_WORD", "hunter2")
    for head, asked in ((model(database=given), None), (model(), given)):
        with pytest.raises(Unreadable, match="a reference expected in the place") as refused:
            store_place(Path("/f"), head, asked)
        assert "hunter2" not in str(refused.value)


def test_every_place_that_the_pages_name_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "word")
    monkeypatch.setenv("DATABASE_URL", "postgresql://fleet@db.example/fleet")
    root = Path(__file__).parents[2]
    text = (root / "README.md").read_text() + (root / "docs" / "specs.md").read_text()
    named = re.findall(r"^ +database: (\S+)", text, flags=re.M)
    places = {str(store_place(Path("/f"), model(database=one), None)) for one in named}
    assert places == {"/var/lib/reconcile/fleet.db", "postgresql://fleet@db.example/fleet"}
    assert len(named) == 4


def test_a_reference_that_gives_nothing_is_said() -> None:
    with pytest.raises(SecretError, match="PG_WORD is not set"):
        store_place(Path("/f"), model(database=SERVED), None)


def test_the_key_of_a_servers_database_lies_beside_the_fleet_unless_the_url_says() -> None:
    served = "postgresql://ann@db/fleets"
    assert store_place(Path("/f"), model(database=served), None).key == Path("/f/shop.key")
    named = f"{served}?key=keys/a.key"
    assert store_place(Path("/f"), model(database=named), None).key == Path("/f/keys/a.key")
    absolute = f"{served}?key=/etc/a.key&sslmode=require"
    place = store_place(Path("/f"), model(), absolute)
    assert (place.key, dict(place.url.query)) == (Path("/etc/a.key"), {"sslmode": "require"})


@pytest.mark.parametrize(
    "text",
    [
        "mysql://ann:hunter2@db/fleets",
        "postgresql://ann@db",
        "postgresql://ann:hunter2@db:port/fleets",
        "postgresql://ann@db/fleets?key=a&key=b",
    ],
)
def test_a_url_that_is_none_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(Unreadable, match=r"^database: ") as refused:
        store_place(Path("/f"), model(), text)
    assert "hunter2" not in str(refused.value)
