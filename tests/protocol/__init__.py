"""The protocol: the real engine over fakes, every invariant checked at every port call."""
