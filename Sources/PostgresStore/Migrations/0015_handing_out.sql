-- When a poll of the device first returned the signal. In no index, so that a new version of a row needs no entry.
ALTER TABLE deliveries
  ADD COLUMN handed_out_at timestamptz,
  ADD CONSTRAINT deliveries_handed_out_at_range CHECK (
    handed_out_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
  );
