CREATE TABLE clients (
  id text COLLATE "C" CONSTRAINT clients_pkey PRIMARY KEY,
  email text COLLATE "C",
  telegram_id bigint,
  -- The client's devices, revoked ones included. Kept by triggers; insertDevice tests it under a row lock.
  device_count integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL,
  CONSTRAINT clients_id_form CHECK (id ~ '^[!-~]{1,64}$'),
  CONSTRAINT clients_time_range CHECK (created_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'),
  CONSTRAINT clients_device_count_form CHECK (device_count >= 0)
);

-- In collation "C", lower() changes ASCII letters alone.
CREATE UNIQUE INDEX clients_email_unique ON clients (lower(email));
CREATE INDEX ix_clients_created ON clients (created_at, id);

CREATE TABLE devices (
  id uuid CONSTRAINT devices_pkey PRIMARY KEY,
  client_id text COLLATE "C" NOT NULL
    CONSTRAINT devices_client_fkey REFERENCES clients (id) ON DELETE CASCADE,
  device_name text COLLATE "C" NOT NULL,
  hmac_key_hash text COLLATE "C" NOT NULL CONSTRAINT devices_hmac_key_hash_unique UNIQUE,
  stored_key bytea NOT NULL,
  server_key bytea NOT NULL,
  is_active boolean NOT NULL DEFAULT true,
  revoked boolean NOT NULL DEFAULT false,
  last_poll timestamptz,
  last_ack timestamptz,
  last_seen timestamptz,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT devices_name_length CHECK (char_length(device_name) BETWEEN 1 AND 100),
  CONSTRAINT devices_hmac_key_hash_form CHECK (hmac_key_hash LIKE '$argon2id$%'),
  CONSTRAINT devices_stored_key_length CHECK (octet_length(stored_key) = 32),
  CONSTRAINT devices_server_key_length CHECK (octet_length(server_key) = 32),
  CONSTRAINT devices_revoked_is_inactive CHECK (NOT (revoked AND is_active)),
  CONSTRAINT devices_time_range CHECK (
    created_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
    AND updated_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
    AND last_poll BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
    AND last_ack BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
    AND last_seen BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
  )
);

CREATE UNIQUE INDEX devices_name_unique ON devices (client_id, device_name) WHERE NOT revoked;

-- Serves the list and its pages, and also what an index on client_id alone would serve: the cascade.
CREATE INDEX ix_devices_client_created ON devices (client_id, created_at, id);

-- Revoking is for good, and a device stays with its client: for hand-written SQL too.
CREATE FUNCTION devices_keep_revoked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.revoked AND NOT NEW.revoked THEN
    RAISE EXCEPTION 'a revoked device stays revoked'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'devices_revoked_for_good';
  END IF;
  IF OLD.client_id <> NEW.client_id THEN
    RAISE EXCEPTION 'a device stays with its client'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'devices_client_for_good';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER devices_keep_revoked BEFORE UPDATE OF revoked, client_id ON devices
  FOR EACH ROW EXECUTE FUNCTION devices_keep_revoked();

-- Once for each statement, so that the cascade of a client with 10,000 devices costs one update.
CREATE FUNCTION devices_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    UPDATE clients SET device_count = device_count + changed.number
      FROM (SELECT client_id, count(*) AS number FROM changed_devices GROUP BY client_id) AS changed
      WHERE clients.id = changed.client_id;
  ELSE
    UPDATE clients SET device_count = device_count - changed.number
      FROM (SELECT client_id, count(*) AS number FROM changed_devices GROUP BY client_id) AS changed
      WHERE clients.id = changed.client_id;
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER devices_count_inserted AFTER INSERT ON devices
  REFERENCING NEW TABLE AS changed_devices FOR EACH STATEMENT EXECUTE FUNCTION devices_count();
CREATE TRIGGER devices_count_deleted AFTER DELETE ON devices
  REFERENCING OLD TABLE AS changed_devices FOR EACH STATEMENT EXECUTE FUNCTION devices_count();

-- TRUNCATE fires no DELETE trigger.
CREATE FUNCTION devices_count_truncated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE clients SET device_count = 0 WHERE device_count <> 0;
  RETURN NULL;
END $$;

CREATE TRIGGER devices_count_truncated BEFORE TRUNCATE ON devices
  FOR EACH STATEMENT EXECUTE FUNCTION devices_count_truncated();
