"""What all types of parameters have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reconciler.sim.parameters.faults import Errors, Format, add, format_fault

Value = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One parameter of any type; the subclasses say which.

    `optional`  may be left out
    `requires`  name of a parameter that must be given with this one
    `format`    raises FormatError when the text is wrong
    `alias`, `key_alias`, `default_key`  only inside property strings, as in Proxmox's schemas
    """

    optional: bool = False
    requires: str | None = None
    format: Format | None = None
    alias: str | None = None
    key_alias: str | None = None
    default_key: bool = False

    kind = "any"

    def convert(self, value: Value) -> Value:
        """What a checked value is handed to the handler as."""
        return value

    def check(self, value: Value, path: str, errors: Errors) -> None:
        """Add an error for `path` unless the value is right; None is checked by the caller."""
        if isinstance(value, bool):
            add(errors, path, f"type check ('{self.kind}') failed - got JSON::PP::Boolean")
        elif isinstance(value, (list, dict)):
            what = "ARRAY" if isinstance(value, list) else "HASH"
            add(errors, path, f"type check ('{self.kind}') failed - got {what}")
        else:
            text = str(value)
            fault = self.fault(text, path)
            if fault is not None:
                add(errors, path, fault)

    def fault(self, text: str, path: str) -> str | None:
        return format_fault(self.format, text)
