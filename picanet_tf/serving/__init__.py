"""Exports a trained network: SavedModel for TF Serving, TFLite, ONNX."""
