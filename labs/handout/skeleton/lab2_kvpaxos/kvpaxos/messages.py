"""What clerks say to servers. See common/protocol.py for how messages look."""
