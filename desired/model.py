"""The base of everything that a person writes: frozen, and strict about unknown keys."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A frozen model that refuses unknown keys; `None` means "not mentioned, so not ours"."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)
