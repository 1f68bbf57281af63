"""Object detection: SSD300 on VGG16, with PiCANets (Sec. 5.6, Table 4)."""
