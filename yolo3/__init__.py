"""Train, track, evaluate and serve a YOLOv3 detector with Keras 3 and MLflow."""

import os

# TensorFlow leaves oneDNN off on processors without AVX-512 VNNI, where it is faster as well
# (docs/speed.md); it reads the variable once, when it is imported.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
