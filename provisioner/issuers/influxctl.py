"""InfluxDB Clustered and Cloud Dedicated: management tokens through the influxctl program, the only public way.

Facts: the command's documented flags; ``management revoke`` prompts without ``--force``; ``management list`` shows
revoked tokens too; errors go to standard error with a non-zero status; without a credential it opens a browser and
waits. What it says when it fails is documented nowhere: words are matched, and where it matters the list decides.
"""

import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

from provisioner.domain.errors import (
    ConfigurationError,
    CredentialRefusedError,
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
from provisioner.issuers.credential import ManagedCredential, first_not_refused
from provisioner.issuers.influxctl_output import parse_create, parse_list
from provisioner.issuers.influxctl_profile import FILE_NAME, Profile
from provisioner.issuers.management_proof import ManagementProof
from provisioner.issuers.private_directory import PrivateDirectory, places_to_choose, where_temporary_files_go
from provisioner.issuers.token_json import ParsedToken, UnreadableOutputError, is_an_id
from provisioner.ports.clock import Clock
from provisioner.ports.credential import Presented

_LOGIN: Final = re.compile(
    r"device (?:login|code|authori)|verification|open(?:ing)? (?:a |the |your )?browser|/activate\b", re.IGNORECASE
)
_UNAUTHENTICATED: Final = re.compile(
    r"unauthenticated|unauthori[sz]ed|not (?:logged|authenticated)|permission_?denied|forbidden|\b40[13]\b"
    r"|(?:token|credential)s? (?:is |are |has |have )?(?:been )?(?:expired|revoked|invalid|missing)"
    r"|invalid (?:token|credential)",
    re.IGNORECASE,
)
_LOGS_IN: Final = re.compile(
    r"device (?:login|code|authori)|open(?:ing)? (?:a |the |your )?browser|/activate\b", re.IGNORECASE
)
"""Said by nobody but who waits for a person to log in: it need not be waited for."""
_ANSWER: Final = re.compile(r"(?m)^\s*[\[{]")
"""Where the JSON of an answer begins."""
_SURELY_UNKNOWN: Final = re.compile(
    r"unauthenticated|unauthori[sz]ed|not (?:logged in|authenticated)|invalid (?:token|credential)"
    r"|(?:token|credential)s? (?:is |are |has |have )?(?:been )?(?:expired|revoked|invalid|missing)",
    re.IGNORECASE,
)
"""A server that says so has not carried out what it was asked for."""
_NO_ANSWER: Final = re.compile(
    r"unavailable|deadline|timed? ?out|\bEOF\b|connection reset|broken pipe|internal|aborted|cancell?ed", re.IGNORECASE
)
"""Who was asked may have done it, or may not have been asked at all."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Caller:
    """As whom influxctl is called: by one of our tokens, or by its configuration as it stands."""

    presented: Presented | None = None


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

        A relative ``config`` or program path counts from here: the child runs in its own HOME. With a ``credential``
        each call gets a profile of its own, made from ``config``, and what that holds is what one begins with.
        """
        self._name, self._timeout, self._clock, self._environment = name, timeout, clock, environment
        self._credential = credential
        program, *leading = command
        if os.sep in program:
            program = str(Path(program).absolute())
        self._program, self._config, self._profile_name = (program, *leading), config and config.absolute(), profile
        if credential is not None and self._config is None:
            raise ConfigurationError(
                f"issuers.{name}.config is missing: profiles with the credential are made from influxctl's config"
            )
        self._profile = Profile(issuer=name, config=self._config, name=profile) if self._config else None
        places = [where_temporary_files_go()] if credential is None else places_to_choose()
        self._private = PrivateDirectory(tuple(places))
        self._proof: ManagementProof | None = None
        if management_api is not None:
            self._proof = ManagementProof(management_api, issuer=name, timeout=timeout, ca_cert=ca_cert, clock=clock)

    @property
    def name(self) -> str:
        """The name the configuration gives it."""
        return self._name

    def list(self) -> Listing:
        """List every token, revoked ones included."""
        return self._as_allowed(self._list)

    def _list(self, caller: _Caller) -> Listing:
        ended = self._run(caller, "list", "--format", "json")
        if ended.status != 0:
            raise self._failure(ended, "listing tokens", IssuerUnavailableError, caller)
        parsed = _understood(parse_list, ended)
        if isinstance(parsed, str):
            raise IssuerRefusedError(f"listing tokens of {self._name}: influxctl's output was not understood: {parsed}")
        return Listing(
            tokens=tuple(self._issued(token) for token in parsed),
            proves_by_use=self._proof is not None,
            credential=caller.presented.rotation_id if caller.presented else None,
            warnings=self._warnings(),
        )

    def create(self, request: CreateRequest) -> MintedToken:
        """Create one token; its string is in the answer alone."""
        return self._as_allowed(lambda caller: self._create(request, caller))

    def _create(self, request: CreateRequest, caller: _Caller) -> MintedToken:
        expires_at, said = rfc3339(request.expires_at), request.description
        ended = self._run(
            caller, "create", "--description", said, "--expires-at", expires_at, "--format", "json", ours=said
        )
        if ended.status != 0:
            raise self._failure(ended, "creating a token", OutcomeUnknownError, caller, ours=said)
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
        """Revoke one token by its id; what is gone already is revoked.

        What is no id is not tried: influxctl would not find it, or take it for a flag of its own.
        """
        if not is_an_id(token.token_id) or token.token_id.startswith("-"):
            place = f"revoking {token.token_id} at {self._name}"
            raise IssuerRefusedError(f"{place}: influxctl cannot be called with such an id: revoke it by hand")
        self._as_allowed(lambda caller: self._revoke(token.token_id, caller))

    def _revoke(self, token_id: str, caller: _Caller) -> None:
        ended = self._run(caller, "revoke", "--force", token_id)
        if ended.status == 0:
            return
        failure = self._failure(ended, f"revoking {token_id}", IssuerUnavailableError, caller)
        if isinstance(failure, CredentialRefusedError) or not self._is_gone(token_id, ended):
            raise failure

    def amend(self, token: IssuedToken, permissions: frozenset[Permission]) -> None:
        """Refuse: a management token may do everything, always."""
        del permissions
        raise IssuerRefusedError(f"the permissions of {token.token_id} at {self._name} cannot be changed: it has none")

    def accepts(self, credential: SecretText) -> bool:
        """List with a token as influxctl's own, and make one more call that needs its rights.

        That is the management API's, where there is one; else a revocation of what nobody has, which changes nothing.
        """
        caller = _Caller(presented=Presented(token=credential))
        try:
            self._list(caller)
        except CredentialRefusedError:
            return False
        return self._proof.works(credential) if self._proof is not None else self._may_revoke(caller)

    def _may_revoke(self, caller: _Caller) -> bool:
        """Revoke what nobody has. What is said of that is documented nowhere: only a refusal of the caller is one."""
        nothing = str(uuid.uuid4())
        ended = self._run(caller, "revoke", "--force", nothing)
        if ended.status == 0:
            return True
        failure = self._failure(ended, "trying a credential", IssuerUnavailableError, caller, ours=nothing)
        if isinstance(failure, CredentialRefusedError):
            return False
        said = _read(ended.complaint).replace(nothing, "")
        if ended.status is None or _NEVER_REACHED.search(said) or _NO_ANSWER.search(said) or _MISUSED.search(said):
            raise failure
        return True

    def close(self) -> None:
        """Close the connections and remove the private HOME."""
        if self._proof is not None:
            self._proof.close()
        self._private.close()

    # --- as whom ------------------------------------------------------------------------------------------

    def _as_allowed(self, call: Callable[[_Caller], T]) -> T:
        """Make a call by the stored credential, else by the configuration as it stands, if that can log in."""
        return first_not_refused(self._callers(), call)

    def _callers(self) -> Iterator[_Caller]:
        if self._credential is None or self._profile is None:
            yield _Caller()
            return
        stored = 0
        for presented in self._credential.stored():
            stored += 1
            yield _Caller(presented=presented)
        if self._profile.has_authentication():
            yield _Caller()
        elif not stored:
            raise self._credential.missing(f"put a live management token into mgmt_token in {self._profile.config}")

    def _warnings(self) -> tuple[str, ...]:
        if self._credential is None or self._private.in_memory:
            return ()
        remedy = "mount a memory-backed directory, and set TMPDIR to it"
        place = self._private.here().parent
        return (f"profiles with the credential are written to {place}, which is kept on a disk: {remedy}",)

    # --- how ----------------------------------------------------------------------------------------------

    def _run(self, caller: _Caller, *arguments: str, ours: str = "") -> Ended:
        home = self._private.here()
        if caller.presented is None:
            return self._run_in(home, self._config, *arguments, ours=ours)
        if self._profile is None:
            raise IssuerRefusedError(
                f"issuers.{self._name}.config is missing: profiles for other tokens are made from it"
            )
        with self._profile.holding(caller.presented.token, home) as folder:
            return self._run_in(folder, folder / FILE_NAME, *arguments, ours=ours)

    def _run_in(self, home: Path, config: Path | None, *arguments: str, ours: str) -> Ended:
        flags = [*(["--config", str(config)] if config else [])]
        flags += ["--profile", self._profile_name] if self._profile_name else []
        return run_child(
            (*self._program, *flags, "management", *arguments),
            timeout=self._timeout,
            home=home,
            environment=self._environment,
            is_hopeless=self._is_hopeless(ours) if self._credential is not None else None,
        )

    @staticmethod
    def _is_hopeless(ours: str) -> Callable[[str, str], bool]:
        """Give what ends the waiting for a person who is not there; by what we said ourselves it is not fooled."""
        return lambda *said: _waits_for_login(*(text.replace(ours, "") if ours else text for text in said))

    def _failure(
        self,
        ended: Ended,
        doing: str,
        otherwise: type[ProvisionerError],
        caller: _Caller,
        *,
        ours: str = "",
    ) -> ProvisionerError:
        """Tell failures apart by what was said; ``otherwise`` is what an unknown one is for this operation.

        ``ours`` is what we said ourselves, and does not count when influxctl repeats it. Of its words the last ones
        on standard error are told, no others, and no long one of them: a token that has just been created, or
        influxctl's own, may stand among them, and we know neither.
        """
        own = (caller.presented.token.reveal(),) if caller.presented else ()
        said = scrub(_last_words(ended), longest=200, known=own, longest_word=LONGEST_PLAIN_WORD)
        because, place = f": {said}" if said else "", f"{doing} at {self._name}"
        streams = (_read(ended.output), _read(ended.complaint))
        output, complaint = (text.replace(ours, "") if ours else text for text in streams)
        if _LOGIN.search(f"{complaint}\n{output}") or _UNAUTHENTICATED.search(complaint):
            remedy = "put a live management token into mgmt_token of its profile"
            harmless = otherwise is not OutcomeUnknownError  # to be repeated by another credential
            ours_is_used = self._credential is not None or caller.presented is not None
            passes_on = ours_is_used and (harmless or _is_surely_unknown(ended, complaint, output))
            kind = CredentialRefusedError if passes_on else IssuerRefusedError
            return kind(f"{place}: influxctl is not authenticated{because}; {remedy}")
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
        return found[0] if len(found) == 1 and is_an_id(found[0]) else None


def _waits_for_login(complaint: str, output: str) -> bool:
    """Tell whether it says how to log in; the descriptions in a list say what they like."""
    before_answer = _ANSWER.split(output, maxsplit=1)[0]
    return _LOGS_IN.search(f"{complaint}\n{before_answer}") is not None


def _is_surely_unknown(ended: Ended, complaint: str, output: str) -> bool:
    """Tell whether it was turned away as a stranger, so that surely nothing was created."""
    if _waits_for_login(complaint, output):
        return True
    return ended.status is not None and bool(_SURELY_UNKNOWN.search(complaint)) and not _NO_ANSWER.search(complaint)


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
