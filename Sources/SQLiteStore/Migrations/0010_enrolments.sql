-- Enrolments: codes with which a terminal gets a device's secret, once.

CREATE TABLE enrolments (
  id TEXT NOT NULL PRIMARY KEY,
  client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  -- The SHA-256 of the code.
  code_hash BLOB NOT NULL UNIQUE,
  -- Whether the code replaces the secret of the device; else it makes a device.
  replaces_secret INTEGER NOT NULL,
  -- References nothing: an enrolment stays when its device goes.
  device_id TEXT,
  -- Of the device that the code makes; as in devices.
  device_name TEXT,
  labels TEXT NOT NULL DEFAULT '{}',
  groups TEXT NOT NULL DEFAULT '',
  device_expires_at INTEGER,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  used_at INTEGER,
  CONSTRAINT enrolments_id_form CHECK (
    length(id) = 36 AND id GLOB '????????-????-????-????-????????????'
    AND replace(id, '-', '') NOT GLOB '*[^0-9a-f]*' AND length(replace(id, '-', '')) = 32
  ),
  CONSTRAINT enrolments_code_hash_length CHECK (length(code_hash) = 32),
  CONSTRAINT enrolments_replaces_secret_form CHECK (replaces_secret IN (0, 1)),
  CONSTRAINT enrolments_device_whole CHECK ((device_id IS NULL) = (NOT replaces_secret AND used_at IS NULL)),
  -- length() counts up to the first NUL.
  CONSTRAINT enrolments_name_length CHECK (
    length(device_name) BETWEEN 1 AND 100 AND instr(device_name, char(0)) = 0),
  CONSTRAINT enrolments_time_range CHECK (
    created_at BETWEEN 0 AND 253402300799999 AND expires_at BETWEEN 0 AND 253402300799999
    AND device_expires_at BETWEEN 0 AND 253402300799999 AND used_at BETWEEN 0 AND 253402300799999
  )
) STRICT;

-- Serves the list, the bound and the cascade.
CREATE INDEX ix_enrolments_client ON enrolments (client_id, id);
-- Serves the retention.
CREATE INDEX ix_enrolments_ended ON enrolments (ifnull(used_at, expires_at));

-- A code works once, for hand-written SQL too.
CREATE TRIGGER enrolments_stay_used BEFORE UPDATE ON enrolments
WHEN OLD.used_at IS NOT NULL OR OLD.client_id <> NEW.client_id OR OLD.code_hash <> NEW.code_hash
BEGIN
  SELECT RAISE(ABORT, 'a used enrolment stays as it is');
END;

-- INSERT OR REPLACE would open a used one again.
CREATE TRIGGER enrolments_keep_row BEFORE INSERT ON enrolments
WHEN EXISTS (SELECT 1 FROM enrolments WHERE id = NEW.id OR code_hash = NEW.code_hash)
BEGIN
  SELECT RAISE(ABORT, 'this enrolment exists');
END;

-- What the foreign key does where foreign_keys is on; in the sqlite3 shell it is off.
CREATE TRIGGER clients_delete_enrolments AFTER DELETE ON clients
BEGIN
  DELETE FROM enrolments WHERE client_id = OLD.id;
END;
