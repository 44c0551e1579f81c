"""Every metric is seen to move by what the engine really does, and shows nothing that is not configured."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from provisioner.domain import events
from provisioner.domain.mark import Mark, Owner
from provisioner.domain.model import Trigger
from provisioner.engine.observed import ObservedIssuer, ObservedStore
from provisioner.engine.recall import Recall
from provisioner.engine.service import Service
from provisioner.telemetry import names
from provisioner.telemetry.metrics import HELP, Metrics
from provisioner.telemetry.observers import Observers
from tests.builders import DAY, HOUR, uid
from tests.fakes.faults import Fault
from tests.rig import Rig

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
Samples = dict[tuple[str, tuple[str, ...]], float]


class Watched:
    """A service over the rig's world, whose every event goes to the metrics."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.acts = rig, True
        self.metrics = Metrics(rig.clock, acts=lambda: self.acts, lost=lambda: self.observers.lost)
        self.observers = Observers(self.metrics)
        world = rig.worlds[0]
        self.world = replace(
            world,
            observe=self.observers,
            stores={name: ObservedStore(store, self.observers) for name, store in world.stores.items()},
            issuers={name: ObservedIssuer(issuer, self.observers) for name, issuer in world.issuers.items()},
        )
        self.service = Service(self.world, [rig.token], instance="prod", concurrency=1, recall=Recall())

    def samples(self) -> Samples:
        """Give what a scrape tells, by name and the values of the labels in alphabetical order of these."""
        return dict(self._samples())

    def _samples(self) -> Iterator[tuple[tuple[str, tuple[str, ...]], float]]:
        text, _ = self.metrics.exposed("")
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                yield (sample.name, tuple(value for _, value in sorted(sample.labels.items()))), sample.value


@pytest.fixture
def watched() -> Watched:
    """Give one over a name that nobody has looked at yet."""
    return Watched(Rig())


def test_standing_of_a_name(watched: Watched) -> None:
    """Expiry and planned moment come with the token; failures do not move the moment; what is revoked late is seen."""
    rig = watched.rig
    assert (names.TOKEN_EXPIRY, ("telegraf",)) not in watched.samples()
    watched.service.run_pass()
    before = watched.samples()
    began = rig.clock.now()
    assert before[names.TOKEN_EXPIRY, ("telegraf",)] == (began + 30 * DAY).timestamp()
    planned = before[names.TOKEN_NEXT_ROTATION, ("telegraf",)]
    assert (began + 18 * DAY).timestamp() < planned < (began + 20 * DAY).timestamp()
    rig.clock.advance(20 * DAY)
    rig.issuer.faults.always["create"] = Fault.BEFORE
    watched.service.run_pass()
    assert watched.samples()[names.TOKEN_NEXT_ROTATION, ("telegraf",)] == planned
    assert watched.samples()[names.AWAITING_REVOCATION, ("telegraf",)] == 0
    rig.issuer.faults.always.clear()
    rig.issuer.faults.always["revoke"] = Fault.BEFORE
    rig.clock.advance(HOUR)
    watched.service.run_pass()
    assert watched.samples()[names.TOKEN_NEXT_ROTATION, ("telegraf",)] > planned
    assert watched.samples()[names.AWAITING_REVOCATION, ("telegraf",)] == 1
    assert watched.samples()[names.REVOCATIONS_OVERDUE, ("telegraf",)] == 0
    for _ in range(3):
        rig.clock.advance(HOUR)
        watched.service.run_pass()
    assert watched.samples()[names.REVOCATIONS_OVERDUE, ("telegraf",)] == 1


def test_rotations_and_their_phases(watched: Watched) -> None:
    """One that fails and one that is done are told apart, with the check that asked for them."""
    watched.rig.issuer.faults.add("create", Fault.BEFORE)
    watched.service.run_pass()
    watched.rig.clock.advance(HOUR)
    watched.service.run_pass()
    watched.service.rotate(watched.service.tokens, Trigger(request_id="one"))
    samples = watched.samples()
    assert samples[names.ROTATIONS, ("telegraf", "secret_is_missing", names.FAILED)] == 1
    assert samples[names.ROTATIONS, ("telegraf", "secret_is_missing", names.DONE)] == 1
    assert samples[names.ROTATIONS, ("telegraf", "trigger_is_pending", names.DONE)] == 1
    for phase in ("preflight", "create", "prove", "commit", "read_back", names.ALL_PHASES):
        assert samples[f"{names.ROTATION_DURATION}_count", (phase,)] == 2
        assert samples[f"{names.ROTATION_DURATION}_bucket", ("+Inf", phase)] == 2
    watched.metrics(events.RotationFinished(name="x", rotation_id="", fact="f", took=timedelta(seconds=2), phases={}))
    samples = watched.samples()
    assert samples[f"{names.ROTATION_DURATION}_sum", (names.ALL_PHASES,)] == 2
    assert samples[f"{names.ROTATION_DURATION}_bucket", ("1", names.ALL_PHASES)] == 2
    assert samples[f"{names.ROTATION_DURATION}_bucket", ("2.5", names.ALL_PHASES)] == 3


def test_requests(watched: Watched) -> None:
    """Each by its operation and result; of a bug no more is told than that it is one."""
    watched.rig.store.faults.add("read", Fault.BEFORE)
    watched.service.run_pass()
    watched.rig.clock.advance(HOUR)
    watched.service.run_pass()
    watched.metrics(events.RequestMade(kind="store", backend="vault", operation="read", result="KeyError: 'M.V1.x'"))
    samples = watched.samples()
    assert samples[names.STORE_REQUESTS, ("read", "StoreUnavailableError", "vault")] == 1
    assert samples[names.STORE_REQUESTS, ("write", "ok", "vault")] == 1
    assert samples[names.STORE_REQUESTS, ("read", "bug", "vault")] == 1
    assert samples[names.ISSUER_REQUESTS, ("cluster", "create", "ok")] == 1
    made = events.RequestMade(kind="consumer", backend="webhook", operation="deliver", result="NotificationFailedError")
    watched.metrics(made)
    watched.metrics(replace(made, result="ok"))
    samples = watched.samples()
    assert samples[names.CONSUMER_REQUESTS, ("webhook", "deliver", "NotificationFailedError")] == 1
    assert samples[names.CONSUMER_REQUESTS, ("webhook", "deliver", "ok")] == 1
    assert "M.V1" not in str(samples)


def test_orphans_of_configured_names_and_of_others(watched: Watched) -> None:
    """Both count, by issuer, and what was revoked counts no more."""
    rig = watched.rig
    watched.service.run_pass()
    assert watched.samples()[names.ORPHAN_TOKENS, ("cluster",)] == 0
    rig.orphan()
    rig.issuer.add(Mark(Owner("prod", "gone"), uid(7)).described("left over"), rig.clock.now() + DAY)
    rig.issuer.add(Mark(Owner("other", "gone"), uid(8)).described("of others"), rig.clock.now() + DAY)
    watched.service.run_pass()
    assert watched.samples()[names.ORPHAN_TOKENS, ("cluster",)] == 2
    rig.clock.advance(2 * HOUR)
    watched.service.run_pass()
    assert watched.samples()[names.ORPHAN_TOKENS, ("cluster",)] == 1


def test_last_reconcile_is_that_of_all_tokens(watched: Watched) -> None:
    """A name that is woken is no drift check."""
    assert watched.samples()[names.LAST_RECONCILE, ()] == 0
    watched.metrics(events.PassFinished(tokens=1, whole=False, failed=0, took=HOUR))
    assert watched.samples()[names.LAST_RECONCILE, ()] == 0
    watched.service.run_pass()
    assert watched.samples()[names.LAST_RECONCILE, ()] == watched.rig.clock.now().timestamp()


def test_leader_build_and_lost_events(watched: Watched) -> None:
    """Who acts is asked at each scrape; what an observer fails on is counted."""
    assert watched.samples()[names.LEADER, ()] == 1
    watched.acts = False
    assert watched.samples()[names.LEADER, ()] == 0
    assert [value for (name, _), value in watched.samples().items() if name == names.BUILD_INFO] == [1]
    assert watched.samples()[names.EVENTS_LOST, ()] == 0
    watched.observers(events.RequestMade(kind="nothing", backend="x", operation="y", result="ok"))
    assert watched.samples()[names.EVENTS_LOST, ()] == 1


def test_names_taken_out_of_the_configuration_disappear(watched: Watched) -> None:
    """Also where work on them ends later."""
    watched.service.run_pass()
    assert (names.TOKEN_EXPIRY, ("telegraf",)) in watched.samples()
    watched.metrics.keep({"another"}, {"former"})
    assert not {labels for (name, labels) in watched.samples() if name in {names.TOKEN_EXPIRY, names.ORPHAN_TOKENS}} - {
        ("former",)
    }
    watched.service.run_pass()
    assert (names.TOKEN_EXPIRY, ("telegraf",)) not in watched.samples()


def test_every_metric_has_a_help_and_is_exposed(watched: Watched) -> None:
    """What names.py names is what a scrape has, in both forms."""
    named = {value for value in vars(names).values() if str(value).startswith("provisioner_")}
    watched.service.run_pass()
    for accept in ("", "application/openmetrics-text; version=1.0.0"):
        text, content_type = watched.metrics.exposed(accept)
        helps = {line.split()[2] for line in text.decode().splitlines() if line.startswith("# HELP provisioner_")}
        assert {name.removesuffix("_total") for name in named} == {name.removesuffix("_total") for name in helps}
        assert content_type.startswith(accept.partition(";")[0])
    assert named == set(HELP)


def test_the_page_on_metrics_names_them_all() -> None:
    """With their labels; and none that there is not."""
    rows = [line.split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| `provisioner_")]
    told = {row[0].strip("| `"): sorted(re.findall(r"`(\w+)`", row[2])) for row in rows}
    assert set(told) == set(HELP)
    watched = Watched(Rig())
    watched.service.run_pass()
    text, _ = watched.metrics.exposed("")
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            documented = told.get(family.name) or told.get(f"{family.name}_total") or []
            if family.name.startswith("provisioner_"):
                assert sorted(set(sample.labels) - {"le"}) == documented, family.name
