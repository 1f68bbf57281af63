"""The saliency network in PyTorch, for training where there is no TensorFlow.

Needs only PyTorch, NumPy and Pillow. Except for `keras_models`, it uses nothing else of
the project, so that the folder alone can be copied to another machine.
"""
