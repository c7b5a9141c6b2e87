-- While a rotation is under way: the next secret, and when the one in force ends at the latest.
ALTER TABLE devices
  ADD COLUMN next_hmac_key_hash text COLLATE "C",
  ADD COLUMN next_stored_key bytea,
  ADD COLUMN next_server_key bytea,
  ADD COLUMN grace_expires_at timestamptz,
  ADD CONSTRAINT devices_rotation_whole CHECK (
    num_nulls(next_hmac_key_hash, next_stored_key, next_server_key, grace_expires_at) IN (0, 4)
  ),
  ADD CONSTRAINT devices_next_hmac_key_hash_form CHECK (next_hmac_key_hash LIKE '$argon2id$%'),
  ADD CONSTRAINT devices_next_stored_key_length CHECK (octet_length(next_stored_key) = 32),
  ADD CONSTRAINT devices_next_server_key_length CHECK (octet_length(next_server_key) = 32),
  ADD CONSTRAINT devices_grace_range CHECK (
    grace_expires_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
  ),
  -- Presence changes no indexed column: with room on its page, a new version of a row needs no index entry.
  SET (fillfactor = 80);

CREATE TABLE device_tokens (
  token_hash bytea CONSTRAINT device_tokens_pkey PRIMARY KEY,
  device_id uuid NOT NULL
    CONSTRAINT device_tokens_device_fkey REFERENCES devices (id) ON DELETE CASCADE,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  CONSTRAINT device_tokens_hash_length CHECK (octet_length(token_hash) = 32),
  CONSTRAINT device_tokens_time_range CHECK (
    created_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
    AND expires_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
  )
);

CREATE INDEX ix_device_tokens_device_created ON device_tokens (device_id, created_at);
CREATE INDEX ix_device_tokens_expires ON device_tokens (expires_at);

-- A token ends with the secret that it was issued on, and with its device: for hand-written SQL too.
CREATE FUNCTION devices_end_tokens() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM device_tokens WHERE device_id = NEW.id;
  RETURN NULL;
END $$;

CREATE TRIGGER devices_end_tokens AFTER UPDATE OF stored_key, is_active, revoked ON devices
  FOR EACH ROW WHEN (
    OLD.stored_key <> NEW.stored_key
    OR (OLD.is_active, OLD.revoked) <> (NEW.is_active, NEW.revoked) AND NOT NEW.is_active
  )
  EXECUTE FUNCTION devices_end_tokens();

CREATE TABLE signals (
  id uuid CONSTRAINT signals_pkey PRIMARY KEY,
  client_id text COLLATE "C" NOT NULL
    CONSTRAINT signals_client_fkey REFERENCES clients (id) ON DELETE CASCADE,
  -- As it was received, byte for byte, which json and jsonb would not keep.
  payload text COLLATE "C" NOT NULL,
  -- How many devices it was sent to. Deliveries go with their device, this number stays.
  devices integer NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  CONSTRAINT signals_payload_length CHECK (octet_length(payload) <= 16384),
  CONSTRAINT signals_devices_form CHECK (devices >= 0),
  CONSTRAINT signals_time_range CHECK (
    created_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
    AND expires_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
  )
);

-- Serves the list and its pages, and the cascade from clients.
CREATE INDEX ix_signals_client ON signals (client_id, id);
CREATE INDEX ix_signals_client_expires ON signals (client_id, expires_at);
CREATE INDEX ix_signals_expires ON signals (expires_at);

CREATE TABLE deliveries (
  signal_id uuid NOT NULL
    CONSTRAINT deliveries_signal_fkey REFERENCES signals (id) ON DELETE CASCADE,
  device_id uuid NOT NULL
    CONSTRAINT deliveries_device_fkey REFERENCES devices (id) ON DELETE CASCADE,
  status text COLLATE "C",
  broker_ticket text COLLATE "C",
  error text COLLATE "C",
  acked_at timestamptz,
  CONSTRAINT deliveries_pkey PRIMARY KEY (signal_id, device_id),
  CONSTRAINT deliveries_status_form CHECK (status IN ('placed', 'failed', 'skipped')),
  CONSTRAINT deliveries_ack_whole CHECK (
    CASE WHEN status IS NULL THEN num_nonnulls(acked_at, broker_ticket, error) = 0
      ELSE acked_at IS NOT NULL END
  ),
  CONSTRAINT deliveries_broker_ticket_length CHECK (char_length(broker_ticket) <= 64),
  CONSTRAINT deliveries_error_length CHECK (char_length(error) <= 500),
  CONSTRAINT deliveries_time_range CHECK (
    acked_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
  )
);

-- What polls read: it stays as small as what is not acknowledged.
CREATE INDEX ix_deliveries_pending ON deliveries (device_id, signal_id) WHERE acked_at IS NULL;
-- Serves the cascade from devices.
CREATE INDEX ix_deliveries_device ON deliveries (device_id);

-- Two writes need what was committed while they waited for their lock. A statement does not see that beyond the row
-- that it locked, but each statement of a volatile function does (manual, section 38.7).

-- Stores a token of a device that may come in with this secret. Answers null, and stores nothing, if it may not;
-- else the seconds to wait where max_live tokens were stored in the window before, and 0 when it is stored.
CREATE FUNCTION insert_token(
  hash bytea, device uuid, key bytea, expiry timestamptz, moment timestamptz, max_live bigint,
  window_seconds bigint
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  window_length CONSTANT interval := window_seconds * interval '1 second';
  blocking timestamptz;
BEGIN
  -- The tokens of one device queue up here, and so do changes of its secret and its state.
  PERFORM FROM devices
    WHERE id = device AND stored_key = key AND is_active
      AND (grace_expires_at IS NULL OR grace_expires_at > moment)
    FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN NULL; END IF;

  -- The token that must leave the window before another may come.
  SELECT created_at INTO blocking FROM device_tokens
    WHERE device_id = device AND created_at > moment - window_length
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

-- Stores a signal, and a delivery for each addressee: all of the sender's active devices where the array is null.
-- Answers how many those are, or why nothing was stored.
CREATE FUNCTION insert_signal(
  signal uuid, sender text, content text, creation timestamptz, expiry timestamptz, addressees uuid[],
  max_live bigint, OUT refusal text, OUT addressee_count bigint
) LANGUAGE plpgsql AS $$
BEGIN
  -- The signals of one client queue up here.
  PERFORM FROM clients WHERE id = sender FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    refusal := 'clientNotFound';
    RETURN;
  END IF;

  IF addressees IS NULL THEN
    addressees := ARRAY(SELECT id FROM devices WHERE client_id = sender AND is_active);
  ELSE
    refusal := (
      SELECT CASE
        WHEN bool_or(devices.id IS NULL) THEN 'deviceNotFound'
        WHEN bool_or(devices.client_id <> sender) THEN 'notOwner'
        WHEN bool_or(NOT devices.is_active) THEN 'deviceRevoked'
      END
      FROM unnest(addressees) AS listed (id) LEFT JOIN devices ON devices.id = listed.id
    );
  END IF;
  IF refusal IS NULL AND max_live <= (
    SELECT count(*) FROM signals WHERE client_id = sender AND expires_at > creation
  ) THEN
    refusal := 'tooManySignals';
  END IF;
  IF refusal IS NOT NULL THEN RETURN; END IF;

  addressee_count := cardinality(addressees);
  INSERT INTO signals (id, client_id, payload, devices, created_at, expires_at)
    VALUES (signal, sender, content, addressee_count, creation, expiry);
  INSERT INTO deliveries (signal_id, device_id) SELECT signal, unnest(addressees);
END $$;

-- What processes hear of each other's changes, and of hand-written SQL. A payload is a list of devices' ids, or *
-- where any may be concerned.

-- 200 ids and their commas are 7,399 bytes; a payload has fewer than 8,000.
CREATE FUNCTION notify_of_devices(channel text, ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify(channel, string_agg(id::text, ','))
    FROM unnest(ids) WITH ORDINALITY AS listed (id, place) GROUP BY (place - 1) / 200;
END $$;

CREATE FUNCTION devices_notify_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM notify_of_devices('device_registry_credentials', ARRAY[OLD.id, NEW.id]);
  RETURN NULL;
END $$;

-- Costs nothing where presence or a name changes: those columns are not among these.
CREATE TRIGGER devices_notify_changed
  AFTER UPDATE OF id, client_id, hmac_key_hash, stored_key, server_key, next_hmac_key_hash, next_stored_key,
    next_server_key, grace_expires_at, is_active, revoked ON devices
  FOR EACH ROW WHEN (
    (OLD.id, OLD.client_id, OLD.hmac_key_hash, OLD.stored_key, OLD.server_key, OLD.next_hmac_key_hash,
      OLD.next_stored_key, OLD.next_server_key, OLD.grace_expires_at, OLD.is_active, OLD.revoked)
    IS DISTINCT FROM
    (NEW.id, NEW.client_id, NEW.hmac_key_hash, NEW.stored_key, NEW.server_key, NEW.next_hmac_key_hash,
      NEW.next_stored_key, NEW.next_server_key, NEW.grace_expires_at, NEW.is_active, NEW.revoked)
  )
  EXECUTE FUNCTION devices_notify_changed();

CREATE FUNCTION devices_notify_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM notify_of_devices(
    'device_registry_credentials', ARRAY(SELECT id FROM deleted_devices));
  RETURN NULL;
END $$;

CREATE TRIGGER devices_notify_deleted AFTER DELETE ON devices
  REFERENCING OLD TABLE AS deleted_devices FOR EACH STATEMENT EXECUTE FUNCTION devices_notify_deleted();

CREATE FUNCTION device_tokens_notify_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM notify_of_devices('device_registry_credentials', ARRAY[OLD.device_id, NEW.device_id]);
  RETURN NULL;
END $$;

CREATE TRIGGER device_tokens_notify_changed AFTER UPDATE ON device_tokens
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION device_tokens_notify_changed();

-- Nobody takes a token that has expired, so that those are cleared away in silence.
CREATE FUNCTION device_tokens_notify_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM notify_of_devices(
    'device_registry_credentials',
    ARRAY(SELECT DISTINCT device_id FROM deleted_tokens WHERE expires_at > clock_timestamp()));
  RETURN NULL;
END $$;

CREATE TRIGGER device_tokens_notify_deleted AFTER DELETE ON device_tokens
  REFERENCING OLD TABLE AS deleted_tokens FOR EACH STATEMENT EXECUTE FUNCTION device_tokens_notify_deleted();

CREATE FUNCTION credentials_notify_truncated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('device_registry_credentials', '*');
  RETURN NULL;
END $$;

CREATE TRIGGER devices_notify_truncated AFTER TRUNCATE ON devices
  FOR EACH STATEMENT EXECUTE FUNCTION credentials_notify_truncated();
CREATE TRIGGER device_tokens_notify_truncated AFTER TRUNCATE ON device_tokens
  FOR EACH STATEMENT EXECUTE FUNCTION credentials_notify_truncated();

CREATE FUNCTION deliveries_notify_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM notify_of_devices(
    'device_registry_signals', ARRAY(SELECT DISTINCT device_id FROM new_deliveries));
  RETURN NULL;
END $$;

CREATE TRIGGER deliveries_notify_inserted AFTER INSERT ON deliveries
  REFERENCING NEW TABLE AS new_deliveries FOR EACH STATEMENT EXECUTE FUNCTION deliveries_notify_inserted();
