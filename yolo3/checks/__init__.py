"""What a labelled data set is like and what is wrong with it, told before any training.

A room of its own, between `data` and what trains: it needs the network's anchors and grids, which
`data` does not know, and neither Keras nor MLflow, so that a check answers in seconds.
"""
