"""Utilities shared by all other packages. Imports no TensorFlow."""
