"""Several gateways on one database: who does what, and what they ask of each other."""
