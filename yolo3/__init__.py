"""Train, track, evaluate and serve a YOLOv3 detector with Keras 3 and MLflow."""
