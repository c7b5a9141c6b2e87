-- What devices do, by hour, and whether they are online.

CREATE TABLE device_stats (
  client_id TEXT NOT NULL,
  device_id TEXT NOT NULL,
  -- Its start.
  hour INTEGER NOT NULL,
  polls INTEGER NOT NULL DEFAULT 0,
  online_ms INTEGER NOT NULL DEFAULT 0,
  signals INTEGER NOT NULL DEFAULT 0,
  placed INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  skipped INTEGER NOT NULL DEFAULT 0,
  expired INTEGER NOT NULL DEFAULT 0,
  cancelled INTEGER NOT NULL DEFAULT 0,
  -- Histograms: BUCKET:COUNT, separated by blanks; and the longest duration in milliseconds.
  handed_out_counts TEXT NOT NULL DEFAULT '',
  handed_out_max INTEGER,
  acked_counts TEXT NOT NULL DEFAULT '',
  acked_max INTEGER,
  -- Serves a year of a device, and a day of all devices of a client, which are read by their ids. References nothing:
  -- devices_orphan_stats has those of a deleted device deleted in steps.
  PRIMARY KEY (client_id, device_id, hour),
  CONSTRAINT device_stats_hour_form CHECK (hour % 3600000 = 0),
  CONSTRAINT device_stats_counts_form CHECK (
    min(polls, online_ms, signals, placed, failed, skipped, expired, cancelled, ifnull(handed_out_max, 0),
      ifnull(acked_max, 0)) >= 0
  ),
  CONSTRAINT device_stats_handed_out_form CHECK (handed_out_counts NOT GLOB '*[^0-9: ]*'),
  CONSTRAINT device_stats_acked_form CHECK (acked_counts NOT GLOB '*[^0-9: ]*')
) STRICT, WITHOUT ROWID;

-- Serves the retention.
CREATE INDEX ix_device_stats_hour ON device_stats (hour);

-- Deleted devices whose statistics are not deleted yet.
CREATE TABLE orphaned_stats (
  client_id TEXT NOT NULL,
  device_id TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TRIGGER devices_orphan_stats AFTER DELETE ON devices
WHEN EXISTS (SELECT 1 FROM device_stats WHERE client_id = OLD.client_id AND device_id = OLD.id)
BEGIN
  INSERT OR IGNORE INTO orphaned_stats (client_id, device_id) VALUES (OLD.client_id, OLD.id);
END;

-- Whether it is counted which deliveries of the signal expired or were cancelled, and the device of the last one that was
-- looked at. Signals that have expired are left as they are.
ALTER TABLE signals ADD COLUMN is_settled INTEGER NOT NULL DEFAULT 0
  CONSTRAINT signals_is_settled_form CHECK (is_settled IN (0, 1));
ALTER TABLE signals ADD COLUMN settled_device TEXT;
UPDATE signals SET is_settled = 1 WHERE expires_at <= CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER);
CREATE INDEX ix_signals_unsettled ON signals (ifnull(cancelled_at, expires_at)) WHERE NOT is_settled;

-- For a device that is online, when to look whether it still is: `OFFLINE_AFTER_SECONDS` after it came online or was looked
-- at. Null for one that is offline.
ALTER TABLE devices ADD COLUMN online_until INTEGER
  CONSTRAINT devices_online_until_range CHECK (online_until BETWEEN 0 AND 253402300799999);
CREATE INDEX ix_devices_online_until ON devices (online_until) WHERE online_until IS NOT NULL;
