"""InfluxDB Clustered and Cloud Dedicated: management tokens through the influxctl program, the only public way.

Facts: the command's documented flags; ``management revoke`` prompts without ``--force``; ``management list`` shows
revoked tokens too; errors go to standard error with a non-zero status; without a credential it opens a browser and
waits. What it says when it fails is documented nowhere: words are matched, and where it matters the list decides.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

from provisioner.domain.errors import (
    ConfigurationError,
    IssuerRefusedError,
    IssuerUnavailableError,
    OutcomeUnknownError,
    ProvisionerError,
    TokenUnreadableError,
)
from provisioner.domain.mark import Mark
from provisioner.domain.model import CreateRequest, IssuedToken, Listing, MintedToken, Permission
from provisioner.domain.scrub import LONGEST_PLAIN_WORD, scrub
from provisioner.domain.secret import SecretText
from provisioner.domain.timing import rfc3339
from provisioner.issuers.child import Ended, run_child
from provisioner.issuers.credential import ManagedCredential
from provisioner.issuers.influxctl_output import parse_create, parse_list
from provisioner.issuers.management_proof import ManagementProof
from provisioner.issuers.token_json import ParsedToken, UnreadableOutputError
from provisioner.ports.clock import Clock

_LOGIN: Final = re.compile(
    r"device (?:login|code|authori)|verification|open(?:ing)? (?:a |the |your )?browser|/activate\b", re.IGNORECASE
)
_UNAUTHENTICATED: Final = re.compile(
    r"unauthenticated|unauthori[sz]ed|not (?:logged|authenticated)|permission_?denied|forbidden|\b40[13]\b"
    r"|(?:token|credential)s? (?:is |are |has |have )?(?:expired|revoked|invalid|missing)|invalid (?:token|credential)",
    re.IGNORECASE,
)
_NEVER_REACHED: Final = re.compile(
    r"connection refused|no such host|name resolution|network is unreachable|no route to host|dial tcp|tls: |x509",
    re.IGNORECASE,
)
_MISUSED: Final = re.compile(
    r"flag provided but not defined|flag needs an argument|unknown (?:flag|command)|unrecognized arguments"
    r"|no help topic|required (?:flag|argument)|invalid value .* for flag|must be a non-empty"
    r"|(?:load|read|pars|open)\w* (?:the )?(?:config|profile)|(?:config|profile) .*(?:not found|missing|invalid)"
    r"|no (?:such )?profile|toml:",
    re.IGNORECASE,
)
_NO_SUCH_TOKEN: Final = re.compile(r"not ?found|no such|does not exist|already revoked", re.IGNORECASE)
_NO_ENVIRONMENT: Final[Mapping[str, str]] = {"PATH": os.defpath}

T = TypeVar("T")


class InfluxctlIssuer:
    """The Issuer port over ``influxctl management create | list | revoke``."""

    def __init__(
        self,
        *,
        name: str,
        command: Sequence[str],
        timeout: timedelta,
        clock: Clock,
        config: Path | None = None,
        profile: str | None = None,
        management_api: str | None = None,
        ca_cert: Path | None = None,
        environment: Mapping[str, str] = _NO_ENVIRONMENT,
        credential: ManagedCredential | None = None,
    ) -> None:
        """Take how to call it; nothing is called yet. ``environment`` is all that the child sees, besides its HOME.

        A relative ``config`` or program path counts from here: the child runs in its own HOME.
        """
        self._name, self._timeout, self._clock, self._environment = name, timeout, clock, environment
        self._credential = credential
        program, *leading = command
        if os.sep in program:
            program = str(Path(program).absolute())
        config_flags = ["--config", str(config.absolute())] if config else []
        profile_flags = ["--profile", profile] if profile else []
        self._command = (program, *leading, *config_flags, *profile_flags, "management")
        self._home = _private_home()
        self._proof: ManagementProof | None = None
        if management_api is not None:
            self._proof = ManagementProof(management_api, issuer=name, timeout=timeout, ca_cert=ca_cert, clock=clock)

    @property
    def name(self) -> str:
        """The name the configuration gives it."""
        return self._name

    def list(self) -> Listing:
        """List every token, revoked ones included."""
        ended = self._run("list", "--format", "json")
        if ended.status != 0:
            raise self._failure(ended, "listing tokens", IssuerUnavailableError)
        parsed = _understood(parse_list, ended)
        if isinstance(parsed, str):
            raise IssuerRefusedError(f"listing tokens of {self._name}: influxctl's output was not understood: {parsed}")
        tokens = tuple(self._issued(token) for token in parsed)
        return Listing(tokens=tokens, proves_by_use=self._proof is not None)

    def create(self, request: CreateRequest) -> MintedToken:
        """Create one token; its string is in the answer alone."""
        expires_at = rfc3339(request.expires_at)
        ended = self._run(
            "create", "--description", request.description, "--expires-at", expires_at, "--format", "json"
        )
        if ended.status != 0:
            raise self._failure(ended, "creating a token", OutcomeUnknownError, ours=request.description)
        parsed = _understood(parse_create, ended)
        if isinstance(parsed, str):
            raise TokenUnreadableError(
                f"creating a token at {self._name}: influxctl's output was not understood: {parsed}; "
                "the token will be revoked"
            )
        token_id = parsed.token_id or self._id_of(request.mark)
        if parsed.secret is None or token_id is None:
            raise TokenUnreadableError(
                f"creating a token at {self._name}: the answer has no id; the token will be revoked"
            )
        return MintedToken(
            token=parsed.secret, token_id=token_id, created_at=parsed.created_at, expires_at=parsed.expires_at
        )

    def prove(self, token: SecretText, token_id: str) -> bool:
        """Use the token at the management API; without one, look for its id on a fresh list."""
        if self._proof is not None:
            return self._proof.works(token)
        listed = self.list().find(token_id)
        return listed is not None and listed.is_live(self._clock.now())

    def revoke(self, token: IssuedToken) -> None:
        """Revoke one token by its id; what is gone already is revoked."""
        ended = self._run("revoke", "--force", token.token_id)
        if ended.status != 0 and not self._is_gone(token.token_id, ended):
            raise self._failure(ended, f"revoking {token.token_id}", IssuerUnavailableError)

    def amend(self, token: IssuedToken, permissions: frozenset[Permission]) -> None:
        """Refuse: a management token may do everything, always."""
        del permissions
        raise IssuerRefusedError(f"the permissions of {token.token_id} at {self._name} cannot be changed: it has none")

    def accepts(self, credential: SecretText) -> bool:
        """List with a token as influxctl's own, and make an authorised call with it."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connections and remove the private HOME."""
        if self._proof is not None:
            self._proof.close()
        shutil.rmtree(self._home, ignore_errors=True)

    # --- how ----------------------------------------------------------------------------------------------

    def _run(self, *arguments: str) -> Ended:
        command = (*self._command, *arguments)
        if not self._home.is_dir():  # a cleaner of temporary files has been here: this process lives for months
            self._home = _private_home()
        return run_child(command, timeout=self._timeout, home=self._home, environment=self._environment)

    def _failure(
        self, ended: Ended, doing: str, otherwise: type[ProvisionerError], *, ours: str = ""
    ) -> ProvisionerError:
        """Tell failures apart by what was said; ``otherwise`` is what an unknown one is for this operation.

        ``ours`` is what we said ourselves, and does not count when influxctl repeats it. Of its words the last ones
        on standard error are told, no others, and no long one of them: a token that has just been created, or
        influxctl's own, may stand among them, and we know neither.
        """
        said = scrub(_last_words(ended), longest=200, longest_word=LONGEST_PLAIN_WORD)
        because, place = f": {said}" if said else "", f"{doing} at {self._name}"
        streams = (_read(ended.output), _read(ended.complaint))
        output, complaint = (text.replace(ours, "") if ours else text for text in streams)
        if _LOGIN.search(f"{complaint}\n{output}") or _UNAUTHENTICATED.search(complaint):
            remedy = "put a live management token into mgmt_token of its profile"
            return IssuerRefusedError(f"{place}: influxctl is not authenticated{because}; {remedy}")
        if ended.status is None:
            seconds = f"{self._timeout.total_seconds():g} s"
            return otherwise(f"{place}: influxctl did not end within {seconds} and was killed{because}")
        if _NEVER_REACHED.search(complaint):
            return IssuerUnavailableError(f"{place}: the cluster cannot be reached{because}")
        if _MISUSED.search(complaint):
            return IssuerRefusedError(
                f"{place}: influxctl refused the call{because}; check its version, config and profile"
            )
        return otherwise(f"{place}: influxctl ended with status {ended.status}{because}")

    def _issued(self, token: ParsedToken) -> IssuedToken:
        return IssuedToken(
            issuer=self._name,
            token_id=token.token_id or "",
            mark=Mark.found_in(token.description),
            created_at=token.created_at,
            expires_at=token.expires_at,
            revoked_at=token.revoked_at,
        )

    def _is_gone(self, token_id: str, ended: Ended) -> bool:
        """After a revocation that failed: tell by a fresh list whether there is nothing left to revoke.

        A list can be stale: one that lacks the token counts only when influxctl found none either.
        """
        try:
            listed = self.list().find(token_id)
        except ProvisionerError:
            return False
        if listed is None:
            return _NO_SUCH_TOKEN.search(_read(ended.complaint)) is not None
        return listed.revoked_at is not None

    def _id_of(self, mark: Mark) -> str | None:
        """Find the id of a token just created, whose answer did not say it, by the mark on the list."""
        try:
            found = [token.token_id for token in self.list().tokens if token.mark == mark]
        except ProvisionerError:
            return None
        return found[0] if len(found) == 1 else None


def _private_home() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="provisioner-influxctl-"))
    except OSError as error:
        raise ConfigurationError(
            f"influxctl needs a writable HOME, and none can be made in {tempfile.gettempdir()} ({error.strerror}): "
            "mount a memory-backed directory there, or set TMPDIR"
        ) from None


def _understood(parse: Callable[[str], T], ended: Ended) -> T | str:
    """Read the output; else say why it cannot be read. The parser's error ends here: its frames hold the text."""
    try:
        return parse(_read(ended.output))
    except UnreadableOutputError as error:
        return str(error)


def _read(stream: SecretText | None) -> str:
    return stream.reveal() if stream is not None else ""


def _last_words(ended: Ended) -> str:
    """Give the last line said that is not empty: that is where the error stands.

    What was killed may have been in the midst of a word, whose beginning looks like nothing: that line does not count.
    """
    lines = _read(ended.complaint).splitlines(keepends=True)
    if ended.status is None and lines and not lines[-1].endswith("\n"):
        lines.pop()
    said = [line.strip() for line in lines if line.strip()]
    return said[-1] if said else ""
