"""Turns what pydantic finds into short words: expected this, seen that, and a hint."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import reduce
from types import UnionType
from typing import Annotated, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from desired.catalog import ENDPOINT, FINGERPRINT, FLEET, IMAGE
from desired.cloudinit import PASSWORD, REFERENCE, SHA256, USER, VOLUME
from desired.devices import CD_SLOT, ISO_FILE, MAPPING, PCI_HOST, SERIAL, USB_HOST
from desired.document import Path, step
from desired.firewall import GROUP, IFACE
from desired.firmware import MACHINE
from desired.hardware import BRIDGE, CPU_TYPE, HELD, STORAGE
from desired.notices import ADDRESS, CHANNEL, HEADER, LETTER, SENDER, URL
from desired.spec import NODE, POOL, TAG
from desired.zones import HTTP

SECRET = frozenset({"password", "secret", "token", "cipassword", "keys", "api_key", "urls"})
"""Names of fields whose value is never shown."""

_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "dict_type": "a map",
    "model_type": "a map",
    "tuple_type": "a list",
}
_SCALARS = ("string_type", "int_type", "float_type", "bool_type")
_PATTERNS = {
    ADDRESS: "a mail address such as jane@example.net",
    SENDER: "a mail address, or `Name <address>`",
    URL: "an address such as https://desk.example/hook, or a reference to one",
    CHANNEL: "a channel's name of letters, digits, _ and - (at most 40)",
    LETTER: "a letter's name such as ready",
    HEADER: "a header's name such as X-Token",
    f"^{BRIDGE}$": "a bridge name such as vmbr0",
    STORAGE: "a storage name such as local-lvm",
    HELD: "a holder's vmid and slot, such as 150/scsi1",
    NODE: "a name of letters, digits and hyphens (at most 63)",
    POOL: "a pool name such as web or web/blue",
    TAG: "lower-case letters, digits and _ + . -",
    HTTP: "an address such as https://dns.example:8081",
    ENDPOINT: "an address such as https://pve1.example:8006",
    FINGERPRINT: "a SHA-256 fingerprint (32 bytes in hex)",
    IMAGE: "a volume with an image such as local:import/debian-12.qcow2",
    FLEET: "a name of lower-case letters, digits, _ and - (at most 40)",
    USER: "a user name of letters, digits, _ . and - (at most 32)",
    SHA256: "a SHA-256 checksum (64 hex digits in lower case)",
    MACHINE: "a machine type such as q35, pc or pc-q35-9.0",
    MAPPING: "the name of a resource mapping such as gpu-1",
    PCI_HOST: "a PCI address such as 0000:01:00.0",
    USB_HOST: "a USB device such as 1-2 or 046d:c52b, or spice",
    SERIAL: "socket, none or a device such as /dev/ttyS0",
    ISO_FILE: "the name of a file that ends in .iso or .img",
    f"^({CD_SLOT})$": "a slot such as ide2 or sata0",
    CPU_TYPE: "a CPU type such as host",
    GROUP: "a security group's name",
    IFACE: "net0 to net31",
    VOLUME: "a volume such as local:snippets/user.yaml, or none",
    PASSWORD: "generate or a reference (env:NAME, file:PATH, exec:COMMAND)",
    REFERENCE: "a reference env:NAME, file:PATH or exec:COMMAND",
    r"^[^\s@!]+@[^\s@!]+![^\s@!]+$": "a token id such as reconcile@pve!fleet",
    r"^[^\s@!]+@[^\s@!]+$": "a user such as root@pam",
}


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong at a path; `at_key` when the key is meant rather than its value."""

    path: Path
    message: str
    at_key: bool = False


def dotted(path: Path) -> str:
    """Return `firewall.rules[0].dport` for a path."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def shown(value: object) -> str:
    """Return a value as YAML would show it, cut to a readable length."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            return repr(str(value) if len(value) <= 40 else value[:37] + "...")
        case int() | float():
            return str(value)
        case dict():
            return "a map"
        case list() | tuple():
            return "a list"
    return type(value).__name__


def near(name: str, known: Sequence[str] | Mapping[str, object]) -> str:
    """Return a hint: the known name that is nearest, else all if they are few."""
    hits = get_close_matches(name, known, 1, 0.6)
    if hits:
        return f"; did you mean {hits[0]}?"
    if not known:
        return "; none is defined"
    return f"; known: {', '.join(sorted(known))}" if len(known) <= 12 else ""


def wrongs(
    error: ValidationError,
    tree: object,
    model: type[BaseModel],
    hidden: frozenset[str] = frozenset(),
    more: tuple[str, ...] = (),
) -> Iterator[Wrong]:
    """Yield one Wrong per place of `tree` that the model refuses.

    `hidden` fields of the model are never suggested, names in `more` are, at the top level.
    """
    done: set[Path] = set()
    for detail in error.errors(include_url=False):
        path = _real(detail, tree)
        if path in done:
            continue
        done.add(path)
        kind = detail["type"]
        if kind == "extra_forbidden":
            known = [n for n in known_keys(model, path[:-1]) if n not in hidden]
            known += more if len(path) == 1 else ()
            yield Wrong(path, f"unknown key{near(str(path[-1]), known)}", at_key=True)
        elif len(path) < len(detail["loc"]) and kind in _SCALARS:
            seen = shown(reduce(step, path, tree))
            yield Wrong(path, f"expected text, a number or true or false, seen {seen}")
        else:
            yield Wrong(path, _message(detail, path))


def known_keys(model: type[BaseModel], path: Path) -> list[str]:
    """Return the keys that a map at `path` below the model may have."""
    found: object = model
    for part in path:
        found = _step(found, part)
    models = [kind for kind in _kinds(found) if _is_model(kind)]
    return [f.alias or n for kind in models for n, f in kind.model_fields.items()]


def _is_model(kind: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _kinds(annotation: object) -> list[object]:
    """Return the alternatives of an annotation."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [kind for part in get_args(annotation) for kind in _kinds(part)]
    return [annotation]


def _step(annotation: object, part: str | int) -> object:
    for kind in _kinds(annotation):
        if get_origin(kind) is dict:
            return get_args(kind)[1]
        if get_origin(kind) is tuple:
            return get_args(kind)[0]
        if _is_model(kind):
            for name, info in kind.model_fields.items():
                if part in (name, info.alias):
                    return info.annotation
    return object


def _real(detail: ErrorDetails, tree: object) -> Path:
    """Return the location without the names of union branches; a missing key is kept."""
    path: Path = ()
    for depth, part in enumerate(detail["loc"], 1):
        try:
            tree = step(tree, part)
        except LookupError:
            last = depth == len(detail["loc"]) and detail["type"] == "missing"
            return (*path, part) if last else path
        path = (*path, part)
    return path


def _message(detail: ErrorDetails, path: Path) -> str:
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    names = [part for part in path if isinstance(part, str)]
    login = isinstance(value, str) and "://" in value and "@" in value
    secret = login or (bool(names) and names[-1] in SECRET) or "secrets" in names[-2:]
    seen = "a value that is not shown" if secret else shown(value)
    if kind == "value_error":
        return _secretless(detail["msg"].removeprefix("Value error, "), secret)
    if kind == "missing":
        return "expected a value, seen nothing"
    if kind == "literal_error":
        words = str(context["expected"]).replace("'", "")
        names = words.replace(" or ", ", ").split(", ")
        hits = get_close_matches(str(value), names, 1) if isinstance(value, str) else []
        return f"expected {words}, seen {seen}" + (f"; did you mean {hits[0]}?" if hits else "")
    if kind == "string_pattern_mismatch":
        wanted = _PATTERNS.get(str(context["pattern"]), f"text that matches {context['pattern']}")
        return f"expected {wanted}, seen {seen}"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, seen {seen}{_quoting(kind, value)}"
    return f"expected {_bound(kind, context, detail['msg'])}, seen {seen}"


def _secretless(message: str, secret: bool) -> str:
    return message.split(", seen")[0] if secret else message


def _quoting(kind: str, value: object) -> str:
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        return "; put it in quotes"
    text = str(value) if isinstance(value, str) else ""
    if kind == "bool_type" and text.lower() in ("yes", "on", "y", "no", "off", "n"):
        return f"; write {'true' if text.lower() in ('yes', 'on', 'y') else 'false'}"
    if kind in ("int_type", "float_type") and text.lstrip("+-").isdigit():
        return "; write it without leading zeros and without quotes"
    return ""


def _bound(kind: str, context: Mapping[str, object], message: str) -> str:
    bounds = {
        "greater_than_equal": ("at least", "ge"),
        "less_than_equal": ("at most", "le"),
        "greater_than": ("more than", "gt"),
    }
    if kind in bounds:
        word, key = bounds[kind]
        return f"{word} {context[key]}"
    lengths = {
        "string_too_long": "at most {max_length} characters",
        "string_too_short": "at least {min_length} character",
        "too_long": "at most {max_length} items",
    }
    return lengths[kind].format(**context) if kind in lengths else message.lower()
