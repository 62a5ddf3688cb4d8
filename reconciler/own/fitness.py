"""Which calls a site's own handler may make: those of its VM that no handler of ours owns."""

import re

from desired.owned import refusal
from desired.spec import VMSpec
from handlers.handler import is_config_call, vm_path
from handlers.marker import read_marker
from state.change import Call
from state.observed import SeenVM

_BELOW = re.compile(r"config|firewall/[\w/.-]+|snapshot|status/(reboot|reset)")


def unfit(call: Call, spec: VMSpec, seen: SeenVM) -> str:
    """Why a site's handler may not make a call; empty when it may.

    It is of that VM, ends nothing, and writes no key that a handler of ours or the spec owns.
    """
    path = vm_path(seen)
    below = call.path.removeprefix(f"{path}/")
    if below == call.path or not _BELOW.fullmatch(below) or ".." in below:
        return f"expected a call below {path}: config, firewall, snapshot, status/reboot or reset"
    if below.startswith("firewall") and spec.firewall is not None:
        return "the firewall is said by the spec"
    if not is_config_call(call):
        return "config is written by PUT" if below == "config" else ""
    keys = set(call.params) - {"delete"} | set(str(call.params.get("delete", "")).split(",")) - {""}
    for key in sorted(keys):
        if key == "description":
            mark = read_marker(str(call.params.get(key, "")))
            if seen.config is None or mark != read_marker(seen.config.wanted.description):
                return "the description's last line marks the VM as ours; keep it"
        elif key in spec.config:
            return f"{key} is said by the spec's config"
        else:
            why = refusal(key, None)
            if why:
                return f"{key} {why}"
    return ""
