"""What people write of themselves gets nowhere as a secret, as a control, or as what no output can encode."""

import pytest

from tests.api.conftest import Served

SECRET = "apiv3_" + "Aq7" * 20


@pytest.mark.parametrize("field", ["reason", "requested_by", "request_id"])
@pytest.mark.parametrize("odd", [r"\ud800", r"a\u202eb", r"a\u200fb", SECRET])
def test_odd_words(served: Served, field: str, odd: str) -> None:
    """Refused with a clear answer, or taken without what must not be shown."""
    body, kind = f'{{"{field}": "{odd}"}}'.encode(), {"Content-Type": "application/json"}
    answer = served.unix.post("/v1/tokens/telegraf/rotate", content=body, headers=kind)
    assert answer.status_code in {202, 422}
    shown = answer.text + served.unix.get("/v1/rotations").text
    assert not [mark for mark in ("\u202e", "\u200f", "\ud800", r"\ud800", "Aq7Aq7") if mark in shown]
