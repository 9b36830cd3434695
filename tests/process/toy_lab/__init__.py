"""A lab that is none: servers that echo, crash, hang and leave things behind."""
