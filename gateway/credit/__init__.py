"""What messages cost, and what becomes of the money that is reserved for them."""
