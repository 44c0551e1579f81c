"""Carries out one HTTP request to the simulated cluster, and lets go wrong what the knobs say."""

from dataclasses import dataclass, replace
from enum import Enum, auto
from http import HTTPStatus
from typing import Final

from provisioner.simulators.http_answers import Answer, Asked, RefusalError, Route
from provisioner.simulators.knobs import Knobs

ELSEWHERE: Final = "/elsewhere"
"""Where a redirect leads: what arrives there has followed it."""
_LOGIN_PAGE: Final = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"
_WRONG_SHAPE: Final = b'{"unexpected": [{"nothing": "that was asked for"}]}'
_MALFORMED: Final = b'{"id": 1, "token" "'


class Delivery(Enum):
    """How an answer reaches whoever asked."""

    WHOLE = auto()
    CUT = auto()
    """The connection ends in the middle of the declared length."""
    DRIPPING = auto()
    """A byte now and then, for ever."""
    NEVER = auto()
    """Nothing comes, and the connection stays."""
    CLOSED = auto()
    """Nothing comes, and the connection ends."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request comes to."""

    answer: Answer
    delivery: Delivery = Delivery.WHOLE


def carry_out(route: Route, asked: Asked, base: str) -> Outcome:
    """Do what is asked, and give how it is answered; ``base`` is where the server itself is."""
    knobs = asked.cluster.knobs()
    if knobs.http_status:
        answer = route.dialect.no(knobs.http_status, "as the knob says")
        after = {"retry-after": str(knobs.retry_after)} if knobs.retry_after else {}
        return Outcome(replace(answer, headers={**answer.headers, **after}))
    odd = knobs.odd_answer if asked.cluster.take("odd_answers") else ""
    if odd == "redirect":
        return Outcome(Answer(status=HTTPStatus.TEMPORARY_REDIRECT, headers={"location": f"{base}{ELSEWHERE}"}))
    outcome = _obeyed(route, asked, knobs)
    return _odd(outcome, odd) if odd else outcome


def _obeyed(route: Route, asked: Asked, knobs: Knobs) -> Outcome:
    """Do what is asked, as the knobs let it."""
    try:
        if not route.is_open:
            if knobs.unauthenticated:
                return Outcome(route.dialect.no(HTTPStatus.UNAUTHORIZED, "no credential is believed"))
            route.dialect.authenticate(asked)
        return _before(route, asked) or _after(route, asked, route.effect(asked))
    except RefusalError as refusal:
        return Outcome(refusal.answer)
    except OSError as error:
        return Outcome(route.dialect.no(HTTPStatus.INTERNAL_SERVER_ERROR, f"the cluster failed: {error.strerror}"))


def _before(route: Route, asked: Asked) -> Outcome | None:
    """Give what comes in the way of an effect."""
    take = asked.cluster.take
    if route.operation and take(f"fail_{route.operation}"):
        return Outcome(route.dialect.no(HTTPStatus.INTERNAL_SERVER_ERROR, "the cluster made a mistake"))
    if route.operation in {"list", "revoke"} and take(f"hang_{route.operation}"):
        return Outcome(Answer(), Delivery.NEVER)
    return None


def _after(route: Route, asked: Asked, answer: Answer) -> Outcome:
    """Give what becomes of the answer to an effect."""
    take, is_create = asked.cluster.take, route.operation == "create"
    if route.operation in {"create", "revoke"} and take(f"die_after_{route.operation}"):
        return Outcome(answer, Delivery.CLOSED)
    if is_create and take("hang_create"):
        return Outcome(answer, Delivery.NEVER)
    if is_create and take("lose_answer"):
        return Outcome(route.dialect.no(HTTPStatus.INTERNAL_SERVER_ERROR, "error reading from server: EOF"))
    if route.operation in {"create", "list"} and take("cut_output"):
        return Outcome(answer, Delivery.CUT)
    return Outcome(answer)


def _odd(outcome: Outcome, odd: str) -> Outcome:
    """Give an answer in an odd way; one that may have no body becomes one that has."""
    answer = outcome.answer
    if answer.status == HTTPStatus.NO_CONTENT:
        answer = replace(answer, status=HTTPStatus.OK, body=_WRONG_SHAPE)
    match odd:
        case "truncated":
            return Outcome(replace(answer, body=answer.body or _WRONG_SHAPE), Delivery.CUT)
        case "slow":
            return Outcome(answer, Delivery.DRIPPING)
        case "html":
            page = {**answer.headers, "content-type": "text/html; charset=utf-8"}
            return Outcome(replace(answer, status=HTTPStatus.OK, body=_LOGIN_PAGE, headers=page))
        case _:
            bodies = {"malformed": _MALFORMED, "empty": b"", "wrong_shape": _WRONG_SHAPE}
            return Outcome(replace(answer, body=bodies[odd]))
