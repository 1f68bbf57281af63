"""Images on disk -> TFRecord -> `tf.data`. Of `picanet_tf` it imports `core` only.

`convert` and `verify` are commands (`python -m data_pipeline.convert --help`);
`readers` is what training and evaluation call. Only `schema`, `streams`, `readers` and
the augmentation import TensorFlow with the module; the others do when they work.
"""
