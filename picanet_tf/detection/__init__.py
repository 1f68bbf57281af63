"""Object detection with PiCANets (Sec. 5.6, Table 4)."""
