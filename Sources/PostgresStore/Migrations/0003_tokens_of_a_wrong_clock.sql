-- As before, but tokens that were issued while the clock was ahead of what it is now do not count for the rate: a clock
-- that was wrong and was set right keeps nobody from a token.
CREATE OR REPLACE FUNCTION insert_token(
  hash bytea, device uuid, key bytea, expiry timestamptz, moment timestamptz, max_live bigint,
  window_seconds bigint
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  window_length CONSTANT interval := window_seconds * interval '1 second';
  blocking timestamptz;
BEGIN
  -- The tokens of one device queue up here, and so do changes of its secret and its state.
  PERFORM FROM devices
    WHERE id = device AND stored_key = key AND is_active
      AND (grace_expires_at IS NULL OR grace_expires_at > moment)
    FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN NULL; END IF;

  -- The token that must leave the window before another may come.
  SELECT created_at INTO blocking FROM device_tokens
    WHERE device_id = device AND created_at > moment - window_length AND created_at <= moment
    ORDER BY created_at DESC OFFSET max_live - 1 LIMIT 1;
  IF FOUND THEN
    RETURN greatest(1, ceil(extract(epoch FROM blocking + window_length - moment)));
  END IF;

  DELETE FROM device_tokens WHERE token_hash IN (
    SELECT token_hash FROM device_tokens WHERE device_id = device AND expires_at > moment
    ORDER BY created_at DESC, token_hash OFFSET max_live - 1
  );
  INSERT INTO device_tokens (token_hash, device_id, created_at, expires_at)
    VALUES (hash, device, moment, expiry);
  RETURN 0;
END $$;
