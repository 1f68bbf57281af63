"""Numbers that training data and networks must agree on. Imports no TensorFlow."""

# The mean colour of ImageNet, RGB, 0..255. VGG16 subtracts it, so that padding of this
# colour is zero to the network.
MEAN_RGB = (123.68, 116.779, 103.939)
