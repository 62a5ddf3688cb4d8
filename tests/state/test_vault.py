"""Secrets at rest (C17)."""

import os
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from state import tables, vault
from state.secret import Secret
from state.store import Store, Unreadable

PASSWORD = Secret("correct horse battery staple")


def test_c17_a_secret_is_not_in_the_database_in_clear(
    filed: Store, path: Path, at: datetime
) -> None:
    filed.vault.keep("web-1", "password", PASSWORD)
    filed.vault.set_fingerprint("web-1", "password", filed.vault.fingerprint(PASSWORD))
    filed.close()
    for file in path.parent.iterdir():
        assert b"battery" not in file.read_bytes()
    with Store.open(str(path), at=at) as again:
        assert again.vault.reveal("web-1", "password") == PASSWORD


def test_the_same_secret_is_sealed_differently_each_time(store: Store) -> None:
    for key in ("web-1", "web-2"):
        store.vault.keep(key, "password", PASSWORD)
    with store._database.reading("look") as link:
        (first,), (second,) = link.exec_driver_sql("SELECT sealed FROM secrets").all()
    assert first != second


def test_fingerprints_are_keyed(store: Store, tmp_path: Path, at: datetime) -> None:
    with Store.open(str(tmp_path / "other.db"), at=at) as other:
        assert other.vault.fingerprint(PASSWORD) != store.vault.fingerprint(PASSWORD)
    assert store.vault.fingerprint(PASSWORD) == PASSWORD.fingerprint(store.vault.key)


def test_a_missing_secret_is_none(store: Store) -> None:
    assert store.vault.reveal("web-1", "password") is None


def test_which_secrets_there_are_is_told_without_opening_them(store: Store) -> None:
    store.vault.keep("web-1", "password", PASSWORD)
    store.vault.keep("web-1", "user", PASSWORD)
    store.vault.keep("web-2", "password", PASSWORD)
    assert store.vault.secrets() == {
        "web-1": frozenset({"password", "user"}),
        "web-2": frozenset({"password"}),
    }
    assert set(store.vault.secrets(["web-2", "web-3"])) == {"web-2"}


def test_c17_a_secret_is_delivered_once(store: Store, at: datetime) -> None:
    assert not store.vault.shown("web-1", "password", at)
    store.vault.keep("web-1", "password", PASSWORD)
    assert store.vault.shown("web-1", "password", at)
    assert not store.vault.shown("web-1", "password", at)
    store.vault.keep("web-1", "password", Secret("another"))
    assert store.vault.shown("web-1", "password", at)


@pytest.mark.parametrize("sealed", [b"", b"x" * 40])
def test_what_does_not_open_says_what_to_do(store: Store, sealed: bytes) -> None:
    store.vault.keep("web-1", "password", PASSWORD)
    with store._database.writing("spoil") as link:
        link.execute(update(tables.secrets).values(sealed=sealed))
    with pytest.raises(Unreadable, match="web-1: the secret password does not open"):
        store.vault.reveal("web-1", "password")


def test_two_makers_of_a_key_file_get_one_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.key"
    real_link = os.link

    def slow_link(source: Path, target: Path) -> None:
        path.write_text("cd" * 32)
        path.chmod(0o600)
        real_link(source, target)

    monkeypatch.setattr(os, "link", slow_link)
    assert vault.make_key(path) == bytes.fromhex("cd" * 32)
    assert list(tmp_path.iterdir()) == [path]
