"""A rotation that was asked for and has not come to anything is not shown like one that has."""

from dataclasses import replace

import pytest

from provisioner.api.page import page
from provisioner.api.view import Facts, Standing
from provisioner.cli.looking import _status_row
from provisioner.domain.status import NOT_DONE, LastRequest
from tests.builders import NOW
from tests.fakes.view import a_status

ASKED = LastRequest(request_id="CHANGE-1", compromised=False, asked_at=NOW, by="alice", via="socket")


@pytest.mark.parametrize("is_done", [True, False])
def test_it_says_so(*, is_done: bool) -> None:
    """In the table and on the page alike."""
    request = replace(ASKED, stored_at=NOW) if is_done else ASKED
    status = replace(a_status("one"), last_request=request)
    cells = " ".join(map(str, _status_row(status, NOW)))
    shown = page("prod", [Standing(status=status, seen_at=NOW)], Facts(ok=True, facts={}))
    for told in (cells, shown):
        assert "alice by socket" in told
        assert (NOT_DONE in told) != is_done
