"""Constants shared by the data pipeline and the networks. Imports no TensorFlow."""

# Mean RGB of ImageNet, 0..255. VGG16 subtracts it, so padding with this colour is zero
# padding to the network.
MEAN_RGB = (123.68, 116.779, 103.939)
