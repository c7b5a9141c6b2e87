-- What an owner commands: states that end, labels, groups, and the trading mode.

-- A device is suspended from suspended_at until suspended_until, or without end. is_active is 0 for a revoked device, and for
-- one that hand-written SQL keeps out.
ALTER TABLE devices ADD COLUMN suspended_at INTEGER
  CONSTRAINT devices_suspended_at_range CHECK (suspended_at BETWEEN 0 AND 253402300799999);
ALTER TABLE devices ADD COLUMN suspended_until INTEGER
  CONSTRAINT devices_suspended_until_range CHECK (suspended_until BETWEEN 0 AND 253402300799999)
  CONSTRAINT devices_suspension_whole CHECK (suspended_at IS NOT NULL OR suspended_until IS NULL);
ALTER TABLE devices ADD COLUMN expires_at INTEGER
  CONSTRAINT devices_expires_range CHECK (expires_at BETWEEN 0 AND 253402300799999);
-- Whether an event tells that it has expired.
ALTER TABLE devices ADD COLUMN expiry_recorded INTEGER NOT NULL DEFAULT 0
  CONSTRAINT devices_expiry_recorded_form CHECK (expiry_recorded IN (0, 1));
-- Why it was suspended or revoked.
ALTER TABLE devices ADD COLUMN status_reason TEXT
  CONSTRAINT devices_status_reason_length CHECK (length(status_reason) <= 200 AND instr(status_reason, char(0)) = 0);
-- A JSON object of texts.
ALTER TABLE devices ADD COLUMN labels TEXT NOT NULL DEFAULT '{}'
  CONSTRAINT devices_labels_form CHECK (labels GLOB '{*}' AND instr(labels, char(0)) = 0);
-- The names of its groups, sorted, with blanks between.
ALTER TABLE devices ADD COLUMN groups TEXT NOT NULL DEFAULT ''
  CONSTRAINT devices_groups_form CHECK (groups NOT GLOB '*[^A-Za-z0-9._ -]*' AND instr(groups, char(0)) = 0);
ALTER TABLE devices ADD COLUMN trading_mode TEXT NOT NULL DEFAULT 'normal'
  CONSTRAINT devices_trading_mode_form CHECK (trading_mode IN ('normal', 'close_only', 'halted'));
ALTER TABLE devices ADD COLUMN mode_version INTEGER NOT NULL DEFAULT 1
  CONSTRAINT devices_mode_version_form CHECK (mode_version >= 1);
ALTER TABLE devices ADD COLUMN mode_reason TEXT
  CONSTRAINT devices_mode_reason_length CHECK (length(mode_reason) <= 200 AND instr(mode_reason, char(0)) = 0);
ALTER TABLE devices ADD COLUMN mode_since INTEGER NOT NULL DEFAULT 0
  CONSTRAINT devices_mode_since_range CHECK (mode_since BETWEEN 0 AND 253402300799999);
ALTER TABLE devices ADD COLUMN confirmed_version INTEGER
  CONSTRAINT devices_confirmed_version_form CHECK (confirmed_version BETWEEN 1 AND mode_version);
ALTER TABLE devices ADD COLUMN confirmed_at INTEGER
  CONSTRAINT devices_confirmed_at_range CHECK (confirmed_at BETWEEN 0 AND 253402300799999)
  CONSTRAINT devices_confirmation_whole CHECK ((confirmed_version IS NULL) = (confirmed_at IS NULL));

-- For devices that are there, the mode is as old as this migration.
UPDATE devices SET mode_since = CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER);

-- These serve the list with a filter on the status, and what is recorded when something ends by time. A device that is
-- neither costs nothing.
CREATE INDEX ix_devices_client_suspended ON devices (client_id, created_at, id)
  WHERE NOT revoked AND (suspended_at IS NOT NULL OR NOT is_active);
CREATE INDEX ix_devices_client_expiring ON devices (client_id, created_at, id) WHERE expires_at IS NOT NULL AND NOT revoked;
CREATE INDEX ix_devices_client_revoked ON devices (client_id, created_at, id) WHERE revoked;
CREATE INDEX ix_devices_client_unconfirmed ON devices (client_id, created_at, id)
  WHERE NOT revoked AND confirmed_version IS NOT mode_version;
CREATE INDEX ix_devices_suspended_until ON devices (suspended_until) WHERE suspended_until IS NOT NULL AND NOT revoked;
CREATE INDEX ix_devices_expires ON devices (expires_at) WHERE expires_at IS NOT NULL AND NOT expiry_recorded AND NOT revoked;

-- The indexes of labels and groups. Triggers derive them from devices.labels and devices.groups, so nothing else writes
-- them. created_at is the device's: with it, an index has devices in the order of the list.

CREATE TABLE device_labels (
  device_id TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  client_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (device_id, key),
  CONSTRAINT device_labels_key_form CHECK (
    length(key) BETWEEN 1 AND 64 AND key NOT GLOB '*[^A-Za-z0-9._/-]*' AND instr(key, char(0)) = 0),
  CONSTRAINT device_labels_value_form CHECK (
    length(value) <= 64 AND value NOT GLOB '*[^A-Za-z0-9._-]*' AND instr(value, char(0)) = 0)
) STRICT, WITHOUT ROWID;

CREATE INDEX ix_device_labels_value ON device_labels (client_id, key, value, created_at, device_id);
CREATE INDEX ix_device_labels_key ON device_labels (client_id, key, created_at, device_id);

CREATE TABLE groups (
  client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  description TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  -- Set for a group that was deleted, which its devices leave in steps.
  deleted_at INTEGER CONSTRAINT groups_deleted_at_range CHECK (deleted_at BETWEEN 0 AND 253402300799999),
  PRIMARY KEY (client_id, name),
  CONSTRAINT groups_name_form CHECK (
    length(name) BETWEEN 1 AND 64 AND name NOT GLOB '*[^A-Za-z0-9._-]*' AND instr(name, char(0)) = 0),
  CONSTRAINT groups_description_length CHECK (length(description) <= 200 AND instr(description, char(0)) = 0),
  CONSTRAINT groups_time_range CHECK (
    created_at BETWEEN 0 AND 253402300799999 AND updated_at BETWEEN 0 AND 253402300799999)
) STRICT, WITHOUT ROWID;

-- Nearly always empty.
CREATE INDEX ix_groups_deleted ON groups (client_id, name) WHERE deleted_at IS NOT NULL;

CREATE TABLE device_groups (
  device_id TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
  group_name TEXT NOT NULL,
  client_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (device_id, group_name),
  -- A group that is deleted leaves its devices first. When a client goes, its devices go before its groups.
  FOREIGN KEY (client_id, group_name) REFERENCES groups (client_id, name) DEFERRABLE INITIALLY DEFERRED
) STRICT, WITHOUT ROWID;

CREATE INDEX ix_device_groups_group ON device_groups (client_id, group_name, created_at, device_id);

CREATE TRIGGER devices_index_labels_inserted AFTER INSERT ON devices
WHEN NEW.labels <> '{}'
BEGIN
  INSERT INTO device_labels (device_id, key, value, client_id, created_at)
    SELECT NEW.id, key, value, NEW.client_id, NEW.created_at FROM json_each(NEW.labels);
  SELECT RAISE(ABORT, 'a device has 16 labels at most')
    WHERE (SELECT count(*) FROM device_labels WHERE device_id = NEW.id) > 16;
END;

CREATE TRIGGER devices_index_labels_changed AFTER UPDATE OF labels ON devices
WHEN OLD.labels <> NEW.labels
BEGIN
  DELETE FROM device_labels WHERE device_id = NEW.id;
  INSERT INTO device_labels (device_id, key, value, client_id, created_at)
    SELECT NEW.id, key, value, NEW.client_id, NEW.created_at FROM json_each(NEW.labels);
  SELECT RAISE(ABORT, 'a device has 16 labels at most')
    WHERE (SELECT count(*) FROM device_labels WHERE device_id = NEW.id) > 16;
END;

CREATE TRIGGER devices_index_groups_inserted AFTER INSERT ON devices
WHEN NEW.groups <> ''
BEGIN
  INSERT INTO device_groups (device_id, group_name, client_id, created_at)
    SELECT NEW.id, value, NEW.client_id, NEW.created_at
    FROM json_each('["' || replace(NEW.groups, ' ', '","') || '"]');
  SELECT RAISE(ABORT, 'a device is in 100 groups at most')
    WHERE (SELECT count(*) FROM device_groups WHERE device_id = NEW.id) > 100;
END;

CREATE TRIGGER devices_index_groups_changed AFTER UPDATE OF groups ON devices
WHEN OLD.groups <> NEW.groups
BEGIN
  DELETE FROM device_groups WHERE device_id = NEW.id;
  INSERT INTO device_groups (device_id, group_name, client_id, created_at)
    SELECT NEW.id, value, NEW.client_id, NEW.created_at
    FROM json_each('["' || replace(NEW.groups, ' ', '","') || '"]') WHERE NEW.groups <> '';
  SELECT RAISE(ABORT, 'a device is in 100 groups at most')
    WHERE (SELECT count(*) FROM device_groups WHERE device_id = NEW.id) > 100;
END;

-- INSERT OR REPLACE would remove the row that is there.
CREATE TRIGGER groups_keep_row BEFORE INSERT ON groups
WHEN EXISTS (SELECT 1 FROM groups WHERE client_id = NEW.client_id AND name = NEW.name)
BEGIN
  SELECT RAISE(ABORT, 'a group with this name exists');
END;

CREATE TRIGGER groups_are_few AFTER INSERT ON groups
BEGIN
  SELECT RAISE(ABORT, 'a client has 1,000 groups at most')
    WHERE (SELECT count(*) FROM groups WHERE client_id = NEW.client_id) > 1000;
END;

-- What the foreign keys do where foreign_keys is on; in the sqlite3 shell it is off.
CREATE TRIGGER devices_delete_labels_and_groups AFTER DELETE ON devices
BEGIN
  DELETE FROM device_labels WHERE device_id = OLD.id;
  DELETE FROM device_groups WHERE device_id = OLD.id;
END;

CREATE TRIGGER clients_delete_groups AFTER DELETE ON clients
BEGIN
  DELETE FROM groups WHERE client_id = OLD.id;
END;

-- A client is suspended as a whole by its row.
ALTER TABLE clients ADD COLUMN suspended_at INTEGER
  CONSTRAINT clients_suspended_at_range CHECK (suspended_at BETWEEN 0 AND 253402300799999);
ALTER TABLE clients ADD COLUMN status_reason TEXT
  CONSTRAINT clients_status_reason_length CHECK (length(status_reason) <= 200 AND instr(status_reason, char(0)) = 0);
-- Null for MAX_DEVICES_PER_CLIENT.
ALTER TABLE clients ADD COLUMN max_devices INTEGER CONSTRAINT clients_max_devices_form CHECK (max_devices >= 0);

DROP TRIGGER clients_log_changed;
CREATE TRIGGER clients_log_changed AFTER UPDATE OF id, deleted_at, suspended_at, status_reason ON clients
WHEN OLD.id <> NEW.id OR OLD.deleted_at IS NOT NEW.deleted_at OR OLD.suspended_at IS NOT NEW.suspended_at
  OR OLD.status_reason IS NOT NEW.status_reason
BEGIN
  INSERT INTO device_changes (client_id) VALUES (OLD.id);
END;

-- A token ends with a suspension too, and with the device's expiry when that is recorded.
DROP TRIGGER devices_end_tokens;
CREATE TRIGGER devices_end_tokens AFTER UPDATE OF hmac_key_hash, stored_key, is_active, revoked, suspended_at,
  expiry_recorded ON devices
WHEN OLD.hmac_key_hash <> NEW.hmac_key_hash OR (OLD.stored_key <> NEW.stored_key AND length(NEW.stored_key) = 32)
  OR NEW.revoked OR NOT NEW.is_active OR (OLD.suspended_at IS NULL AND NEW.suspended_at IS NOT NULL)
  OR (NOT OLD.expiry_recorded AND NEW.expiry_recorded)
BEGIN
  DELETE FROM device_tokens WHERE device_id = NEW.id;
END;

-- Neither presence, nor a name, labels, groups or a confirmation is among them: those change often, and do not matter to
-- authentication.
DROP TRIGGER devices_log_changed;
CREATE TRIGGER devices_log_changed AFTER UPDATE OF
  id, hmac_key_hash, stored_key, server_key, is_active, revoked,
  next_hmac_key_hash, next_stored_key, next_server_key, grace_expires_at,
  suspended_at, suspended_until, expires_at, status_reason, trading_mode, mode_version, mode_reason, mode_since ON devices
WHEN OLD.id <> NEW.id OR OLD.hmac_key_hash <> NEW.hmac_key_hash OR OLD.is_active <> NEW.is_active
  OR OLD.revoked <> NEW.revoked OR OLD.next_hmac_key_hash IS NOT NEW.next_hmac_key_hash
  OR OLD.grace_expires_at IS NOT NEW.grace_expires_at
  OR OLD.suspended_at IS NOT NEW.suspended_at OR OLD.suspended_until IS NOT NEW.suspended_until
  OR OLD.expires_at IS NOT NEW.expires_at OR OLD.status_reason IS NOT NEW.status_reason
  OR OLD.trading_mode <> NEW.trading_mode OR OLD.mode_version <> NEW.mode_version
  OR OLD.mode_reason IS NOT NEW.mode_reason OR OLD.mode_since <> NEW.mode_since
  OR (OLD.stored_key <> NEW.stored_key AND length(NEW.stored_key) = 32)
  OR (OLD.server_key <> NEW.server_key AND length(NEW.server_key) = 32)
  OR (OLD.next_stored_key IS NOT NEW.next_stored_key AND length(NEW.next_stored_key) = 32)
  OR (OLD.next_server_key IS NOT NEW.next_server_key AND length(NEW.next_server_key) = 32)
BEGIN
  INSERT INTO device_changes (device_id) VALUES (OLD.id);
END;
