"""Where work runs: this machine, or the nodes of a Ray cluster; the only door to ray."""
