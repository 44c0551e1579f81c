"""Rotation by hand in this process: the desk of a daemon without the daemon, so that it is followed just as live."""

import signal
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from provisioner.cli import render
from provisioner.domain.by_hand import Wish
from provisioner.domain.errors import ConfigurationError

FINISH_WITHIN: Final = timedelta(seconds=20)
"""After Ctrl-C or SIGTERM, what is in flight is given that long, as by the daemon."""
Row = Mapping[str, Any]


def rotate_here(names: Iterable[str], labels: Mapping[str, str], wish: Wish, config: Path | None) -> Sequence[Row]:
    """Rotate, show the phases on a terminal, and give how each ended; elsewhere the log tells them."""
    from provisioner.api.models import Rotation
    from provisioner.app import NO_TOKENS, opened
    from provisioner.cli.following import follow
    from provisioner.domain.events import Event
    from provisioner.domain.model import Trigger
    from provisioner.engine.desk import Desk
    from provisioner.engine.service import RotationResult
    from provisioner.runtime.clock import SystemClock

    clock, screen, desks, finish_by = SystemClock(), render.complaints(), list[Desk](), list[float]()

    def watch(event: Event) -> None:
        for desk in desks:
            desk(event)

    with opened(
        config,
        logs=True,
        quiet=screen.is_terminal,
        clock=clock,
        finish_by=lambda: finish_by[0] if finish_by else None,
        watch=watch,
    ) as application:
        service = application.service
        chosen = [token.name for token in service.select(names, labels.items())]
        if not chosen:
            raise ConfigurationError(f"no token carries {dict(labels)}" if service.tokens else NO_TOKENS)

        def rotate(name: str, trigger: Trigger) -> RotationResult:
            return service.rotate(service.select([name]), trigger)[0]

        settings = application.settings
        desk = Desk(
            clock,
            instance=settings.instance,
            concurrency=settings.reconcile.concurrency,
            rotate=rotate,
            most_kept=len(chosen),
        )
        desks.append(desk)

        def look() -> list[Row]:
            seen = [desk.get(each.id) or each for each in asked]
            return [Rotation.of(each).model_dump(mode="json") for each in seen]

        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            asked = desk.ask(dict.fromkeys(chosen), wish)
            return follow(look(), look, screen, clock, tells_lines=False)
        except KeyboardInterrupt:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)  # who asks again is in a hurry: what is left over is swept
            finish_by.append(clock.monotonic() + FINISH_WITHIN.total_seconds())
            request_id, seconds = wish.request_id, FINISH_WITHIN.seconds
            render.say_warning(
                f"stopping: what is in flight is finished, in {seconds} s at most; say it again with --request-id"
                f" {request_id}, it rotates once"
            )
            raise
        finally:
            desk.close()
