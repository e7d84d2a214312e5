"""Real parts as processes: each file starts, stops and kills one kind of them on loopback."""
