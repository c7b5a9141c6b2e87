-- What devices do, by hour, and whether they are online.

CREATE TABLE device_stats (
  client_id text COLLATE "C" NOT NULL,
  device_id uuid NOT NULL,
  -- Its start.
  hour timestamptz NOT NULL,
  polls integer NOT NULL DEFAULT 0,
  online_ms integer NOT NULL DEFAULT 0,
  signals integer NOT NULL DEFAULT 0,
  placed integer NOT NULL DEFAULT 0,
  failed integer NOT NULL DEFAULT 0,
  skipped integer NOT NULL DEFAULT 0,
  expired integer NOT NULL DEFAULT 0,
  cancelled integer NOT NULL DEFAULT 0,
  -- Histograms: BUCKET:COUNT, separated by blanks; and the longest duration in milliseconds.
  handed_out_counts text COLLATE "C" NOT NULL DEFAULT '',
  handed_out_max integer,
  acked_counts text COLLATE "C" NOT NULL DEFAULT '',
  acked_max integer,
  -- Serves a year of a device, and a day of all devices of a client, which are read by their ids. References nothing:
  -- devices_orphan_stats has those of a deleted device deleted in steps.
  CONSTRAINT device_stats_pkey PRIMARY KEY (client_id, device_id, hour),
  CONSTRAINT device_stats_hour_form CHECK (extract(epoch FROM hour) % 3600 = 0),
  CONSTRAINT device_stats_counts_form CHECK (
    least(polls, online_ms, signals, placed, failed, skipped, expired, cancelled, handed_out_max, acked_max) >= 0
  ),
  CONSTRAINT device_stats_handed_out_form CHECK (handed_out_counts ~ '^([0-9]{1,3}:[0-9]+( [0-9]{1,3}:[0-9]+)*)?$'),
  CONSTRAINT device_stats_acked_form CHECK (acked_counts ~ '^([0-9]{1,3}:[0-9]+( [0-9]{1,3}:[0-9]+)*)?$')
)
-- A row gets a new version each second of its hour: with room on its page, that needs no index entry.
WITH (fillfactor = 70);

-- Serves the retention.
CREATE INDEX ix_device_stats_hour ON device_stats (hour);

-- The sum of two histograms.
CREATE FUNCTION add_counts(one text, other text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  IF one = '' THEN RETURN other; END IF;
  IF other = '' THEN RETURN one; END IF;
  RETURN (
    SELECT string_agg(bucket || ':' || number, ' ' ORDER BY bucket) FROM (
      SELECT split_part(pair, ':', 1)::int AS bucket, sum(split_part(pair, ':', 2)::int8) AS number
      FROM unnest(string_to_array(one || ' ' || other, ' ')) AS listed (pair) GROUP BY 1
    ) AS summed
  );
END $$;

-- Deleted devices whose statistics are not deleted yet.
CREATE TABLE orphaned_stats (
  client_id text COLLATE "C" NOT NULL,
  device_id uuid NOT NULL CONSTRAINT orphaned_stats_pkey PRIMARY KEY
);

CREATE FUNCTION devices_orphan_stats() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO orphaned_stats (client_id, device_id)
    SELECT client_id, id FROM deleted_devices
    WHERE EXISTS (
      SELECT FROM device_stats WHERE device_stats.client_id = deleted_devices.client_id AND device_id = deleted_devices.id
    )
    ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;

CREATE TRIGGER devices_orphan_stats AFTER DELETE ON devices
  REFERENCING OLD TABLE AS deleted_devices FOR EACH STATEMENT EXECUTE FUNCTION devices_orphan_stats();

-- Deletes statistics of deleted devices and of hours before a time. Answers how many rows.
CREATE FUNCTION remove_stats(oldest timestamptz, maximum bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  orphan record;
  number bigint;
  deleted bigint := 0;
BEGIN
  WHILE deleted < maximum LOOP
    SELECT client_id, device_id INTO orphan FROM orphaned_stats LIMIT 1 FOR UPDATE SKIP LOCKED;
    EXIT WHEN NOT FOUND;
    DELETE FROM device_stats WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM device_stats WHERE client_id = orphan.client_id AND device_id = orphan.device_id
      LIMIT maximum - deleted));
    GET DIAGNOSTICS number = ROW_COUNT;
    deleted := deleted + number;
    EXIT WHEN deleted >= maximum;
    DELETE FROM orphaned_stats WHERE device_id = orphan.device_id;
    deleted := deleted + 1;
  END LOOP;
  DELETE FROM device_stats WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM device_stats WHERE hour < oldest ORDER BY hour LIMIT maximum - deleted FOR UPDATE SKIP LOCKED));
  GET DIAGNOSTICS number = ROW_COUNT;
  RETURN deleted + number;
END $$;

-- Whether it is counted which deliveries of the signal expired or were cancelled, and the device of the last one that was
-- looked at. Signals that have expired are left as they are.
ALTER TABLE signals
  ADD COLUMN is_settled boolean NOT NULL DEFAULT true,
  ADD COLUMN settled_device uuid;
ALTER TABLE signals ALTER COLUMN is_settled SET DEFAULT false;
UPDATE signals SET is_settled = false WHERE expires_at > now();
CREATE INDEX ix_signals_unsettled ON signals ((COALESCE(cancelled_at, expires_at))) WHERE NOT is_settled;

-- Counts deliveries that were not acknowledged of signals that expired or were cancelled until a moment. Answers how many
-- rows it looked at. Devices are locked in the order of their ids, and before their statistics, as recordActivity does.
CREATE FUNCTION settle_signals(moment timestamptz, maximum bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  signal record;
  looked_at uuid[];
  number bigint;
  done bigint := 0;
BEGIN
  WHILE done < maximum LOOP
    SELECT id, client_id, expires_at, cancelled_at, settled_device INTO signal FROM signals
      WHERE NOT is_settled AND COALESCE(cancelled_at, expires_at) <= moment AND is_visible
      ORDER BY COALESCE(cancelled_at, expires_at) LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED;
    EXIT WHEN NOT FOUND;
    looked_at := ARRAY(
      SELECT device_id FROM deliveries
      WHERE signal_id = signal.id AND device_id > COALESCE(signal.settled_device, '00000000-0000-0000-0000-000000000000')
      ORDER BY device_id LIMIT maximum - done);
    number := cardinality(looked_at);
    PERFORM FROM devices WHERE id = ANY (looked_at) ORDER BY id FOR KEY SHARE;
    INSERT INTO device_stats AS stats (client_id, device_id, hour, expired, cancelled)
      SELECT signal.client_id, device_id,
        date_bin('1 hour', COALESCE(ended.cancelled_at, signal.expires_at), 'epoch'),
        (ended.cancelled_at IS NULL)::int, (ended.cancelled_at IS NOT NULL)::int
      FROM (
        SELECT device_id, COALESCE(deliveries.cancelled_at, signal.cancelled_at) AS cancelled_at
        FROM deliveries JOIN devices ON devices.id = device_id
        WHERE signal_id = signal.id AND device_id = ANY (looked_at) AND acked_at IS NULL
          AND devices.client_id = signal.client_id
      ) AS ended ORDER BY device_id
      ON CONFLICT (client_id, device_id, hour) DO UPDATE
        SET expired = stats.expired + excluded.expired, cancelled = stats.cancelled + excluded.cancelled;
    UPDATE signals SET is_settled = number < maximum - done, settled_device = looked_at[number] WHERE id = signal.id;
    done := done + number + 1;
  END LOOP;
  RETURN least(done, maximum);
END $$;

-- For a device that is online, when to look whether it still is: `OFFLINE_AFTER_SECONDS` after it came online or was looked
-- at. Null for one that is offline. Presence moves it only then, so that presence alone changes no indexed column.
ALTER TABLE devices
  ADD COLUMN online_until timestamptz,
  ADD CONSTRAINT devices_online_until_range CHECK (
    online_until BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
  );
CREATE INDEX ix_devices_online_until ON devices (online_until) WHERE online_until IS NOT NULL;
