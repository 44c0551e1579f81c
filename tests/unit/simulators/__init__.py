"""Tests of the simulated cluster: what it promises to the tests and rehearsals that rely on it."""
