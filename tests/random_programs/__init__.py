"""Random workflow programs, played on the official server and on Perdure: both have to tell the same."""
