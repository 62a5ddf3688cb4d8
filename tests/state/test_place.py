"""Where a store is, as a person writes it."""

from pathlib import Path

import pytest

from state.place import WrongPlace, read_place

KEY = Path("/etc/fleet.key")


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("/var/x.db", "/var/x.db"),
        ("x.db", "/srv/x.db"),
        ("sqlite:////var/x.db", "/var/x.db"),
        ("sqlite:///x.db", "/srv/x.db"),
    ],
)
def test_a_file_has_its_key_beside_it(text: str, file: str) -> None:
    place = read_place(text, Path("/srv"))
    assert (str(place), place.file, place.key) == (file, Path(file), Path(f"{file}.key"))
    assert place.beside == place.file


def test_a_home_folder_may_be_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert read_place("~/x.db", Path("/srv")).file == Path("/home/ann/x.db")


def test_a_servers_database_needs_a_key_file_and_shows_no_password() -> None:
    text = "postgresql://ann:hunter2@db:6432/fleets?sslmode=require"
    place = read_place(text, key=KEY)
    assert (place.file, place.key, place.beside) == (None, KEY, KEY)
    assert str(place) == "postgresql://ann@db:6432/fleets"
    assert place.url.password == "hunter2" and "hunter2" not in repr(place)
    with pytest.raises(WrongPlace, match="say where its key file lies"):
        read_place(text)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_the_scheme_is_one(scheme: str) -> None:
    place = read_place(f"{scheme}://db/fleets?key=/etc/fleet.key")
    assert (place.url.drivername, place.key) == ("postgresql+psycopg", KEY)
