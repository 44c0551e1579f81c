"""Deterministic simulation: the real engine, several replicas, every interleaving and fault that a seed says."""
