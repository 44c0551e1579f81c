"""The way to a running daemon: its admin socket, or its HTTP address; every failure is one of ours."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from provisioner.cli.exchange import WITHIN, Heard, NoAnswerError, Silence, exchange
from provisioner.domain.errors import ConfigurationError, DaemonUnreachableError, ProvisionerError
from provisioner.domain.scrub import LONGEST_PLAIN_WORD, scrub
from provisioner.domain.secret import SecretText

if TYPE_CHECKING:
    import httpx

_SECONDS: Final = 15.0
_SECONDS_FOR_MORE: Final = 2.0
"""For what is nice to know."""
_ACCEPTED: Final = 202
_OK: Final = 200
_OF_WHO_STANDS_BEFORE: Final = {401, 403, 407}
_LOST: Final = {502, 504}
"""What a gateway says when it has perhaps passed the request on."""
_NOT_NOW: Final = {429, 503, *_LOST}


class DaemonRefusedError(ProvisionerError):
    """The daemon answered no; nothing was begun."""


class AnswerLostError(DaemonUnreachableError):
    """There was no answer of a daemon's, and nobody knows whether it took the request."""


@dataclass(slots=True)
class Reach:
    """A connection to a daemon; a context that ends it."""

    client: "httpx.Client"
    where: str
    token: SecretText | None = field(default=None, repr=False)
    within: float = WITHIN
    """Seconds for a whole answer."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def ask(self, demand: Mapping[str, object]) -> list[dict[str, Any]]:
        """Ask for rotations; raises DaemonRefusedError, or DaemonUnreachableError, also where it is not taken now."""
        from provisioner.cli.answers import answers_to

        asked = self._rotations(self._call("POST", "/v1/rotations", demand))
        if not answers_to(asked, demand):
            raise self._stranger("it told of other rotations than were asked for")
        return asked

    def rotations(self, request_id: str | None = None) -> list[dict[str, Any]]:
        """Give the rotations that this daemon was asked for, the last first; or those of one request."""
        query = {} if request_id is None else {"request_id": request_id}
        return self._rotations(self._call("GET", "/v1/rotations", query=query))

    def _rotations(self, content: object) -> list[dict[str, Any]]:
        from provisioner.cli.answers import rotations_in

        found = rotations_in(content)
        if found is None:
            raise self._stranger("it gave no list of rotations")
        return found

    def _stranger(self, why: str) -> DaemonUnreachableError:
        return DaemonUnreachableError(f"what answers at {self.where} is no daemon of ours: {why}")

    def standings(self) -> tuple[str, list[dict[str, Any]]]:
        """Give the instance, and where its tokens stand, as the daemon has seen them last."""
        from provisioner.cli.answers import printable

        answer = self._call("GET", "/v1/tokens")
        if not isinstance(answer, Mapping) or not isinstance(answer.get("tokens"), list):
            raise self._stranger("it gave no list of tokens")
        return printable(str(answer.get("instance"))), printable(answer["tokens"])

    def _call(
        self, verb: str, path: str, body: Mapping[str, object] | None = None, query: Mapping[str, str] | None = None
    ) -> object:
        """Make a request. What the library says of a failure may hold the header, and so the token: it ends here."""
        from provisioner.cli.answers import parsed, texts_in

        heard = exchange(self.client, verb, path, body=body, query=query, token=self.token, within=self.within)
        if isinstance(heard, Silence):
            why = f"{_why(heard.error)}{heard.hint}"
            if heard.is_unsent or body is None:
                raise DaemonUnreachableError(f"no daemon was reached at {self.where}: {why}")
            raise AnswerLostError(f"no answer came from {self.where}: {why}")
        content = parsed(heard.body)
        if self.token is not None and any(self.token.reveal() in text for text in texts_in(content)):
            raise DaemonRefusedError(
                f"what answers at {self.where} repeats the token it was sent, which no daemon does: replace that token"
            )
        if heard.status not in {_OK, _ACCEPTED}:
            raise self._refusal(heard, content)
        return content

    def _refusal(self, heard: Heard, content: object) -> ProvisionerError:
        from provisioner.cli.answers import refusal_in

        refusal = refusal_in(content, heard.status)
        if refusal is None:
            return self._refused_by_others(heard)
        if refusal.kind.endswith("not-taken"):
            return DaemonUnreachableError(f"the daemon at {self.where} did not take it: {refusal.said}")
        remedy = "" if heard.status != HTTPStatus.UNAUTHORIZED else f": {self._about_the_token()}"
        return DaemonRefusedError(f"the daemon at {self.where} refused ({heard.status}): {refusal.said}{remedy}")

    def _about_the_token(self) -> str:
        if self.token is None:
            return "name the file with --token-file"
        return "what --token-file has is not the token of its server.api_token"

    def _refused_by_others(self, heard: Heard) -> ProvisionerError:
        """Say what came in place of an answer of ours, without a word of theirs."""
        status = heard.status
        if status in _OF_WHO_STANDS_BEFORE:
            return DaemonRefusedError(
                f"what answers at {self.where} refused ({status}), and it is no daemon of ours: a proxy before it?"
                " name the daemon's own address, or its socket"
            )
        if status in _NOT_NOW:
            pause = f", and says to come again in {heard.retry_after[:9]} s" if heard.retry_after else ""
            kind = AnswerLostError if status in _LOST else DaemonUnreachableError
            return kind(f"what answers at {self.where} takes no requests now ({status}){pause}")
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            return self._stranger(f"it sends us elsewhere ({status}), where no token follows: name the final address")
        return self._stranger(f"it answered {status}")


def through_socket(path: Path) -> Reach:
    """Give the way through the admin socket."""
    import httpx

    transport = httpx.HTTPTransport(uds=str(path))
    return Reach(httpx.Client(transport=transport, base_url="http://daemon", timeout=_SECONDS), str(path))


def over_http(url: str, token_file: Path | None = None, ca_cert: Path | None = None) -> Reach:
    """Give the way over HTTP, with the token of a file; over TLS a CA of one's own may be named."""
    import httpx

    token = None if token_file is None else _token_in(token_file)
    _check_address(url)
    if ca_cert is not None and not url.startswith("https://"):
        raise ConfigurationError("--ca-cert is for a --server whose URL begins with https://")
    trust: ssl.SSLContext | bool = True if ca_cert is None else _trusting(ca_cert)
    try:
        return Reach(httpx.Client(base_url=url.rstrip("/"), timeout=_SECONDS, verify=trust), url, token)
    except (httpx.InvalidURL, ValueError):
        pass
    raise ConfigurationError(f"--server {url!r} is no address that can be asked")


def _token_in(file: Path) -> SecretText:
    """Read the token; raises ConfigurationError where it cannot be one."""
    from provisioner.domain.api_token import flaw_of_api_token
    from provisioner.settings.references import SecretReference

    try:
        token = SecretReference(file=file.absolute()).source()()
        flaw = flaw_of_api_token(token.reveal())
    except ConfigurationError as error:
        raise ConfigurationError(f"--token-file: {error}") from None
    if flaw is not None:
        raise ConfigurationError(f"--token-file {file}: it {flaw}")
    return token


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        has_more = "@" in parts.netloc or bool(parts.query or parts.fragment)
        is_one &= url.isprintable() and " " not in url and not has_more
    except ValueError:
        is_one = False
    if not is_one:
        raise ConfigurationError(
            "--server has to be a URL that begins with http:// or https://, without a password, query or fragment"
        )


def _trusting(ca_cert: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_cert))
    except ssl.SSLError:
        why = "holds no certificate in PEM"
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
    raise ConfigurationError(f"--ca-cert {ca_cert} {why}")


def remembered(path: Path) -> dict[str, dict[str, Any]]:
    """Give by name the last rotation that a daemon at this socket was asked for; nothing when there is none."""
    if not path.is_socket():
        return {}
    try:
        with through_socket(path) as reach:
            reach.within = _SECONDS_FOR_MORE
            return {str(each.get("name")): each for each in reversed(reach.rotations())}
    except ProvisionerError:
        return {}


def _why(error: Exception) -> str:
    """Name what went wrong by its kind, and what the system says of it."""
    system: BaseException | None = error
    while system is not None and not isinstance(system, OSError):
        system = system.__cause__ or system.__context__
    if isinstance(error, NoAnswerError):
        return str(error)
    words = getattr(system, "strerror", None) or ""
    if isinstance(system, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({scrub(system.verify_message)}): name the CA with --ca-cert FILE"
    kind = type(error).__name__
    return f"{kind} ({scrub(words, longest_word=LONGEST_PLAIN_WORD)})" if words else kind
