"""What every server process stands on: the seam to its world, the wire, and the socket files."""
