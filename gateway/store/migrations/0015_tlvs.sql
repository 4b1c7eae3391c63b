-- TLVs that pass through as they came, each as on the wire: tag, length, value. NULL: none.

ALTER TABLE messages ADD COLUMN tlvs bytea;
ALTER TABLE parked_receipts ADD COLUMN tlvs bytea;
ALTER TABLE inbound_parts ADD COLUMN tlvs bytea;
ALTER TABLE inbound_messages ADD COLUMN tlvs bytea;
