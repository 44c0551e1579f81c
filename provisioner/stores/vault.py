"""HashiCorp Vault and OpenBao: one KV version 2 secret per destination, through hvac on one shared session.

The facts about answers come from a real OpenBao 2.7 (``tests/integration/test_vault_store.py``).
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar

import hvac
import hvac.exceptions
import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from provisioner.domain.errors import (
    ConflictError,
    OutcomeUnknownError,
    ProvisionerError,
    StoreRefusedError,
    StoreUnavailableError,
)
from provisioner.domain.mark import Owner
from provisioner.domain.model import Destination, Record, Reservation, Stored
from provisioner.domain.record import read_document, to_document
from provisioner.domain.scrub import scrub
from provisioner.domain.secret import SecretText
from provisioner.ports.clock import Clock
from provisioner.stores.vault_auth import ClientToken, VaultLogin

CONNECTIONS: Final = 32
CAPABILITIES_KEPT: Final = timedelta(minutes=5)
FEWEST_VERSIONS: Final = 3
NEVER_WRITTEN: Final = "0"
_WRITING: Final = frozenset({"create", "update"})

T = TypeVar("T")


class _ForbiddenError(ProvisionerError):
    """A 403: the client token may have ended; after one more login it is a refusal. Never leaves this file."""


class VaultStore:
    """The Store port over KV version 2. A revision is the secret's version; ``0`` where there never was one."""

    def __init__(
        self,
        *,
        name: str,
        address: str,
        mount: str,
        login: VaultLogin,
        clock: Clock,
        namespace: str | None = None,
        ca_cert: Path | None = None,
        timeout: timedelta = timedelta(seconds=30),
    ) -> None:
        """Take where it is and how to log in; nothing is asked yet. ``timeout`` is for one request."""
        self._name, self._address, self._mount, self._clock = name, address, mount, clock
        self._namespace, self._verify, self._timeout = namespace, str(ca_cert) if ca_cert else True, timeout
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy, netrc or token of the environment gets in
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=CONNECTIONS, max_retries=0)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self._client_token = ClientToken(login, self._post, clock)
        self._lock = Lock()
        self._paths: set[str] = set()
        self._writable: set[str] = set()
        self._asked_at: float | None = None
        self._mount_is_known = False

    @property
    def name(self) -> str:
        """The name the configuration gives it."""
        return self._name

    # --- the port -------------------------------------------------------------------------------------

    def preflight(self, destination: Destination) -> None:
        """Ask what may be done, for every path seen so far in one question; known for five minutes."""
        path = self._data_path(destination)
        with self._lock:
            self._paths.add(path)
            now = self._clock.monotonic()
            fresh = self._asked_at is not None and now < self._asked_at + CAPABILITIES_KEPT.total_seconds()
            if fresh and path in self._writable:
                return
            self._require_version_2()
            missing = self._missing_capabilities(path)
            self._asked_at = now
        if missing:
            policy = f'path "{path}" {{ capabilities = ["create", "read", "update"] }}'
            raise StoreRefusedError(
                f"store {self._name} would not accept a write at {path}: the policy lacks {' and '.join(missing)}; "
                f"add: {policy}"
            )

    def read(self, destination: Destination, owner: Owner) -> Stored:
        """Read the newest version; a deleted one is Absent at its own revision."""

        def request(client: hvac.Client) -> tuple[dict[str, Any] | None, dict[str, Any]]:
            try:
                answer = client.secrets.kv.v2.read_secret_version(
                    path=destination.path, mount_point=self._mount, raise_on_deleted_version=True
                )
            except hvac.exceptions.InvalidPath as error:
                return None, self._metadata_of_missing(error)
            return answer["data"]["data"], answer["data"]["metadata"]

        document, metadata = self._call(request, f"reading {destination}")
        content, faithful = read_document(document, owner, destination)
        return Stored(
            destination=destination,
            revision=str(metadata.get("version", NEVER_WRITTEN)),
            content=content,
            written_at=_moment(metadata.get("created_time")),
            faithful=faithful,
        )

    def write(self, destination: Destination, owner: Owner, content: Record | Reservation, expected: str) -> str:
        """Write a new version with ``cas`` = the version gathered."""

        def request(client: hvac.Client) -> str:
            answer = client.secrets.kv.v2.create_or_update_secret(
                path=destination.path,
                secret=to_document(content, owner, destination),
                cas=int(expected),
                mount_point=self._mount,
            )
            return _version_written(answer, self._mount)

        try:
            return self._call(request, f"writing {destination}", writes=True)
        except StoreRefusedError:
            with self._lock:
                self._asked_at = None
            raise

    def check(self, destinations: Sequence[tuple[Destination, Owner]]) -> Sequence[str]:
        """Warn where fewer versions are kept than a token inside its overlap needs."""
        kept_by_mount = self._most_versions(f"{self._mount}/config")
        warnings = []
        for destination, _ in destinations:
            own = self._most_versions(f"{self._mount}/metadata/{destination.path}")
            kept = own or kept_by_mount
            if kept is not None and 0 < kept < FEWEST_VERSIONS:
                warnings.append(
                    f"max_versions of {destination} is {kept}: the version of a token inside its overlap would be "
                    f"gone; keep at least {FEWEST_VERSIONS}"
                )
        return warnings

    def close(self) -> None:
        """Revoke our own client token, as far as it can be done, and close the connections."""
        token = self._client_token.give_up()
        if token is not None:
            with suppress(ProvisionerError):  # it ends by itself when its lease does
                self._post("auth/token/revoke-self", {}, token)
        self._session.close()

    # --- one request ------------------------------------------------------------------------------------

    def _call(self, request: Callable[[hvac.Client], T], doing: str, *, writes: bool = False) -> T:
        """Make one request with a client token; after a refusal log in once more and make it once again."""
        token = self._client_token.current()
        try:
            return self._translated(request, token, doing, writes=writes)
        except _ForbiddenError:
            token = self._client_token.refused(token)
        try:
            return self._translated(request, token, doing, writes=writes)
        except _ForbiddenError as error:
            raise StoreRefusedError(str(error)) from None

    def _translated(
        self, request: Callable[[hvac.Client], T], token: SecretText | None, doing: str, *, writes: bool
    ) -> T:
        """The one place where foreign errors end: each becomes one of ours, without its text where that may tell."""
        try:
            return request(self._client(token))
        except hvac.exceptions.VaultError as error:
            raise self._vault_error(error, f"{doing} in store {self._name}", writes=writes) from None
        except requests.exceptions.RequestException as error:
            raise self._transport_error(error, f"{doing} in store {self._name}", writes=writes) from None
        except (KeyError, TypeError, ValueError) as error:
            unknown = OutcomeUnknownError if writes else StoreUnavailableError
            raise unknown(
                f"{doing} in store {self._name} was answered with something that is not Vault's "
                f"({type(error).__name__}): is {self._address} really Vault or OpenBao?"
            ) from None

    def _client(self, token: SecretText | None) -> hvac.Client:
        return hvac.Client(
            url=self._address,
            token=token.reveal() if token else "",
            verify=self._verify,
            timeout=self._timeout.total_seconds(),
            allow_redirects=False,
            session=self._session,
            namespace=self._namespace,
        )

    def _post(self, path: str, body: dict[str, Any] | None, token: SecretText | None) -> dict[str, Any]:
        """Send one request outside KV; ``body`` None makes it a GET."""

        def request(client: hvac.Client) -> dict[str, Any]:
            method = "get" if body is None else "post"
            answer = client.adapter.request(method, f"/v1/{path}", **({} if body is None else {"json": body}))
            return answer if isinstance(answer, dict) else {}

        try:
            return self._translated(request, token, f"calling {path}", writes=False)
        except _ForbiddenError as error:
            raise StoreRefusedError(str(error)) from None

    def _vault_error(self, error: hvac.exceptions.VaultError, doing: str, *, writes: bool) -> ProvisionerError:
        said = scrub("; ".join(str(line) for line in error.errors or ()), longest=160)
        because = f": {said}" if said else ""
        unknown: type[ProvisionerError] = OutcomeUnknownError if writes else StoreUnavailableError
        kind, said = unknown, f"{doing} failed with {type(error).__name__}{because}"
        match error:
            case hvac.exceptions.Forbidden() | hvac.exceptions.Unauthorized():
                kind = _ForbiddenError
                said = f"{doing} was denied{because}: check the policy and the login of store {self._name}"
            case hvac.exceptions.InvalidRequest() if writes and "check-and-set" in because:
                kind, said = ConflictError, f"{doing} came too late: somebody has written since it was read"
            case hvac.exceptions.InvalidRequest() | hvac.exceptions.UnsupportedOperation():
                kind, said = (
                    StoreRefusedError,
                    f"{doing} was refused{because}: is {self._mount!r} a KV version 2 mount?",
                )
            case hvac.exceptions.InvalidPath():
                kind = StoreRefusedError
                said = f"{doing} found nothing there{because}: is a KV version 2 engine mounted at {self._mount!r}?"
            case hvac.exceptions.RateLimitExceeded() | hvac.exceptions.VaultNotInitialized():
                kind, said = StoreUnavailableError, f"{doing} was put off{because}: it is tried again"
            case hvac.exceptions.VaultDown() if not writes or "sealed" in because.lower():
                kind = StoreUnavailableError
                said = f"{doing} was not possible{because or ': it is sealed or a standby'}: unseal it"
            case _:
                pass
        return kind(said)

    def _transport_error(
        self, error: requests.exceptions.RequestException, doing: str, *, writes: bool
    ) -> ProvisionerError:
        if isinstance(error, requests.exceptions.SSLError):
            return StoreUnavailableError(f"{doing} failed: TLS with {self._address} was not agreed on; check ca_cert")
        if isinstance(error, requests.exceptions.ConnectionError) and _never_sent(error):
            return StoreUnavailableError(f"{doing} failed: {self._address} cannot be reached")
        timed_out = isinstance(error, requests.exceptions.Timeout)
        what = f"no answer within {self._timeout.total_seconds():g} s" if timed_out else "the connection broke"
        unknown = OutcomeUnknownError if writes else StoreUnavailableError
        return unknown(f"{doing} failed: {what} from {self._address}")

    # --- what is asked besides ----------------------------------------------------------------------------

    def _metadata_of_missing(self, error: hvac.exceptions.InvalidPath) -> dict[str, Any]:
        """Tell a deleted version (its metadata is in the 404) from a path never written, and both from no mount."""
        body = error.json if isinstance(error.json, dict) else {}
        data = body.get("data")
        if isinstance(data, dict) and isinstance(data.get("metadata"), dict):
            return {"version": data["metadata"]["version"]}
        if body.get("errors"):
            raise error
        return {}

    def _require_version_2(self) -> None:
        """Refuse a mount that is known not to be KV version 2: version 1 knows no compare-and-set."""
        if self._mount_is_known:
            return
        try:
            answer = self._call(
                lambda client: client.adapter.request("get", f"/v1/sys/internal/ui/mounts/{self._mount}"),
                f"looking at mount {self._mount}",
            )
        except StoreRefusedError:
            answer = {}  # it may not be asked: the first write tells
        data = (answer or {}).get("data") or {}
        options = data.get("options") or {}
        if data and (data.get("type") not in {"kv", "generic"} or str(options.get("version")) != "2"):
            raise StoreRefusedError(
                f"mount {self._mount!r} of store {self._name} is not a KV version 2 engine: mount one with "
                f"`vault secrets enable -path={self._mount} kv-v2`, or name another mount"
            )
        self._mount_is_known = True

    def _missing_capabilities(self, path: str) -> list[str]:
        """Ask for all paths at once; give what is missing at ``path``."""
        paths = sorted(self._paths)
        answer = self._call(
            lambda client: client.adapter.request("post", "/v1/sys/capabilities-self", json={"paths": paths}),
            "asking for our capabilities",
        )
        granted = answer.get("data") or answer
        self._writable = {each for each in paths if not _lacking(granted.get(each))}
        return _lacking(granted.get(path))

    def _most_versions(self, path: str) -> int | None:
        """Give ``max_versions`` as set at that path; None when it is not set or may not be read."""
        try:
            answer = self._call(lambda client: client.adapter.request("get", f"/v1/{path}"), f"reading {path}")
        except StoreRefusedError:
            return None
        return int(((answer or {}).get("data") or {}).get("max_versions") or 0) or None

    def _data_path(self, destination: Destination) -> str:
        return f"{self._mount}/data/{destination.path}"


def _lacking(capabilities: object) -> list[str]:
    held = set(capabilities) if isinstance(capabilities, list) else set()
    return [] if "root" in held else sorted(_WRITING - held)


def _version_written(answer: object, mount: str) -> str:
    """Read the new version out of the answer; a mount that gives none is no KV version 2."""
    if not isinstance(answer, dict):
        raise StoreRefusedError(f"mount {mount!r} took a write without a version: it is not a KV version 2 engine")
    return str(answer["data"]["version"])


def _never_sent(error: requests.exceptions.ConnectionError) -> bool:
    """Tell whether the connection was never made, so that nothing can have been written."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)


def _moment(text: object) -> datetime | None:
    """Read Vault's RFC 3339 time with nanoseconds."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment.astimezone(UTC)
