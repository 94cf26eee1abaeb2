"""What the ledger says of sweeps while they run: drawn, copied to the tracker, stopped."""
