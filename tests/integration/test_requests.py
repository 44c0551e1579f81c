"""What one rotation costs, counted where the requests leave this process."""

from collections import Counter
from pathlib import Path

import pytest
import requests

from provisioner.app import opened
from provisioner.domain.events import Event, RequestMade
from provisioner.domain.model import Trigger
from provisioner.simulators.management_api import ManagementApi
from provisioner.simulators.openbao import OpenBao
from tests.site import a_site


def test_requests_of_a_rotation_and_of_the_end_of_its_predecessor(
    tmp_path: Path, openbao: OpenBao, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most three store requests and four issuer requests, the list shared by the pass not counted."""
    site = a_site(tmp_path, openbao)
    asked: Counter[str] = Counter()
    sent: list[str] = []
    send = requests.Session.send

    def counted(self: requests.Session, prepared: requests.PreparedRequest, **options: object) -> requests.Response:
        sent.append(f"{prepared.method} {prepared.path_url.partition('?')[0]}")
        return send(self, prepared, **options)

    monkeypatch.setattr(requests.Session, "send", counted)

    def watch(event: Event) -> None:
        if isinstance(event, RequestMade):
            asked[f"{event.kind} {event.operation}"] += 1

    with ManagementApi(site.cluster) as api:
        site.content["issuers"]["cluster"]["management_api"] = api.url
        with opened(site.config, watch=watch) as application:
            service = application.service
            service.run_pass()
            asked.clear()
            sent.clear()
            service.rotate(service.tokens, Trigger(request_id="r"))
    data = f"/v1/secret/data/{site.path('telegraf')}"
    assert sent in [[f"GET {data}", f"{write} {data}", f"GET {data}"] for write in ("PUT", "POST")]
    assert asked == {
        "issuer list": 1,
        "issuer create": 1,
        "issuer prove": 1,
        "store preflight": 1,
        "store read": 2,
        "store write": 1,
    }


def test_one_list_serves_a_pass_over_many_tokens(tmp_path: Path, openbao: OpenBao) -> None:
    """However many tokens there are, each issuer is listed once."""
    site = a_site(tmp_path, openbao, *(f"token-{number}" for number in range(12)))
    asked: Counter[str] = Counter()

    def watch(event: Event) -> None:
        if isinstance(event, RequestMade):
            asked[f"{event.kind} {event.operation}"] += 1

    with ManagementApi(site.cluster) as api:
        site.content["issuers"]["cluster"]["management_api"] = api.url
        with opened(site.config, watch=watch) as application:
            application.service.run_pass()
            assert asked["issuer list"] == 1
            assert asked["issuer create"] == 12
            asked.clear()
            application.service.run_pass()
    assert asked == {"issuer list": 1, "store read": 12}
