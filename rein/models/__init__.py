"""The models: backbone, tuning, heads and their loss."""
