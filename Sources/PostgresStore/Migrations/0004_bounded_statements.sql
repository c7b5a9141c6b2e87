-- No statement touches more than a bounded number of rows: polls leave out expired deliveries by range, signals to many
-- devices are stored in steps, and the rows of deleted clients and expired signals are deleted in steps.

ALTER TABLE clients
  -- The client's signals that are kept, and the sum of their `devices`. Kept by triggers; start_signal tests them under
  -- a row lock.
  ADD COLUMN signal_count integer NOT NULL DEFAULT 0,
  ADD COLUMN delivery_count bigint NOT NULL DEFAULT 0,
  -- Set for a client that was deleted, whose rows clear_deleted_clients deletes.
  ADD COLUMN deleted_at timestamptz,
  ADD CONSTRAINT clients_signal_count_form CHECK (signal_count >= 0),
  ADD CONSTRAINT clients_delivery_count_form CHECK (delivery_count >= 0),
  ADD CONSTRAINT clients_deleted_at_range CHECK (
    deleted_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
  ),
  -- The counts are in no index: with room on its page, a new version of a row needs no index entry.
  SET (fillfactor = 80);

UPDATE clients SET signal_count = kept.signals, delivery_count = kept.deliveries
FROM (SELECT client_id, count(*) AS signals, sum(devices) AS deliveries FROM signals GROUP BY client_id) AS kept
WHERE clients.id = kept.client_id;

-- As good as empty, so that it costs little to test whether a client is deleted.
CREATE INDEX ix_clients_deleted ON clients (id) WHERE deleted_at IS NOT NULL;

-- False while the deliveries of the signal are being stored. Until then nobody sees it.
ALTER TABLE signals ADD COLUMN is_visible boolean NOT NULL DEFAULT true;
CREATE INDEX ix_signals_unfinished ON signals (created_at) WHERE NOT is_visible;

-- The signal's, so that an index can leave out what has expired.
ALTER TABLE deliveries ADD COLUMN expires_at timestamptz;
DROP INDEX ix_deliveries_pending, ix_deliveries_device;
UPDATE deliveries SET expires_at = signals.expires_at FROM signals WHERE signals.id = signal_id;
ALTER TABLE deliveries ALTER COLUMN expires_at SET NOT NULL;
-- For hand-written SQL, such as what ends all signals after a restore.
CREATE FUNCTION signals_expire_deliveries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE deliveries SET expires_at = NEW.expires_at WHERE signal_id = NEW.id;
  RETURN NULL;
END $$;

CREATE TRIGGER signals_expire_deliveries AFTER UPDATE OF expires_at ON signals
  FOR EACH ROW WHEN (OLD.expires_at <> NEW.expires_at) EXECUTE FUNCTION signals_expire_deliveries();
-- Serves the polls, which read what is not acknowledged and not expired, and the cascade.
CREATE INDEX ix_deliveries_device ON deliveries (device_id, acked_at, expires_at, signal_id);

-- Serves the steps of a signal to all devices.
CREATE INDEX ix_devices_client_active ON devices (client_id, id) WHERE is_active;

-- The counts. Clients are locked in the order of their ids, so that statements that delete signals of several clients
-- cannot deadlock.
CREATE FUNCTION signals_count() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  differences refcursor;
  difference record;
BEGIN
  IF TG_OP = 'INSERT' THEN
    OPEN differences FOR SELECT client_id, count(*) AS signals, sum(devices) AS deliveries
      FROM new_signals GROUP BY client_id ORDER BY client_id;
  ELSIF TG_OP = 'DELETE' THEN
    OPEN differences FOR SELECT client_id, -count(*) AS signals, -sum(devices) AS deliveries
      FROM old_signals GROUP BY client_id ORDER BY client_id;
  ELSE
    OPEN differences FOR SELECT client_id, sum(number) AS signals, sum(devices) AS deliveries
      FROM (
        SELECT client_id, 1 AS number, devices FROM new_signals
        UNION ALL SELECT client_id, -1, -devices FROM old_signals
      ) AS changed
      GROUP BY client_id HAVING sum(number) <> 0 OR sum(devices) <> 0 ORDER BY client_id;
  END IF;
  LOOP
    FETCH differences INTO difference;
    EXIT WHEN NOT FOUND;
    UPDATE clients SET signal_count = signal_count + difference.signals,
      delivery_count = delivery_count + difference.deliveries
      WHERE id = difference.client_id;
  END LOOP;
  CLOSE differences;
  RETURN NULL;
END $$;

CREATE TRIGGER signals_count_inserted AFTER INSERT ON signals
  REFERENCING NEW TABLE AS new_signals FOR EACH STATEMENT EXECUTE FUNCTION signals_count();
CREATE TRIGGER signals_count_updated AFTER UPDATE ON signals
  REFERENCING OLD TABLE AS old_signals NEW TABLE AS new_signals
  FOR EACH STATEMENT EXECUTE FUNCTION signals_count();
CREATE TRIGGER signals_count_deleted AFTER DELETE ON signals
  REFERENCING OLD TABLE AS old_signals FOR EACH STATEMENT EXECUTE FUNCTION signals_count();

CREATE FUNCTION signals_count_truncated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE clients SET signal_count = 0, delivery_count = 0 WHERE signal_count <> 0;
  RETURN NULL;
END $$;

CREATE TRIGGER signals_count_truncated BEFORE TRUNCATE ON signals
  FOR EACH STATEMENT EXECUTE FUNCTION signals_count_truncated();

-- Notifications. Devices are notified of a signal when it becomes visible. One that was stored in steps went to many
-- devices: its notification names the client, after a word that no list of devices starts with.

CREATE OR REPLACE FUNCTION deliveries_notify_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM notify_of_devices(
    'device_registry_signals',
    ARRAY(
      WITH concerned AS MATERIALIZED (SELECT DISTINCT signal_id FROM new_deliveries)
      SELECT DISTINCT device_id FROM new_deliveries
      WHERE signal_id IN (SELECT id FROM concerned JOIN signals ON id = signal_id WHERE is_visible)));
  RETURN NULL;
END $$;

CREATE FUNCTION signals_notify_visible() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('device_registry_signals', 'client ' || NEW.client_id);
  RETURN NULL;
END $$;

CREATE TRIGGER signals_notify_visible AFTER UPDATE OF is_visible ON signals
  FOR EACH ROW WHEN (NEW.is_visible AND NOT OLD.is_visible) EXECUTE FUNCTION signals_notify_visible();

-- The payload is the client's id.
CREATE FUNCTION clients_notify_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('device_registry_clients', OLD.id);
  RETURN NULL;
END $$;

CREATE TRIGGER clients_notify_changed AFTER UPDATE OF deleted_at ON clients
  FOR EACH ROW WHEN ((OLD.deleted_at IS NULL) <> (NEW.deleted_at IS NULL)) EXECUTE FUNCTION clients_notify_changed();
CREATE TRIGGER clients_notify_deleted AFTER DELETE ON clients
  FOR EACH ROW WHEN (OLD.deleted_at IS NULL) EXECUTE FUNCTION clients_notify_changed();

-- Signals are stored in steps.

-- Stores a signal and a delivery for each addressee: all of the sender's active devices where the array is null. If those
-- are more than `step`, stores the first ones by id, and counts all of them against the bound. Answers how many deliveries
-- were stored and, if there are more, the device of the last one; or why nothing was stored.
DROP FUNCTION insert_signal(uuid, text, text, timestamptz, timestamptz, uuid[], bigint);
CREATE FUNCTION start_signal(
  signal uuid, sender text, content text, creation timestamptz, expiry timestamptz, addressees uuid[],
  max_live bigint, max_kept bigint, max_deliveries bigint, step bigint,
  OUT refusal text, OUT stored bigint, OUT last_device uuid
) LANGUAGE plpgsql AS $$
DECLARE
  kept record;
  planned bigint;
BEGIN
  -- The signals of one client queue up here, so that together they keep to the bounds.
  SELECT signal_count, delivery_count INTO kept FROM clients
    WHERE id = sender AND deleted_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    refusal := 'clientNotFound';
    RETURN;
  END IF;

  IF addressees IS NULL THEN
    addressees := ARRAY(
      SELECT id FROM devices WHERE client_id = sender AND is_active ORDER BY id LIMIT step + 1);
    planned := cardinality(addressees);
    IF planned > step THEN
      addressees := addressees[:step];
      last_device := addressees[step];
      planned := (SELECT count(*) FROM devices WHERE client_id = sender AND is_active);
    END IF;
  ELSE
    planned := cardinality(addressees);
    refusal := (
      SELECT CASE
        WHEN bool_or(devices.id IS NULL) THEN 'deviceNotFound'
        WHEN bool_or(devices.client_id <> sender) THEN 'notOwner'
        WHEN bool_or(NOT devices.is_active) THEN 'deviceRevoked'
      END
      FROM unnest(addressees) AS listed (id) LEFT JOIN devices ON devices.id = listed.id
    );
  END IF;
  IF refusal IS NULL THEN
    refusal := CASE
      WHEN max_live <= (SELECT count(*) FROM signals WHERE client_id = sender AND expires_at > creation)
        THEN 'tooManySignals'
      WHEN kept.signal_count >= max_kept THEN 'tooManyKeptSignals'
      WHEN kept.delivery_count + planned > max_deliveries THEN 'tooManyDeliveries'
    END;
  END IF;
  IF refusal IS NOT NULL THEN RETURN; END IF;

  stored := cardinality(addressees);
  INSERT INTO signals (id, client_id, payload, devices, created_at, expires_at, is_visible)
    VALUES (signal, sender, content, planned, creation, expiry, last_device IS NULL);
  INSERT INTO deliveries (signal_id, device_id, expires_at) SELECT signal, unnest(addressees), expiry;
END $$;

-- Stores deliveries of the signal for the next `step` active devices of its client. The last step makes it visible. Answers
-- how many deliveries it has now and, if there are more, the device of the last one; null if the signal is gone.
CREATE FUNCTION continue_signal(
  signal uuid, last_before uuid, stored_before bigint, step bigint, OUT stored bigint, OUT last_device uuid
) LANGUAGE plpgsql AS $$
DECLARE
  started record;
  addressees uuid[];
BEGIN
  -- The lock keeps remove_signals away.
  SELECT client_id, signals.expires_at INTO started FROM signals JOIN clients ON clients.id = client_id
    WHERE signals.id = signal AND NOT is_visible AND deleted_at IS NULL FOR NO KEY UPDATE OF signals;
  IF NOT FOUND THEN RETURN; END IF;

  addressees := ARRAY(
    SELECT id FROM devices WHERE client_id = started.client_id AND is_active AND id > last_before
    ORDER BY id LIMIT step + 1);
  IF cardinality(addressees) > step THEN
    addressees := addressees[:step];
    last_device := addressees[step];
  END IF;
  stored := stored_before + cardinality(addressees);
  INSERT INTO deliveries (signal_id, device_id, expires_at)
    SELECT signal, unnest(addressees), started.expires_at;
  IF last_device IS NULL THEN
    UPDATE signals SET is_visible = true, devices = stored WHERE id = signal;
  END IF;
END $$;

-- Rows are deleted in steps. Each function skips rows that another transaction has locked, and answers how many rows it
-- deleted: at most `maximum`.

-- Deletes the signals of the cursor, which locks them; of each first its deliveries.
CREATE FUNCTION delete_signals(doomed refcursor, maximum bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  signal uuid;
  emptied uuid[] := '{}';
  number bigint;
  deleted bigint := 0;
BEGIN
  WHILE deleted < maximum LOOP
    FETCH doomed INTO signal;
    EXIT WHEN NOT FOUND;
    DELETE FROM deliveries WHERE signal_id = signal AND device_id = ANY (ARRAY(
      SELECT device_id FROM deliveries WHERE signal_id = signal LIMIT maximum - deleted FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS number = ROW_COUNT;
    deleted := deleted + number;
    IF deleted < maximum AND NOT EXISTS (SELECT FROM deliveries WHERE signal_id = signal) THEN
      emptied := emptied || signal;
      deleted := deleted + 1;
    END IF;
  END LOOP;
  DELETE FROM signals WHERE id = ANY (emptied);
  CLOSE doomed;
  RETURN deleted;
END $$;

-- Deletes signals that expired before a time, and those that were created before another and are still not visible.
CREATE FUNCTION remove_signals(
  expired_before timestamptz, abandoned_before timestamptz, maximum bigint
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  abandoned refcursor;
  expired refcursor;
  deleted bigint;
BEGIN
  OPEN abandoned FOR SELECT id FROM signals
    WHERE NOT is_visible AND created_at < abandoned_before ORDER BY created_at FOR UPDATE SKIP LOCKED;
  deleted := delete_signals(abandoned, maximum);
  OPEN expired FOR SELECT id FROM signals
    WHERE is_visible AND expires_at < expired_before ORDER BY expires_at FOR UPDATE SKIP LOCKED;
  RETURN deleted + delete_signals(expired, maximum - deleted);
END $$;

-- Deletes rows of clients that were deleted, or of one of them: deliveries, signals, tokens, devices, last the client's.
CREATE FUNCTION clear_deleted_clients(client text, maximum bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  doomed refcursor;
  number bigint;
  deleted bigint;
BEGIN
  OPEN doomed FOR SELECT signals.id FROM clients JOIN signals ON client_id = clients.id
    WHERE deleted_at IS NOT NULL AND clients.id = COALESCE(client, clients.id) FOR UPDATE OF signals SKIP LOCKED;
  deleted := delete_signals(doomed, maximum);

  DELETE FROM device_tokens WHERE token_hash = ANY (ARRAY(
    SELECT token_hash
    FROM clients JOIN devices ON client_id = clients.id JOIN device_tokens ON device_id = devices.id
    WHERE deleted_at IS NOT NULL AND clients.id = COALESCE(client, clients.id)
    LIMIT maximum - deleted FOR UPDATE OF device_tokens SKIP LOCKED));
  GET DIAGNOSTICS number = ROW_COUNT;
  deleted := deleted + number;

  -- Without signals, so that no deliveries go with a device.
  DELETE FROM devices WHERE id = ANY (ARRAY(
    SELECT devices.id FROM clients JOIN devices ON client_id = clients.id
    WHERE deleted_at IS NOT NULL AND clients.id = COALESCE(client, clients.id)
      AND NOT EXISTS (SELECT FROM signals WHERE client_id = clients.id)
    LIMIT maximum - deleted FOR UPDATE OF devices SKIP LOCKED));
  GET DIAGNOSTICS number = ROW_COUNT;
  deleted := deleted + number;

  DELETE FROM clients WHERE id = ANY (ARRAY(
    SELECT id FROM clients
    WHERE deleted_at IS NOT NULL AND id = COALESCE(client, id)
      AND NOT EXISTS (SELECT FROM signals WHERE client_id = clients.id)
      AND NOT EXISTS (SELECT FROM devices WHERE client_id = clients.id)
    LIMIT maximum - deleted FOR UPDATE SKIP LOCKED));
  GET DIAGNOSTICS number = ROW_COUNT;
  RETURN deleted + number;
END $$;

-- As before, but of this owner, which must not be deleted.
DROP FUNCTION insert_token(bytea, uuid, bytea, timestamptz, timestamptz, bigint, bigint);
CREATE FUNCTION insert_token(
  hash bytea, device uuid, owner text, key bytea, expiry timestamptz, moment timestamptz, max_live bigint,
  window_seconds bigint
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  window_length CONSTANT interval := window_seconds * interval '1 second';
  blocking timestamptz;
BEGIN
  -- The tokens of one device queue up here, and so do changes of its secret and its state.
  PERFORM FROM devices
    WHERE id = device AND client_id = owner AND stored_key = key AND is_active
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
