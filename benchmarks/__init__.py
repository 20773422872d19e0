"""Every claim of the README, with the peer beside it."""
