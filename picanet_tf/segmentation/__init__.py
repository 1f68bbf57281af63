"""Semantic segmentation with PiCANets (Sec. 5.6, Table 3)."""
