"""How fast and how large the network is, side by side with a peer in one run."""
