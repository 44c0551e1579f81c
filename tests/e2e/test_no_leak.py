"""No part of any token stands in anything that was written: 200 rotations with debug logging."""

import logging
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from provisioner.app import opened
from provisioner.domain.model import Trigger
from provisioner.domain.secret import SecretText
from provisioner.domain.status import status_of
from provisioner.issuers.token_json import ParsedToken
from provisioner.simulators.management_api import ManagementApi
from provisioner.simulators.openbao import OpenBao
from tests.site import a_site

TOKENS, ROTATIONS = 8, 25
SHORTEST_PART = 12


@pytest.mark.slow
def test_two_hundred_rotations_leak_nothing(
    tmp_path: Path, openbao: OpenBao, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With everything at debug, neither log nor output nor file holds any twelve characters of any token in a row."""
    site = a_site(tmp_path, openbao, *(f"token-{number}" for number in range(TOKENS)))
    strings: list[str] = []
    remember = SecretText.__init__

    def spy(self: SecretText, value: str) -> None:
        if value.startswith("M.V1."):
            strings.append(value)
        remember(self, value)

    monkeypatch.setattr(SecretText, "__init__", spy)
    written = StringIO()
    with ManagementApi(site.cluster) as api, redirect_stderr(written), redirect_stdout(written):
        site.content["issuers"]["cluster"]["management_api"] = api.url
        with opened(site.config, logs=True) as application:
            for name in ("urllib3", "httpx", "httpcore", "hvac", "apscheduler"):
                logging.getLogger(name).setLevel(logging.DEBUG)
            for number in range(ROTATIONS):
                trigger = Trigger(request_id=f"r{number}", compromised=True)
                for result in application.service.rotate(application.service.tokens, trigger):
                    assert result.done, result.error
                    written.write(f"{result!r}")
            now = application.world.clock.now()
            for snapshot, decision in application.service.look(application.service.tokens):
                written.write(f"{snapshot!r}{decision!r}{status_of(snapshot, decision, now)!r}")
    captured = capfd.readouterr()
    everything = [written.getvalue(), captured.out, captured.err]
    everything += [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    assert len(set(strings)) == TOKENS * ROTATIONS == 200
    assert "rotation_finished" in everything[0]
    parts = {
        string[at : at + SHORTEST_PART]
        for string in set(strings)
        for at in range(len("M.V1."), len(string) - SHORTEST_PART)
    }
    haystack = "\n".join(everything)
    windows = {haystack[at : at + SHORTEST_PART] for at in range(len(haystack) - SHORTEST_PART)}
    assert not parts & windows, f"{len(parts & windows)} parts of tokens were written"


def test_parsed_output_masks_its_secret() -> None:
    """What was read of influxctl's output shows no token string."""
    secret = SecretText("M.V1.abcdefghijkl")
    parsed = ParsedToken(
        token_id="i", secret=secret, description=None, created_at=None, expires_at=None, revoked_at=None
    )
    assert "abcdefghijkl" not in repr(parsed)
