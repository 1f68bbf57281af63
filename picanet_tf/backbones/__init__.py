"""Encoders that return named features, from which the heads choose."""
