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

from provisioner.domain.errors import ProvisionerError, StoreRefusedError, StoreUnavailableError
from provisioner.domain.mark import OWNER_TAG, Owner
from provisioner.domain.model import Destination, Format, Record, Reservation, Stored
from provisioner.domain.raw import slot_keys_of
from provisioner.domain.secret import SecretText
from provisioner.domain.slots import slot_of
from provisioner.ports.clock import Clock
from provisioner.stores.slot_sightings import Beside, SlotSightings
from provisioner.stores.vault_auth import Body, ClientToken, VaultLogin
from provisioner.stores.vault_capabilities import DESCRIBING, WRITING, Capabilities
from provisioner.stores.vault_raw import LONGEST_VALUE, custom_metadata, read_data, to_data
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
        self._beside = SlotSightings()
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
        self._note(destination)
        for path, needed in self._written_paths(destination).items():
            missing = self._capabilities.lacking(path, needed)
            if missing:
                policy = f'path "{path}" {{ capabilities = [{", ".join(map(_quoted, sorted({*needed, "read"})))}] }}'
                raise StoreRefusedError(
                    f"store {self._name} would not accept a write at {path}: the policy lacks {' and '.join(missing)}; "
                    f"add: {policy}"
                )

    def read(self, destination: Destination, owner: Owner) -> Stored:
        """Read the newest version; a deleted one is Absent at its own revision."""
        self._note(destination)
        document, metadata = self._newest(destination)
        if not metadata:  # version 1 says the same of everything
            self._require_version_2(destination)
        revision, custom = str(metadata.get("version", NEVER_WRITTEN)), custom_metadata(metadata)
        content, faithful, token = read_data(document, custom, owner, destination)
        kept = frozenset[str]() if token is None else slot_keys_of(token, custom)
        self._beside.note(destination.path, Beside(revision=revision, texts=custom, kept=kept))
        return Stored(
            destination=destination,
            revision=revision,
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
            path = f"{self._mount}/data/{destination.path}"
            raise StoreRefusedError(
                f"the reader of store {self._name} was refused, grant it read on {path} ({error})"
            ) from error

    def write(self, destination: Destination, owner: Owner, content: Record | Reservation, expected: str) -> str:
        """Write a new version with ``cas`` = the version gathered; that request alone decides."""
        version = int(expected)
        is_raw = destination.format is Format.RAW and isinstance(content, Record)

        def request(client: hvac.Client) -> str:
            document = to_data(content, owner, destination)  # here, where it leaves: no frame of ours keeps it
            answer = client.secrets.kv.v2.create_or_update_secret(
                path=destination.path, secret=document, cas=version, mount_point=self._mount
            )
            return str(json_object(answer)["data"]["version"])

        secrets = (content.token,) if isinstance(content, Record) else ()
        slot = slot_of(content, destination, longest=LONGEST_VALUE) if is_raw and isinstance(content, Record) else {}
        try:
            if slot:
                self._put_beside(destination, slot)
            revision = self._call(request, f"writing {destination}", writes=True, secrets=secrets)
        except StoreRefusedError:
            self._capabilities.forget()
            self._mount_is_known = False
            raise
        self._tidy(destination, owner, slot, expected)
        return revision

    def check(self, destinations: Sequence[tuple[Destination, Owner]]) -> Sequence[str]:
        """Warn where fewer versions are kept than a token inside its overlap needs, and where secrets end."""
        if not destinations:
            return ()
        self._require_version_2(destinations[0][0])
        by_mount = self._settings(f"{self._mount}/config")
        warnings = []
        for destination, _ in destinations:
            self._note(destination)
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

    # --- what stands beside a bare token ------------------------------------------------------------------

    def _put_beside(self, destination: Destination, texts: Mapping[str, str | None]) -> None:
        """Merge into the custom metadata; a path that never was is begun first, without a version."""
        if not self._merge(destination, texts):
            self._begin(destination)
            if not self._merge(destination, texts):
                raise StoreUnavailableError(f"{destination} was destroyed while it was written: it is written again")

    def _merge(self, destination: Destination, texts: Mapping[str, str | None]) -> bool:
        """Merge, None taking a key away; False where there is nothing to merge with."""

        def request(client: hvac.Client) -> bool:
            headers = {"Content-Type": "application/merge-patch+json"}
            body = {"custom_metadata": dict(texts)}
            try:
                client.adapter.request("patch", f"/v1/{self._metadata_path(destination)}", json=body, headers=headers)
            except hvac.exceptions.InvalidPath:
                return False
            return True

        return self._call(request, f"writing the custom metadata of {destination}")

    def _begin(self, destination: Destination) -> None:
        """Make the metadata of a path: 0 leaves ``max_versions`` to the mount. Whoever comes second changes nothing."""

        def request(client: hvac.Client) -> None:
            client.adapter.request("post", f"/v1/{self._metadata_path(destination)}", json={"max_versions": 0})

        self._call(request, f"beginning the metadata of {destination}")

    def _tidy(self, destination: Destination, owner: Owner, slot: Mapping[str, str], replaced: str) -> None:
        """After the commit say whose it is, and take away what belongs to no token any more, if it can be done."""
        path = destination.path
        texts: dict[str, str | None] = dict.fromkeys(self._beside.stale(path, replaced, slot))
        if slot and not self._beside.is_tagged(path, replaced, owner):
            texts[OWNER_TAG] = str(owner)
        if texts:
            with suppress(ProvisionerError):
                self._merge(destination, texts)

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

    def _note(self, destination: Destination) -> None:
        """Include a destination in the next question for our capabilities."""
        for path in self._written_paths(destination):
            self._capabilities.note(path)

    def _written_paths(self, destination: Destination) -> Mapping[str, frozenset[str]]:
        """Give the paths that a write needs, each with what it needs there."""
        paths = {f"{self._mount}/data/{destination.path}": WRITING}
        if destination.format is Format.RAW:
            paths[f"{self._mount}/metadata/{destination.path}"] = DESCRIBING
        return paths

    def _metadata_path(self, destination: Destination) -> str:
        return quote(f"{self._mount}/metadata/{destination.path}")


def _quoted(text: str) -> str:
    return f'"{text}"'


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
