"""Compare this project with its peers and with its own versions, at equal processor time."""
