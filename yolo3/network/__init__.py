"""The network and its arithmetic: anchors, grids, boxes, loss, weights; no files of pictures."""
