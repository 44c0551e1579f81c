"""No part of any token stands in anything that was written: 200 rotations with debug logging."""

import logging
import re
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from provisioner.app import opened
from provisioner.domain.model import Trigger
from provisioner.domain.secret import SecretText
from provisioner.domain.status import status_of
from provisioner.issuers.token_json import ParsedToken
from provisioner.simulators.management_api import ManagementApi
from provisioner.simulators.openbao import OpenBao
from tests.site import Site, a_site

TOKENS, ROTATIONS = 8, 25
SHORTEST_PART = 12
ISSUERS = ("cluster", "core", "databases", "core", "databases", "core", "databases", "cluster")
"""Of each token, in order: a child process for each call, or HTTP."""
STRINGS = ("M.V1.", "apiv3_", "apiv1_")
"""How the strings of each kind begin."""
OPERATORS: Final = ("management", "admin")
"""Those whose own tokens the issuers over HTTP are called with."""
WORD = re.compile(rf"[A-Za-z0-9+/=_.-]{{{SHORTEST_PART},}}")
"""What may hold a part of a token: a run of what tokens are made of."""


@pytest.mark.slow
def test_two_hundred_rotations_leak_nothing(
    tmp_path: Path, openbao: OpenBao, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With everything at debug, neither log nor output nor file holds any twelve characters of any token in a row."""
    site = a_site(tmp_path, openbao, *(f"token-{number}" for number in range(TOKENS)))
    strings: list[str] = []
    remember = SecretText.__init__

    def spy(self: SecretText, value: str) -> None:
        if value.startswith(STRINGS):
            strings.append(value)
        remember(self, value)

    monkeypatch.setattr(SecretText, "__init__", spy)
    written = StringIO()
    with (
        TemporaryDirectory(prefix="provisioner-operators-") as secrets,
        ManagementApi(site.cluster) as api,
        redirect_stderr(written),
        redirect_stdout(written),
    ):
        _issue_by_all_kinds(site, api, Path(secrets))
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
    seen = len(set(strings))
    assert seen == TOKENS * ROTATIONS + len(OPERATORS) == 202
    was_logged = "rotation_finished" in everything[0]
    assert was_logged
    parts = {
        string[at : at + SHORTEST_PART]
        for string in set(strings)
        for at in range(len(STRINGS[1]), len(string) - SHORTEST_PART)
    }
    words = {word for text in everything for word in WORD.findall(text)}
    windows = {word[at : at + SHORTEST_PART] for word in words for at in range(len(word) - SHORTEST_PART + 1)}
    found = len(parts & windows)
    assert found == 0, "parts of tokens were written"


def _issue_by_all_kinds(site: Site, api: ManagementApi, secrets: Path) -> None:
    """Add the issuers over HTTP, and let each token be issued by its own."""
    for kind in OPERATORS:
        (secrets / kind).touch(mode=0o600)
        (secrets / kind).write_text(site.cluster.operator(kind))
    site.content["issuers"] |= {
        "cluster": site.content["issuers"]["cluster"] | {"management_api": api.url},
        "core": {
            "type": "influxdb3",
            "url": api.influxdb3,
            "auth": {"file": str(secrets / "admin")},
            "timeout": "30s",
        },
        "databases": {
            "type": "influxdb-management-api",
            "url": api.url,
            "query_url": api.query_url,
            "auth": {"file": str(secrets / "management")},
            "timeout": "30s",
        },
    }
    for token, issuer in zip(site.content["tokens"], ISSUERS, strict=True):
        token["issuer"] = issuer
        if issuer == "databases":
            token["permissions"] = [{"action": "read", "resource": "weather"}]


def test_parsed_output_masks_its_secret() -> None:
    """What was read of influxctl's output shows no token string."""
    secret = SecretText("M.V1.abcdefghijkl")
    parsed = ParsedToken(
        token_id="i", secret=secret, description=None, created_at=None, expires_at=None, revoked_at=None
    )
    assert "abcdefghijkl" not in repr(parsed)
