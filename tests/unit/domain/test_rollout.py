"""When a workload is rolled out, for each kind: only when no pod of the old template is left."""

from typing import Any

import pytest

from provisioner.domain.consumers import (
    Progress,
    Webhook,
    Workload,
    WorkloadKind,
    annotation_of,
)
from provisioner.domain.mark import Owner
from provisioner.domain.rollout import DEADLINE_EXCEEDED, Numbers, progress_of
from provisioner.domain.secret import SecretText

DONE = {"generation": 4, "observed_generation": 4, "desired": 3, "total": 3, "updated": 3, "available": 3}
COMMON: list[tuple[dict[str, Any], Progress, str]] = [
    ({}, Progress.COMPLETE, "all 3 pods are new and available"),
    ({"observed_generation": 3}, Progress.UNDER_WAY, "not seen the new template"),
    ({"observed_generation": 0, "updated": 0}, Progress.UNDER_WAY, "not seen the new template"),
    ({"observed_generation": 5}, Progress.COMPLETE, "all 3"),
    ({"updated": 2}, Progress.UNDER_WAY, "2 of 3 pods are new"),
    ({"updated": 0, "available": 3}, Progress.UNDER_WAY, "0 of 3 pods are new"),
    ({"available": 2}, Progress.UNDER_WAY, "2 of 3 pods are available"),
    ({"desired": 0, "total": 0, "updated": 0, "available": 0}, Progress.COMPLETE, "all 0 pods"),
    ({"updated": 1, "on_delete": True}, Progress.UNDER_WAY, "somebody has to delete the old pods"),
]
OF_DEPLOYMENTS: list[tuple[dict[str, Any], Progress, str]] = [
    ({"total": 4}, Progress.UNDER_WAY, "1 old pods are to end"),
    ({"updated": 1, "progressing_reason": DEADLINE_EXCEEDED}, Progress.STALLED, "deadline has passed: 1 of 3"),
    ({"available": 1, "progressing_reason": DEADLINE_EXCEEDED}, Progress.STALLED, "1 of 3 pods are available"),
    ({"progressing_reason": DEADLINE_EXCEEDED}, Progress.COMPLETE, "all 3"),
    ({"observed_generation": 3, "progressing_reason": DEADLINE_EXCEEDED}, Progress.UNDER_WAY, "not seen"),
    ({"updated": 0, "is_paused": True}, Progress.STALLED, "it is paused: 0 of 3"),
    ({"is_paused": True}, Progress.COMPLETE, "all 3"),
    ({"ending": 2}, Progress.UNDER_WAY, "2 pods have been told to end"),
    ({"desired": 0, "total": 1, "updated": 0, "available": 0}, Progress.UNDER_WAY, "1 old pods are to end"),
]
OF_STATEFUL_SETS: list[tuple[dict[str, Any], Progress, str]] = [
    ({"old_revision": "a", "new_revision": "b"}, Progress.UNDER_WAY, "not the current one yet"),
    ({"old_revision": "b", "new_revision": "b"}, Progress.COMPLETE, "all 3"),
    ({"old_revision": "a", "new_revision": "b", "on_delete": True}, Progress.COMPLETE, "all 3"),
    ({"total": 5}, Progress.UNDER_WAY, "2 old pods are to end"),
    ({"updated": 0, "partition": 2}, Progress.UNDER_WAY, "0 of 3 pods are new"),
    ({"updated": 1, "partition": 2}, Progress.STALLED, "its partition is 2, below which pods stay as they are: 1 of 3"),
    ({"updated": 0, "partition": 9}, Progress.STALLED, "its partition is 9, below which pods stay"),
    ({"partition": 2}, Progress.COMPLETE, "all 3"),
    ({"updated": 1, "partition": 2, "on_delete": True}, Progress.UNDER_WAY, "somebody has to delete the old pods"),
    ({"desired": 0, "total": 0, "updated": 0, "available": 0, "partition": 1}, Progress.COMPLETE, "all 0 pods"),
]
OF_DAEMON_SETS: list[tuple[dict[str, Any], Progress, str]] = [
    ({"total": 0}, Progress.COMPLETE, "all 3"),
    ({"total": 0, "updated": 2}, Progress.UNDER_WAY, "2 of 3 pods are new"),
]
TABLE = [
    *((kind, *row) for kind in WorkloadKind for row in COMMON),
    *((WorkloadKind.DEPLOYMENT, *row) for row in OF_DEPLOYMENTS),
    *((WorkloadKind.STATEFUL_SET, *row) for row in OF_STATEFUL_SETS),
    *((WorkloadKind.DAEMON_SET, *row) for row in OF_DAEMON_SETS),
]


@pytest.mark.parametrize(("kind", "changes", "progress", "says"), TABLE)
def test_how_far_a_roll_out_is(kind: WorkloadKind, changes: dict[str, Any], progress: Progress, says: str) -> None:
    """As the numbers in its status say it, and in words for an operator."""
    found, message = progress_of(kind, Numbers(**(DONE | changes)))
    assert found is progress
    assert says in message


@pytest.mark.parametrize(
    ("instance", "name", "annotation"),
    [
        ("prod", "telegraf", "token-provisioner/rotation-prod.telegraf"),
        ("prod.eu", "t", "token-provisioner/rotation-prod.eu.t"),
        ("i" * 27, "n" * 26, f"token-provisioner/rotation-{'i' * 27}.{'n' * 26}"),
    ],
)
def test_the_annotation_names_instance_and_name(instance: str, name: str, annotation: str) -> None:
    """Two instances that restart one workload do not take each other's annotation for their own."""
    assert annotation_of(Owner(instance, name)) == annotation


def test_an_annotation_that_would_be_too_long_ends_in_a_digest() -> None:
    """Kubernetes takes 63 characters behind the prefix; names that differ at their ends have different ones."""
    given = {annotation_of(Owner("i" * length, f"{'n' * 62}{end}")) for length in (1, 40, 63) for end in "ab"}
    assert len(given) == 6
    assert all(len(each.partition("/")[2]) <= 63 for each in given)
    assert all(each[-1].isalnum() for each in given)


def test_a_webhook_s_address_is_not_shown() -> None:
    """Many an address is a password: it is named by its host, and two at one host are told apart."""
    first, second = (
        Webhook(url=f"https://u.example.org/secret-{number}", key=lambda: SecretText("k")) for number in (1, 2)
    )
    assert "secret-" not in f"{first} {first!r}"
    assert "u.example.org" in str(first)
    assert str(first) != str(second)
    assert len({first, second, Webhook(url=first.url, key=lambda: SecretText("other"))}) == 2


def test_a_workload_is_named_as_kubectl_names_it() -> None:
    """With its namespace, where one is given."""
    workload = Workload(kind=WorkloadKind.STATEFUL_SET, name="db")
    assert str(workload) == "StatefulSet db"
