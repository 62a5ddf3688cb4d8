"""What a VM is called and tagged, how it boots, and what cloud-init tells its guest."""

import re

from handlers.effects import wanted
from handlers.marker import marker_tag, without_marker
from reconciler.express.words import Tree, known, section
from state.conf import VMConfig
from state.observed import SeenVM
from state.propstring import parse, parse_boolean


def options(seen: SeenVM) -> Tree:
    config = wanted(seen)
    order, up, down = config.startup
    startup = known(order=order, up=up, down=down)
    return {
        "name": config.name or seen.key.replace("/", "-"),
        "description": without_marker(config.description),
        "agent": config.agent,
        "onboot": config.boolean("onboot", False),
        "protection": config.boolean("protection", False),
        **({"boot": _boot(config)} if config.boot_order else {}),
        **section("startup", startup),
    }


def _boot(config: VMConfig) -> list[str]:
    """The boot order, the boot disk under the name that a spec gives it."""
    return ["system" if slot == config.boot_disk else slot for slot in config.boot_order]


def tags(seen: SeenVM) -> Tree:
    """All tags but the fleet's own mark."""
    mark = marker_tag(seen.fleet)
    return {"tags": [tag.lower() for tag in wanted(seen).tags if tag.lower() != mark]}


def place(seen: SeenVM) -> Tree:
    return known(node=seen.node or None, pool=seen.row.pool if seen.row else None)


def power(seen: SeenVM) -> Tree:
    return {"power": "stopped" if seen.status == "stopped" else "running"}


def cloudinit(config: VMConfig) -> Tree:
    """The user's part; a password is never readable, so none is said."""
    custom = parse(config.text("cicustom") or "")
    found = known(
        user=config.text("ciuser") or None,
        keys=list(config.ssh_keys) or None,
        dns=[one for one in re.split(r"[\s,;]+", config.text("nameserver") or "") if one] or None,
        search=config.text("searchdomain") or None,
        type=config.text("citype") or None,
        custom=custom or None,
    )
    upgrade = config.text("ciupgrade")
    if upgrade:
        found["upgrade"] = parse_boolean(upgrade)
    return section("cloudinit", found)
