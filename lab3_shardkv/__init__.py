"""Lab 3: a shard master, and a key/value service whose shards move between groups while it is used."""
