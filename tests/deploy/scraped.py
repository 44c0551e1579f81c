"""What Prometheus has of a daemon: our own metrics, moved by the real engine over fakes, scraped once a minute."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from provisioner.engine.recall import Recall
from provisioner.engine.service import Service
from provisioner.telemetry.metrics import Metrics
from provisioner.telemetry.observers import Observers
from tests.deploy.promql import Labels, Series
from tests.rig import Rig

OF_THE_SCRAPE: Final[Mapping[str, str]] = {
    "namespace": "tools",
    "job": "provisioner",
    "instance": "10.0.0.1:8080",
}
"""The labels that Prometheus puts to each sample, which the alerts may ask for."""
_MINUTE: Final = timedelta(minutes=1)
_DRIFT: Final = 15
"""Minutes between two passes, as `reconcile.interval` has it."""


class Scraped:
    """One daemon with one token, and what was scraped of it."""

    def __init__(self) -> None:
        """Begin with nothing stored, nothing scraped."""
        self.rig, self.acts, self.looks = Rig(), True, True
        self._observers = Observers()
        self._metrics = Metrics(self.rig.clock, acts=lambda: self.acts, lost=lambda: self._observers.lost)
        self._observers.add(self._metrics)
        world = replace(self.rig.worlds[0], observe=self._observers)
        self.service = Service(world, [self.rig.token], instance="prod", concurrency=1, recall=Recall())
        self._samples: dict[Labels, list[tuple[float, float]]] = {}

    @property
    def now(self) -> timedelta:
        """The moment, since the epoch."""
        return timedelta(seconds=self.rig.clock.now().timestamp())

    @property
    def series(self) -> list[Series]:
        """Everything that was scraped."""
        return [Series(labels=labels, samples=samples) for labels, samples in self._samples.items()]

    def minutes(self, count: int) -> None:
        """Let so many minutes go by, with a scrape in each and a pass now and then."""
        for number in range(count):
            if self.looks and number % _DRIFT == 0:
                self.service.run_pass()
            self.scrape()
            self.rig.clock.advance(_MINUTE)
        self.scrape()

    def scrape(self) -> None:
        """Take all samples now."""
        text, _ = self._metrics.exposed("")
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                labels = frozenset({**sample.labels, **OF_THE_SCRAPE, "__name__": sample.name}.items())
                self._samples.setdefault(labels, []).append((self.now.total_seconds(), sample.value))
