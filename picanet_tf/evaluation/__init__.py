"""Evaluation code shared by all tasks: samples, methods, tables, curves, reports."""
