"""Exports trained networks to SavedModel, TFLite and ONNX, and serves them."""
