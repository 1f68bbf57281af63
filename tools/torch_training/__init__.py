"""The saliency network in PyTorch, for training where there is no TensorFlow.

Needs PyTorch, NumPy and Pillow, and nothing of the rest of the project but for
`keras_models`, so that the folder can be copied to another machine alone.
"""
