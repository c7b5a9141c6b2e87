-- Until when the device's signatures may lie further ahead of the registry's clock than usual. After a start, requests
-- that may have been accepted before are refused: for such a device, those of the last minute, for others those of the
-- last seconds.
ALTER TABLE devices ADD COLUMN signs_ahead_until INTEGER
  CONSTRAINT devices_signs_ahead_range CHECK (signs_ahead_until BETWEEN 0 AND 253402300799999);

-- It is cached with the credentials.
CREATE TRIGGER devices_log_signs_ahead AFTER UPDATE OF signs_ahead_until ON devices
WHEN OLD.signs_ahead_until IS NOT NEW.signs_ahead_until
BEGIN
  INSERT INTO device_changes (device_id) VALUES (OLD.id);
END;
