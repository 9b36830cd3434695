"""What peers say to each other. See common/protocol.py for how messages look."""
