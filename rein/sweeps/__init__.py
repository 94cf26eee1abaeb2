"""Sweeps: expand a question into runs, and run what the ledger lacks."""
