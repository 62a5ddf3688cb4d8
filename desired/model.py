"""The base of everything that a person writes: frozen, strict about unknown keys and types."""

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Strict

_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)")


class Model(BaseModel):
    """A frozen model that refuses unknown keys; `None` means "not mentioned, so not ours"."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, str_strip_whitespace=True, hide_input_in_errors=True
    )


class Rendered(str):
    """Text that a template expression yielded: only this may stand for a number or a truth value.

    A quoted "4" is text and no number, but the 4 of `"{{ value }}"` can be nothing else than text.
    """

    __slots__ = ()


def native(value: object) -> object:
    """Return the number or truth value that rendered text spells; anything else as it is."""
    if type(value) is not Rendered:
        return value
    text = value.strip()
    if _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    return {"true": True, "false": False}.get(text.lower(), value)


Int = Annotated[int, BeforeValidator(native), Strict()]
"""A whole number; never text (`010` is text) and never a truth value."""

Float = Annotated[float, BeforeValidator(native), Strict()]
"""A number, whole or not."""

Bool = Annotated[bool, BeforeValidator(native), Strict()]
"""true or false; `on`, `no` and 1 are something else."""
