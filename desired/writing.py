"""Documents as YAML text that the strict reading of `nodes` takes for the same."""

from collections.abc import Mapping
from decimal import Decimal

import yaml

from desired.nodes import is_text


class _Dumper(yaml.CSafeDumper):
    """PyYAML's C emitter that quotes whatever either YAML 1.1 or 1.2 would not take for text."""

    def ignore_aliases(self, data: object) -> bool:
        """Write everything out: a part that stands twice is written twice."""
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    style = None if is_text(value) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style)


def _number(dumper: _Dumper, value: float) -> yaml.ScalarNode:
    # Never 1e+16, which is text to YAML 1.2's core and to us.
    text = f"{Decimal(repr(value)):f}"
    text = text if "." in text else f"{text}.0"
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(float, _number)


def yaml_text(tree: Mapping[str, object]) -> str:
    """Return a tree of plain values (finite numbers) as YAML, its keys in their order."""
    text: str = yaml.dump(
        dict(tree), Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False
    )
    return text
