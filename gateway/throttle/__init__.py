"""When a segment may leave, how carriers slow us down, and whose turn it is."""
