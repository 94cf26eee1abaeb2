"""Domains, labels, crops and loaders."""
