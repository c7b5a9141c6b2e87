-- The keys of a secret may be sealed: a box is 49 bytes longer than what is in it. That changes constraints, not rows, and
-- SQLite's way to do so is to edit the schema (https://sqlite.org/lang_altertable.html, section 7): making a table again to
-- which others refer would delete their rows.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(replace(replace(replace(sql,
    'CHECK (length(stored_key) = 32)', 'CHECK (length(stored_key) IN (32, 81))'),
    'CHECK (length(server_key) = 32)', 'CHECK (length(server_key) IN (32, 81))'),
    'CHECK (length(next_stored_key) = 32)', 'CHECK (length(next_stored_key) IN (32, 81))'),
    'CHECK (length(next_server_key) = 32)', 'CHECK (length(next_server_key) IN (32, 81))')
  WHERE type = 'table' AND name = 'devices';
-- Reads the schema again.
PRAGMA writable_schema = RESET;

-- The ids of the keys that sealed something.
CREATE INDEX ix_devices_sealed ON devices (substr(stored_key, 2, 8)) WHERE length(stored_key) > 32;
CREATE INDEX ix_devices_next_sealed ON devices (substr(next_stored_key, 2, 8)) WHERE length(next_stored_key) > 32;

-- Two boxes of one key differ, and sealing changes no secret: its argon2id hash tells whether it is the same. A plain key
-- in a row is that of hand-written SQL too.
DROP TRIGGER devices_end_tokens;
CREATE TRIGGER devices_end_tokens AFTER UPDATE OF hmac_key_hash, stored_key, is_active, revoked ON devices
WHEN OLD.hmac_key_hash <> NEW.hmac_key_hash OR (OLD.stored_key <> NEW.stored_key AND length(NEW.stored_key) = 32)
  OR NEW.revoked OR NOT NEW.is_active
BEGIN
  DELETE FROM device_tokens WHERE device_id = NEW.id;
END;

-- Neither presence nor a name is among them: those change often, and do not matter to authentication.
DROP TRIGGER devices_log_changed;
CREATE TRIGGER devices_log_changed AFTER UPDATE OF
  id, hmac_key_hash, stored_key, server_key, is_active, revoked,
  next_hmac_key_hash, next_stored_key, next_server_key, grace_expires_at ON devices
WHEN OLD.id <> NEW.id OR OLD.hmac_key_hash <> NEW.hmac_key_hash OR OLD.is_active <> NEW.is_active
  OR OLD.revoked <> NEW.revoked OR OLD.next_hmac_key_hash IS NOT NEW.next_hmac_key_hash
  OR OLD.grace_expires_at IS NOT NEW.grace_expires_at
  OR (OLD.stored_key <> NEW.stored_key AND length(NEW.stored_key) = 32)
  OR (OLD.server_key <> NEW.server_key AND length(NEW.server_key) = 32)
  OR (OLD.next_stored_key IS NOT NEW.next_stored_key AND length(NEW.next_stored_key) = 32)
  OR (OLD.next_server_key IS NOT NEW.next_server_key AND length(NEW.next_server_key) = 32)
BEGIN
  INSERT INTO device_changes (device_id) VALUES (OLD.id);
END;
