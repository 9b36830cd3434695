"""What a clerk says to its server. See common/protocol.py for what others say to both."""
