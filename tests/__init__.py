"""Tests: fakes, not mocks; nothing sleeps to wait for time."""
