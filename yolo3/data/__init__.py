"""What the pictures hold and how the network sees them. Knows nothing of MLflow or TensorFlow."""
