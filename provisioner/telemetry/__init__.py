"""Observers: engine events become log lines and metrics."""
