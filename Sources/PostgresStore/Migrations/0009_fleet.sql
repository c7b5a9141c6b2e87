-- What an owner commands: states that end, labels, groups, and the trading mode.

ALTER TABLE devices
  -- A device is suspended from suspended_at until suspended_until, or without end. is_active is false for a revoked device,
  -- and for one that hand-written SQL keeps out.
  ADD COLUMN suspended_at timestamptz,
  ADD COLUMN suspended_until timestamptz,
  ADD COLUMN expires_at timestamptz,
  -- Whether an event tells that it has expired.
  ADD COLUMN expiry_recorded boolean NOT NULL DEFAULT false,
  -- Why it was suspended or revoked.
  ADD COLUMN status_reason text COLLATE "C",
  -- A JSON object of texts.
  ADD COLUMN labels jsonb NOT NULL DEFAULT '{}',
  -- The names of its groups, sorted, with blanks between.
  ADD COLUMN groups text COLLATE "C" NOT NULL DEFAULT '',
  ADD COLUMN trading_mode text COLLATE "C" NOT NULL DEFAULT 'normal',
  ADD COLUMN mode_version bigint NOT NULL DEFAULT 1,
  ADD COLUMN mode_reason text COLLATE "C",
  -- For devices that are there, the time of this migration.
  ADD COLUMN mode_since timestamptz NOT NULL DEFAULT now(),
  ADD COLUMN confirmed_version bigint,
  ADD COLUMN confirmed_at timestamptz,
  ADD CONSTRAINT devices_suspension_whole CHECK (suspended_at IS NOT NULL OR suspended_until IS NULL),
  ADD CONSTRAINT devices_status_reason_length CHECK (char_length(status_reason) <= 200),
  ADD CONSTRAINT devices_labels_form CHECK (jsonb_typeof(labels) = 'object'),
  ADD CONSTRAINT devices_trading_mode_form CHECK (trading_mode IN ('normal', 'close_only', 'halted')),
  ADD CONSTRAINT devices_mode_version_form CHECK (mode_version >= 1 AND confirmed_version BETWEEN 1 AND mode_version),
  ADD CONSTRAINT devices_mode_reason_length CHECK (char_length(mode_reason) <= 200),
  ADD CONSTRAINT devices_confirmation_whole CHECK ((confirmed_version IS NULL) = (confirmed_at IS NULL)),
  ADD CONSTRAINT devices_state_range CHECK (
    suspended_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
    AND suspended_until BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
    AND expires_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
    AND mode_since BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
    AND confirmed_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
  );

-- These serve the list with a filter on the status, and what is recorded when something ends by time. A device that is
-- neither costs nothing.
CREATE INDEX ix_devices_client_suspended ON devices (client_id, created_at, id)
  WHERE NOT revoked AND (suspended_at IS NOT NULL OR NOT is_active);
CREATE INDEX ix_devices_client_expiring ON devices (client_id, created_at, id) WHERE expires_at IS NOT NULL AND NOT revoked;
CREATE INDEX ix_devices_client_revoked ON devices (client_id, created_at, id) WHERE revoked;
CREATE INDEX ix_devices_client_unconfirmed ON devices (client_id, created_at, id)
  WHERE NOT revoked AND confirmed_version IS DISTINCT FROM mode_version;
CREATE INDEX ix_devices_suspended_until ON devices (suspended_until) WHERE suspended_until IS NOT NULL AND NOT revoked;
CREATE INDEX ix_devices_expires ON devices (expires_at) WHERE expires_at IS NOT NULL AND NOT expiry_recorded AND NOT revoked;

-- The indexes of labels and groups. Triggers derive them from devices.labels and devices.groups, so nothing else writes
-- them. created_at is the device's: with it, an index has devices in the order of the list.

CREATE TABLE device_labels (
  device_id uuid NOT NULL CONSTRAINT device_labels_device_fkey REFERENCES devices (id) ON DELETE CASCADE,
  key text COLLATE "C" NOT NULL,
  value text COLLATE "C" NOT NULL,
  client_id text COLLATE "C" NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT device_labels_pkey PRIMARY KEY (device_id, key),
  CONSTRAINT device_labels_key_form CHECK (key ~ '^[A-Za-z0-9._/-]{1,64}$'),
  CONSTRAINT device_labels_value_form CHECK (value ~ '^[A-Za-z0-9._-]{0,64}$')
);

CREATE INDEX ix_device_labels_value ON device_labels (client_id, key, value, created_at, device_id);
CREATE INDEX ix_device_labels_key ON device_labels (client_id, key, created_at, device_id);

CREATE TABLE groups (
  client_id text COLLATE "C" NOT NULL CONSTRAINT groups_client_fkey REFERENCES clients (id) ON DELETE CASCADE,
  name text COLLATE "C" NOT NULL,
  description text COLLATE "C",
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  -- Set for a group that was deleted, which its devices leave in steps.
  deleted_at timestamptz,
  CONSTRAINT groups_pkey PRIMARY KEY (client_id, name),
  CONSTRAINT groups_name_form CHECK (name ~ '^[A-Za-z0-9._-]{1,64}$'),
  CONSTRAINT groups_description_length CHECK (char_length(description) <= 200),
  CONSTRAINT groups_time_range CHECK (
    created_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
    AND updated_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
    AND deleted_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
  )
);

-- Nearly always empty.
CREATE INDEX ix_groups_deleted ON groups (client_id, name) WHERE deleted_at IS NOT NULL;

-- Their names, with blanks between; null if there are none.
CREATE FUNCTION deleted_groups(client text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT string_agg(name, ' ') FROM groups WHERE client_id = client AND deleted_at IS NOT NULL);
END $$;

-- A client has at most 1,000. Its insertions queue up at the lock of its row, so that each sees those before it.
CREATE FUNCTION groups_are_few() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM clients WHERE id = NEW.client_id AND deleted_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no such client'
      USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'groups_client_fkey';
  END IF;
  IF EXISTS (SELECT FROM groups WHERE client_id = NEW.client_id AND name = NEW.name) THEN RETURN NEW; END IF;
  IF (SELECT count(*) FROM groups WHERE client_id = NEW.client_id) >= 1000 THEN
    RAISE EXCEPTION 'a client has 1,000 groups at most'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'groups_maximum';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER groups_are_few BEFORE INSERT ON groups FOR EACH ROW EXECUTE FUNCTION groups_are_few();

CREATE TABLE device_groups (
  device_id uuid NOT NULL CONSTRAINT device_groups_device_fkey REFERENCES devices (id) ON DELETE CASCADE,
  group_name text COLLATE "C" NOT NULL,
  client_id text COLLATE "C" NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT device_groups_pkey PRIMARY KEY (device_id, group_name),
  -- A group that is deleted leaves its devices first. When a client goes, its groups go with it.
  CONSTRAINT device_groups_group_fkey FOREIGN KEY (client_id, group_name) REFERENCES groups (client_id, name)
);

CREATE INDEX ix_device_groups_group ON device_groups (client_id, group_name, created_at, device_id);

CREATE FUNCTION devices_index_labels() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM device_labels WHERE device_id = NEW.id AND (NEW.labels ->> key) IS DISTINCT FROM value;
  INSERT INTO device_labels (device_id, key, value, client_id, created_at)
    SELECT NEW.id, key, value, NEW.client_id, NEW.created_at FROM jsonb_each_text(NEW.labels)
    ON CONFLICT DO NOTHING;
  IF (SELECT count(*) FROM device_labels WHERE device_id = NEW.id) > 16 THEN
    RAISE EXCEPTION 'a device has 16 labels at most'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'devices_labels_few';
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER devices_index_labels_inserted AFTER INSERT ON devices
  FOR EACH ROW WHEN (NEW.labels <> '{}') EXECUTE FUNCTION devices_index_labels();
CREATE TRIGGER devices_index_labels_changed AFTER UPDATE OF labels ON devices
  FOR EACH ROW WHEN (OLD.labels <> NEW.labels) EXECUTE FUNCTION devices_index_labels();

CREATE FUNCTION devices_index_groups() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM device_groups WHERE device_id = NEW.id AND group_name <> ALL (string_to_array(NEW.groups, ' '));
  INSERT INTO device_groups (device_id, group_name, client_id, created_at)
    SELECT NEW.id, name, NEW.client_id, NEW.created_at FROM unnest(string_to_array(NEW.groups, ' ')) AS listed (name)
    ON CONFLICT DO NOTHING;
  IF (SELECT count(*) FROM device_groups WHERE device_id = NEW.id) > 100 THEN
    RAISE EXCEPTION 'a device is in 100 groups at most'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'devices_groups_few';
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER devices_index_groups_inserted AFTER INSERT ON devices
  FOR EACH ROW WHEN (NEW.groups <> '') EXECUTE FUNCTION devices_index_groups();
CREATE TRIGGER devices_index_groups_changed AFTER UPDATE OF groups ON devices
  FOR EACH ROW WHEN (OLD.groups <> NEW.groups) EXECUTE FUNCTION devices_index_groups();

-- A client is suspended as a whole by its row.
ALTER TABLE clients
  ADD COLUMN suspended_at timestamptz,
  ADD COLUMN status_reason text COLLATE "C",
  -- Null for MAX_DEVICES_PER_CLIENT.
  ADD COLUMN max_devices integer,
  ADD CONSTRAINT clients_status_reason_length CHECK (char_length(status_reason) <= 200),
  ADD CONSTRAINT clients_max_devices_form CHECK (max_devices >= 0),
  ADD CONSTRAINT clients_suspended_at_range CHECK (
    suspended_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
  );

DROP TRIGGER clients_notify_changed ON clients;
CREATE TRIGGER clients_notify_changed AFTER UPDATE OF deleted_at, suspended_at, status_reason ON clients
  FOR EACH ROW WHEN (
    (OLD.deleted_at IS NULL, OLD.suspended_at, OLD.status_reason)
    IS DISTINCT FROM (NEW.deleted_at IS NULL, NEW.suspended_at, NEW.status_reason)
  )
  EXECUTE FUNCTION clients_notify_changed();

-- A token ends with a suspension too, and with the device's expiry when that is recorded.
DROP TRIGGER devices_end_tokens ON devices;
CREATE TRIGGER devices_end_tokens AFTER UPDATE OF hmac_key_hash, stored_key, is_active, revoked, suspended_at,
  expiry_recorded ON devices
  FOR EACH ROW WHEN (
    OLD.hmac_key_hash <> NEW.hmac_key_hash
    OR OLD.stored_key <> NEW.stored_key AND octet_length(NEW.stored_key) = 32
    OR (OLD.is_active, OLD.revoked) <> (NEW.is_active, NEW.revoked) AND NOT NEW.is_active
    OR OLD.suspended_at IS NULL AND NEW.suspended_at IS NOT NULL
    OR NOT OLD.expiry_recorded AND NEW.expiry_recorded
  )
  EXECUTE FUNCTION devices_end_tokens();

-- A device that may not be used gets no token.
CREATE OR REPLACE FUNCTION insert_token(
  hash bytea, device uuid, owner text, secret text, expiry timestamptz, moment timestamptz, max_live bigint,
  window_seconds bigint
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  window_length CONSTANT interval := window_seconds * interval '1 second';
  blocking timestamptz;
BEGIN
  -- The tokens of one device queue up here, and so do changes of its secret and its state.
  PERFORM FROM devices
    WHERE id = device AND client_id = owner AND hmac_key_hash = secret AND is_active
      AND (grace_expires_at IS NULL OR grace_expires_at > moment)
      AND (suspended_at IS NULL OR suspended_until <= moment) AND (devices.expires_at IS NULL OR devices.expires_at > moment)
      AND NOT EXISTS (
        SELECT FROM clients AS theirs
        WHERE theirs.id = owner AND (theirs.deleted_at IS NOT NULL OR theirs.suspended_at IS NOT NULL))
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

-- Costs nothing if presence, a name, labels, groups or a confirmation changes: those columns are not among these.
DROP TRIGGER devices_notify_changed ON devices;
CREATE TRIGGER devices_notify_changed
  AFTER UPDATE OF id, client_id, hmac_key_hash, stored_key, server_key, next_hmac_key_hash, next_stored_key,
    next_server_key, grace_expires_at, is_active, revoked, suspended_at, suspended_until, expires_at, status_reason,
    trading_mode, mode_version, mode_reason, mode_since ON devices
  FOR EACH ROW WHEN (
    (OLD.id, OLD.client_id, OLD.hmac_key_hash, OLD.next_hmac_key_hash, OLD.grace_expires_at, OLD.is_active, OLD.revoked,
      OLD.suspended_at, OLD.suspended_until, OLD.expires_at, OLD.status_reason, OLD.trading_mode, OLD.mode_version,
      OLD.mode_reason, OLD.mode_since)
    IS DISTINCT FROM
    (NEW.id, NEW.client_id, NEW.hmac_key_hash, NEW.next_hmac_key_hash, NEW.grace_expires_at, NEW.is_active, NEW.revoked,
      NEW.suspended_at, NEW.suspended_until, NEW.expires_at, NEW.status_reason, NEW.trading_mode, NEW.mode_version,
      NEW.mode_reason, NEW.mode_since)
    OR OLD.stored_key <> NEW.stored_key AND octet_length(NEW.stored_key) = 32
    OR OLD.server_key <> NEW.server_key AND octet_length(NEW.server_key) = 32
    OR OLD.next_stored_key <> NEW.next_stored_key AND octet_length(NEW.next_stored_key) = 32
    OR OLD.next_server_key <> NEW.next_server_key AND octet_length(NEW.next_server_key) = 32
  )
  EXECUTE FUNCTION devices_notify_changed();
