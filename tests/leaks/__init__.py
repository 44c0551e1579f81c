"""Invariant I5, one test per way out: a secret is planted at its origin, and everything that comes out is searched."""
