-- A deleted client: nobody sees it and none of its devices gets in, but its rows stay until they are cleared in steps.
ALTER TABLE clients ADD COLUMN deleted_at INTEGER
  CONSTRAINT clients_deleted_range CHECK (deleted_at BETWEEN 0 AND 253402300799999)
  CONSTRAINT clients_deleted_is_anonymous CHECK (deleted_at IS NULL OR (email IS NULL AND telegram_id IS NULL));
-- The client's signals, expired ones included, and the sum of their `devices`. Kept by triggers; insertSignal tests them.
ALTER TABLE clients ADD COLUMN signal_count INTEGER NOT NULL DEFAULT 0
  CONSTRAINT clients_signal_count_form CHECK (signal_count >= 0);
ALTER TABLE clients ADD COLUMN delivery_count INTEGER NOT NULL DEFAULT 0
  CONSTRAINT clients_delivery_count_form CHECK (delivery_count >= 0);
UPDATE clients SET (signal_count, delivery_count) = (
  SELECT count(*), ifnull(sum(devices), 0) FROM signals WHERE client_id = clients.id);

-- Nearly always empty, so that it costs little to test whether a client is deleted.
CREATE INDEX ix_clients_deleted ON clients (id, deleted_at) WHERE deleted_at IS NOT NULL;

-- The client's active devices by id: for signals to all of them.
CREATE INDEX ix_devices_client_active ON devices (client_id, id, is_active) WHERE is_active;

-- 0 while the deliveries are stored in steps; `devices` is then the number that is to be stored.
ALTER TABLE signals ADD COLUMN is_visible INTEGER NOT NULL DEFAULT 1
  CONSTRAINT signals_is_visible_form CHECK (is_visible IN (0, 1));
-- A statement leaves out the invisible signals by this index, which is nearly always empty: the column itself is after
-- the payload.
CREATE INDEX ix_signals_invisible ON signals (id, created_at, is_visible) WHERE NOT is_visible;

-- `expires_at` is the signal's. The column has no default, so that hand-written SQL cannot forget it; the table is
-- therefore made again, without the rows whose signal or device is missing.
DROP TRIGGER signals_delete_deliveries;
DROP TRIGGER devices_delete_what_hangs_on_them;
CREATE TABLE new_deliveries (
  signal_id TEXT NOT NULL REFERENCES signals (id) ON DELETE CASCADE,
  device_id TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
  expires_at INTEGER NOT NULL,
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
  CONSTRAINT deliveries_time_range CHECK (
    expires_at BETWEEN 0 AND 253402300799999 AND acked_at BETWEEN 0 AND 253402300799999
  )
) STRICT, WITHOUT ROWID;
INSERT INTO new_deliveries (signal_id, device_id, expires_at, status, broker_ticket, error, acked_at)
  SELECT signal_id, device_id, expires_at, status, broker_ticket, error, acked_at
  FROM deliveries CROSS JOIN signals ON signals.id = signal_id
  WHERE device_id IN (SELECT id FROM devices)
  ORDER BY signal_id, device_id;
DROP TABLE deliveries;
ALTER TABLE new_deliveries RENAME TO deliveries;

-- Serves the polls, which leave out acknowledged and expired deliveries by range, and the cascade.
CREATE INDEX ix_deliveries_device ON deliveries (device_id, acked_at, expires_at);

-- What the foreign keys do where foreign_keys is on; in the sqlite3 shell it is off.
CREATE TRIGGER signals_delete_deliveries AFTER DELETE ON signals
BEGIN
  DELETE FROM deliveries WHERE signal_id = OLD.id;
END;

CREATE TRIGGER devices_delete_what_hangs_on_them AFTER DELETE ON devices
BEGIN
  DELETE FROM device_tokens WHERE device_id = OLD.id;
  DELETE FROM deliveries WHERE device_id = OLD.id;
END;

CREATE TRIGGER signals_expire_deliveries AFTER UPDATE OF expires_at ON signals
WHEN OLD.expires_at <> NEW.expires_at
BEGIN
  UPDATE deliveries SET expires_at = NEW.expires_at WHERE signal_id = NEW.id;
END;

-- INSERT OR REPLACE would remove the row that is there, and its deliveries.
CREATE TRIGGER signals_keep_row BEFORE INSERT ON signals
WHEN EXISTS (SELECT 1 FROM signals WHERE id = NEW.id)
BEGIN
  SELECT RAISE(ABORT, 'a signal with this id exists');
END;

CREATE TRIGGER signals_count_inserted AFTER INSERT ON signals
BEGIN
  UPDATE clients SET signal_count = signal_count + 1, delivery_count = delivery_count + NEW.devices
  WHERE id = NEW.client_id;
END;

CREATE TRIGGER signals_count_deleted AFTER DELETE ON signals
BEGIN
  UPDATE clients SET signal_count = signal_count - 1, delivery_count = delivery_count - OLD.devices
  WHERE id = OLD.client_id;
END;

CREATE TRIGGER signals_count_changed AFTER UPDATE OF devices, client_id ON signals
WHEN OLD.devices <> NEW.devices OR OLD.client_id <> NEW.client_id
BEGIN
  UPDATE clients SET signal_count = signal_count - 1, delivery_count = delivery_count - OLD.devices
  WHERE id = OLD.client_id;
  UPDATE clients SET signal_count = signal_count + 1, delivery_count = delivery_count + NEW.devices
  WHERE id = NEW.client_id;
END;

-- The change log also tells of clients: one that was deleted. Its constraint changes, so the table is made again, with its
-- rows and its numbers.
CREATE TABLE old_changes AS SELECT sequence, device_id, signal_id FROM device_changes;
CREATE TABLE old_sequence AS SELECT seq FROM sqlite_sequence WHERE name = 'device_changes';
DROP TABLE device_changes;
CREATE TABLE device_changes (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  device_id TEXT,
  signal_id TEXT,
  client_id TEXT,
  CONSTRAINT device_changes_form CHECK (
    (device_id IS NOT NULL) + (signal_id IS NOT NULL) + (client_id IS NOT NULL) = 1
  )
) STRICT;
INSERT INTO device_changes (sequence, device_id, signal_id) SELECT sequence, device_id, signal_id FROM old_changes;
DELETE FROM sqlite_sequence WHERE name = 'device_changes';
INSERT INTO sqlite_sequence (name, seq) SELECT 'device_changes', seq FROM old_sequence;
DROP TABLE old_changes;
DROP TABLE old_sequence;

-- The last 10,000 changes stay.
CREATE TRIGGER device_changes_trim AFTER INSERT ON device_changes
BEGIN
  DELETE FROM device_changes WHERE sequence <= NEW.sequence - 10000;
END;

CREATE TRIGGER clients_log_changed AFTER UPDATE OF id, deleted_at ON clients
WHEN OLD.id <> NEW.id OR OLD.deleted_at IS NOT NEW.deleted_at
BEGIN
  INSERT INTO device_changes (client_id) VALUES (OLD.id);
END;

CREATE TRIGGER clients_log_deleted AFTER DELETE ON clients
WHEN OLD.deleted_at IS NULL
BEGIN
  INSERT INTO device_changes (client_id) VALUES (OLD.id);
END;

-- That a client is deleted is told once, and not again for each device and token that is cleared away.
DROP TRIGGER devices_log_deleted;
CREATE TRIGGER devices_log_deleted AFTER DELETE ON devices
WHEN NOT EXISTS (SELECT 1 FROM clients WHERE id = OLD.client_id AND deleted_at IS NOT NULL)
BEGIN
  INSERT INTO device_changes (device_id) VALUES (OLD.id);
END;

-- One that has expired is nobody's any more: the sweep tells nobody. The end of a device is told by its own trigger.
DROP TRIGGER device_tokens_log_deleted;
CREATE TRIGGER device_tokens_log_deleted AFTER DELETE ON device_tokens
WHEN OLD.expires_at > CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)
  AND EXISTS (
    SELECT 1 FROM devices JOIN clients ON clients.id = client_id
    WHERE devices.id = OLD.device_id AND deleted_at IS NULL)
BEGIN
  INSERT INTO device_changes (device_id) VALUES (OLD.device_id);
END;

-- A signal is told of when it becomes visible: all its deliveries are stored by then, or in the same transaction.
DROP TRIGGER signals_log_inserted;
CREATE TRIGGER signals_log_inserted AFTER INSERT ON signals
WHEN NEW.is_visible
BEGIN
  INSERT INTO device_changes (signal_id) VALUES (NEW.id);
END;

CREATE TRIGGER signals_log_visible AFTER UPDATE OF is_visible ON signals
WHEN NEW.is_visible AND NOT OLD.is_visible
BEGIN
  INSERT INTO device_changes (signal_id) VALUES (NEW.id);
END;
