"""Where a message may go: numbers, senders, routes, carriers' health, the choice among them."""
