"""Encoders that return named features; the heads pick the ones they read."""
