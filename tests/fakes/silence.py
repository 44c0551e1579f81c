"""Listeners that do nothing."""


def unmoved() -> None:
    """Do nothing."""


def unmoved_by(_what: object, /) -> None:
    """Do nothing about it."""


def unmoved_by_both(_what: object, _whose: object, /) -> None:
    """Do nothing about the two."""
