"""Sweeps whose runs are searched for: spaces, members, samplers."""
