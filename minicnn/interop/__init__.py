"""The way to other libraries and back; they are imported inside functions only."""
