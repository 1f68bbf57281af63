"""Figures of maps and attention, panels, and videos. Does not import TensorFlow."""
