"""An SMPP/SMS gateway: HTTP and SMPP in, carriers out, receipts back, nothing lost between."""

__version__ = "0.1.0"
