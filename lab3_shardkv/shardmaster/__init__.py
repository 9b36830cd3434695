"""The shard master: which group has which shard, in numbered configurations."""
