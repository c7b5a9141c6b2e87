-- A signal is cancelled by its row, at once for all its devices; and for one device, by its delivery.

ALTER TABLE signals ADD COLUMN cancelled_at INTEGER
  CONSTRAINT signals_cancelled_at_range CHECK (cancelled_at BETWEEN 0 AND 253402300799999);
-- Serves the polls, which leave out and list what was cancelled and has not expired.
CREATE INDEX ix_signals_cancelled ON signals (client_id, expires_at, id, cancelled_at) WHERE cancelled_at IS NOT NULL;

ALTER TABLE deliveries ADD COLUMN cancelled_at INTEGER
  CONSTRAINT deliveries_cancelled_at_range CHECK (cancelled_at BETWEEN 0 AND 253402300799999);
CREATE INDEX ix_deliveries_cancelled ON deliveries (device_id, expires_at, acked_at, cancelled_at)
  WHERE cancelled_at IS NOT NULL;
-- Polls leave out what was cancelled without reading its row.
DROP INDEX ix_deliveries_device;
CREATE INDEX ix_deliveries_device ON deliveries (device_id, acked_at, expires_at, cancelled_at);

CREATE TRIGGER signals_log_cancelled AFTER UPDATE OF cancelled_at ON signals
WHEN OLD.cancelled_at IS NOT NEW.cancelled_at
BEGIN
  INSERT INTO device_changes (signal_id) VALUES (NEW.id);
END;
