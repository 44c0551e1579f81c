"""An issuer in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from provisioner.domain.errors import (
    CredentialRefusedError,
    IssuerRefusedError,
    IssuerUnavailableError,
    OutcomeUnknownError,
    TokenUnreadableError,
)
from provisioner.domain.mark import Mark
from provisioner.domain.model import CreateRequest, IssuedToken, Listing, MintedToken, Permission
from provisioner.domain.secret import SecretText
from provisioner.domain.timing import whole_seconds
from provisioner.issuers.credential import authorised
from provisioner.ports.clock import Clock
from provisioner.ports.credential import Credential, Presented
from tests.fakes.faults import SLOW_BY, Fault, Faults
from tests.fakes.silence import unmoved_by, unmoved_by_both


@dataclass(slots=True)
class FakeIssuer:
    """The Issuer port over a dictionary; passes ``provisioner.testing.issuer``."""

    clock: Clock
    name: str = "cluster"
    proves_by_use: bool = False
    keeps_expired: bool = False
    has_permissions: bool = False
    """Whether its tokens have permissions, which it lists."""
    amends_permissions: bool = False
    credential: Credential | None = None
    """What it is called with; None: it asks for none."""
    believes: "FakeIssuer | None" = None
    """Another issuer of the same cluster, whose tokens it lets in as well."""
    bars_new: bool = False
    """Whether whoever calls with a token that is created from now on is turned away, though the token works."""
    barred: set[str] = field(default_factory=set)
    let_in: set[str] = field(default_factory=set)
    """Who got in once is known: a lag that begins later does not shut them out."""
    activation_lag: timedelta = timedelta(0)
    stale: timedelta = timedelta(0)
    forget_expiry: bool = False
    forget_created: bool = False
    whole_seconds: bool = False
    """Whether it tells times of creation in whole seconds, so that two tokens can seem equally old."""
    faults: Faults = field(default_factory=Faults)
    tokens: dict[str, IssuedToken] = field(default_factory=dict)
    strings: dict[str, str] = field(default_factory=dict, repr=False)
    late: list[CreateRequest] = field(default_factory=list)
    changes: int = 0
    """How often anything changed here, by whomever."""
    on_create: Callable[[CreateRequest], None] = field(default=unmoved_by)
    on_prove: Callable[[str], None] = field(default=unmoved_by)
    """Told of a token that was proven."""
    on_revoke: Callable[[IssuedToken], None] = field(default=unmoved_by)
    on_admit: Callable[[str, Presented], None] = field(default=unmoved_by_both)
    """Told of its name, and of who was let in."""
    on_amend: Callable[[IssuedToken], None] = field(default=unmoved_by)

    def list(self) -> Listing:
        """See the port."""
        fault = self.faults.next("list")
        self._fail(fault)
        listing = replace(self._listed(), credential=self._admit())
        self._dawdle(fault)
        return listing

    def _listed(self) -> Listing:
        until = self.clock.now() - self.stale
        seen = tuple(
            token if token.revoked_at is None or token.revoked_at <= until else replace(token, revoked_at=None)
            for token in self.tokens.values()
            if token.created_at is None or token.created_at <= until
        )
        return Listing(
            tokens=seen,
            keeps_expired=self.keeps_expired,
            proves_by_use=self.proves_by_use,
            amends_permissions=self.amends_permissions,
        )

    def create(self, request: CreateRequest) -> MintedToken:
        """See the port."""
        fault = self.faults.next("create")
        self.on_create(request)
        if fault is Fault.LATE:
            self.late.append(request)
            raise OutcomeUnknownError("the fake issuer did not answer")
        if fault in {Fault.BEFORE, Fault.REFUSED}:
            self._fail(fault)
        self._admit()
        issued, string = self.add(
            request.description, None if self.forget_expiry else request.expires_at, request.permissions
        )
        if fault is Fault.AFTER:
            raise OutcomeUnknownError("the fake issuer did not answer")
        if fault is Fault.UNREADABLE:
            raise TokenUnreadableError("the fake issuer's answer holds no token string")
        self._dawdle(fault)
        return MintedToken(
            token=SecretText(string),
            token_id=issued.token_id,
            created_at=None if self.forget_created else issued.created_at,
            expires_at=issued.expires_at,
        )

    def prove(self, token: SecretText, token_id: str) -> bool:
        """See the port."""
        fault = self.faults.next("prove")
        self._fail(fault)
        listed = self._listed().find(token_id)
        seen = listed is not None and listed.is_live(self.clock.now())
        proven = self.works(token.reveal()) if self.proves_by_use else seen
        if proven:
            self.on_prove(token_id)
        self._dawdle(fault)
        return proven

    def revoke(self, token: IssuedToken) -> None:
        """See the port."""
        fault = self.faults.next("revoke")
        if fault in {Fault.BEFORE, Fault.REFUSED}:
            self._fail(fault)
        self._admit()
        self.on_revoke(token)
        self.revoke_by_hand(token.token_id)
        self._dawdle(fault)
        if fault not in {None, Fault.SLOW}:
            raise OutcomeUnknownError("the fake issuer did not answer")

    def amend(self, token: IssuedToken, permissions: frozenset[Permission]) -> None:
        """See the port."""
        fault = self.faults.next("amend")
        if fault in {Fault.BEFORE, Fault.REFUSED}:
            self._fail(fault)
        self._admit()
        if not self.amends_permissions or token.token_id not in self.tokens:
            raise IssuerRefusedError("the fake issuer has no such token, or cannot change permissions")
        self.on_amend(token)
        self.changes += 1
        self.tokens[token.token_id] = replace(self.tokens[token.token_id], permissions=permissions)
        self._dawdle(fault)
        if fault not in {None, Fault.SLOW}:
            raise OutcomeUnknownError("the fake issuer did not answer")

    def accepts(self, credential: SecretText) -> bool:
        """See the port."""
        fault = self.faults.next("accepts")
        self._fail(fault)
        accepted = self.lets_in(credential.reveal())
        self._dawdle(fault)
        return accepted

    def close(self) -> None:
        """See the port."""

    # --- for tests ------------------------------------------------------------------------------------

    def add(
        self, description: str, expires_at: datetime | None, permissions: frozenset[Permission] = frozenset()
    ) -> tuple[IssuedToken, str]:
        """Create a token, as anybody could."""
        token_id = f"{'token' if self.name == 'cluster' else self.name}-{len(self.tokens) + 1}"
        issued = IssuedToken(
            issuer=self.name,
            token_id=token_id,
            mark=Mark.found_in(description),
            created_at=whole_seconds(self.clock.now()) if self.whole_seconds else self.clock.now(),
            expires_at=expires_at,
            permissions=permissions if self.has_permissions else None,
        )
        self.changes += 1
        self.tokens[token_id] = issued
        self.strings[token_id] = f"M.V1.{self.name}-string-of-{token_id}"
        if self.bars_new:
            self.barred.add(self.strings[token_id])
        return issued, self.strings[token_id]

    def deliver(self) -> None:
        """Let the creates land that were under way."""
        while self.late:
            request = self.late.pop(0)
            self.add(request.description, request.expires_at)

    def revoke_by_hand(self, token_id: str) -> None:
        """Revoke a token, as anybody could."""
        token = self.tokens.get(token_id)
        if token is not None and token.revoked_at is None:
            self.changes += 1
            self.tokens[token_id] = replace(token, revoked_at=self.clock.now())

    def works(self, string: str) -> bool:
        """Tell whether that string is a live token's, and active."""
        now = self.clock.now()
        return any(
            self.strings[token_id] == string
            and token.is_live(now)
            and (token.created_at or now) + self.activation_lag <= now
            for token_id, token in self.tokens.items()
        )

    def lets_in(self, string: str) -> bool:
        """Tell whether it may be called with that string."""
        if string in self.barred:
            return False
        if any(issuer.works(string) for issuer in (self, self.believes) if issuer is not None):
            self.let_in.add(string)
            return True
        return string in self.let_in and any(
            issuer.strings[token_id] == string and token.is_live(self.clock.now())
            for issuer in (self, self.believes)
            if issuer is not None
            for token_id, token in issuer.tokens.items()
        )

    def _admit(self) -> str | None:
        """Let in who presents a live token; give the rotation that made it, when it is one of ours."""
        return None if self.credential is None else authorised(self.credential, self._known)

    def _known(self, presented: Presented) -> str | None:
        if not self.lets_in(presented.token.reveal()):
            raise CredentialRefusedError("the fake issuer does not know its credential")
        self.on_admit(self.name, presented)
        return presented.rotation_id

    def _dawdle(self, fault: Fault | None) -> None:
        """Keep the answer back while time goes by, and let others act meanwhile."""
        if fault is Fault.SLOW:
            self.faults.before_call("answer")
            self.clock.sleep(SLOW_BY)

    @staticmethod
    def _fail(fault: Fault | None) -> None:
        if fault is Fault.REFUSED:
            raise IssuerRefusedError("the fake issuer says no")
        if fault not in {None, Fault.SLOW}:
            raise IssuerUnavailableError("the fake issuer cannot be reached")
