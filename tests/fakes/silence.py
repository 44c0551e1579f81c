"""Listeners that do nothing: functions by name and no lambdas, so that a fake and all it is tied to can be copied."""


def unmoved() -> None:
    """Do nothing."""


def unmoved_by(_what: object, /) -> None:
    """Do nothing about it."""


def unmoved_by_both(_what: object, _whose: object, /) -> None:
    """Do nothing about the two."""
