"""Documents made from results: a report is a view of one tidy table, and can be made again without torch."""
