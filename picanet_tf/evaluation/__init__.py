"""What the scores of all tasks share: samples, methods, tables, curves, reports."""
