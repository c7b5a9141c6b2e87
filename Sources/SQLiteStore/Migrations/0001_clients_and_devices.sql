-- Times are milliseconds since 1970-01-01T00:00:00Z. SQLite compares text by bytes unless told otherwise.
CREATE TABLE clients (
  id TEXT NOT NULL PRIMARY KEY,
  email TEXT COLLATE NOCASE,
  telegram_id INTEGER,
  -- The client's devices, revoked ones included. Kept by triggers; insertDevice tests it.
  device_count INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  CONSTRAINT clients_id_form CHECK (length(id) BETWEEN 1 AND 64 AND id NOT GLOB '*[^!-~]*' AND instr(id, char(0)) = 0),
  -- 1970-01-01T00:00:00.000Z to 9999-12-31T23:59:59.999Z
  CONSTRAINT clients_time_range CHECK (created_at BETWEEN 0 AND 253402300799999),
  CONSTRAINT clients_device_count_form CHECK (device_count >= 0)
) STRICT;

-- NOCASE folds ASCII letters alone.
CREATE UNIQUE INDEX clients_email_unique ON clients (email);
CREATE INDEX ix_clients_created ON clients (created_at, id);

CREATE TABLE devices (
  id TEXT NOT NULL PRIMARY KEY,
  client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  device_name TEXT NOT NULL,
  hmac_key_hash TEXT NOT NULL UNIQUE,
  stored_key BLOB NOT NULL,
  server_key BLOB NOT NULL,
  is_active INTEGER NOT NULL DEFAULT 1,
  revoked INTEGER NOT NULL DEFAULT 0,
  last_poll INTEGER,
  last_ack INTEGER,
  last_seen INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  CONSTRAINT devices_id_form CHECK (
    length(id) = 36 AND id GLOB '????????-????-????-????-????????????'
    AND replace(id, '-', '') NOT GLOB '*[^0-9a-f]*' AND length(replace(id, '-', '')) = 32
  ),
  CONSTRAINT devices_name_length CHECK (length(device_name) BETWEEN 1 AND 100),
  CONSTRAINT devices_hmac_key_hash_form CHECK (hmac_key_hash GLOB '$argon2id$*'),
  CONSTRAINT devices_stored_key_length CHECK (length(stored_key) = 32),
  CONSTRAINT devices_server_key_length CHECK (length(server_key) = 32),
  CONSTRAINT devices_is_active_form CHECK (is_active IN (0, 1)),
  CONSTRAINT devices_revoked_form CHECK (revoked IN (0, 1)),
  CONSTRAINT devices_revoked_is_inactive CHECK (NOT (revoked AND is_active)),
  CONSTRAINT devices_time_range CHECK (
    created_at BETWEEN 0 AND 253402300799999 AND updated_at BETWEEN 0 AND 253402300799999
    AND last_poll BETWEEN 0 AND 253402300799999 AND last_ack BETWEEN 0 AND 253402300799999
    AND last_seen BETWEEN 0 AND 253402300799999
  )
) STRICT;

CREATE UNIQUE INDEX devices_name_unique ON devices (client_id, device_name) WHERE NOT revoked;

-- Serves the list and its pages, and also what an index on client_id alone would serve: the cascade.
CREATE INDEX ix_devices_client_created ON devices (client_id, created_at, id);

-- Revoking is for good, and a device stays with its client: for hand-written SQL too.
CREATE TRIGGER devices_keep_revoked BEFORE UPDATE OF revoked ON devices
WHEN OLD.revoked AND NOT NEW.revoked
BEGIN
  SELECT RAISE(ABORT, 'a revoked device stays revoked');
END;

-- INSERT OR REPLACE removes the row that is there, and fires no trigger on its removal.
CREATE TRIGGER devices_keep_row BEFORE INSERT ON devices
WHEN EXISTS (SELECT 1 FROM devices WHERE id = NEW.id)
BEGIN
  SELECT RAISE(ABORT, 'a device with this id exists');
END;

-- What the foreign key does where foreign_keys is on; in the sqlite3 shell it is off.
CREATE TRIGGER clients_delete_devices AFTER DELETE ON clients
BEGIN
  DELETE FROM devices WHERE client_id = OLD.id;
END;

CREATE TRIGGER devices_keep_client BEFORE UPDATE OF client_id ON devices
WHEN OLD.client_id <> NEW.client_id
BEGIN
  SELECT RAISE(ABORT, 'a device stays with its client');
END;

CREATE TRIGGER devices_count_inserted AFTER INSERT ON devices
BEGIN
  UPDATE clients SET device_count = device_count + 1 WHERE id = NEW.client_id;
END;

CREATE TRIGGER devices_count_deleted AFTER DELETE ON devices
BEGIN
  UPDATE clients SET device_count = device_count - 1 WHERE id = OLD.client_id;
END;
