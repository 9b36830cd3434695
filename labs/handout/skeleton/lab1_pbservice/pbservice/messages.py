"""What clerks say to servers, and servers to each other. See common/protocol.py for how messages look."""
