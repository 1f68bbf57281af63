"""Images on disk -> TFRecord -> `tf.data`. Imports only `core` of `picanet_tf`.

`convert` and `verify` are commands (`python -m data_pipeline.convert --help`); training
and evaluation call `readers`. Only `schema`, `streams`, `readers` and the augmentation
import TensorFlow when they are imported; the other modules import it in functions.
"""
