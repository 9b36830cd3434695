"""The primary/backup key/value service."""
