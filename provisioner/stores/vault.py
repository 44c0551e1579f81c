"""HashiCorp Vault and OpenBao: one KV version 2 secret per destination, through hvac on one shared session.

The facts about answers come from a real OpenBao 2.7 (``tests/integration/test_vault_store.py``).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar
from urllib.parse import quote

import hvac
import hvac.exceptions

from provisioner.domain.errors import ProvisionerError, StoreRefusedError
from provisioner.domain.mark import Owner
from provisioner.domain.model import Destination, Record, Reservation, Stored
from provisioner.domain.record import read_document, to_document
from provisioner.domain.secret import SecretText
from provisioner.ports.clock import Clock
from provisioner.stores.vault_auth import Body, ClientToken, VaultLogin
from provisioner.stores.vault_capabilities import Capabilities
from provisioner.stores.vault_wire import DeniedError, Wire, json_object

FEWEST_VERSIONS: Final = 3
NEVER_WRITTEN: Final = "0"
_PARTING: Final = timedelta(seconds=3)
"""How long leaving may wait for our client token to be revoked: it ends by itself when its lease does."""

T = TypeVar("T")


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
        reader: VaultLogin | None = None,
        namespace: str | None = None,
        ca_cert: Path | None = None,
        timeout: timedelta = timedelta(seconds=30),
    ) -> None:
        """Take where it is and how to log in; nothing is asked yet. ``timeout`` is for one request.

        ``reader`` is how consumers log in, or somebody with their rights: what ``confirm`` reads by.
        """
        self._name, self._mount, self._timeout = name, mount, timeout
        self._remedy = f"is a KV version 2 engine mounted at {mount!r}?"
        self._wire = Wire(store=name, address=address, namespace=namespace, ca_cert=ca_cert, timeout=timeout)
        self._client_token = ClientToken(login, self._post, clock)
        self._capabilities = Capabilities(self._granted, clock)
        self._lock = Lock()
        self._mount_is_known = False
        self._reader: VaultStore | None = None
        if reader is not None:  # the same store with a session of its own, of which nothing but ``read`` is called
            self._reader = VaultStore(
                name=name,
                address=address,
                mount=mount,
                login=reader,
                clock=clock,
                namespace=namespace,
                ca_cert=ca_cert,
                timeout=timeout,
            )

    @property
    def name(self) -> str:
        """The name the configuration gives it."""
        return self._name

    # --- the port -------------------------------------------------------------------------------------

    def preflight(self, destination: Destination) -> None:
        """Ask what may be done, for every path seen so far in one question; known for five minutes."""
        self._require_version_2(destination)
        path = self._data_path(destination)
        missing = self._capabilities.lacking(path)
        if missing:
            policy = f'path "{path}" {{ capabilities = ["create", "read", "update"] }}'
            raise StoreRefusedError(
                f"store {self._name} would not accept a write at {path}: the policy lacks {' and '.join(missing)}; "
                f"add: {policy}"
            )

    def read(self, destination: Destination, owner: Owner) -> Stored:
        """Read the newest version; a deleted one is Absent at its own revision."""
        self._capabilities.note(self._data_path(destination))
        document, metadata = self._newest(destination)
        if not metadata:  # version 1 says the same of everything
            self._require_version_2(destination)
        content, faithful = read_document(document, owner, destination)
        return Stored(
            destination=destination,
            revision=str(metadata.get("version", NEVER_WRITTEN)),
            content=content,
            written_at=_moment(metadata.get("created_time")),
            faithful=faithful,
        )

    def confirm(self, destination: Destination, owner: Owner) -> Stored:
        """Read by the reader, on its own session; without one, by ourselves."""
        if self._reader is None:
            return self.read(destination, owner)
        try:
            return self._reader.read(destination, owner)
        except StoreRefusedError as error:
            path = self._data_path(destination)
            raise StoreRefusedError(
                f"the reader of store {self._name} was refused, grant it read on {path} ({error})"
            ) from error

    def write(self, destination: Destination, owner: Owner, content: Record | Reservation, expected: str) -> str:
        """Write a new version with ``cas`` = the version gathered."""
        version = int(expected)

        def request(client: hvac.Client) -> str:
            document = to_document(content, owner, destination)  # here, where it leaves: no frame of ours keeps it
            answer = client.secrets.kv.v2.create_or_update_secret(
                path=destination.path, secret=document, cas=version, mount_point=self._mount
            )
            return str(json_object(answer)["data"]["version"])

        secrets = (content.token,) if isinstance(content, Record) else ()
        try:
            return self._call(request, f"writing {destination}", writes=True, secrets=secrets)
        except StoreRefusedError:
            self._capabilities.forget()
            self._mount_is_known = False
            raise

    def check(self, destinations: Sequence[tuple[Destination, Owner]]) -> Sequence[str]:
        """Warn where fewer versions are kept than a token inside its overlap needs, and where secrets end."""
        if not destinations:
            return ()
        self._require_version_2(destinations[0][0])
        by_mount = self._settings(f"{self._mount}/config")
        warnings = []
        for destination, _ in destinations:
            self._capabilities.note(self._data_path(destination))
            own = self._settings(f"{self._mount}/metadata/{destination.path}")
            warnings += _warnings(destination, own, by_mount)
        return warnings

    def close(self) -> None:
        """Revoke our own client token, as far as it can be done, and close the connections; the reader's, too."""
        if self._reader is not None:
            self._reader.close()
        token = self._client_token.give_up()
        if token is not None:
            with suppress(ProvisionerError):
                self._post("auth/token/revoke-self", {}, token, timeout=min(_PARTING, self._timeout))
        self._wire.close()

    # --- one request ------------------------------------------------------------------------------------

    def _call(
        self,
        request: Callable[[hvac.Client], T],
        doing: str,
        *,
        writes: bool = False,
        secrets: Sequence[SecretText] = (),
    ) -> T:
        """Make one request with a client token; after a 403 log in once more and make it once again."""

        def send(token: SecretText) -> T:
            return self._wire.send(request, token, doing, remedy=self._remedy, writes=writes, secrets=secrets)

        return self._with_client_token(send)

    def _ask(self, method: str, path: str, doing: str, body: Body | None = None) -> dict[str, Any]:
        """Ask something besides secrets, in the same way."""

        def send(token: SecretText) -> dict[str, Any]:
            return self._wire.ask(method, path, token, doing, remedy=self._remedy, body=body)

        return self._with_client_token(send)

    def _with_client_token(self, send: Callable[[SecretText], T]) -> T:
        token = self._client_token.current()
        try:
            return send(token)
        except DeniedError:
            token = self._client_token.refused(token)
        try:
            return send(token)
        except DeniedError as error:
            raise StoreRefusedError(str(error)) from error

    def _post(
        self, path: str, body: Body | None, token: SecretText | None, *, timeout: timedelta | None = None
    ) -> dict[str, Any]:
        """Send one request about a client token; ``body`` None makes it a GET."""
        method = "get" if body is None else "post"
        remedy = "check the auth method, its mount and the credentials"
        try:
            return self._wire.ask(method, path, token, f"calling {path}", remedy=remedy, body=body, timeout=timeout)
        except DeniedError as error:
            raise StoreRefusedError(str(error)) from error

    # --- what is asked ------------------------------------------------------------------------------------

    def _newest(self, destination: Destination) -> tuple[dict[str, Any] | None, dict[str, Any]]:
        """Give the newest document and its metadata; of a deleted one its version and its end, of none nothing."""

        def request(client: hvac.Client) -> tuple[dict[str, Any] | None, dict[str, Any]]:
            try:
                answer = client.secrets.kv.v2.read_secret_version(
                    path=destination.path, mount_point=self._mount, raise_on_deleted_version=True
                )
            except hvac.exceptions.InvalidPath as error:
                return None, _metadata_of_missing(error)
            data = json_object(answer)["data"]
            return json_object(data["data"]), json_object(data["metadata"])

        return self._call(request, f"reading {destination}")

    def _require_version_2(self, destination: Destination) -> None:
        """Refuse a mount that is none, or not KV version 2: version 1 knows no compare-and-set."""
        with self._lock:
            if self._mount_is_known:
                return
            try:
                path = f"sys/internal/ui/mounts/{quote(self._mount)}"
                data = self._ask("get", path, f"looking at mount {self._mount}").get("data") or {}
            except StoreRefusedError:  # Vault says the same of a mount that is none: a read tells
                self._newest(destination)
                data = {}
            is_version_2 = data.get("type") == "kv" and str((data.get("options") or {}).get("version")) == "2"
            if data and not is_version_2:
                raise StoreRefusedError(
                    f"mount {self._mount!r} of store {self._name} is not a KV version 2 engine: mount one with "
                    f"`vault secrets enable -path={self._mount} kv-v2`, or name another mount"
                )
            self._mount_is_known = True

    def _granted(self, paths: Sequence[str]) -> Mapping[str, object]:
        """Ask for our capabilities at all paths at once; when that is denied, nothing is minted blindly."""
        try:
            answer = self._ask(
                "post", "sys/capabilities-self", "asking for our capabilities", body={"paths": list(paths)}
            )
        except StoreRefusedError as error:
            policy = 'path "sys/capabilities-self" { capabilities = ["update"] }'
            raise StoreRefusedError(f"{error}; Vault's default policy allows it, else add: {policy}") from None
        granted = answer.get("data") or answer
        return granted if isinstance(granted, dict) else {}

    def _settings(self, path: str) -> Mapping[str, Any]:
        """Give a mount's or a secret's settings; none when there are none or they may not be read."""
        try:
            data = self._ask("get", quote(path), f"reading {path}").get("data")
        except StoreRefusedError:
            return {}
        return data if isinstance(data, dict) else {}

    def _data_path(self, destination: Destination) -> str:
        return f"{self._mount}/data/{destination.path}"


def _metadata_of_missing(error: hvac.exceptions.InvalidPath) -> dict[str, Any]:
    """Tell a deleted version (its metadata is in the 404) from a path never written, and both from no mount.

    A 404 of another shape is not Vault's, and must not be taken for "nothing there".
    """
    body = json_object(error.json)
    if body.get("data"):
        metadata = body["data"]["metadata"]
        return {
            "version": metadata["version"],
            "created_time": metadata.get("deletion_time") or metadata.get("created_time"),
        }
    if body["errors"]:
        raise error
    return {}


def _warnings(destination: Destination, own: Mapping[str, Any], by_mount: Mapping[str, Any]) -> list[str]:
    """Judge the settings of one secret: the larger ``max_versions`` counts, and any time limit."""
    warnings = []
    kept = max(int(settings.get("max_versions") or 0) for settings in (own, by_mount))
    if 0 < kept < FEWEST_VERSIONS:
        warnings.append(
            f"max_versions of {destination} is {kept}: the version of a token inside its overlap would be "
            f"gone; keep at least {FEWEST_VERSIONS}"
        )
    limits = [str(settings.get("delete_version_after") or "0s") for settings in (own, by_mount)]
    limit = next((limit for limit in limits if limit != "0s"), None)
    if limit is not None:
        warnings.append(
            f"delete_version_after of {destination} is {limit}: the stored token would go away by itself; set it to 0s"
        )
    return warnings


def _moment(text: object) -> datetime | None:
    """Read Vault's RFC 3339 time with nanoseconds."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment.astimezone(UTC)
