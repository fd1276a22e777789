"""What a node does by itself, beside requests and readers: one file a service. Knows the newswire and the hub."""
