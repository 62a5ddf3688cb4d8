"""Template expressions in spec values: sandboxed jinja2 in which an unknown name is an error.

The macros of the name rule (CI-03: random digits and letters, parts of the time) vary, so they
may stand in `name` only, whose result is stored.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, UndefinedError
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from desired.model import Rendered

DEFAULT_NAME = "{{ key }}"
"""The template of a name that no spec gives; `/` of a group's key becomes `-`."""

GROUP_NAMES = ("index", "item", "value")
RESERVED = frozenset({"key", "name", "fleet", "package", "cluster", *GROUP_NAMES})
_TIME = ("unixtime", "year", "month", "day", "hour", "minute", "second")
_RANDOM = re.compile(r"random_(digit|letter)_([1-9]|[12][0-9]|3[0-2])")
_LETTERS = {"digit": "0123456789", "letter": "abcdefghijklmnopqrstuvwxyz"}
_FAILURES = (
    *(TemplateError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError),
    *(RuntimeError, MemoryError),
)
"""What an expression may raise; a macro that calls itself ends in a RecursionError."""


class BadTemplate(ValueError):
    """A template that cannot be rendered; the message is what a person reads."""


@dataclass(frozen=True, slots=True)
class _Compiled:
    template: Template
    names: frozenset[str]

    @property
    def varying(self) -> frozenset[str]:
        return frozenset(name for name in self.names if is_varying(name))


def is_varying(name: str) -> bool:
    """Whether a macro yields something else each time."""
    return name in _TIME or _RANDOM.fullmatch(name) is not None


def is_template(text: str) -> bool:
    """Whether the text holds any jinja2 syntax."""
    return "{{" in text or "{%" in text or "{#" in text


def has_template(value: object) -> bool:
    """Whether any string below `value` is a template."""
    if isinstance(value, str):
        return is_template(value)
    if isinstance(value, dict):
        return any(map(has_template, value.values()))
    return isinstance(value, list) and any(map(has_template, value))


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, keep_trailing_newline=True
    )
    environment.globals = {"range": environment.globals["range"]}
    del environment.filters["random"]
    return environment


@dataclass(frozen=True, slots=True)
class Renderer:
    """Renders templates and keeps the compiled ones."""

    environment: ImmutableSandboxedEnvironment = field(default_factory=_environment)
    compiled: dict[str, _Compiled] = field(default_factory=dict)

    def render(self, text: str, context: Mapping[str, object]) -> str:
        """Return the text, rendered if it is a template. Raises BadTemplate."""
        if not is_template(text):
            return text
        compiled = self._compile(text)
        if compiled.varying - context.keys():
            macro = min(compiled.varying)
            raise BadTemplate(f"{macro} varies, so it may stand in name only")
        return _run(compiled, context)

    def varies(self, text: str) -> bool:
        """Whether rolling this name twice may give two names. Raises BadTemplate."""
        return is_template(text) and bool(self._compile(text).varying)

    def roll(
        self, text: str, context: Mapping[str, object], seed: bytes, attempt: int, at: datetime
    ) -> str:
        """Return a name for its template: the same for equal arguments. Raises BadTemplate."""
        if not is_template(text):
            return text
        compiled = self._compile(text)
        macros: dict[str, object] = {
            name: _macro(name, at, seed, f"{context['key']}\0{text}\0{attempt}")
            for name in compiled.varying
        }
        return _run(compiled, {**context, **macros})

    def _compile(self, text: str) -> _Compiled:
        known = self.compiled.get(text)
        if known is None:
            try:
                names = find_undeclared_variables(self.environment.parse(text))
                known = _Compiled(self.environment.from_string(text), frozenset(names))
            except TemplateSyntaxError as error:
                raise BadTemplate(f"bad template: {error.message}") from error
            except (RecursionError, MemoryError, SyntaxError) as error:
                raise BadTemplate("bad template: nested too deeply") from error
            self.compiled[text] = known
        return known


def _run(compiled: _Compiled, context: Mapping[str, object]) -> str:
    try:
        return Rendered(compiled.template.render(context))
    except UndefinedError as error:
        raise BadTemplate(_undefined(str(error), compiled.names, context)) from error
    except _FAILURES as error:
        raise BadTemplate(f"template fails: {error}") from error


def _undefined(message: str, names: frozenset[str], context: Mapping[str, object]) -> str:
    unknown = {f"{name!r} is undefined": name for name in names - context.keys()}
    if message not in unknown:
        return f"template fails: {message}"
    name = unknown[message]
    if name in GROUP_NAMES:
        return f"{name} is known under count or for_each only"
    near = get_close_matches(name, [*context, *_TIME], 1)
    return f"{name} is not defined" + (f"; did you mean {near[0]}?" if near else "")


def _macro(name: str, at: datetime, seed: bytes, text: str) -> object:
    match = _RANDOM.fullmatch(name)
    if not match:
        return int(at.timestamp()) if name == "unixtime" else f"{getattr(at, name):02d}"
    letters, length = _LETTERS[match[1]], int(match[2])
    noise = hashlib.shake_256(seed + f"\0{text}\0{name}".encode()).digest(length * 4)
    chunks = (int.from_bytes(noise[at : at + 4], "big") for at in range(0, len(noise), 4))
    return "".join(letters[chunk % len(letters)] for chunk in chunks)
