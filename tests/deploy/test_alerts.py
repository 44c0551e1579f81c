"""The alerts: each fires when it should and only then, says where to read on, and asks for metrics that there are."""

import re
from datetime import timedelta
from typing import Any, Final

import promql_parser
import pytest
import yaml

from provisioner.telemetry import names
from tests.deploy.promql import Labels, Series, evaluate
from tests.deploy.rendered import FULL, chart, one
from tests.deploy.tools import DEPLOY, ROOT
from tests.deploy.values_schema import RULES, RULES_COPY

CASES: Final = yaml.safe_load((DEPLOY / "alerts" / "token-provisioner.test.yaml").read_text())
ALERTS: Final[dict[str, dict[str, Any]]] = {
    rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
}
STEP: Final = 60

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


def test_the_metrics_are_ours() -> None:
    """Alerts ask for metrics that the code names, and no alert waits for one that nobody exports."""
    known = {value for value in vars(names).values() if isinstance(value, str)}

    asked = {name for rule in ALERTS.values() for name in re.findall(r"\bprovisioner_\w+", rule["expr"])}

    assert asked
    assert asked <= known


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
    """Read a series in promtool's notation: `7x3` is four samples of 7, a minute apart."""
    selector = promql_parser.parse(given["series"])
    assert isinstance(selector, promql_parser.VectorSelector)
    labels = {"__name__": str(selector.name)} | {each.name: each.value for each in selector.matchers.matchers}
    runs = [run.split("x") for run in given["values"].split()]
    values = [float(value) for value, times in runs for _ in range(int(times) + 1)]
    return Series(labels=frozenset(labels.items()), samples=[(i * STEP, value) for i, value in enumerate(values)])


def nameless(labels: Labels) -> Labels:
    """Give the labels without the metric's name, as an alert has them."""
    return frozenset(pair for pair in labels if pair[0] != "__name__")
