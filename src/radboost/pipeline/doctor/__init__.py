"""What works here: probes gathered from every room, run where a crash of one costs its own line alone."""
