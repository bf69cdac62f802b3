"""How good a detector is: AP, curves, confusion, figures, and pictures to look at."""
