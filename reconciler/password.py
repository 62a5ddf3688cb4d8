"""Give a guest another password: through its agent, or cloud-init at its next boot (C6)."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from desired.spec import VMSpec
from reconciler.allocation.credentials import generate_password
from state.api import Api, ApiError, Json, MaybeRunning
from state.change import Call, Method
from state.conf import VMConfig
from state.memory import Binding, Phase
from state.secret import Secret
from state.store import Store
from state.view import rows, text, whole

logger = logging.getLogger(__name__)
Way = Literal["agent", "cloud-init", "agent and cloud-init"]
SHORTEST, LONGEST = 5, 1024
"""What the guest agent takes, in characters."""


class PasswordRefused(Exception):
    """Why no password can be set, and what to do."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who wants which VM's password set, of which user (None: the one that cloud-init makes).

    `secret` is None for a generated one; `by` and `at` are for the record.
    """

    key: str
    user: str | None
    secret: Secret | None
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Reset:
    """What came of it: `use` is where the store keeps the password, `doubt` why it is not sure
    that the guest has taken it."""

    user: str
    way: Way
    use: str
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Guest:
    """A VM as a person at its keyboard knows it: where it is, whether it runs, its config."""

    node: str
    vmid: int
    running: bool
    config: VMConfig


def reset_password(
    store: Store, spec: VMSpec | None, asked: Asked, connect: Callable[[str], Api]
) -> Reset:
    """Set the password. The store keeps it first: a run writes it to cloud-init, if it is ours.

    Nothing is ever rebooted for it, and no lock of a run is needed. Raises PasswordRefused,
    ApiError, StoreError.
    """
    binding = store.bindings.of(asked.key)
    if binding is None or binding.uuid is None or binding.phase is Phase.DEPLOY:
        raise PasswordRefused(f"{asked.key} is not deployed yet: wait until it is ready")
    if asked.secret and not SHORTEST <= len(asked.secret.reveal()) <= LONGEST:
        raise PasswordRefused(f"a password of {SHORTEST} to {LONGEST} characters is expected")
    own = _own_user(store, spec, asked.key)
    user = asked.user or own
    if user is None:
        raise PasswordRefused("whose password? Its spec names no user: say --user NAME")
    kept = _is_kept(spec, user == own)
    api = connect(binding.cluster)
    guest = _guest(api, binding)
    secret = asked.secret or generate_password()
    if not kept and not guest.running:
        raise PasswordRefused(
            f"{asked.key} is not running, and its cloud-init makes no password of {user}: start it"
        )
    use = "password" if kept else f"password:{user}"
    _keep(store, asked, use, secret, fresh=kept)
    return _told(store, asked, _sent(api, guest, user, secret, use, kept=kept))


def _own_user(store: Store, spec: VMSpec | None, key: str) -> str | None:
    """The user that cloud-init makes; a drawn name is the store's."""
    named = spec.cloudinit.user if spec and spec.cloudinit else None
    if named != "random":
        return named
    drawn = store.vault.reveal(key, "user")
    return drawn.reveal() if drawn else None


def _is_kept(spec: VMSpec | None, own: bool) -> bool:
    """Whether the password is the generated one of the spec, which every run compares."""
    password = spec.cloudinit.password if spec and spec.cloudinit and own else None
    if password not in (None, "generate"):
        raise PasswordRefused(
            f"its spec takes this password from {password}: change it there, and the next run "
            "writes it to cloud-init"
        )
    return password == "generate"


def _guest(api: Api, binding: Binding) -> Guest:
    """Find the machine, and make sure that it is ours. `GET /cluster/resources`."""
    found = rows(api.get("/cluster/resources", {"type": "vm"}))
    row = next((one for one in found if whole(one, "vmid") == binding.vmid), None)
    if row is None:
        raise PasswordRefused(f"vm {binding.vmid} is not listed by the cluster: nothing was set")
    node = text(row, "node") or ""
    answer = api.get(f"/nodes/{node}/qemu/{binding.vmid}/config")
    raw = answer if isinstance(answer, dict) else {}
    config = VMConfig({k: v for k, v in raw.items() if isinstance(v, str | int | float)})
    if config.uuid != (binding.uuid or "").lower():
        raise PasswordRefused(
            f"vm {binding.vmid} has uuid {config.uuid}, ours had {binding.uuid}: it was made anew "
            "by somebody, and nothing was set"
        )
    return Guest(node, binding.vmid, row.get("status") == "running", config)


def _keep(store: Store, asked: Asked, use: str, secret: Secret, *, fresh: bool) -> None:
    """Seal it before it is sent; one that a person gave is not delivered again."""
    store.vault.keep(asked.key, use, secret)
    if fresh:
        # One that somebody set is ours to replace from now on: a person has said so.
        if use not in store.memories([asked.key])[asked.key].fingerprints:
            store.vault.set_fingerprint(asked.key, use, "")
        wanted = store.vault.fingerprint(secret)
        store.vault.set_fingerprint(asked.key, f"{use}.wanted", wanted)
    if asked.secret is not None:
        store.vault.shown(asked.key, use, asked.at)


def _sent(api: Api, guest: Guest, user: str, secret: Secret, use: str, *, kept: bool) -> Reset:
    """`POST …/agent/set-user-password` where the guest runs; else cloud-init has it alone."""
    if not guest.running:
        return Reset(user, "cloud-init", use)
    path = f"/nodes/{guest.node}/qemu/{guest.vmid}/agent/set-user-password"
    both: Way = "agent and cloud-init" if kept else "agent"
    try:
        api.send(Call(Method.POST, path, {"username": user, "password": secret}), heavy=True)
    except MaybeRunning as error:
        return Reset(user, both, use, f"the answer was lost ({error.text}): set it again")
    except ApiError as error:
        if not kept:
            raise PasswordRefused(
                f"the guest agent did not set it: {error.text.strip()}"
            ) from error
        return Reset(user, "cloud-init", use, f"the guest agent did not: {error.text.strip()}")
    return Reset(user, both, use)


def _told(store: Store, asked: Asked, done: Reset) -> Reset:
    """Write down who asked for it and how it was done; the password itself is in no event."""
    detail: dict[str, Json] = {"user": done.user, "by": asked.by, "way": done.way}
    store.outbox.add("password_reset", asked.key, asked.at, detail)
    logger.info("%s: password of %s reset by %s", asked.key, done.user, asked.by)
    return done
