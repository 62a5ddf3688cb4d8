"""The one place where Proxmox's words are read: an answer becomes one error of state/api.py.

Texts as seen on PVE 8.4.1 and read in its sources (pve-http-server, qemu-server, pve-common).
"""

import re
from collections.abc import Callable, Mapping

from state.api import (
    ApiError,
    Contention,
    Forbidden,
    Locked,
    MaybeRunning,
    NotFound,
    PartlyApplied,
    Refused,
    Stale,
    Unavailable,
)

LIMIT = 300
"""Characters of Proxmox's text that are kept."""

_HOTPLUG = re.compile(r"hotplug problem|unable to apply pending change|can't unplug bootdisk")
_ONLY_ROOT = re.compile(r"only root can set '([^']+)' config")
_GONE_TASK = ("no such task",)

_Maker = Callable[[str, int], ApiError]
_WORDS: tuple[tuple[re.Pattern[str], _Maker], ...] = tuple(
    (re.compile(pattern), maker)
    for pattern, maker in (
        (r"VM is locked \(|CT is locked \(", Locked),
        (r"can't lock file '[^']*/qemu-server/lock-\d+\.conf'", Locked),
        (r"got lock request timeout|can't lock file |trying to acquire (cfs )?lock", Contention),
        (r"checksum mismatch \(file change|detected modified configuration", Stale),
        (
            r"cluster not ready|no quorum|hostname lookup '|/etc/pve/.*Permission denied",
            Unavailable,
        ),
        (
            r"unable to create VM \d+: config file already exists",
            lambda text, status: Refused(text, status, {"newid": text}),
        ),
        (
            r"unable to (create|restore) VM \d+ - VM \d+ already exists",
            lambda text, status: Refused(text, status, {"vmid": text}),
        ),
        (r"^Configuration file '[^']+' does not exist", NotFound),
        (r"unable to find configuration file for VM", NotFound),
        (r"^no such (IPSet|alias|security group|rule|node|task)\b|^no rule at position", NotFound),
        (r"\bpool '[^']+' does not exist|^snapshot '[^']+' does not exist", NotFound),
    )
)


def shorten(text: str) -> str:
    """Return the text in one piece, blank ends off, of at most 300 characters."""
    text = text.strip()
    return text if len(text) <= LIMIT else text[: LIMIT - 1] + "…"


def read_text(text: str, status: int = 500) -> ApiError:
    """Return the error that Proxmox's words mean, of an answer or of a task's end."""
    text = shorten(text) or f"HTTP status {status} without a word"
    only_root = _ONLY_ROOT.search(text)
    if only_root:
        return Forbidden(f"{text} (an API token never is root@pam)", status, {only_root[1]: text})
    for pattern, maker in _WORDS:
        if pattern.search(text):
            return maker(text, status)
    return ApiError(text, status)


def read_answer(
    write: bool, status: int, reason: str, message: str, keys: Mapping[str, str]
) -> ApiError:
    """Return the error that an answer >= 300 means.

    `message` is the body's (since 8.4), else the reason phrase stands alone; `keys` are the body's
    `errors`.
    """
    text = message.strip() or reason.strip()
    keys = {name: shorten(said) for name, said in keys.items()}
    if status == 400:
        return _bad_parameters(text, keys)
    if status == 401:
        return Forbidden(
            f"login refused: {shorten(text) or 'no reason given'}; check the token's id and secret "
            "(or user and password), and that neither is disabled or expired",
            status,
        )
    if status == 403:
        return Forbidden(shorten(text), status)
    if status == 404:
        return NotFound(shorten(text), status)
    if status == 595:
        return Unavailable(f"the node was not reached: {shorten(text)}", status)
    if 596 <= status <= 599:
        return lost(write, f"the node gave no answer in time: {shorten(text)}", status)
    if status < 400 or status in (502, 503, 504):
        return lost(write, f"no Proxmox API answered: HTTP status {status} {shorten(text)}", status)
    return read_text(text, status)


def _bad_parameters(text: str, keys: Mapping[str, str]) -> ApiError:
    told = "; ".join(f"{name}: {' '.join(said.split())}" for name, said in sorted(keys.items()))
    told = shorten(told or text)
    if any(_HOTPLUG.search(said) for said in keys.values()):
        return PartlyApplied(told, 400, keys)
    if any(said in _GONE_TASK for said in keys.values()):
        return NotFound(told, 400, keys)
    return Refused(told, 400, keys)


def lost(write: bool, text: str, status: int = 0) -> ApiError:
    """Return what a lost answer means: a read may be asked again, a write may be running."""
    return MaybeRunning(text, status) if write else Unavailable(text, status)
