"""Scratch fleets for the tests: a sound base, and files laid over it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from desired.errors import SpecError
from desired.files import FileSource
from desired.source import Fleet, RolledName

AT = datetime(2026, 11, 20, 8, 5, 3, tzinfo=UTC)

BASE = {
    "fleet.yaml": """\
fleet: test
clusters:
  demo: {simulated: {nodes: 3}}
  other: {simulated: {nodes: 1}}
defaults: {cluster: demo, template: debian-12, storage: local-lvm, domain: example.net}
templates: {debian-12: {demo: [9000]}, only-other: {other: [9000]}}
""",
    "packages/small.yaml": """\
small:
  cpu: {cores: 1}
  memory: 1GiB
  nics:
    net0: {ipv4: {pool: v4}}
""",
    "pools/pools.yaml": """\
v4: {bridge: vmbr0, vlan: 100, network: 192.0.2.0/24, gateway: 192.0.2.1}
v6: {bridge: vmbr0, vlan: 100, network: 2001:db8::/64, gateway: 2001:db8::1}
inner: {bridge: vmbr1, network: 10.0.0.0/24}
""",
    "vms/ok.yaml": "ok: {package: small}\n",
}


def write_fleet(folder: Path, files: Mapping[str, str | None]) -> Path:
    """Write the base with `files` laid over it (None leaves a file out)."""
    for name, text in {**BASE, **files}.items():
        if text is not None:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return folder


def load(
    folder: Path,
    files: Mapping[str, str | None],
    names: Mapping[str, RolledName] | None = None,
    seed: bytes = b"seed",
) -> Fleet:
    """Write a fleet and load it."""
    return FileSource(write_fleet(folder, files), seed).load(names or {}, AT)


def lines(errors: tuple[SpecError, ...], folder: Path) -> list[str]:
    """Return the errors as printed, with paths below the folder."""
    return [str(error).replace(f"{folder}/", "").replace(f"{folder}:", ":") for error in errors]
