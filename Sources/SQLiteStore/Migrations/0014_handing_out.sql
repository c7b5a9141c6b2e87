-- When a poll of the device first returned the signal.
ALTER TABLE deliveries ADD COLUMN handed_out_at INTEGER
  CONSTRAINT deliveries_handed_out_at_range CHECK (handed_out_at BETWEEN 0 AND 253402300799999);
