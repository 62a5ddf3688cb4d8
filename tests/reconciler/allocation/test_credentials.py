"""Secrets of one VM: made once and kept, or referred to; compared by fingerprint."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from desired.spec import VMSpec
from reconciler.allocation.credentials import (
    ALPHABET,
    PASSWORD_LENGTH,
    generate_password,
    generate_user,
    with_credentials,
)
from reconciler.secrets import SecretError
from state.memory import Memory
from state.observed import SeenVM
from state.secret import Secret
from state.store import Store
from tests.engine import AT, absent, binding, config, seen, spec

GENERATED = spec(cloudinit={"password": "generate"})
REFERRED = spec(cloudinit={"password": "env:PASSWORD"})
RANDOM_USER = spec(cloudinit={"user": "random"})


@dataclass
class Keyring:
    """A store, and what references resolve to."""

    store: Store = field(default_factory=lambda: Store.temporary(at=AT))
    said: str = "geheim-1"
    asked: list[str] = field(default_factory=list)

    def resolve(self, reference: str) -> Secret:
        self.asked.append(reference)
        return Secret(self.said)

    def give(self, wanted: VMSpec, found: SeenVM | None = None, dry: bool = False) -> SeenVM:
        return with_credentials(wanted, found or absent(), self.store, self.resolve, dry)

    def after_write(self, given: SeenVM) -> SeenVM:
        """The VM as a later run sees it, once its password was written."""
        wanted = given.memory.fingerprints["password.wanted"]
        prints = {"password": wanted, "password.wanted": wanted}
        memory = Memory(binding(), fingerprints=prints)
        return seen(memory=memory, config=config(cipassword="**********"))


@pytest.fixture
def keyring() -> Keyring:
    return Keyring()


def test_a_generated_password_is_long_random_and_easy_to_type() -> None:
    """CI-02: 20 letters and digits are 119 bits."""
    texts = {generate_password().reveal() for _ in range(50)}
    assert len(texts) == 50
    assert all(len(one) == PASSWORD_LENGTH and set(one) <= set(ALPHABET) for one in texts)


def test_a_random_user_is_a_valid_unix_name() -> None:
    """CI-02"""
    names = {generate_user().reveal() for _ in range(20)}
    assert len(names) == 20
    for name in names:
        assert spec(cloudinit={"user": name}).cloudinit is not None


@pytest.mark.parametrize("cloudinit", [None, {"user": "ops"}])
def test_who_wants_no_secret_gets_none(keyring: Keyring, cloudinit: object) -> None:
    given = keyring.give(spec(cloudinit=cloudinit))
    assert given == absent()


def test_a_password_is_generated_once_and_kept_sealed(keyring: Keyring) -> None:
    """CI-02, C-17"""
    first = keyring.give(GENERATED)
    again = keyring.give(GENERATED)
    assert first.secrets["password"] == again.secrets["password"]
    assert keyring.store.vault.reveal("web-1", "password") == first.secrets["password"]
    wanted = keyring.store.memories(["web-1"])["web-1"].fingerprints
    assert wanted == first.memory.fingerprints == again.memory.fingerprints


def test_a_killed_run_does_not_lose_the_password_it_made(keyring: Keyring) -> None:
    """The secret is kept before its fingerprint: a run killed in between makes no second one."""
    secret = generate_password()
    keyring.store.vault.keep("web-1", "password", secret)
    assert keyring.give(GENERATED).secrets == {"password": secret}


def test_a_known_secret_is_not_marked_again(keyring: Keyring) -> None:
    given = keyring.give(GENERATED)
    before = keyring.store.memories(["web-1"])
    keyring.give(GENERATED, replace(given, secrets={}))
    assert keyring.store.memories(["web-1"]) == before


def test_a_preview_makes_a_password_and_keeps_nothing(keyring: Keyring) -> None:
    given = keyring.give(GENERATED, dry=True)
    assert given.secrets["password"].reveal()
    assert "password.wanted" in given.memory.fingerprints
    assert keyring.store.vault.reveal("web-1", "password") is None
    assert keyring.store.memories(["web-1"])["web-1"].fingerprints == {}


def test_a_preview_of_a_renamed_machine_has_the_password_of_its_old_key(keyring: Keyring) -> None:
    secret = generate_password()
    keyring.store.vault.keep("old", "password", secret)
    wanted = spec("new", was="old", cloudinit={"password": "generate"})
    assert keyring.give(wanted, absent("new"), dry=True).secrets == {"password": secret}
    other = keyring.give(spec("other", was="none", cloudinit={"password": "generate"}), dry=True)
    assert other.secrets["password"] != secret


def test_a_password_that_stands_written_is_not_revealed_any_more(keyring: Keyring) -> None:
    """C-17: what need not be sent is not opened."""
    for wanted in (GENERATED, REFERRED):
        written = keyring.after_write(keyring.give(wanted))
        assert keyring.give(wanted, written).secrets == {}


def test_a_password_that_is_missing_in_the_config_is_at_hand(keyring: Keyring) -> None:
    for wanted in (GENERATED, REFERRED):
        written = keyring.after_write(keyring.give(wanted))
        for lost in (replace(written, config=config()), replace(written, config=None)):
            assert keyring.give(wanted, lost).secrets.keys() == {"password"}


def test_a_changed_reference_is_at_hand_and_its_fingerprint_wanted(keyring: Keyring) -> None:
    written = keyring.after_write(keyring.give(REFERRED))
    keyring.said = "geheim-2"
    given = keyring.give(REFERRED, written)
    assert given.secrets == {"password": Secret("geheim-2")}
    prints = given.memory.fingerprints
    assert prints["password.wanted"] != prints["password"]
    assert keyring.asked == ["env:PASSWORD"] * 2


def test_a_random_user_name_is_always_at_hand_since_it_is_compared_in_clear(
    keyring: Keyring,
) -> None:
    """CI-02: evaluated once and stored."""
    first = keyring.give(RANDOM_USER)
    assert first.secrets.keys() == {"user"}
    assert keyring.give(RANDOM_USER, first).secrets == first.secrets


def test_user_and_password_are_made_side_by_side(keyring: Keyring) -> None:
    both = spec(cloudinit={"user": "random", "password": "generate"})
    assert keyring.give(both).secrets.keys() == {"user", "password"}


def test_a_reference_that_gives_nothing_is_this_vms_error(keyring: Keyring) -> None:
    """DEP-27"""

    def broken(reference: str) -> Secret:
        raise SecretError(f"{reference}: the environment variable PASSWORD is not set")

    with pytest.raises(SecretError):
        with_credentials(REFERRED, absent(), keyring.store, broken, False)


@pytest.mark.parametrize("show", [str, repr, lambda given: repr(given.memory)])
def test_no_secret_shows_in_what_is_passed_on(
    keyring: Keyring, show: Callable[[SeenVM], str]
) -> None:
    """C-17"""
    given = keyring.give(spec(cloudinit={"user": "random", "password": "generate"}))
    assert not any(secret.reveal() in show(given) for secret in given.secrets.values())


def test_no_secret_lies_in_clear_in_the_database(tmp_path: Path) -> None:
    """C-17: not in the file, its log or the key beside it."""
    with Store.open(str(tmp_path / "fleet.db"), at=AT) as store:
        store.bindings.bind(binding())
        keyring = Keyring(store)
        given = keyring.give(spec(cloudinit={"user": "random", "password": "generate"}))
        referred = keyring.give(REFERRED)
        secrets = [*given.secrets.values(), *referred.secrets.values()]
    files = sorted(tmp_path.iterdir())
    assert files
    for file in files:
        assert not any(secret.reveal().encode() in file.read_bytes() for secret in secrets)
