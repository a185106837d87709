"""What the client tests and the scenarios share: a server process, tiny models, clients and load."""
