"""What the gateway is measured with: a simulated carrier and a load generator."""
