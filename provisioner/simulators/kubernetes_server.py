"""The simulated Kubernetes API server over real HTTP: who is asking, what a Role lets them do, and faults at a wish.

Whoever holds the ``token`` is the ServiceAccount ``provisioner``. ``kubeconfig`` writes a file for ``KUBECONFIG``, by
which a real client in another process finds the server.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from json import JSONDecodeError, dumps, loads
from pathlib import Path
from secrets import token_hex
from threading import Event
from typing import Any, Final

from provisioner.ports.clock import Clock
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.kubernetes import Key, Kubernetes, Object, Reason, RejectionError
from provisioner.simulators.kubernetes_objects import KINDS, Kind
from provisioner.simulators.serving import LoopbackServer

NAMESPACE: Final = "influx"
ACCOUNT: Final = "provisioner"
ANY: Final = "*"
_PATCHES: Final = frozenset({"application/strategic-merge-patch+json", "application/merge-patch+json"})
_TRICKLE: Final = 0.05
"""Seconds from one byte to the next."""
_MALFORMED: Final = "couldn't get version/kind; json parse error"


class Fault(StrEnum):
    """What may come in the way of one request."""

    UNREACHABLE = "the connection breaks before the effect"
    LOST = "the effect, and the connection breaks"
    SLOW = "no answer, after the effect"
    SLOW_BEFORE = "no answer, and no effect"
    GONE = "410"
    THROTTLED = "429, with Retry-After"
    BROKEN = "500"
    TRICKLING = "the effect, and an answer byte by byte that never ends"
    GARBLED = "the effect, and an answer that cannot be read"
    PAGE = "a page of somebody between"


_REJECTIONS: Final[Mapping[Fault, RejectionError]] = {
    Fault.GONE: RejectionError(Reason.EXPIRED, "The resourceVersion for the provided request is too old."),
    Fault.THROTTLED: RejectionError(
        Reason.TOO_MANY_REQUESTS, "Too many requests, please try again later.", retryAfterSeconds=1
    ),
    Fault.BROKEN: RejectionError(Reason.INTERNAL_ERROR, "Internal error occurred: etcdserver: no leader"),
}
_BEFORE: Final = frozenset({Fault.UNREACHABLE, Fault.SLOW_BEFORE, Fault.PAGE})


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as RBAC sees it."""

    verb: str
    """``get``, ``list``, ``create``, ``update``, ``patch`` or ``delete``."""
    group: str
    resource: str
    namespace: str
    name: str
    """Empty where the request names none: list and create."""


@dataclass(slots=True)
class Knobs:
    """Which requests go wrong: by verb, or ``*`` for all; turned at any moment."""

    queues: dict[str, list[Fault]] = field(default_factory=dict)
    """The next requests of a verb, one fault each."""
    always: dict[str, Fault] = field(default_factory=dict)
    """Every request of a verb."""
    cut_off: set[str] = field(default_factory=set)
    """The bearer tokens whose owners reach nothing."""
    slow: timedelta = timedelta(seconds=20)
    """How long a slow answer takes."""
    retry_after: str = "1"
    """What a throttled request is told to wait."""
    before: Callable[[Asked], None] = field(default=lambda _: None)
    """Called before each request that is allowed."""

    def next(self, verb: str, token: str) -> Fault | None:
        """Give what goes wrong with the next request."""
        if token in self.cut_off:
            return Fault.UNREACHABLE
        for named in (verb, ANY):
            if self.queues.get(named):
                return self.queues[named].pop(0)
        return self.always.get(verb) or self.always.get(ANY)


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back."""

    body: str
    code: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = "application/json"
    breaks: bool = False
    """The connection ends before the answer does."""
    trickles: bool = False
    """Spaces come before the answer, one after another."""


class KubernetesServer(LoopbackServer):
    """Serves on a free loopback port, on a thread of this process, while the context lasts."""

    def __init__(self, clock: Clock | None = None, *, certificate: Path | None = None, key: Path | None = None) -> None:
        """Begin with an empty cluster in which the account may do everything; with a certificate it speaks TLS."""
        super().__init__("the simulated Kubernetes API server", certificate=certificate, key=key)
        self.cluster = Kubernetes(clock=clock or SystemClock())
        self.knobs = Knobs()
        self.token = f"sa-{token_hex(16)}"
        self.accounts = {self.token: ACCOUNT}
        """Who is who, by bearer token: more may be added, and taken away."""
        self.asked: list[Asked] = []
        """Every request that came from a known account, in order, allowed or not."""
        self._rules: dict[str, list[Mapping[str, Any]]] | None = None
        self._leave = Event()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}"

    def add_account(self, name: str) -> str:
        """Let in another one; give its bearer token."""
        token = f"sa-{token_hex(16)}"
        self.accounts[token] = name
        return token

    def allow_only(self, rules: Iterable[Mapping[str, Any]], namespace: str = NAMESPACE) -> None:
        """Allow what a Role in that namespace allows by its ``rules``, in addition to what was given before."""
        self._rules = self._rules or {}
        self._rules.setdefault(namespace, []).extend(rules)

    def allow_everything(self) -> None:
        """Forget every Role."""
        self._rules = None

    def kubeconfig(self, path: Path, *, token: str | None = None, namespace: str = NAMESPACE) -> Path:
        """Write a file for ``KUBECONFIG``."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "simulated", "cluster": {"server": self.url}}],
            "users": [{"name": ACCOUNT, "user": {"token": token or self.token}}],
            "contexts": [
                {"name": "simulated", "context": {"cluster": "simulated", "user": ACCOUNT, "namespace": namespace}}
            ],
            "current-context": "simulated",
        }
        path.write_text(dumps(content))  # JSON is YAML
        path.chmod(0o600)
        return path

    def answer(self, method: str, plural: str, namespace: str, name: str, sent: "Sent") -> Answer:
        """Answer one request."""
        verb = _verb(method, name)
        try:
            asked = Asked(verb, KINDS[plural].group, plural, namespace, "" if verb == "create" else name)
            self._authorise(asked, sent.token)
            self.knobs.before(asked)
            return self._outcome(asked, sent, self.knobs.next(verb, sent.token))
        except RejectionError as error:
            retry = {"Retry-After": self.knobs.retry_after} if error.reason is Reason.TOO_MANY_REQUESTS else {}
            return Answer(dumps(error.status()), error.code, retry)

    def _outcome(self, asked: Asked, sent: "Sent", fault: Fault | None) -> Answer:
        """Carry it out, and let happen what is in the way."""
        if fault is not None and fault in _REJECTIONS:
            raise _REJECTIONS[fault]
        with self.cluster.trying_only() if sent.dry_run else nullcontext():
            body = "{}" if fault in _BEFORE else dumps(self._carried_out(asked, sent))
        match fault:
            case Fault.UNREACHABLE | Fault.LOST:
                return Answer("", breaks=True)
            case Fault.SLOW | Fault.SLOW_BEFORE:
                self._leave.wait(self.knobs.slow.total_seconds())
                return Answer("", breaks=True)
            case Fault.TRICKLING:
                return Answer(body, trickles=True)
            case Fault.GARBLED:
                return Answer(body[: len(body) // 2])
            case Fault.PAGE:
                return Answer(f"<html>no such service, you sent {sent.token}</html>", 503, kind="text/html")
            case _:
                return Answer(body, 201 if asked.verb == "create" else 200)

    def _carried_out(self, asked: Asked, sent: "Sent") -> Object:
        key = Key(asked.resource, asked.namespace, asked.name)
        match asked.verb:
            case "get":
                return self.cluster.get(key)
            case "list":
                return self.cluster.list(asked.resource, asked.namespace)
            case "create":
                return self.cluster.create(asked.resource, asked.namespace, sent.object())
            case "update":
                return self.cluster.replace(key, sent.object())
            case "patch" if sent.kind not in _PATCHES:
                why = f"the body of the request was in an unknown format - accepted media types include: {_PATCHES}"
                raise RejectionError(Reason.UNSUPPORTED_MEDIA_TYPE, why)
            case "patch":
                return self.cluster.patch(key, sent.object())
            case "delete":
                return self.cluster.delete(key)
            case _:
                raise RejectionError(Reason.METHOD_NOT_ALLOWED, "the server does not allow this method")

    def _authorise(self, asked: Asked, token: str) -> None:
        account = self.accounts.get(token)
        if account is None:
            raise RejectionError(Reason.UNAUTHORIZED, "Unauthorized")
        self.asked.append(asked)
        if self._rules is None or any(_allows(rule, asked) for rule in self._rules.get(asked.namespace, ())):
            return
        kind = KINDS[asked.resource]
        which = f'{kind.qualified} "{asked.name}"' if asked.name else kind.qualified
        user = f"system:serviceaccount:{NAMESPACE}:{account}"
        why = f'User "{user}" cannot {asked.verb} resource "{asked.resource}" in API group "{asked.group}"'
        message = f'{which} is forbidden: {why} in the namespace "{asked.namespace}"'
        raise RejectionError(Reason.FORBIDDEN, message, name=asked.name, group=asked.group, kind=asked.resource)

    def application(self) -> Any:  # noqa: ANN401  # FastAPI is imported when used
        """Give the API as FastAPI serves it."""
        from fastapi import FastAPI, Request
        from fastapi.concurrency import run_in_threadpool

        self._leave.clear()
        app = FastAPI(openapi_url=None)
        for plural, kind in KINDS.items():

            async def serve(request: Request, namespace: str, name: str = "", plural: str = plural) -> Any:  # noqa: ANN401  # see below
                scheme, _, token = request.headers.get("authorization", "").partition(" ")
                media = request.headers.get("content-type", "").partition(";")[0]
                sent = Sent(
                    token if scheme == "Bearer" else "", media, await request.body(), "dryRun" in request.query_params
                )
                answer = await run_in_threadpool(self.answer, request.method, plural, namespace, name, sent)
                return _response(answer, self._leave)

            for path in (_path(kind), f"{_path(kind)}/{{name}}"):
                app.add_api_route(path, serve, methods=["GET", "POST", "PUT", "PATCH", "DELETE"], response_model=None)
        return app

    def stopping(self) -> None:
        """Let nobody wait for a slow answer any longer."""
        self._leave.set()


@dataclass(frozen=True, slots=True)
class Sent:
    """What came with a request."""

    token: str = field(repr=False)
    kind: str
    body: bytes
    dry_run: bool = False

    def object(self) -> Object:
        """Read the body."""
        try:
            sent = loads(self.body)
        except (JSONDecodeError, UnicodeDecodeError):
            raise RejectionError(Reason.BAD_REQUEST, _MALFORMED) from None
        if not isinstance(sent, dict) or not isinstance(sent.get("metadata", {}), dict):
            raise RejectionError(Reason.BAD_REQUEST, _MALFORMED)
        return sent


def _path(kind: Kind) -> str:
    base = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    return f"{base}/namespaces/{{namespace}}/{kind.plural}"


def _verb(method: str, name: str) -> str:
    """Give the verb that RBAC knows a request by."""
    verbs = {"GET": "get" if name else "list", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
    named = verbs.get(method, method.lower())
    return named if bool(name) == (named not in {"list", "create"}) else "post to nothing"


def _allows(rule: Mapping[str, Any], asked: Asked) -> bool:
    """Tell whether a rule of a Role covers a request; a rule that names objects never covers a create."""
    names = rule.get("resourceNames") or []
    return (
        bool({asked.group, ANY} & set(rule.get("apiGroups", [])))
        and bool({asked.resource, ANY} & set(rule.get("resources", [])))
        and bool({asked.verb, ANY} & set(rule.get("verbs", [])))
        and (not names or asked.name in names)
    )


def _response(answer: Answer, leave: Event) -> Any:  # noqa: ANN401  # FastAPI is imported when used
    from fastapi.responses import Response, StreamingResponse

    if answer.trickles:

        def spaces() -> Iterator[bytes]:
            while not leave.wait(_TRICKLE):
                yield b" "

        return StreamingResponse(spaces(), media_type=answer.kind)

    if answer.breaks:  # fewer bytes than promised: the connection is cut, and the client has no answer

        async def nothing() -> Any:  # noqa: ANN401  # an async iterator
            return
            yield

        return StreamingResponse(nothing(), headers={"content-length": "1000"}, media_type=answer.kind)
    return Response(answer.body, answer.code, dict(answer.headers), answer.kind)
