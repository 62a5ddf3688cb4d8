"""Parameter types that check values and word errors as PVE::JSONSchema does.

A field holds what Proxmox's schema says of one parameter; `validate` checks a whole call and
raises one 400 with every error. Sources: pve-common PVE/JSONSchema.pm, PVE/RESTHandler.pm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reconciler.sim.errors import bad_parameters
from reconciler.sim.parameters.faults import (
    INTEGER,
    MISSING,
    NUMBER,
    UNKNOWN_KEY,
    Errors,
    Format,
    add,
    enum_fault,
    format_fault,
    length_fault,
    list_fault,
    matches,
    range_fault,
)
from reconciler.sim.parameters.faults import FormatError as FormatError
from reconciler.sim.parameters.faults import split_list as split_list
from reconciler.sim.parameters.field import Field as Field
from reconciler.sim.parameters.field import Value as Value
from reconciler.sim.parameters.strings import split_properties


@dataclass(frozen=True, slots=True, kw_only=True)
class Integer(Field):
    """A whole number; handed over as int."""

    minimum: int | None = None
    maximum: int | None = None
    enum: tuple[int, ...] = ()

    kind = "integer"

    def convert(self, value: Value) -> Value:
        return int(value)

    def fault(self, text: str, path: str) -> str | None:
        if not INTEGER.match(text):
            return f"type check ('integer') failed - got '{text}'"
        wrong = format_fault(self.format, text) or range_fault(text, self.minimum, self.maximum)
        if wrong is None and self.enum and int(text) not in self.enum:
            return enum_fault(text, tuple(str(one) for one in self.enum))
        return wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Field):
    """A number with a fraction; handed over as the text given, since Proxmox stores that."""

    minimum: float | None = None
    maximum: float | None = None

    kind = "number"

    def convert(self, value: Value) -> Value:
        return str(value)

    def fault(self, text: str, path: str) -> str | None:
        if not NUMBER.match(text):
            return f"type check ('number') failed - got '{text}'"
        return format_fault(self.format, text) or range_fault(text, self.minimum, self.maximum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Boolean(Field):
    """0 or 1 in forms, also true and false in JSON; handed over as the int 0 or 1."""

    kind = "boolean"

    def convert(self, value: Value) -> Value:
        return int(value)

    def check(self, value: Value, path: str, errors: Errors) -> None:
        if not isinstance(value, bool):
            Field.check(self, value, path, errors)

    def fault(self, text: str, path: str) -> str | None:
        if text not in ("0", "1"):
            return f"type check ('boolean') failed - got '{text}'"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Field):
    """A string; `list_of` marks Proxmox's "-list" formats: each part is checked with it."""

    pattern: str | None = None
    max_length: int | None = None
    min_length: int | None = None
    enum: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    list_of: Format | None = None

    kind = "string"

    def convert(self, value: Value) -> Value:
        return str(value)

    def fault(self, text: str, path: str) -> str | None:
        wrong = format_fault(self.format, text)
        if wrong is None and self.list_of is not None:
            wrong = list_fault(self.list_of, text)
        if wrong is None and self.pattern is not None and not matches(self.pattern, text):
            wrong = "value does not match the regex pattern"
        if wrong is None:
            wrong = length_fault(text, self.min_length, self.max_length)
        if wrong is None and NUMBER.match(text):
            wrong = range_fault(text, self.minimum, self.maximum)
        if wrong is None and self.enum and text not in self.enum:
            wrong = enum_fault(text, self.enum)
        return wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Properties(Field):
    """A property string such as `virtio=MAC,bridge=vmbr0`; handed over as the text given.

    `validator` sees the parsed parts and may raise FormatError; it stands for the validators that
    Proxmox attaches to named formats.
    """

    parts: Mapping[str, Field] = field(default_factory=dict)
    validator: Callable[[dict[str, str]], object] | None = None
    max_length: int | None = None

    kind = "string"

    def convert(self, value: Value) -> Value:
        return str(value)

    def fault(self, text: str, path: str) -> str | None:
        try:
            parse_properties(self, text, path)
        except FormatError as error:
            return f"invalid format - {error}\n"
        return length_fault(text, None, self.max_length)


@dataclass(frozen=True, slots=True, kw_only=True)
class Array(Field):
    """A JSON array, or a key repeated in a form; handed over as a list."""

    items: Field = Text()

    kind = "array"

    def convert(self, value: Value) -> Value:
        return [self.items.convert(one) for one in value]

    def check(self, value: Value, path: str, errors: Errors) -> None:
        if not isinstance(value, list):
            add(errors, path, "type check ('array') failed")
            return
        for position, one in enumerate(value):
            check_field(self.items, one, f"{path}[{position}]", errors)


Fields = Mapping[str, Field]


def parse_properties(form: Properties, text: str, path: str) -> dict[str, str]:
    """The parts of a property string, aliases resolved, default key named.

    Raises FormatError with Proxmox's words (`format error` and a line per key).
    """
    parts = split_properties(form.parts, text)
    errors: Errors = {}
    check_object(form.parts, parts, path, errors)
    if errors:
        lines = "".join(f"{key}: {errors[key]}\n" for key in sorted(errors))
        raise FormatError("format error\n" + lines.removesuffix("\n"))
    if form.validator is not None:
        form.validator(parts)
    return parts


def check_field(form: Field, value: Value, path: str, errors: Errors) -> None:
    if value is None:
        if not form.optional and form.alias is None:
            add(errors, path, MISSING)
        return
    form.check(value, path, errors)


def check_object(fields: Fields, values: Mapping[str, Value], path: str, errors: Errors) -> None:
    """Check every declared key and refuse every other; `path` is "" at the top."""
    prefix = f"{path}." if path else ""
    for key, form in fields.items():
        check_field(form, values.get(key), prefix + key, errors)
    for key in values:
        known = fields.get(key)
        if known is None:
            add(errors, prefix + key, UNKNOWN_KEY)
        elif known.requires is not None and values.get(known.requires) is None:
            text = f"missing property - '{prefix}{key}' requires this property"
            add(errors, prefix + known.requires, text)


def _shaped(form: Field | None, value: Value) -> Value:
    """Arrays become joined lists and scalars become arrays where the schema wants that."""
    if isinstance(value, list) and isinstance(form, Text) and form.list_of is not None:
        return ",".join(str(one) for one in value)
    if isinstance(form, Array) and not isinstance(value, list) and value is not None:
        return [value]
    return value


def validate(fields: Fields, raw: Mapping[str, Value]) -> dict[str, Value]:
    """Checked parameters, converted by their fields. Raises 400 with all errors.

    A JSON null stays as None: Proxmox counts the key as given but ignores its value.
    """
    shaped = {key: _shaped(fields.get(key), value) for key, value in raw.items()}
    errors: Errors = {}
    check_object(fields, shaped, "", errors)
    if errors:
        raise bad_parameters(errors)
    return {
        key: None if value is None else fields[key].convert(value) for key, value in shaped.items()
    }
