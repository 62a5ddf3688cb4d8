"""What a spec says of the end of its VM."""

import pytest
from pydantic import ValidationError

from desired.ending import End, KeptBackups
from desired.spec import VMSpec
from tests.engine import spec


@pytest.mark.parametrize(
    ("written", "kept"), [("keep", None), ("delete", 0.0), ({"keep": "30d"}, 2_592_000.0)]
)
def test_c_22_backups_stay_go_or_go_later(written: object, kept: float | None) -> None:
    assert End.model_validate({"backups": written}).kept_for == kept


@pytest.mark.parametrize("written", ["never", 7, {"for": "30d"}, {"keep": "soon"}])
def test_other_words_for_backups_are_refused(written: object) -> None:
    with pytest.raises(ValidationError):
        End.model_validate({"backups": written})


def test_a_document_of_a_spec_keeps_its_end() -> None:
    one = spec(state="absent", terminate={"grace": "7d", "backups": {"keep": "30d"}})
    again = VMSpec.model_validate_json(one.document())
    assert again == one and again.terminate is not None
    assert again.terminate.backups == KeptBackups(keep="30d")
