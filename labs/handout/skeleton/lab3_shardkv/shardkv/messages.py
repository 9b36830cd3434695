"""What clerks say to groups, and groups to each other. See common/protocol.py for how messages look."""
