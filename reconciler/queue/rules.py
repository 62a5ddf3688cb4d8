"""Which calls may stand in the queue, what each does, and how it is known again.

All else is refused: what destroys a machine or a disk, what gives rights, what a spec or a verb
of this program says better. `task` is the type that a call's task has in its UPID.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from state.change import Effect, Method

NODE = r"(?P<node>[a-zA-Z0-9][a-zA-Z0-9-]*|\{node\})"
VM = rf"/nodes/{NODE}/qemu/(?P<vmid>[1-9][0-9]*|\{{vmid\}})"
NAME = r"[a-zA-Z][a-zA-Z0-9_-]+"
STORAGE = rf"/nodes/{NODE}/storage/[a-zA-Z][a-zA-Z0-9._-]*"

SECRET = ("password", "secret", "token", "apikey", "private")
"""A parameter whose name has one of these in it is a secret, and the queue keeps none."""

IDENTITY = ("smbios1", "description")
"""Config keys by which a machine is known for ours: its uuid, its marker."""


class Refused(ValueError):
    """The call is not for the queue; says why, and what to do instead."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of call. One that is `repeatable` does the same when it is sent twice."""

    method: Method
    pattern: str
    about: str
    task: str = ""
    effect: Effect = Effect.LIVE
    repeatable: bool = False


def _status(word: str, about: str, effect: Effect = Effect.STOP_START) -> Rule:
    return Rule(Method.POST, f"{VM}/status/{word}", about, f"qm{word}", effect)


RULES = (
    _status("start", "start a VM", Effect.LIVE),
    _status("resume", "let a paused VM go on", Effect.LIVE),
    _status("stop", "cut a VM's power"),
    _status("shutdown", "shut a guest down"),
    _status("reboot", "restart a guest"),
    _status("reset", "reset a VM"),
    _status("suspend", "pause a VM"),
    Rule(Method.PUT, f"{VM}/config", "set config keys", repeatable=True),
    Rule(Method.POST, f"{VM}/config", "set config keys, in a task", "qmconfig"),
    Rule(Method.PUT, f"{VM}/resize", "grow a disk to a size", "resize", repeatable=True),
    Rule(Method.POST, f"{VM}/move_disk", "move a disk to another storage", "qmmove"),
    Rule(Method.POST, f"{VM}/migrate", "move a VM to another node", "qmigrate"),
    Rule(Method.POST, f"{VM}/snapshot", "take a snapshot", "qmsnapshot"),
    Rule(Method.DELETE, f"{VM}/snapshot/{NAME}", "delete a snapshot", "qmdelsnapshot"),
    Rule(Method.POST, f"{VM}/agent/(ping|fstrim)", "ask the guest agent"),
    Rule(Method.POST, f"/nodes/{NODE}/vzdump", "back up one VM", "vzdump"),
    Rule(Method.POST, f"{STORAGE}/download-url", "fetch an image or ISO", "download"),
    Rule(Method.DELETE, f"{STORAGE}/content/[^/]+:(iso|vztmpl)/[^/]+", "delete an image", "imgdel"),
    Rule(Method.POST, f"/nodes/{NODE}/apt/update", "refresh a node's package lists", "aptupdate"),
)

INSTEAD: tuple[tuple[str, str], ...] = (
    (rf"DELETE {VM}", "a VM is destroyed by reconcile terminate only"),
    (rf"POST /nodes/{NODE}/qemu", "VMs are made of specs, and restored by their own words"),
    (rf"POST {VM}/snapshot/.*/rollback", "see reconcile rollback"),
    (rf"\w+ {VM}/firewall.*", "the firewall is what the spec says"),
    (rf"PUT {VM}/unlink", "a disk is given up by its spec (reclaim)"),
    (r"\w+ /access.*", "rights and passwords are not for a queue"),
    (r"GET .*", "it changes nothing: see reconcile show and reconcile verify"),
)


def rule_of(method: str, path: str) -> tuple[Rule, Mapping[str, str]]:
    """Return the rule of a call and the parts that its path names. Raises Refused."""
    for rule in RULES:
        if rule.method == method and (found := re.fullmatch(rule.pattern, path)):
            return rule, found.groupdict()
    for pattern, words in INSTEAD:
        if re.fullmatch(pattern, f"{method} {path}"):
            raise Refused(f"{method} {path}: {words}")
    raise Refused(f"{method} {path}: not a call for the queue; docs/queue.md lists those that are")


def check_params(path: str, params: Mapping[str, str]) -> None:
    """Refuse parameters that a queue must not hold or send. Raises Refused."""
    for name, value in params.items():
        if any(word in name.lower() for word in SECRET) or re.match(r"\w+://[^/]*@", value):
            raise Refused(f"{name}: a secret is not kept in the queue; it belongs to a spec")
        if name in ("skiplock", "force", "all", "pool", "prune-backups", "maxfiles"):
            raise Refused(f"{name}: goes round a lock, or meets more than one target")
        if name in ("delete", "revert") and re.search(r"\bunused\d", value):
            raise Refused(f"{name}={value}: would destroy a disk; see reclaim in the spec")
        named = re.split(r"[,; ]+", value) if name in ("delete", "revert") else [name]
        if path.endswith("/config") and (ours := set(IDENTITY).intersection(named)):
            raise Refused(f"{min(ours)}: a machine is known for ours by it; no call changes that")
    if path.endswith("/resize") and params.get("size", "").startswith("+"):
        raise Refused("size: expected the whole size, as in 20G: one relative may be added twice")
