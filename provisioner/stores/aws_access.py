"""How AWS is reached and by whom: boto3's own chain of credentials, and at wish a role taken on with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from threading import Lock
from typing import Any, Final, Literal

CONNECTIONS: Final = 32
ATTEMPTS: Final = 3
"""How often a request that is harmless to repeat is sent at most."""
Service = Literal["secretsmanager", "kms"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role to take on, for secrets of another account or with fewer rights."""

    arn: str
    session_name: str
    external_id: str | None = None

    def request(self) -> Mapping[str, str]:
        """Give what ``sts:AssumeRole`` is asked for besides the role's name."""
        external = {} if self.external_id is None else {"ExternalId": self.external_id}
        return {"RoleSessionName": self.session_name} | external


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where AWS is and who we are there; what is left out comes from boto3's chain (variables, files, roles)."""

    region: str | None = None
    endpoint_url: str | None = None
    """An emulator in AWS's place, for every service."""
    profile: str | None = None
    role: Role | None = None


class Clients:
    """Makes boto3's clients when they are needed, and keeps them. Safe for several threads, as the clients are."""

    def __init__(self, access: Access, timeout: timedelta) -> None:
        """Take how to reach AWS and the time for one request; nothing is imported or asked yet."""
        self._access, self._timeout = access, timeout
        self._lock = Lock()
        self._session: Any = None
        self._made: dict[tuple[Service, int], Any] = {}

    def get(self, service: Service, *, attempts: int) -> Any:  # noqa: ANN401  # botocore makes its clients' types
        """Give the client that sends each request at most so often; raises botocore's errors."""
        with self._lock:
            if self._session is None:
                self._session = _session(self._access)
            key = service, attempts
            if key not in self._made:
                self._made[key] = self._make(service, attempts)
            return self._made[key]

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            for client in self._made.values():
                client.close()
            self._made.clear()

    def _make(self, service: Service, attempts: int) -> Any:  # noqa: ANN401  # as above
        from botocore.config import Config

        seconds = self._timeout.total_seconds()
        config = Config(
            connect_timeout=seconds,
            read_timeout=seconds,
            max_pool_connections=CONNECTIONS,
            retries={"mode": "standard", "total_max_attempts": attempts},
            user_agent_extra="token-provisioner",
        )
        return self._session.client(service, endpoint_url=self._access.endpoint_url, config=config)


def _session(access: Access) -> Any:  # noqa: ANN401  # boto3 ships no types
    """Begin a session; a role's credentials are renewed by botocore before they end."""
    import boto3
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
    from botocore.exceptions import NoCredentialsError
    from botocore.session import Session

    session = boto3.Session(profile_name=access.profile, region_name=access.region)
    if access.role is None:
        return session
    own = session.get_credentials()
    if own is None:
        raise NoCredentialsError
    inner = Session(profile=access.profile)
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=partial(inner.create_client, region_name=session.region_name, endpoint_url=access.endpoint_url),
        source_credentials=own,
        role_arn=access.role.arn,
        extra_args=dict(access.role.request()),
    )
    renewed = DeferredRefreshableCredentials(refresh_using=fetcher.fetch_credentials, method="assume-role")
    inner.register_component("credential_provider", _Given(renewed))
    return boto3.Session(botocore_session=inner, region_name=session.region_name)


class _Given:
    """Botocore's way to be given credentials: a resolver that has nothing to resolve."""

    def __init__(self, credentials: Any) -> None:  # noqa: ANN401  # botocore ships no types
        self._credentials = credentials

    def load_credentials(self) -> Any:  # noqa: ANN401  # as above
        return self._credentials
