"""Secrets of one VM: generated once and kept, or referred to; compared by fingerprint (C17)."""

import secrets
import string
from collections.abc import Callable
from dataclasses import replace

from desired.spec import VMSpec
from state.memory import Memory
from state.observed import SeenVM
from state.secret import Secret
from state.store import Store

ALPHABET = string.ascii_letters + string.digits
PASSWORD_LENGTH = 20
Resolve = Callable[[str], Secret]


def generate_password() -> Secret:
    """Return 20 letters and digits (119 bits) from the system's random source."""
    return Secret("".join(secrets.choice(ALPHABET) for _ in range(PASSWORD_LENGTH)))


def generate_user() -> Secret:
    return Secret("u" + "".join(secrets.choice(string.ascii_lowercase) for _ in range(7)))


def with_credentials(
    spec: VMSpec, seen: SeenVM, store: Store, resolve: Resolve, dry: bool
) -> SeenVM:
    """Return `seen` with the wanted fingerprints, and with the secrets that are to be written.

    A password is revealed only where its fingerprint differs from the one last written, or where
    the config holds none; a drawn user name always, since it is compared in clear. A dry run of a
    new VM previews a secret that is not kept.
    """
    cloudinit = spec.cloudinit
    if cloudinit is None:
        return seen
    if cloudinit.user == "random":
        seen = _generated(seen, spec.was, "user", generate_user, store, dry)
    if cloudinit.password == "generate":
        return _generated(seen, spec.was, "password", generate_password, store, dry)
    if cloudinit.password is None:
        return seen
    secret = resolve(cloudinit.password)
    wanted = store.vault.fingerprint(secret)
    return _with(seen, "password", wanted, secret if _unwritten(seen, "password", wanted) else None)


def _generated(
    seen: SeenVM, was: str | None, use: str, make: Callable[[], Secret], store: Store, dry: bool
) -> SeenVM:
    wanted = seen.memory.fingerprints.get(f"{use}.wanted")
    if wanted is not None and not _unwritten(seen, use, wanted):
        return seen
    secret = store.vault.reveal(seen.key, use)
    if secret is None and dry and was is not None:
        secret = store.vault.reveal(was, use)
    if secret is None:
        secret = make()
        if not dry:
            store.vault.keep(seen.key, use, secret)
    fingerprint = store.vault.fingerprint(secret)
    if not dry and wanted != fingerprint:
        store.vault.set_fingerprint(seen.key, f"{use}.wanted", fingerprint)
    return _with(seen, use, fingerprint, secret)


def _unwritten(seen: SeenVM, use: str, wanted: str) -> bool:
    if use != "password":
        return True
    absent = seen.config is None or seen.config.wanted.text("cipassword") is None
    return absent or seen.memory.fingerprints.get(use) != wanted


def _with(seen: SeenVM, use: str, fingerprint: str, secret: Secret | None) -> SeenVM:
    prints = {**seen.memory.fingerprints, f"{use}.wanted": fingerprint}
    memory: Memory = replace(seen.memory, fingerprints=prints)
    shown = {**seen.secrets, use: secret} if secret is not None else seen.secrets
    return replace(seen, memory=memory, secrets=shown)
