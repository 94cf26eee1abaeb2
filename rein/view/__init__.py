"""What MLflow shows of the ledger, as values: points, tags, Markdown, files. Nothing here knows MLflow itself."""
