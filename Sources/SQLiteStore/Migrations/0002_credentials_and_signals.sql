-- A rotation under way: the next secret, which was not used yet, and when the one in force ends at the latest.
-- A column that is added brings its constraints with it; the last one tests the rotation as a whole.
ALTER TABLE devices ADD COLUMN next_hmac_key_hash TEXT
  CONSTRAINT devices_next_hmac_key_hash_form CHECK (next_hmac_key_hash GLOB '$argon2id$*');
ALTER TABLE devices ADD COLUMN next_stored_key BLOB
  CONSTRAINT devices_next_stored_key_length CHECK (length(next_stored_key) = 32);
ALTER TABLE devices ADD COLUMN next_server_key BLOB
  CONSTRAINT devices_next_server_key_length CHECK (length(next_server_key) = 32);
ALTER TABLE devices ADD COLUMN grace_expires_at INTEGER
  CONSTRAINT devices_grace_range CHECK (grace_expires_at BETWEEN 0 AND 253402300799999)
  CONSTRAINT devices_rotation_whole CHECK (
    (grace_expires_at IS NULL) = (next_hmac_key_hash IS NULL)
    AND (grace_expires_at IS NULL) = (next_stored_key IS NULL)
    AND (grace_expires_at IS NULL) = (next_server_key IS NULL)
  );

-- Access tokens, by their SHA-256. Those that expired stay until they are swept: they count for the rate.
CREATE TABLE device_tokens (
  token_hash BLOB NOT NULL PRIMARY KEY,
  device_id TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  CONSTRAINT device_tokens_hash_length CHECK (length(token_hash) = 32),
  CONSTRAINT device_tokens_time_range CHECK (
    created_at BETWEEN 0 AND 253402300799999 AND expires_at BETWEEN 0 AND 253402300799999
  )
) STRICT, WITHOUT ROWID;

CREATE INDEX ix_device_tokens_device_created ON device_tokens (device_id, created_at);
CREATE INDEX ix_device_tokens_expires ON device_tokens (expires_at);

CREATE TABLE signals (
  id TEXT NOT NULL PRIMARY KEY,
  client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  -- To how many devices it was sent.
  devices INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  -- The last column, so that those before it are read without it.
  payload TEXT NOT NULL,
  CONSTRAINT signals_id_form CHECK (
    length(id) = 36 AND id GLOB '????????-????-????-????-????????????'
    AND replace(id, '-', '') NOT GLOB '*[^0-9a-f]*' AND length(replace(id, '-', '')) = 32
  ),
  CONSTRAINT signals_devices_form CHECK (devices >= 0),
  -- length() counts characters of text, and bytes of a blob.
  CONSTRAINT signals_payload_length CHECK (length(CAST(payload AS BLOB)) <= 16384 AND instr(payload, char(0)) = 0),
  CONSTRAINT signals_time_range CHECK (
    created_at BETWEEN 0 AND 253402300799999 AND expires_at BETWEEN 0 AND 253402300799999
  )
) STRICT;

CREATE INDEX ix_signals_client ON signals (client_id, id);
CREATE INDEX ix_signals_client_expires ON signals (client_id, expires_at);
CREATE INDEX ix_signals_expires ON signals (expires_at);

CREATE TABLE deliveries (
  signal_id TEXT NOT NULL REFERENCES signals (id) ON DELETE CASCADE,
  device_id TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
  -- The first acknowledgement; null until there is one.
  status TEXT,
  broker_ticket TEXT,
  error TEXT,
  acked_at INTEGER,
  PRIMARY KEY (signal_id, device_id),
  CONSTRAINT deliveries_status_form CHECK (status IN ('placed', 'failed', 'skipped')),
  -- length() counts up to the first NUL.
  CONSTRAINT deliveries_broker_ticket_length CHECK (length(broker_ticket) <= 64 AND instr(broker_ticket, char(0)) = 0),
  CONSTRAINT deliveries_error_length CHECK (length(error) <= 500 AND instr(error, char(0)) = 0),
  CONSTRAINT deliveries_ack_whole CHECK (
    CASE WHEN status IS NULL THEN acked_at IS NULL AND broker_ticket IS NULL AND error IS NULL
      ELSE acked_at IS NOT NULL END
  ),
  CONSTRAINT deliveries_time_range CHECK (acked_at BETWEEN 0 AND 253402300799999)
) STRICT, WITHOUT ROWID;

-- Serves the polls.
CREATE INDEX ix_deliveries_pending ON deliveries (device_id, signal_id) WHERE acked_at IS NULL;
-- Serves the cascade.
CREATE INDEX ix_deliveries_device ON deliveries (device_id);

-- A token ends with its secret and its device: for hand-written SQL too.
CREATE TRIGGER devices_end_tokens AFTER UPDATE OF stored_key, revoked, is_active ON devices
WHEN OLD.stored_key <> NEW.stored_key OR NEW.revoked OR NOT NEW.is_active
BEGIN
  DELETE FROM device_tokens WHERE device_id = NEW.id;
END;

-- What the foreign keys do where foreign_keys is on; in the sqlite3 shell it is off.
CREATE TRIGGER clients_delete_signals AFTER DELETE ON clients
BEGIN
  DELETE FROM signals WHERE client_id = OLD.id;
END;

CREATE TRIGGER signals_delete_deliveries AFTER DELETE ON signals
BEGIN
  DELETE FROM deliveries WHERE signal_id = OLD.id;
END;

CREATE TRIGGER devices_delete_what_hangs_on_them AFTER DELETE ON devices
BEGIN
  DELETE FROM device_tokens WHERE device_id = OLD.id;
  DELETE FROM deliveries WHERE device_id = OLD.id;
END;

-- What other processes must hear of: a device whose credentials changed, or a new signal. A row holds one of them.
-- AUTOINCREMENT gives no number twice and leaves none out, so a reader knows when it missed something.
CREATE TABLE device_changes (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  device_id TEXT,
  signal_id TEXT,
  CONSTRAINT device_changes_form CHECK ((device_id IS NULL) <> (signal_id IS NULL))
) STRICT;

-- The last 10,000 changes stay.
CREATE TRIGGER device_changes_trim AFTER INSERT ON device_changes
BEGIN
  DELETE FROM device_changes WHERE sequence <= NEW.sequence - 10000;
END;

-- Neither presence nor a name is among them: those change often, and let nobody in.
CREATE TRIGGER devices_log_changed AFTER UPDATE OF
  id, hmac_key_hash, stored_key, server_key, is_active, revoked,
  next_hmac_key_hash, next_stored_key, next_server_key, grace_expires_at ON devices
WHEN OLD.id <> NEW.id OR OLD.hmac_key_hash <> NEW.hmac_key_hash OR OLD.stored_key <> NEW.stored_key
  OR OLD.server_key <> NEW.server_key OR OLD.is_active <> NEW.is_active OR OLD.revoked <> NEW.revoked
  OR OLD.next_hmac_key_hash IS NOT NEW.next_hmac_key_hash OR OLD.next_stored_key IS NOT NEW.next_stored_key
  OR OLD.next_server_key IS NOT NEW.next_server_key OR OLD.grace_expires_at IS NOT NEW.grace_expires_at
BEGIN
  INSERT INTO device_changes (device_id) VALUES (OLD.id);
END;

CREATE TRIGGER devices_log_deleted AFTER DELETE ON devices
BEGIN
  INSERT INTO device_changes (device_id) VALUES (OLD.id);
END;

-- One that has expired is nobody's any more: the sweep tells nobody.
CREATE TRIGGER device_tokens_log_deleted AFTER DELETE ON device_tokens
WHEN OLD.expires_at > CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)
BEGIN
  INSERT INTO device_changes (device_id) VALUES (OLD.device_id);
END;

CREATE TRIGGER device_tokens_log_changed AFTER UPDATE ON device_tokens
BEGIN
  INSERT INTO device_changes (device_id) VALUES (OLD.device_id);
END;

-- Its deliveries are stored in the same transaction.
CREATE TRIGGER signals_log_inserted AFTER INSERT ON signals
BEGIN
  INSERT INTO device_changes (signal_id) VALUES (NEW.id);
END;
