"""Events about our own pod: what is told, how often, and that nothing ever waits for it."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from provisioner.domain import events
from provisioner.runtime.clock import SystemClock
from provisioner.runtime.pod_events import PodEvents
from provisioner.settings.pod import Pod, pod
from provisioner.simulators.kubernetes_server import NAMESPACE, Fault, KubernetesServer
from provisioner.telemetry.pod_notes import Note, Notes
from provisioner.telemetry.pod_observer import PodObserver
from tests.builders import HOUR, MINUTE, NOW, uid
from tests.fakes.clock import FakeClock

POD = Pod(name="provisioner-5d9f-x2x4q", namespace=NAMESPACE, uid=uid(99))
NOTE = Note(reason="Rotated", action="Rotate", text="x")
FINISHED = events.RotationFinished(name="telegraf", rotation_id=uid(1), fact="rotation_is_due", took=MINUTE)
REVOKED = events.TokenRevoked(name="telegraf", issuer="cluster", token_id="id-1", reason="was replaced")
FAILED = events.StepFailed(
    name="telegraf", step="mint", fact="rotation_is_due", error="the issuer was down", failures=1, retry_at=NOW
)
GIVEN_UP_AFTER = 5
"""Seconds after which a request that hangs ends by itself: nobody waits so long."""
ROLE = [{"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]}]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesServer]:
    """Give a server that ``KUBECONFIG`` names, where we may do what the chart's Role allows, and no more."""
    with KubernetesServer() as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path / "kubeconfig")))
        server.allow_only(ROLE)
        yield server


def told_by(*heard: events.Event, **options: Any) -> PodEvents:
    """Let an observer hear events, and what it tells be sent."""
    clock = FakeClock(NOW)
    sender = PodEvents(name=POD.name, namespace=POD.namespace, uid=POD.uid, clock=clock, **options)
    observer = PodObserver(sender.put, clock)
    for event in heard:
        observer(event)
    sender.close()
    return sender


def there(server: KubernetesServer) -> list[dict[str, Any]]:
    """Give the Events that the server has."""
    items: list[dict[str, Any]] = server.cluster.list("events", NAMESPACE)["items"]
    return items


def test_rotated_failed_and_revoked_are_told(server: KubernetesServer) -> None:
    """Each about our own pod, in a form that the API server takes, also at a full second."""
    sender = told_by(FINISHED, FAILED, REVOKED)
    assert [(each["reason"], each["type"]) for each in there(server)] == [
        ("Rotated", "Normal"),
        ("RotationFailed", "Warning"),
        ("Revoked", "Normal"),
    ]
    first = there(server)[0]
    assert first["regarding"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": POD.name,
        "namespace": NAMESPACE,
        "uid": POD.uid,
    }
    assert first["note"] == f"telegraf: rotated (rotation_is_due), rotation {uid(1)}"
    assert first["reportingController"] == "token-provisioner"
    assert "the issuer was down" in there(server)[1]["note"]
    assert sender.dropped == 0


@pytest.mark.parametrize("name", ["p", f"provisioner.{'x' * 45}-{'y' * 190}-{'z' * 3}", "a" * 57, f"{'a' * 126}-b"])
def test_the_names_of_events_are_their_own_and_taken(server: KubernetesServer, name: str) -> None:
    """However long the pod's own is, and wherever it is cut."""
    sender = PodEvents(name=name, namespace=NAMESPACE, uid=POD.uid, clock=FakeClock(NOW))
    for _ in range(20):
        sender.put(NOTE)
    sender.close()
    assert sender.dropped == 0
    assert len({each["metadata"]["name"] for each in there(server)}) == 20


def test_nothing_else_is_told(server: KubernetesServer) -> None:
    """What belongs in the log is in the log."""
    told_by(
        events.Decided(name="telegraf", fact="nothing_is_due", step="rest", message="nothing is due"),
        events.StepFailed(name="telegraf", step="copy", fact="x", error="e", failures=1, retry_at=NOW),
    )
    assert there(server) == []
    assert server.asked == []


@pytest.mark.parametrize("fault", [Fault.UNREACHABLE, Fault.BROKEN, Fault.PAGE, Fault.GARBLED])
def test_what_the_server_does_not_take_is_dropped(server: KubernetesServer, fault: Fault) -> None:
    """And the next is sent all the same."""
    server.knobs.queues["create"] = [fault]
    sender = told_by(FINISHED, REVOKED)
    assert sender.dropped == 1
    assert there(server)[-1]["reason"] == "Revoked"


def test_what_we_may_not_is_dropped(server: KubernetesServer) -> None:
    """A Role that was not granted is no trouble of a rotation."""
    server.allow_everything()
    server.allow_only([])
    assert told_by(FINISHED).dropped == 1


def test_what_is_dropped_is_told_once_an_hour(server: KubernetesServer) -> None:
    """With the server's word for it and how many there were; never what a line would be written for each time."""
    server.allow_everything()
    server.allow_only([])
    clock, told = FakeClock(NOW), list[events.Event]()
    sender = PodEvents(name=POD.name, namespace=POD.namespace, uid=POD.uid, clock=clock, observe=told.append)
    for count in range(1, 6):
        sender.put(NOTE)
        wait_for_drops(sender, count)
        clock.advance(25 * MINUTE)
    sender.close()
    assert [event.dropped for event in told if isinstance(event, events.PodEventsDropped)] == [1, 4]
    (first, _) = told
    assert isinstance(first, events.PodEventsDropped)
    assert "403" in first.error
    assert "cannot create resource" in first.error
    assert server.token not in repr(told)


def wait_for_drops(sender: PodEvents, count: int) -> None:
    """Wait until so many have not been sent."""
    clock = SystemClock()
    deadline = clock.monotonic() + 30
    while sender.dropped < count:
        assert clock.monotonic() < deadline
        clock.sleep(timedelta(milliseconds=10))


def test_no_cluster_at_all_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has set the variables elsewhere."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing"))
    assert told_by(FINISHED).dropped == 1


def test_nobody_waits_for_a_server_that_hangs(server: KubernetesServer) -> None:
    """What does not fit in is dropped at once, and leaving takes two seconds at most."""
    server.knobs.always["create"] = Fault.SLOW_BEFORE
    clock = SystemClock()
    sender = PodEvents(name=POD.name, namespace=POD.namespace, uid=POD.uid, clock=clock, waiting=4)
    began = clock.monotonic()
    for _ in range(50):
        sender.put(NOTE)
    assert clock.monotonic() - began < GIVEN_UP_AFTER
    assert sender.dropped >= 45
    began = clock.monotonic()
    sender.close()
    assert clock.monotonic() - began < GIVEN_UP_AFTER


def test_failures_in_a_row_are_told_once_an_hour() -> None:
    """The first at once, then their number; one that succeeds begins anew; each name for itself."""
    notes = Notes()
    told = [notes.of(FAILED, NOW + number * 10 * MINUTE) for number in range(13)]
    assert [number for number, note in enumerate(told) if note is not None] == [0, 6, 12]
    texts = [note.text for note in told if note is not None]
    assert [text.partition(":")[2].partition(":")[0] for text in texts] == [
        " the rotation failed",
        " the rotation failed (7 times)",
        " the rotation failed (13 times)",
    ]
    notes.of(FINISHED, NOW + 3 * HOUR)
    assert notes.of(FAILED, NOW + 3 * HOUR) is not None


def test_a_long_reason_is_cut_and_a_token_is_taken_out() -> None:
    """Kubernetes takes 1024 bytes, and no Event ever holds a token."""
    long = events.TokenRevoked(name="t", issuer="c", token_id="1", reason="ü" * 3000)
    note = Notes().of(long, NOW)
    assert note is not None
    assert len(note.text.encode()) <= 1024
    leaky = events.TokenRevoked(name="t", issuer="c", token_id="1", reason="apiv3_" + "Zq7" * 20)
    note = Notes().of(leaky, NOW)
    assert note is not None
    assert "Zq7" not in note.text


def test_the_pod_is_known_by_three_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or not at all."""
    variables = {"POD_NAME": POD.name, "POD_NAMESPACE": POD.namespace, "POD_UID": POD.uid}
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert pod() == POD
    for variable, value in variables.items():
        monkeypatch.delenv(variable)
        assert pod() is None
        monkeypatch.setenv(variable, "")
        assert pod() is None
        monkeypatch.setenv(variable, value)


def test_the_thread_ends_with_what_it_serves() -> None:
    """Without a note it leaves at once, and not when the time to leave is over."""
    clock, took = SystemClock(), []
    for _ in range(3):
        began = clock.monotonic()
        sender = told_by()
        assert not sender._thread.is_alive()
        took.append(clock.monotonic() - began)
    assert min(took) < 1
