"""The sharded key/value service: groups of replicas that hand shards to each other."""
