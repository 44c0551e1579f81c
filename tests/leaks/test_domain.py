"""Whatever holds a token shows none of it, into whatever it is turned; what would copy it out fails instead."""

import copy
import dataclasses
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable
from io import StringIO

import pytest
import structlog
import yaml
from rich.console import Console

from provisioner.domain.consumers import Workload, WorkloadKind
from provisioner.domain.model import Damaged, MintedToken, Record, Stored
from provisioner.domain.record import read_document, to_document
from provisioner.domain.scrub import LONGEST_PLAIN_WORD, scrub
from provisioner.domain.secret import SecretText
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import Copy, Decision, Mint, Notify, Rest, Restart, Revoke, TryStored
from provisioner.engine.minting import Rotated
from provisioner.engine.reconcile import Outcome
from provisioner.issuers.child import Ended
from provisioner.issuers.influxctl_output import parse_create
from provisioner.issuers.token_json import ParsedToken
from provisioner.stores.vault_auth import Grant
from tests.builders import NOW, OWNER, PLACE, a_record, a_snapshot, a_token, an_issued, stored
from tests.fakes.workloads import a_webhook
from tests.leaks.search import PLAIN, assert_untold, everything_about, secret_of


def record() -> Record:
    """Give a record with the planted token."""
    return a_record(token=secret_of(PLAIN))


def snapshot() -> Snapshot:
    """Give a snapshot of it."""
    return a_snapshot(stored(record()), an_issued())


def damaged() -> Stored:
    """Give what is read of a record that somebody has damaged."""
    document = to_document(record(), OWNER, PLACE) | {"expires_at": PLAIN, "rotation_id": None}
    content, _ = read_document(document, OWNER, PLACE)
    assert isinstance(content, Damaged)
    return stored(content)


def outcome() -> Outcome:
    """Give what came of a pass."""
    decision = Decision(step=Rest(until=NOW), fact="nothing_is_due", message="nothing is due")
    return Outcome(snapshot=snapshot(), decision=decision, memory=snapshot().memory)


def parsed() -> ParsedToken:
    """Give what was read of influxctl's output."""
    return parse_create(json.dumps({"id": "1", "token": PLAIN}))


HOLDERS: dict[str, Callable[[], object]] = {
    "SecretText": lambda: secret_of(PLAIN),
    "Record": record,
    "MintedToken": lambda: MintedToken(token=secret_of(PLAIN), token_id="1", created_at=NOW, expires_at=NOW),
    "Stored": lambda: stored(record()),
    "Damaged": damaged,
    "Snapshot": snapshot,
    "Mint": lambda: Mint(primary=stored(record())),
    "TryStored": lambda: TryStored(record=record(), revision="1"),
    "Copy": lambda: Copy(record=record(), destination=PLACE, revision="1"),
    "Restart": lambda: Restart(record=record(), workload=Workload(kind=WorkloadKind.DEPLOYMENT, name="telegraf")),
    "Notify": lambda: Notify(record=record(), webhook=a_webhook(key=PLAIN)),
    "Revoke": lambda: Revoke(target=an_issued(2), fence=record(), primary=stored(record())),
    "Rotated": lambda: Rotated(record=record(), issued=an_issued(), stored=stored(record())),
    "Outcome": outcome,
    "ParsedToken": parsed,
    "Ended": lambda: Ended(status=1, output=secret_of(PLAIN), complaint=secret_of(PLAIN)),
    "Grant": lambda: Grant(token=secret_of(PLAIN), lease=None, renewable=False),
}


def by_rich(value: object) -> str:
    """Render as Rich does what it is given."""
    console = Console(file=StringIO(), width=200)
    console.print(value, {"value": value})
    console.print_json(data={"value": value}, default=str)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def by_logging(value: object) -> str:
    """Format as the standard library's logger does."""
    first = logging.LogRecord("n", logging.INFO, "p", 1, "%s %r", (value, value), None).getMessage()
    return first + logging.LogRecord("n", logging.INFO, "p", 1, value, (), None).getMessage()


def by_traceback(value: object) -> str:
    """Show a traceback with the variables of its frames, as tools for finding bugs do."""
    with pytest.raises(RuntimeError) as caught:
        fail_with(value)
    return "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())


def fail_with(value: object) -> None:
    """Raise an error with the value in its arguments."""
    raise RuntimeError(value)


TEXTS: dict[str, Callable[[object], str]] = {
    "repr": repr,
    "str": str,
    "ascii": ascii,
    "format": lambda value: f"{value} {value!s:>99} {value!r} {[value]} " + "{}".format(value),  # noqa: UP032  # a way of its own
    "percent": lambda value: "%s %r %a" % (value, value, value),  # noqa: UP031  # a way of its own
    "container": lambda value: f"{ {'a': [value]} } {(value,)}",
    "error": lambda value: f"{ValueError(value)!r} {KeyError(value)}",
    "pprint": pprint.pformat,
    "json default": lambda value: json.dumps({"v": value}, default=repr),
    "rich": by_rich,
    "logging": by_logging,
    "structlog json": lambda value: str(structlog.processors.JSONRenderer()(None, "", {"v": value})),
    "structlog console": lambda value: str(structlog.dev.ConsoleRenderer(colors=False)(None, "", {"v": value})),
    "traceback": by_traceback,
}
COPIES: dict[str, Callable[[object], object]] = {
    "pickle": pickle.dumps,
    "old pickle": lambda value: pickle.dumps(value, protocol=0),
    "deepcopy": copy.deepcopy,
    "asdict": dataclasses.asdict,  # type: ignore[dict-item]  # SecretText is no dataclass, and it fails
    "astuple": dataclasses.astuple,  # type: ignore[dict-item]  # the same
    "vars": vars,
    "json": json.dumps,
    "yaml": yaml.dump,
    "safe yaml": yaml.safe_dump,
    "bytes": bytes,  # type: ignore[dict-item]  # it takes none of them, and fails
    "hash": hash,
}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("holder", HOLDERS)
def test_no_textual_form_shows_it(holder: str, text: str) -> None:
    """However it is turned into text, nothing of the token is in it."""
    shown = TEXTS[text](HOLDERS[holder]())
    assert shown
    assert_untold(PLAIN, shown)


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("holder", HOLDERS)
def test_no_copy_is_made(holder: str, way: str) -> None:
    """What would make plain data of it fails, and the error shows nothing either."""
    with pytest.raises((TypeError, yaml.YAMLError)) as caught:
        COPIES[way](HOLDERS[holder]())
    assert_untold(PLAIN, f"{caught.value} {caught.value!r} {caught.value.args!r}")


def test_holders_are_complete() -> None:
    """Every dataclass of the product with a secret in a field of its own is among those tried."""
    from provisioner.domain import model, steps
    from provisioner.engine import minting, reconcile
    from provisioner.issuers import child, influxctl_output
    from provisioner.stores import vault_auth

    holding = {
        kind.__name__
        for module in (model, steps, minting, reconcile, child, influxctl_output, vault_auth)
        for kind in vars(module).values()
        if isinstance(kind, type) and dataclasses.is_dataclass(kind)
        if any("SecretText" in str(item.type) for item in dataclasses.fields(kind))
    }
    assert holding
    assert holding <= {*HOLDERS}


def test_planted_token_looks_like_nothing() -> None:
    """The tests of this folder do not rest on patterns: the planted token passes them all, until words are counted."""
    assert scrub(f"x {PLAIN} y") == f"x {PLAIN} y"
    assert scrub(f"x {PLAIN} y", longest_word=LONGEST_PLAIN_WORD) == "x [redacted] y"


def test_search_finds_what_is_told() -> None:
    """The search can fail: a token, or a half of it, is found in an error's text, its variables and its frames."""
    from tests.leaks.search import found

    def leaky(secret: str) -> None:
        raise ValueError(secret)

    with pytest.raises(ValueError, match="zq7") as caught:
        leaky(PLAIN)
    assert found(PLAIN, everything_about(caught.value))
    assert found(PLAIN, PLAIN[: len(PLAIN) // 2])
    assert not found(PLAIN, "nothing", repr(SecretText(PLAIN)), repr(a_token()))
