"""The suites that we ship can fail: each of their tests, over an example that is broken, in words, without a token."""

import re
import sys
from dataclasses import dataclass
from typing import Final

import pytest

from provisioner.testing.issuer import IssuerContract
from provisioner.testing.store import StoreContract
from tests.extending import files, run
from tests.site import Ran

TOKEN: Final = "t0k3n-of-turnstile"
SECRETS: Final = (TOKEN, "M.V1.secret-")
"""What a token of the issuer's server begins with, and what the records have that are stored."""
SHOWS: Final = "        type(self).__repr__ = lambda _: {0}\n"
ANYBODY: Final = ("            return False\n\n    def revoke", "            return True\n\n    def revoke")
NO_COMPARISON: Final = ("where path = ? and revision = ?", "where path = ? and ? >= 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakage:
    """One way to break an example, and the test that has to see it."""

    test: str
    swap: tuple[str, str]
    words: str = "assert"


TURNSTILE: Final = (
    Breakage(
        test="test_create_gives_a_token_that_is_listed",
        swap=("request.expires_at.isoformat()", "request.expires_at.replace(year=2090).isoformat()"),
        words="datetime.datetime(2090, ",
    ),
    Breakage(test="test_each_create_is_another_token", swap=("token_id=issued.token_id,", "token_id='one',")),
    Breakage(test="test_new_token_is_proven", swap=ANYBODY, words="a revoked token still works"),
    Breakage(test="test_wrong_string_is_refused_where_use_proves", swap=ANYBODY, words="assert True is not True"),
    Breakage(test="test_unknown_id_is_not_proven", swap=ANYBODY, words="a token that nobody issued works"),
    Breakage(
        test="test_revoked_tokens_stay_listed_or_go",
        swap=('        self._authorised("DELETE", f"/tokens/{token.token_id}")', "        pass"),
        words="a revoked token is listed live: IssuedToken(",
    ),
    Breakage(
        test="test_foreign_tokens_are_listed_without_our_mark",
        swap=("for each in listed)", 'for each in listed if each["expires"])'),
    ),
    Breakage(
        test="test_lost_answer_of_create_is_unknown",
        swap=("else OutcomeUnknownError", "else IssuerUnavailableError"),
        words="IssuerUnavailableError: POST /tokens at gate had no answer (504)",
    ),
    Breakage(
        test="test_list_without_answer_is_unavailable",
        swap=(
            "        if trouble or",
            '        if status >= 500 and method == "GET":\n            return []\n        if trouble or',
        ),
        words="DID NOT RAISE",
    ),
    Breakage(
        test="test_permissions_are_listed",
        swap=("            issuer=self.name,", "            issuer=self.name,\n            permissions=frozenset(),"),
        words="assert frozenset() == ((frozenset() or None))",
    ),
    Breakage(
        test="test_permissions_are_amended_in_place",
        swap=("proves_by_use=True,", "proves_by_use=True, amends_permissions=True,"),
        words="what the list says is not what the bench says",
    ),
    Breakage(
        test="test_permissions_of_no_token_cannot_be_amended",
        swap=('raise IssuerRefusedError(f"tokens of', 'repr(f"tokens of'),
        words="DID NOT RAISE",
    ),
    Breakage(
        test="test_credential_is_accepted_while_it_lives",
        swap=("            return False\n        return True", "            return True\n        return True"),
        words="a token that nobody issued is accepted",
    ),
    Breakage(test="test_several_threads_at_once", swap=("for each in listed)", "for each in listed[:3])")),
    Breakage(
        test="test_no_token_in_what_is_shown",
        swap=("        issued, token =", SHOWS.format('made["secret"]') + "        issued, token ="),
        words="the token's string is shown",
    ),
)
TABLE: Final = (
    Breakage(test="test_nothing_there", swap=("else (0, None, None)", "else (1, None, None)"), words="ConflictError"),
    Breakage(
        test="test_write_and_read_back",
        swap=("datetime.fromisoformat(written_at) if written_at else None", "None"),
        words="assert None is not None",
    ),
    Breakage(
        test="test_every_write_moves_the_revision",
        swap=("set revision = revision + 1,", "set revision = revision,"),
        words="ConflictError",
    ),
    Breakage(test="test_stale_revision_conflicts", swap=NO_COMPARISON, words="DID NOT RAISE"),
    Breakage(
        test="test_reservation_reads_as_a_reservation",
        swap=("if text else None, owner", 'if "token" in (text or "") else None, owner'),
        words="assert Absent() == Reservation()",
    ),
    Breakage(
        test="test_deleted_secret_is_absent_at_its_own_revision",
        swap=("rows[0] if rows else", "rows[0] if rows and rows[0][1] else"),
    ),
    Breakage(
        test="test_foreign_secret_is_told_and_can_be_named",
        swap=("if text else None, owner, destination)", 'if text else None, Owner("other", "x"), destination)'),
        words="isinstance(Reservation(), Foreign)",
    ),
    Breakage(test="test_edit_by_hand_moves_the_revision", swap=NO_COMPARISON, words="DID NOT RAISE"),
    Breakage(test="test_fields_and_extra", swap=("faithful=faithful", "faithful=True"), words="assert not True"),
    Breakage(
        test="test_full_record_survives",
        swap=("destination)), self", 'destination) | {"past_requests": ["a"]}), self'),
        words="past_requests=('a',)",
    ),
    Breakage(test="test_preflight_writes_nothing", swap=("set revision = revision where", "set revision = 7 where")),
    Breakage(test="test_check_warns_in_words", swap=("        return ()", '        return ("",)')),
    Breakage(
        test="test_without_a_reader_we_confirm_ourselves",
        swap=("return self.read(destination, owner)", "return self.read(destination, Owner('other', 'x'))"),
        words="assert Stored(",
    ),
    Breakage(test="test_one_of_several_writers_wins", swap=NO_COMPARISON, words="assert 4 == 1"),
    Breakage(
        test="test_no_token_in_what_is_shown",
        swap=('        self._run("insert', SHOWS.format("document") + '        self._run("insert'),
        words="the token's string is shown",
    ),
)
SUITES: Final = {
    "turnstile": ("turnstile_tokens", "test_turnstile", "TestTurnstile", TURNSTILE),
    "table": ("table_of_secrets", "test_table", "TestTable", TABLE),
}
CONTRACTS: Final = {"turnstile": IssuerContract, "table": StoreContract}


def swapped(text: str, old: str, new: str) -> str:
    """Swap what must be there once."""
    assert text.count(old) == 1, f"{text.count(old)} times in the example: {old}"
    return text.replace(old, new)


@pytest.fixture(scope="module", params=SUITES)
def broken(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Ran]:
    """Run one test over each broken example, all in one process."""
    package: str = request.param
    module, suite, name, breakages = SUITES[package]
    folder, texts = tmp_path_factory.mktemp("broken"), files()
    adapter, test = texts[f"{package}/{module}.py"], texts[f"{package}/{suite}.py"]
    if package == "turnstile":
        fresh, known = "secrets.token_urlsafe(30)", '"-".join(["t0k3n", "of", "turnstile", secrets.token_urlsafe(30)])'
        test = swapped(test, fresh, known)
    chosen = []
    for number, breakage in enumerate(breakages):
        (folder / f"broken_{number}.py").write_text(swapped(adapter, *breakage.swap))
        own = folder / f"test_{number}.py"
        own.write_text(swapped(test, f"from {module} import", f"from broken_{number} import"))
        chosen.append(f"{own.name}::{name}::{breakage.test}")
    quiet = ("-p", "no:cacheprovider", "--rootdir", str(folder), "-vv", "--color=no")
    return package, run(folder, sys.executable, "-m", "pytest", *quiet, *chosen, PYTHONPATH=str(folder))


def test_every_test_of_a_suite_sees_what_it_is_for(broken: tuple[str, Ran]) -> None:
    """Each fails over the example that breaks its promise, and says what was wrong."""
    package, ran = broken
    _, _, name, breakages = SUITES[package]
    told = dict(re.findall(rf"^_+ {name}\.(\w+)\S* _+\n(.*?)(?=^___|^===)", ran.output, re.MULTILINE | re.DOTALL))
    assert {breakage.test for breakage in breakages} == {
        name for name in vars(CONTRACTS[package]) if name.startswith("test_")
    }
    for breakage in breakages:
        report = told.get(breakage.test, "it passed")
        assert breakage.words in report, f"{breakage.test}: {report}"
    assert " passed" not in ran.output.splitlines()[-1]


def test_failures_of_a_suite_show_no_token(broken: tuple[str, Ran]) -> None:
    """Whatever fails, no token is in the report."""
    _, ran = broken
    assert " failed" in ran.output.splitlines()[-1]
    shown = [secret for secret in SECRETS if secret in ran.output + ran.errors]
    assert shown == []
