"""The alerts: each fires when it should and only then, says where to read on, and asks for metrics that there are."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import promql_parser
import pytest
import yaml

from provisioner.domain.model import Trigger
from tests.builders import DAY, HOUR
from tests.deploy.promql import Labels, Series, evaluate
from tests.deploy.rendered import FULL, chart, one
from tests.deploy.scraped import Scraped
from tests.deploy.tools import DEPLOY, ROOT
from tests.deploy.values_schema import RULES, RULES_COPY
from tests.fakes.faults import Fault

CASES: Final = yaml.safe_load((DEPLOY / "alerts" / "token-provisioner.test.yaml").read_text())
ALERTS: Final[dict[str, dict[str, Any]]] = {
    rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
}
STEP: Final = 60
MISSING: Final = "_"

EXPECTATIONS: Final = [
    pytest.param(
        case["input_series"], expected, id=f"{expected['alertname']} at {expected['eval_time']}: {case['name']}"
    )
    for case in CASES["tests"]
    for expected in case["alert_rule_test"]
]
"""Every expectation of promtool's test file by itself."""


@pytest.mark.parametrize(("given", "expected"), EXPECTATIONS)
def test_it_fires_as_expected(given: list[dict[str, str]], expected: dict[str, Any]) -> None:
    """What fires at that moment, with which labels and words, is what promtool's test file says."""
    rule = ALERTS[expected["alertname"]]
    moment = promql_parser.parse_duration(expected["eval_time"])

    fired = [alert(rule, labels) for labels in firing(rule, [series(each) for each in given], moment)]

    def by_labels(each: dict[str, Any]) -> str:
        return str(sorted(each["exp_labels"].items()))

    assert sorted(fired, key=by_labels) == sorted(expected["exp_alerts"], key=by_labels)


def test_each_alert_is_seen_to_fire_and_not_to_fire() -> None:
    """No alert is without both."""
    outcomes = {
        (expected["alertname"], bool(expected["exp_alerts"]))
        for case in CASES["tests"]
        for expected in case["alert_rule_test"]
    }

    assert outcomes == {(name, fires) for name in ALERTS for fires in (True, False)}


def selectors(tree: Any) -> Iterator[Any]:
    """Give everything below that asks for a metric."""
    if isinstance(tree, promql_parser.VectorSelector):
        yield tree
    parts = [getattr(tree, name, None) for name in ("expr", "lhs", "rhs", "vector_selector")]
    for part in (*parts, *getattr(tree, "args", ())):
        if part is not None:
            yield from selectors(part)


@pytest.fixture(scope="module")
def exposed() -> dict[str, dict[str, set[str]]]:
    """Give each metric that was scraped of a daemon in trouble, with its labels and their values."""
    daemon = Scraped()
    daemon.rig.issuer.faults.add("create", Fault.BEFORE)
    daemon.minutes(60)
    seen: dict[str, dict[str, set[str]]] = {}
    for each in daemon.series:
        labels = dict(each.labels)
        found = seen.setdefault(labels.pop("__name__"), {})
        for name, value in labels.items():
            found.setdefault(name, set()).add(value)
    return seen


@pytest.mark.parametrize("alert", ALERTS)
def test_what_is_asked_for_is_exposed(alert: str, exposed: dict[str, dict[str, set[str]]]) -> None:
    """Each metric is one that a daemon exposes, with each label, and each value that is looked for in it."""
    asked = list(selectors(promql_parser.parse(ALERTS[alert]["expr"])))
    assert asked
    for each in asked:
        assert each.name in exposed
        for matcher in each.matchers.matchers:
            assert matcher.value in exposed[each.name].get(matcher.name, set()), f"{each.name}: {matcher}"
    have = [set(exposed[each.name]) for each in asked]
    assert labels_after("by", ALERTS[alert]["expr"]) <= set.union(*have)
    assert labels_after("on", ALERTS[alert]["expr"]) <= set.intersection(*have)


def labels_after(word: str, expression: str) -> set[str]:
    """Give the labels that stand behind a word, such as `by (name)`."""
    return {name for found in re.findall(rf"\b{word} \(([^)]*)\)", expression) for name in found.split(", ")}


def test_a_daemon_that_is_well_wakes_nobody() -> None:
    """Through its first hours, and a rotation."""
    daemon = Scraped()
    daemon.minutes(150)
    daemon.service.rotate(daemon.service.tokens, Trigger(request_id="one"))
    daemon.minutes(120)

    assert woken(daemon) == set()


def test_failing_rotations_wake_somebody_until_one_is_done() -> None:
    """From the second failure on, though its counter was not there before; the first success ends it."""
    daemon = Scraped()
    daemon.rig.issuer.faults.always["create"] = Fault.BEFORE
    daemon.service.run_pass()
    daemon.looks = False
    daemon.minutes(20)
    assert woken(daemon) == set()
    daemon.looks = True
    daemon.minutes(10)
    assert woken(daemon) == {"ProvisionerRotationFailing"}
    daemon.rig.issuer.faults.always.clear()
    daemon.minutes(20)
    assert woken(daemon) == set()


def test_a_token_that_is_not_rotated_wakes_somebody() -> None:
    """Long after its planned moment it is still the old one."""
    daemon = Scraped()
    daemon.service.run_pass()
    daemon.rig.issuer.faults.always["create"] = Fault.BEFORE
    daemon.rig.clock.advance(26 * DAY)
    daemon.minutes(10)

    assert "ProvisionerTokenExpiring" in woken(daemon)


def test_what_cannot_be_revoked_wakes_somebody() -> None:
    """A predecessor that is overdue, and an orphan that stays."""
    daemon = Scraped()
    daemon.service.run_pass()
    daemon.service.rotate(daemon.service.tokens, Trigger(request_id="one"))
    daemon.rig.issuer.faults.always["revoke"] = Fault.BEFORE
    daemon.rig.clock.advance(HOUR)
    daemon.rig.orphan()
    daemon.rig.clock.advance(3 * HOUR)
    daemon.minutes(150)

    assert woken(daemon) == {"ProvisionerRevocationsOverdue", "ProvisionerOrphanTokens"}


def test_a_daemon_that_looks_at_nothing_or_does_not_act_wakes_somebody() -> None:
    """Each with an alert of its own."""
    daemon = Scraped()
    daemon.service.run_pass()
    daemon.looks = False
    daemon.minutes(60)
    assert woken(daemon) == {"ProvisionerSchedulerSilent"}
    daemon.acts, daemon.looks = False, True
    daemon.minutes(10)
    assert woken(daemon) == {"ProvisionerNoLeader"}


def woken(daemon: Scraped) -> set[str]:
    """Give the alerts that fire now."""
    return {name for name, rule in ALERTS.items() if firing(rule, daemon.series, daemon.now)}


def test_each_runbook_is_a_heading_of_the_documentation() -> None:
    """Whoever is woken finds the page at the address in the alert."""
    text = (ROOT / "docs" / "operations.md").read_text()
    anchors = {f"docs/operations.md#{title.lower()}" for title in re.findall(r"^#+ (\w+)$", text, re.MULTILINE)}

    assert {rule["annotations"]["runbook_url"] for rule in ALERTS.values()} <= anchors


def test_the_plain_file_is_the_charts() -> None:
    """Who has no operator gets the same rules; `make chart` copies them."""
    assert RULES_COPY.read_text() == RULES.read_text()


def test_the_chart_has_the_same_rules() -> None:
    """The PrometheusRule differs from the file in what values change here, the address of the runbook, alone."""
    (group,) = one("PrometheusRule", chart(FULL))["spec"]["groups"]

    where = "https://wiki.example.org/provisioner"
    back = yaml.safe_load(yaml.safe_dump(group["rules"]).replace(where, "docs/operations.md"))
    assert back == list(ALERTS.values())


def test_values_change_the_rules() -> None:
    """A longer silence can be allowed, and an alert left out."""
    rendered = chart(
        FULL, "prometheusRule.silentAfterSeconds=7200", "prometheusRule.disabled={ProvisionerOrphanTokens}"
    )

    (group,) = one("PrometheusRule", rendered)["spec"]["groups"]
    rules = {rule["alert"]: rule for rule in group["rules"]}
    assert set(ALERTS) - set(rules) == {"ProvisionerOrphanTokens"}
    assert rules["ProvisionerSchedulerSilent"]["expr"].endswith("> 7200")


def firing(rule: dict[str, Any], given: list[Series], moment: timedelta) -> set[Labels]:
    """Give what was true at every step for as long as the rule asks."""
    begin = moment - promql_parser.parse_duration(rule["for"])
    steps = range(int(begin.total_seconds()), int(moment.total_seconds()) + 1, STEP)
    true = [{nameless(labels) for labels in evaluate(rule["expr"], given, now)} for now in steps if now >= 0]
    return set.intersection(*true) if len(true) == len(steps) else set()


def alert(rule: dict[str, Any], labels: Labels) -> dict[str, Any]:
    """Give an alert as promtool writes it."""
    given = dict(labels)
    words = {
        name: re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: given.get(found[1], ""), text)
        for name, text in rule["annotations"].items()
    }
    return {"exp_labels": given | rule["labels"], "exp_annotations": words}


def series(given: dict[str, str]) -> Series:
    """Read a series in promtool's notation: `7x3` is four samples of 7, a minute apart, `_x3` three missing."""
    selector = promql_parser.parse(given["series"])
    assert isinstance(selector, promql_parser.VectorSelector)
    labels = {"__name__": str(selector.name)} | {each.name: each.value for each in selector.matchers.matchers}
    runs = [run.split("x") for run in given["values"].split()]
    values = [value for value, times in runs for _ in range(int(times) + (value != MISSING))]
    samples = [(i * STEP, float(value)) for i, value in enumerate(values) if value != MISSING]
    return Series(labels=frozenset(labels.items()), samples=samples)


def nameless(labels: Labels) -> Labels:
    """Give the labels without the metric's name, as an alert has them."""
    return frozenset(pair for pair in labels if pair[0] != "__name__")
