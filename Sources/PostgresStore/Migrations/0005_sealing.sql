-- The keys of a secret may be sealed: a box is 49 bytes longer than what is in it.
ALTER TABLE devices
  DROP CONSTRAINT devices_stored_key_length,
  DROP CONSTRAINT devices_server_key_length,
  DROP CONSTRAINT devices_next_stored_key_length,
  DROP CONSTRAINT devices_next_server_key_length,
  ADD CONSTRAINT devices_stored_key_length CHECK (octet_length(stored_key) IN (32, 81)),
  ADD CONSTRAINT devices_server_key_length CHECK (octet_length(server_key) IN (32, 81)),
  ADD CONSTRAINT devices_next_stored_key_length CHECK (octet_length(next_stored_key) IN (32, 81)),
  ADD CONSTRAINT devices_next_server_key_length CHECK (octet_length(next_server_key) IN (32, 81));

-- The ids of the keys that sealed something.
CREATE INDEX ix_devices_sealed ON devices (substr(stored_key, 2, 8)) WHERE octet_length(stored_key) > 32;
CREATE INDEX ix_devices_next_sealed ON devices (substr(next_stored_key, 2, 8)) WHERE octet_length(next_stored_key) > 32;

-- Two boxes of one key differ, and sealing changes no secret: its argon2id hash tells whether it is the same. A plain key
-- in a row is that of hand-written SQL too.
DROP TRIGGER devices_end_tokens ON devices;
CREATE TRIGGER devices_end_tokens AFTER UPDATE OF hmac_key_hash, stored_key, is_active, revoked ON devices
  FOR EACH ROW WHEN (
    OLD.hmac_key_hash <> NEW.hmac_key_hash
    OR OLD.stored_key <> NEW.stored_key AND octet_length(NEW.stored_key) = 32
    OR (OLD.is_active, OLD.revoked) <> (NEW.is_active, NEW.revoked) AND NOT NEW.is_active
  )
  EXECUTE FUNCTION devices_end_tokens();

-- Costs nothing if presence or a name changes: those columns are not among these.
DROP TRIGGER devices_notify_changed ON devices;
CREATE TRIGGER devices_notify_changed
  AFTER UPDATE OF id, client_id, hmac_key_hash, stored_key, server_key, next_hmac_key_hash, next_stored_key,
    next_server_key, grace_expires_at, is_active, revoked ON devices
  FOR EACH ROW WHEN (
    (OLD.id, OLD.client_id, OLD.hmac_key_hash, OLD.next_hmac_key_hash, OLD.grace_expires_at, OLD.is_active, OLD.revoked)
    IS DISTINCT FROM
    (NEW.id, NEW.client_id, NEW.hmac_key_hash, NEW.next_hmac_key_hash, NEW.grace_expires_at, NEW.is_active, NEW.revoked)
    OR OLD.stored_key <> NEW.stored_key AND octet_length(NEW.stored_key) = 32
    OR OLD.server_key <> NEW.server_key AND octet_length(NEW.server_key) = 32
    OR OLD.next_stored_key <> NEW.next_stored_key AND octet_length(NEW.next_stored_key) = 32
    OR OLD.next_server_key <> NEW.next_server_key AND octet_length(NEW.next_server_key) = 32
  )
  EXECUTE FUNCTION devices_notify_changed();

-- As before, but it compares the hash of the secret.
DROP FUNCTION insert_token(bytea, uuid, text, bytea, timestamptz, timestamptz, bigint, bigint);
CREATE FUNCTION insert_token(
  hash bytea, device uuid, owner text, secret text, expiry timestamptz, moment timestamptz, max_live bigint,
  window_seconds bigint
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  window_length CONSTANT interval := window_seconds * interval '1 second';
  blocking timestamptz;
BEGIN
  -- The tokens of one device queue up here, and so do changes of its secret and its state.
  PERFORM FROM devices
    WHERE id = device AND client_id = owner AND hmac_key_hash = secret AND is_active
      AND (grace_expires_at IS NULL OR grace_expires_at > moment)
      AND NOT EXISTS (SELECT FROM clients WHERE clients.id = owner AND deleted_at IS NOT NULL)
    FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN NULL; END IF;

  -- The token that must leave the window before another may come. Those of a clock that was ahead do not count.
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
