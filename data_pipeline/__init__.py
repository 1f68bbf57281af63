"""Images on disk -> TFRecord -> `tf.data`.  Knows nothing of `picanet_tf`.

`convert` and `verify` are commands (`python -m data_pipeline.convert --help`);
`readers` is what training and evaluation call; `images` reads any image file.
Importing this package, `cli`, `images`, `catalog`, `pairs` or `manifest` does not
import TensorFlow.
"""
