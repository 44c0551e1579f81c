"""A cluster that is another one whenever a test says so: one server of its APIs then serves for many tests."""

from provisioner.simulators.cluster import Cluster


class Switchboard(Cluster):
    """Begins as an empty cluster of its own."""

    def turn_to(self, cluster: Cluster) -> None:
        """Be that cluster from now on: with its state, its knobs and its time."""
        self._directory, self._now = cluster._directory, cluster._now
