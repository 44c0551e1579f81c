"""The composition root: a configuration becomes a world of adapters and a service over it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from platform import node
from typing import Final

import structlog

from provisioner.catalog import make_issuer, make_notifier, make_store, make_workloads
from provisioner.domain.election import Elector, Terms
from provisioner.engine.candidate import Candidate
from provisioner.engine.observed import ObservedIssuer, ObservedStore
from provisioner.engine.observed_consumers import ObservedNotifier, ObservedWorkloads
from provisioner.engine.recall import Recall
from provisioner.engine.service import Service
from provisioner.engine.world import World, always, never
from provisioner.issuers.credential import ManagedCredential
from provisioner.ports.clock import Clock
from provisioner.ports.issuer import Issuer
from provisioner.ports.lease import Lease
from provisioner.ports.observer import Observer
from provisioner.ports.store import Store
from provisioner.runtime.clock import SystemClock
from provisioner.runtime.entropy import SystemEntropy
from provisioner.settings.fail_point import FailPoint, fail_point
from provisioner.settings.load import Settings, load_settings
from provisioner.telemetry.logs import LogObserver, configure_logging
from provisioner.telemetry.names import LOGGER
from provisioner.telemetry.observers import Observers

NO_TOKENS: Final = "no token is configured, so nothing is created or rotated: add one under tokens"
_TRIES: Final = 3
"""So many requests fit between a renewal and the deadline of the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One configuration at work."""

    settings: Settings
    settings_path: Path
    world: World
    service: Service


@contextmanager
def opened(
    config: Path | None,
    *,
    logs: bool = False,
    quiet: bool = False,
    recall: Recall | None = None,
    clock: Clock | None = None,
    finish_by: Callable[[], float | None] = never,
    leads_until: Callable[[], float | None] = never,
    may_act: Callable[[], bool] = always,
    may_begin: Callable[[], bool] = always,
    watch: Observer | None = None,
    observers: Observers | None = None,
) -> Iterator[Application]:
    """Read the configuration and build everything it names; close it all at the end.

    Without ``logs`` only warnings are logged: for commands whose output is their result; and for one that acts while
    somebody watches, with ``quiet``. ``watch`` is told of every event besides the log; ``observers`` stand in place of
    both. Raises ConfigurationError; nothing has been asked of any issuer or store by then.
    """
    settings, path = load_settings(config)
    point = fail_point()
    configure_logging(settings.log.format, settings.log.level if logs and not quiet else "warning")
    clock = clock or SystemClock()
    observe: Observer = observers or Observers(LogObserver(), *([watch] if watch is not None else []))
    with ExitStack() as stack:
        about_our_pod = _about_our_pod(stack, clock, observe) if logs else None
        observe = observe if about_our_pod is None else Observers(observe, about_our_pod)
        world = _world(settings, stack, observe, clock)
        world = replace(world, finish_by=finish_by, leads_until=leads_until, may_act=may_act, may_begin=may_begin)
        if point is not None:
            world = _dying(world, point)
        service = Service(
            world,
            settings.managed_tokens(),
            instance=settings.instance,
            concurrency=settings.reconcile.concurrency,
            recall=recall or Recall(),
        )
        if logs and not settings.tokens:
            structlog.get_logger(LOGGER).warning("no_tokens", config=str(path), remedy=NO_TOKENS)
        yield Application(settings=settings, settings_path=path, world=world, service=service)


def _about_our_pod(stack: ExitStack, clock: Clock, observe: Observer) -> Observer | None:
    """Give what tells Events about the pod that this is, if it is one."""
    from provisioner.settings.pod import pod

    ours = pod()
    if ours is None:
        return None
    from provisioner.runtime.pod_events import PodEvents
    from provisioner.telemetry.pod_observer import PodObserver

    told = PodEvents(name=ours.name, namespace=ours.namespace, uid=ours.uid, clock=clock, observe=observe)
    stack.enter_context(closing(told))
    return PodObserver(told.put, clock)


def lease_of(settings: Settings, clock: Clock) -> Lease:
    """Give the lease that decides who leads. Raises ConfigurationError where no cluster is found."""
    from provisioner.runtime.lease_kubernetes import KubernetesLease

    election = settings.leader_election
    timeout = election.renew_deadline / _TRIES
    return KubernetesLease(election.lease_name, election.namespace, request_timeout=timeout, clock=clock)


def candidate_of(
    application: Application, clock: Clock, changed: Callable[[bool], None], stack: ExitStack
) -> Candidate | None:
    """Give this process as a candidate for leading, not started yet; None without leader election."""
    election = application.settings.leader_election
    if not election.enabled:
        return None
    terms = Terms(
        lease_duration=election.lease_duration,
        renew_deadline=election.renew_deadline,
        retry_period=election.retry_period,
    )
    lease = stack.enter_context(closing(lease_of(application.settings, clock)))
    identity = f"{node()}_{application.world.entropy.rotation_id()}"  # a pod's host name is its own
    elector = Elector(identity=identity, terms=terms)
    return Candidate(lease, elector, clock=clock, observe=application.world.observe, changed=changed)


def _world(settings: Settings, stack: ExitStack, observe: Observer, clock: Clock) -> World:
    stores: dict[str, Store] = {
        name: ObservedStore(stack.enter_context(closing(make_store(name, store, clock))), observe)
        for name, store in settings.stores.items()
    }
    issuers: dict[str, Issuer] = {
        name: ObservedIssuer(
            stack.enter_context(closing(make_issuer(name, issuer, clock, _credential(settings, name, stores)))), observe
        )
        for name, issuer in settings.issuers.items()
    }
    world = World(issuers=issuers, stores=stores, clock=clock, entropy=SystemEntropy(), observe=observe)
    return _with_consumers(world, settings, stack)


def _with_consumers(world: World, settings: Settings, stack: ExitStack) -> World:
    """Give the world in which what follows a rotation can be reached, where anything does."""
    tokens = settings.managed_tokens()
    if any(token.workloads for token in tokens):
        workloads = stack.enter_context(closing(make_workloads()))
        world = replace(world, workloads=ObservedWorkloads(workloads, world.observe))
    if any(token.webhooks for token in tokens):
        notifier = stack.enter_context(closing(make_notifier(world.clock)))
        world = replace(world, notifier=ObservedNotifier(notifier, world.observe))
    return world


def _credential(settings: Settings, issuer: str, stores: Mapping[str, Store]) -> ManagedCredential | None:
    """Give the managed token that an issuer is to be called with, where it is stored; None when it is another's."""
    for token in settings.managed_tokens():
        if issuer in token.credential_of:
            places = tuple((stores[place.store], place) for place in token.destinations)
            return ManagedCredential(owner=token.owner, places=places)
    return None


def _dying(world: World, point: FailPoint) -> World:
    """Give the same world, in which one call is the last: what a crash test asks for."""
    from provisioner.runtime.fail_points import Death, DyingConsumers, DyingIssuer, DyingStore

    death = Death(point.operation, after=point.after, count=point.count)
    return replace(
        world,
        issuers={name: DyingIssuer(issuer, death) for name, issuer in world.issuers.items()},
        stores={name: DyingStore(store, death) for name, store in world.stores.items()},
        workloads=DyingConsumers(world.workloads, world.notifier, death),
        notifier=DyingConsumers(world.workloads, world.notifier, death),
    )
