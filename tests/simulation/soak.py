"""Many more random schedules than the test suite has time for, on every core.

``python -m tests.simulation.soak N [FIRST] [led]`` runs the N seeds from FIRST on (0 by default), tells of every seed
that fails with the command that replays it, and ends with 1 if one did; ``led``: one replica leads at a time.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from multiprocessing import get_context

from tests.simulation.walk import run

LED = "led"
_BATCH = 2000


def failures(seeds: Iterable[int], play: Callable[[int], object] = run) -> Iterator[tuple[int, str]]:
    """Run them all; give each that failed, with the first line of why, as soon as that is known."""
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        waiting = iter(seeds)
        while batch := tuple(islice(waiting, _BATCH)):  # no more than that are ever under way
            outcomes = [(seed, pool.submit(_play, play, seed)) for seed in batch]
            for seed, outcome in outcomes:
                error = outcome.exception()
                if error is not None:
                    yield seed, f"{type(error).__name__}: {error}".partition("\n")[0]


def main(arguments: list[str]) -> int:
    """Run what the arguments ask for; give the exit code."""
    is_led, numbers = LED in arguments, (int(argument) for argument in arguments if argument != LED)
    count, first = (*numbers, 0)[:2]
    play, how = (partial(run, is_led=True), f" {LED}") if is_led else (run, "")
    failed = 0
    for seed, why in failures(range(first, first + count), play):
        failed += 1
        sys.stdout.write(f"{why}\n  replay: python -m tests.simulation.walk {seed}{how}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{count} schedules ran, seeds {first} to {first + count - 1}: {failed} failed\n")
    return 1 if failed else 0


def _play(play: Callable[[int], object], seed: int) -> None:
    """Run one where nothing of it needs to come back but its error."""
    play(seed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
