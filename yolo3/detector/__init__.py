"""The detector: pictures in, detections out; and the model that MLflow logs. No training code."""
