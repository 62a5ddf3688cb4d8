"""The `cpu` and `amd-sev` values: known models and flags, and what a VM's config may not say.

Source: qemu-server PVE/QemuServer/CPUConfig.pm ($cpu_fmt, $sev_fmt, validate_vm_cpu_conf).
"""

from __future__ import annotations

import re

from reconciler.sim.parameters.schema import Boolean, FormatError, Properties, Text
from reconciler.sim.parameters.values import words

FLAGS = words(
    "pcid spec-ctrl ibpb ssbd virt-ssbd amd-ssbd amd-no-ssb pdpe1gb md-clear hv-tlbflush "
    "hv-evmcs aes"
)
REPORTED = words(
    "486 athlon Broadwell Broadwell-IBRS Broadwell-noTSX Broadwell-noTSX-IBRS "
    "Cascadelake-Server Cascadelake-Server-noTSX Cascadelake-Server-v2 Cascadelake-Server-v4 "
    "Cascadelake-Server-v5 Conroe Cooperlake Cooperlake-v2 core2duo coreduo EPYC EPYC-Genoa "
    "EPYC-IBPB EPYC-Milan EPYC-Milan-v2 EPYC-Rome EPYC-Rome-v2 EPYC-Rome-v3 EPYC-Rome-v4 "
    "EPYC-v3 EPYC-v4 GraniteRapids Haswell Haswell-IBRS Haswell-noTSX Haswell-noTSX-IBRS host "
    "Icelake-Client Icelake-Client-noTSX Icelake-Server Icelake-Server-noTSX Icelake-Server-v3 "
    "Icelake-Server-v4 Icelake-Server-v5 Icelake-Server-v6 IvyBridge IvyBridge-IBRS KnightsMill "
    "kvm32 kvm64 max Nehalem Nehalem-IBRS Opteron_G1 Opteron_G2 Opteron_G3 Opteron_G4 Opteron_G5 "
    "Penryn pentium pentium2 pentium3 phenom qemu32 qemu64 SandyBridge SandyBridge-IBRS "
    "SapphireRapids SapphireRapids-v2 Skylake-Client Skylake-Client-IBRS "
    "Skylake-Client-noTSX-IBRS Skylake-Client-v4 Skylake-Server Skylake-Server-IBRS "
    "Skylake-Server-noTSX-IBRS Skylake-Server-v4 Skylake-Server-v5 Westmere Westmere-IBRS"
)
"""QEMU's models, which a custom model may report, in Proxmox's order."""

MODELS = frozenset((*REPORTED, "x86-64-v2", "x86-64-v2-AES", "x86-64-v3", "x86-64-v4"))
_FLAG = rf"[+-](?:{'|'.join(FLAGS)})"
ALLOWED_FLAGS = re.compile(rf"{_FLAG}(?:;{_FLAG})*\Z")


def phys_bits(text: str) -> str:
    """`host`, or how many bits a physical address has."""
    if text != "host" and not (re.fullmatch(r"\d{1,2}", text) and 8 <= int(text) <= 64):
        raise FormatError("value must be an integer between 8 and 64 or 'host'")
    return text


def cpu_model(parts: dict[str, str]) -> None:
    """Validator of the whole `cpu` value; no custom models exist in a simulated cluster."""
    model = parts.get("cputype", "0")
    if model == "0":
        raise FormatError("CPU is missing cputype")
    if model.startswith("custom-"):
        raise FormatError(f"Custom cputype '{model.removeprefix('custom-')}' not found")
    if model not in MODELS:
        raise FormatError(f"Built-in cputype '{model}' is not defined (missing 'custom-' prefix?)")
    flags = parts.get("flags")
    if flags is not None and not ALLOWED_FLAGS.match(flags):
        raise FormatError(f"VM-specific CPU flags must be a subset of: {', '.join(FLAGS)}")
    if "reported-model" in parts:
        raise FormatError("Property 'reported-model' not allowed in VM-specific CPU config.")


CPU = Properties(
    optional=True,
    parts={
        "cputype": Text(optional=True, default_key=True),
        "reported-model": Text(optional=True, enum=REPORTED),
        "hidden": Boolean(optional=True),
        "hv-vendor-id": Text(optional=True, pattern=r"[a-zA-Z0-9]{1,12}"),
        "flags": Text(optional=True, pattern=r"[+-][a-zA-Z0-9\-_.]+(?:;[+-][a-zA-Z0-9\-_.]+)*"),
        "phys-bits": Text(optional=True, format=phys_bits),
    },
    validator=cpu_model,
)
SEV = Properties(
    optional=True,
    parts={
        "type": Text(default_key=True, enum=("std", "es", "snp"), max_length=3),
        "no-debug": Boolean(optional=True),
        "no-key-sharing": Boolean(optional=True),
        "allow-smt": Boolean(optional=True),
        "kernel-hashes": Boolean(optional=True),
    },
)
