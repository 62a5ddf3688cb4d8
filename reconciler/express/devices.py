"""Firmware, display, ports, passed-through devices and the ISO as a spec would say them."""

import re

from handlers.devices import FLAGS
from reconciler.express.words import Tree, known, section
from state.conf import VMConfig
from state.propstring import parse, parse_boolean

KINDS = {"serials": "serial", "pci": "hostpci", "usb": "usb", "virtiofs": "virtiofs"}
BARE = {"serials": "port", "pci": "host", "usb": "host", "virtiofs": "dirid"}
RENAMED = {"x-vga": "primary", "dirid": "mapping"}
"""Parts of a device that a spec calls otherwise."""


def firmware(config: VMConfig) -> Tree:
    found = known(
        bios=config.text("bios") or None,
        machine=config.text("machine") or None,
        ostype=config.text("ostype") or None,
        scsihw=config.text("scsihw") or None,
    )
    drives = config.drives
    if "efidisk0" in drives:
        keys = drives["efidisk0"].option("pre-enrolled-keys")
        found["efi"] = known(
            storage=drives["efidisk0"].storage,
            efitype=drives["efidisk0"].option("efitype"),
            pre_enrolled_keys=None if keys is None else parse_boolean(keys),
        )
    if "tpmstate0" in drives:
        tpm = drives["tpmstate0"]
        found["tpm"] = known(storage=tpm.storage, version=tpm.option("version"))
    return found


def devices(config: VMConfig) -> Tree:
    found: Tree = {}
    if config.text("vga"):
        found["vga"] = _numbers(parse(config.text("vga") or "", "type"))
    if config.text("rng0"):
        found["rng"] = _numbers(parse(config.text("rng0") or "", "source"))
    for word, kind in KINDS.items():
        slots = {
            key: _device(word, config.text(key) or "")
            for key in sorted(config.raw)
            if re.fullmatch(rf"{kind}\d+", key)
        }
        found |= section(word, slots)
    return found | _iso(config)


def _device(word: str, text: str) -> str | Tree:
    parts = parse(text, BARE[word])
    if word == "serials":
        return parts["port"]
    return {
        RENAMED.get(name, name.replace("-", "_")): parse_boolean(value) if name in FLAGS else value
        for name, value in parts.items()
    }


def _numbers(parts: dict[str, str]) -> Tree:
    return {name: int(value) if value.isdigit() else value for name, value in parts.items()}


def _iso(config: VMConfig) -> Tree:
    held = [
        drive.volume
        for drive in config.drives.values()
        if drive.cdrom and not drive.cloudinit and ":iso/" in drive.volume
    ]
    return {"iso": held[0]} if len(held) == 1 else {}
