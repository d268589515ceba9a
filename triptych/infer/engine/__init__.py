"""Many requests to one model at once, which join and leave between two steps. One thread touches the network."""
