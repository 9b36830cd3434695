"""What clerks, groups and masters say to each other. See common/protocol.py for how messages look."""
