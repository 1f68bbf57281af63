"""Cut-outs, figures of maps and attention, panels and videos; without TensorFlow."""
