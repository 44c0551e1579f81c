"""The Workloads port's promises, kept by the fake and by the adapter for Kubernetes alike."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from provisioner.domain.consumers import Progress, Workload, WorkloadKind, annotation_of
from provisioner.domain.errors import WorkloadGoneError, WorkloadsRefusedError, WorkloadsUnavailableError
from provisioner.domain.mark import Owner
from provisioner.ports.workloads import Workloads
from provisioner.runtime.workloads_kubernetes import KubernetesWorkloads
from provisioner.simulators.kubernetes import Key
from provisioner.simulators.kubernetes_server import Fault as HttpFault
from provisioner.simulators.kubernetes_server import KubernetesServer
from tests.builders import OWNER, a_record, uid
from tests.fakes.faults import Fault
from tests.fakes.workloads import FakeWorkloads

NAMESPACE = "telegraf"
KINDS = {kind: Workload(kind=kind, namespace=NAMESPACE, name="telegraf") for kind in WorkloadKind}
PLURALS = {kind: f"{kind.value.lower()}s" for kind in WorkloadKind}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The port, and what a test may do behind its back."""

    workloads: Workloads
    add: Callable[[Workload], None]
    delete: Callable[[Workload], None]
    finish: Callable[[Workload], None]
    generation: Callable[[Workload], int]
    lose_next_restart: Callable[[], None]
    refuse_everything: Callable[[], None]
    answer_nothing: Callable[[], None]


@pytest.fixture(params=["fake", "kubernetes"])
def bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Give each."""
    yield from _fake() if request.param == "fake" else _kubernetes(tmp_path, monkeypatch)


def _fake() -> Iterator[Bench]:
    fake = FakeWorkloads()
    fake.holds_still = True
    operations = ("look", "restart", "try")
    yield Bench(
        workloads=fake,
        add=lambda workload: (fake.add(workload), None)[-1],
        delete=lambda workload: (fake.there.pop(workload), None)[-1],
        finish=fake.finish,
        generation=lambda workload: fake.there[workload].generation,
        lose_next_restart=lambda: fake.faults.add("restart", Fault.AFTER),
        refuse_everything=lambda: fake.faults.always.update(dict.fromkeys(operations, Fault.REFUSED)),
        answer_nothing=lambda: fake.faults.always.update(dict.fromkeys(operations, Fault.BEFORE)),
    )


def _kubernetes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with KubernetesServer() as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(folder / "kubeconfig")))
        cluster, knobs = server.cluster, server.knobs
        cluster.rolls_out_at_once = False

        def key(workload: Workload) -> Key:
            return Key(PLURALS[workload.kind], NAMESPACE, workload.name)

        workloads = KubernetesWorkloads(request_timeout=timedelta(seconds=3))
        yield Bench(
            workloads=workloads,
            add=lambda workload: (cluster.add_workload(PLURALS[workload.kind], NAMESPACE, workload.name), None)[-1],
            delete=lambda workload: (cluster.delete(key(workload)), None)[-1],
            finish=lambda workload: (cluster.progress(key(workload), updated=2), None)[-1],
            generation=lambda workload: int(cluster.get(key(workload))["metadata"]["generation"]),
            lose_next_restart=lambda: knobs.queues.update(patch=[HttpFault.LOST]),
            refuse_everything=lambda: server.allow_only([]),
            answer_nothing=lambda: knobs.always.update({"*": HttpFault.UNREACHABLE}),
        )
        workloads.close()


@pytest.fixture(params=list(WorkloadKind))
def workload(request: pytest.FixtureRequest) -> Workload:
    """Give one of each kind."""
    return KINDS[request.param]


def test_what_is_not_there_is_read_as_nothing(bench: Bench, workload: Workload) -> None:
    """And cannot be restarted, nor be checked."""
    assert bench.workloads.read(workload, OWNER) is None
    with pytest.raises(WorkloadGoneError):
        bench.workloads.restart(workload, a_record())
    with pytest.raises(WorkloadGoneError):
        bench.workloads.check(workload, OWNER)


def test_a_restart_is_noted_and_rolled_out(bench: Bench, workload: Workload) -> None:
    """It names the rotation at once, is under way until its pods are replaced, and complete then."""
    bench.add(workload)
    before = bench.workloads.read(workload, OWNER)
    assert before is not None
    assert (before.rotation_id, before.progress) == (None, Progress.COMPLETE)
    bench.workloads.restart(workload, a_record(7))
    during = bench.workloads.read(workload, OWNER)
    assert during is not None
    assert (during.rotation_id, during.progress) == (uid(7), Progress.UNDER_WAY)
    bench.finish(workload)
    after = bench.workloads.read(workload, OWNER)
    assert after is not None
    assert (after.rotation_id, after.progress) == (uid(7), Progress.COMPLETE)
    assert after.message


def test_the_same_restart_again_is_none(bench: Bench, workload: Workload) -> None:
    """However often, and by whomever; that of another rotation is another one."""
    bench.add(workload)
    for _ in range(3):
        bench.workloads.restart(workload, a_record(7))
    assert bench.generation(workload) == 2
    bench.workloads.restart(workload, a_record(8))
    assert bench.generation(workload) == 3


def test_each_name_has_a_note_of_its_own(bench: Bench, workload: Workload) -> None:
    """A workload may read several tokens, and those of two instances."""
    bench.add(workload)
    owners = [OWNER, Owner(OWNER.instance, "other"), Owner("staging", OWNER.name)]
    for number, owner in enumerate(owners, start=1):
        bench.workloads.restart(workload, replace(a_record(number), owner=owner))
    read = [bench.workloads.read(workload, owner) for owner in owners]
    assert [rollout.rotation_id if rollout else None for rollout in read] == [uid(1), uid(2), uid(3)]
    assert len({annotation_of(owner) for owner in owners}) == 3


def test_a_lost_answer_leaves_the_restart(bench: Bench, workload: Workload) -> None:
    """It is found done, and the same again changes nothing."""
    bench.add(workload)
    bench.lose_next_restart()
    with pytest.raises(WorkloadsUnavailableError):
        bench.workloads.restart(workload, a_record(7))
    found = bench.workloads.read(workload, OWNER)
    assert found is not None
    assert found.rotation_id == uid(7)
    bench.workloads.restart(workload, a_record(7))
    assert bench.generation(workload) == 2


def test_a_check_changes_nothing(bench: Bench, workload: Workload) -> None:
    """Whoever looks afterwards finds what was there."""
    bench.add(workload)
    bench.workloads.check(workload, OWNER)
    found = bench.workloads.read(workload, OWNER)
    assert found is not None
    assert found.rotation_id is None
    assert bench.generation(workload) == 1


@pytest.mark.parametrize(
    ("trouble", "error"), [("refuse_everything", WorkloadsRefusedError), ("answer_nothing", WorkloadsUnavailableError)]
)
def test_what_goes_wrong_is_told_by_kind_and_changes_nothing(
    bench: Bench, trouble: str, error: type[Exception]
) -> None:
    """A refusal is another thing than no answer."""
    workload = KINDS[WorkloadKind.DEPLOYMENT]
    bench.add(workload)
    getattr(bench, trouble)()
    workloads = bench.workloads
    calls: list[Callable[[], object]] = [
        lambda: workloads.read(workload, OWNER),
        lambda: workloads.restart(workload, a_record(7)),
        lambda: workloads.check(workload, OWNER),
    ]
    for call in calls:
        with pytest.raises(error) as raised:
            call()
        assert (raised.value.__cause__, raised.value.__context__) == (None, None)
    assert bench.generation(workload) == 1
