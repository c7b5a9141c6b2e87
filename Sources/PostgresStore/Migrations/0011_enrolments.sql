-- Enrolments: codes with which a terminal gets a device's secret, once.

CREATE TABLE enrolments (
  id uuid CONSTRAINT enrolments_pkey PRIMARY KEY,
  client_id text COLLATE "C" NOT NULL
    CONSTRAINT enrolments_client_fkey REFERENCES clients (id) ON DELETE CASCADE,
  -- The SHA-256 of the code.
  code_hash bytea NOT NULL CONSTRAINT enrolments_code_hash_unique UNIQUE,
  -- Whether the code replaces the secret of the device; else it makes a device.
  replaces_secret boolean NOT NULL,
  -- References nothing: an enrolment stays when its device goes.
  device_id uuid,
  -- Of the device that the code makes; as in devices.
  device_name text COLLATE "C",
  labels jsonb NOT NULL DEFAULT '{}',
  groups text COLLATE "C" NOT NULL DEFAULT '',
  device_expires_at timestamptz,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  CONSTRAINT enrolments_code_hash_length CHECK (octet_length(code_hash) = 32),
  CONSTRAINT enrolments_device_whole CHECK ((device_id IS NULL) = (NOT replaces_secret AND used_at IS NULL)),
  CONSTRAINT enrolments_name_length CHECK (char_length(device_name) BETWEEN 1 AND 100),
  CONSTRAINT enrolments_time_range CHECK (
    created_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
    AND expires_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
    AND device_expires_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
    AND used_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
  )
);

-- Serves the list, the bound and the cascade.
CREATE INDEX ix_enrolments_client ON enrolments (client_id, id);
-- Serves the retention.
CREATE INDEX ix_enrolments_ended ON enrolments ((COALESCE(used_at, expires_at)));

-- A client has at most 10,000. Its insertions queue up at the lock of its row, so that each sees those before it.
CREATE FUNCTION enrolments_are_bounded() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT FROM (SELECT DISTINCT client_id FROM new_enrolments) AS concerned
    WHERE (
      SELECT count(*) FROM (
        SELECT FROM enrolments WHERE enrolments.client_id = concerned.client_id LIMIT 10001
      ) AS kept
    ) > 10000
  ) THEN
    RAISE EXCEPTION 'a client has 10000 enrolments at most'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'enrolments_maximum';
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER enrolments_are_bounded AFTER INSERT ON enrolments
  REFERENCING NEW TABLE AS new_enrolments FOR EACH STATEMENT EXECUTE FUNCTION enrolments_are_bounded();

-- A code works once, for hand-written SQL too.
CREATE FUNCTION enrolments_stay_used() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a used enrolment stays as it is'
    USING ERRCODE = 'check_violation', CONSTRAINT = 'enrolments_used_for_good';
END $$;

CREATE TRIGGER enrolments_stay_used BEFORE UPDATE ON enrolments
  FOR EACH ROW WHEN (OLD.used_at IS NOT NULL OR OLD.client_id <> NEW.client_id OR OLD.code_hash <> NEW.code_hash)
  EXECUTE FUNCTION enrolments_stay_used();
