-- A signal is cancelled by its row, at once for all its devices; and for one device, by its delivery.

ALTER TABLE signals
  ADD COLUMN cancelled_at timestamptz,
  ADD CONSTRAINT signals_cancelled_at_range CHECK (
    cancelled_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
  );
-- Serves the polls, which list what was cancelled and has not expired.
CREATE INDEX ix_signals_cancelled ON signals (client_id, expires_at, id) WHERE cancelled_at IS NOT NULL;

ALTER TABLE deliveries
  ADD COLUMN cancelled_at timestamptz,
  ADD CONSTRAINT deliveries_cancelled_at_range CHECK (
    cancelled_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
  );
CREATE INDEX ix_deliveries_cancelled ON deliveries (device_id, expires_at, signal_id) WHERE cancelled_at IS NOT NULL;
-- Polls leave out what was cancelled without reading its row.
DROP INDEX ix_deliveries_device;
CREATE INDEX ix_deliveries_device ON deliveries (device_id, acked_at, expires_at, signal_id, cancelled_at);

-- The devices, or of a signal to many the client.
CREATE FUNCTION signals_notify_cancelled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.devices > 1000 THEN
    PERFORM pg_notify('device_registry_signals', 'client ' || NEW.client_id);
  ELSE
    PERFORM notify_of_devices(
      'device_registry_signals', ARRAY(SELECT device_id FROM deliveries WHERE signal_id = NEW.id));
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER signals_notify_cancelled AFTER UPDATE OF cancelled_at ON signals
  FOR EACH ROW WHEN (OLD.cancelled_at IS DISTINCT FROM NEW.cancelled_at) EXECUTE FUNCTION signals_notify_cancelled();
