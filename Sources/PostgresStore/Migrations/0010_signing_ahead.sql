-- Until when the device's signatures may lie further ahead of the registry's clock than usual. After a start, requests
-- that may have been accepted before are refused: for such a device, those of the last minute, for others those of the
-- last seconds.
ALTER TABLE devices
  ADD COLUMN signs_ahead_until timestamptz,
  ADD CONSTRAINT devices_signs_ahead_range CHECK (
    signs_ahead_until BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
  );

-- It is cached with the credentials.
CREATE TRIGGER devices_notify_signs_ahead AFTER UPDATE OF signs_ahead_until ON devices
  FOR EACH ROW WHEN (OLD.signs_ahead_until IS DISTINCT FROM NEW.signs_ahead_until)
  EXECUTE FUNCTION devices_notify_changed();
