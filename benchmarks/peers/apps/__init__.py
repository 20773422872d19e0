"""What a user of each peer would write to serve a classifier, as the peer's own documents advise.

These files run in the peers' environments (scripts/peers-env.sh) and import nothing of the project but each other."""
