"""The ground floor: what every other part may stand on. Imports no TensorFlow."""
