"""The kinds of ground truth that a record can hold. Imports no TensorFlow.

mask       a grey image, 0..255: saliency
class_map  the class of each pixel: segmentation
boxes      boxes with class and difficulty: object detection
"""

MASK = "mask"
CLASS_MAP = "class_map"
BOXES = "boxes"

# {kind: plural for messages}
PLURALS = {MASK: "masks", CLASS_MAP: "class maps", BOXES: "boxes"}
KINDS = tuple(PLURALS)
