"""The Lease port's promises, kept by the fake and by the adapter for Kubernetes alike."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from provisioner.domain.election import NOBODY, Claim, LeaseRecord
from provisioner.domain.errors import LeaseConflictError, LeaseGoneError, LeaseRefusedError, LeaseUnavailableError
from provisioner.ports.lease import Lease
from provisioner.runtime.lease_kubernetes import KubernetesLease
from provisioner.simulators.kubernetes import Key
from provisioner.simulators.kubernetes_server import NAMESPACE, KubernetesServer
from provisioner.simulators.kubernetes_server import Fault as HttpFault
from tests.fakes.clock import FakeClock
from tests.fakes.faults import Fault
from tests.fakes.lease import FakeLease, LeaseBook

NAME = "provisioner"
A = Claim(holder="pod-a_1", duration=timedelta(seconds=15), transitions=0)
B = Claim(holder="pod-b_2", duration=timedelta(seconds=15), transitions=1)
RELEASED = Claim(holder=NOBODY, duration=timedelta(seconds=1), transitions=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Two processes' views of one lease, and what a test may do behind their back."""

    lease: Lease
    other: Lease
    lose_next_write: Callable[[], None]
    refuse_everything: Callable[[], None]
    answer_nothing: Callable[[], None]
    delete: Callable[[], None]


@pytest.fixture(params=["fake", "kubernetes"])
def bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Give each lease."""
    yield from _fake() if request.param == "fake" else _kubernetes(tmp_path, monkeypatch)


def _fake() -> Iterator[Bench]:
    book = LeaseBook()
    fake, other = FakeLease(book), FakeLease(book)
    operations = ("read", "create", "update")

    def lose() -> None:
        for operation in operations[1:]:
            fake.faults.add(operation, Fault.AFTER)

    yield Bench(
        lease=fake,
        other=other,
        lose_next_write=lose,
        refuse_everything=lambda: fake.faults.always.update(dict.fromkeys(operations, Fault.REFUSED)),
        answer_nothing=lambda: fake.faults.always.update(dict.fromkeys(operations, Fault.BEFORE)),
        delete=lambda: setattr(book, "record", None),
    )


def _kubernetes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with KubernetesServer() as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(folder / "kubeconfig")))
        lease, other = (
            KubernetesLease(NAME, None, request_timeout=timedelta(seconds=3), clock=FakeClock()) for _ in range(2)
        )
        knobs = server.knobs

        def delete() -> None:
            server.cluster.delete(Key("leases", NAMESPACE, NAME))

        yield Bench(
            lease=lease,
            other=other,
            lose_next_write=lambda: knobs.queues.update(create=[HttpFault.LOST], update=[HttpFault.LOST]),
            refuse_everything=lambda: server.allow_only([]),
            answer_nothing=lambda: knobs.always.update({"*": HttpFault.UNREACHABLE}),
            delete=delete,
        )
        lease.close()
        other.close()


def says(record: LeaseRecord | None) -> Claim | None:
    """Give what a lease says, without its version."""
    if record is None:
        return None
    return Claim(holder=record.holder, duration=record.duration, transitions=record.transitions)


def test_there_is_none_until_it_is_created(bench: Bench) -> None:
    """Then everybody reads what it says, in the version that the creator was told."""
    assert bench.lease.read() is None
    created = bench.lease.create(A)
    assert says(created) == A
    assert bench.other.read() == bench.lease.read() == created


def test_a_second_creator_is_told_so(bench: Bench) -> None:
    """And has changed nothing."""
    created = bench.lease.create(A)
    with pytest.raises(LeaseConflictError):
        bench.other.create(B)
    assert bench.lease.read() == created


def test_an_update_over_the_version_read_is_written(bench: Bench) -> None:
    """Each write has a version of its own, also one that says the same again."""
    bench.lease.create(A)
    known = bench.other.read()
    assert known is not None
    taken = bench.other.update(B, known.version)
    renewed = bench.other.update(B, taken.version)
    assert says(taken) == says(renewed) == B
    assert len({known.version, taken.version, renewed.version}) == 3
    assert bench.lease.read() == renewed


def test_an_update_over_an_older_version_is_refused(bench: Bench) -> None:
    """However often it is tried, and also when it says the same as what is there."""
    first = bench.lease.create(A)
    second = bench.lease.update(A, first.version)
    for claim in (A, B):
        with pytest.raises(LeaseConflictError):
            bench.other.update(claim, first.version)
    assert bench.lease.read() == second


def test_an_update_of_what_was_deleted_is_refused(bench: Bench) -> None:
    """And creates nothing."""
    created = bench.lease.create(A)
    bench.delete()
    with pytest.raises((LeaseGoneError, LeaseConflictError)):
        bench.lease.update(A, created.version)
    assert bench.lease.read() is None


def test_a_released_lease_is_held_by_nobody(bench: Bench) -> None:
    """And is taken over its version like any other."""
    created = bench.lease.create(A)
    released = bench.lease.update(RELEASED, created.version)
    assert says(bench.other.read()) == RELEASED
    assert says(bench.other.update(replace(B, transitions=2), released.version)) == replace(B, transitions=2)


def test_a_lost_answer_leaves_the_write(bench: Bench) -> None:
    """Whoever wrote reads what came of it, and is refused the same write again."""
    bench.lose_next_write()
    with pytest.raises(LeaseUnavailableError):
        bench.lease.create(A)
    found = bench.lease.read()
    assert says(found) == A
    with pytest.raises(LeaseConflictError):
        bench.lease.create(A)


@pytest.mark.parametrize(
    ("trouble", "error"), [("refuse_everything", LeaseRefusedError), ("answer_nothing", LeaseUnavailableError)]
)
def test_what_goes_wrong_is_told_by_kind_and_changes_nothing(
    bench: Bench, trouble: str, error: type[Exception]
) -> None:
    """A refusal is another thing than no answer."""
    created = bench.other.create(A)
    getattr(bench, trouble)()
    for call in (bench.lease.read, lambda: bench.lease.create(B), lambda: bench.lease.update(B, created.version)):
        with pytest.raises(error):
            call()
