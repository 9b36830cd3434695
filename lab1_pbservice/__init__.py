"""Lab 1: a view service, and a primary/backup key/value service that it watches over."""
