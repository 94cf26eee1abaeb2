"""Trained networks: load them, score and draw with them, write them for other programs, bring in those of others."""
