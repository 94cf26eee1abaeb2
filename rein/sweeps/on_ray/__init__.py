"""Sweeps on Ray: the only package that knows it."""
