-- Webhooks: URLs to which the events of a client are posted.

CREATE TABLE webhooks (
  id uuid CONSTRAINT webhooks_pkey PRIMARY KEY,
  client_id text COLLATE "C" NOT NULL
    CONSTRAINT webhooks_client_fkey REFERENCES clients (id) ON DELETE CASCADE,
  url text COLLATE "C" NOT NULL,
  -- Types of events and patterns such as device.*, with blanks between; null for all.
  types text COLLATE "C",
  description text COLLATE "C",
  -- Sealed.
  secret bytea NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  -- Events up to this position of the feed were delivered.
  position_epoch bigint NOT NULL,
  position_transaction bigint NOT NULL,
  position_sequence bigint NOT NULL,
  -- Failed attempts at the next event in a row.
  failures bigint NOT NULL DEFAULT 0,
  failing_since timestamptz,
  next_attempt_at timestamptz,
  disabled_at timestamptz,
  disabled_cause text COLLATE "C",
  -- Grows with each write, by which two writers notice each other.
  version bigint NOT NULL DEFAULT 1,
  -- The number of the last delivery in the log.
  delivery_count bigint NOT NULL DEFAULT 0,
  CONSTRAINT webhooks_url_form CHECK (url ~ '^https?://[!-~]+$' AND octet_length(url) <= 2048),
  CONSTRAINT webhooks_types_form CHECK (types ~ '^[a-z_.*]+( [a-z_.*]+)*$' AND octet_length(types) <= 4096),
  CONSTRAINT webhooks_description_length CHECK (char_length(description) <= 200),
  CONSTRAINT webhooks_failures_whole CHECK (failures >= 0 AND (failures = 0) = (failing_since IS NULL)),
  CONSTRAINT webhooks_disabled_whole CHECK (
    (disabled_at IS NULL) = (disabled_cause IS NULL) AND (disabled_at IS NULL OR next_attempt_at IS NULL)),
  CONSTRAINT webhooks_disabled_cause_form CHECK (disabled_cause IN ('failing', 'gone', 'owner')),
  CONSTRAINT webhooks_time_range CHECK (
    created_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
    AND updated_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
    AND failing_since BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
    AND next_attempt_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
    AND disabled_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
  )
);

-- Serves the list, the deliverer, and the cascade.
CREATE INDEX ix_webhooks_client ON webhooks (client_id, created_at, id);
-- Serves the retries.
CREATE INDEX ix_webhooks_next_attempt ON webhooks (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
-- Serves the count of those that fail.
CREATE INDEX ix_webhooks_failing ON webhooks (failures, disabled_at) WHERE failures > 0;
-- Serves the look for keys that sealed something.
CREATE INDEX ix_webhooks_sealed ON webhooks (substr(secret, 2, 8));

-- The log of attempts, of which the last ones are kept.
CREATE TABLE webhook_deliveries (
  webhook_id uuid NOT NULL
    CONSTRAINT webhook_deliveries_webhook_fkey REFERENCES webhooks (id) ON DELETE CASCADE,
  -- Counts the deliveries of the webhook.
  number bigint NOT NULL,
  event_id uuid NOT NULL,
  event_type text COLLATE "C" NOT NULL,
  attempt bigint NOT NULL,
  at timestamptz NOT NULL,
  duration_ms bigint NOT NULL,
  -- Of the answer, with the beginning of its content; null without an answer.
  status bigint,
  excerpt text COLLATE "C",
  -- Why there was no answer.
  reason text COLLATE "C",
  CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (webhook_id, number),
  CONSTRAINT webhook_deliveries_outcome_whole CHECK (
    CASE WHEN status IS NULL THEN reason IS NOT NULL AND excerpt IS NULL
      ELSE reason IS NULL AND excerpt IS NOT NULL END),
  CONSTRAINT webhook_deliveries_length CHECK (char_length(excerpt) <= 200 AND char_length(reason) <= 200),
  CONSTRAINT webhook_deliveries_time_range CHECK (
    at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z')
);

-- Serves the retention.
CREATE INDEX ix_webhook_deliveries_at ON webhook_deliveries (at);

-- A client has at most 20. Its insertions queue up at the lock of its row, so that each sees those before it.
CREATE FUNCTION webhooks_are_few() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM clients WHERE id = NEW.client_id AND deleted_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no such client'
      USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'webhooks_client_fkey';
  END IF;
  IF (SELECT count(*) FROM webhooks WHERE client_id = NEW.client_id) >= 20 THEN
    RAISE EXCEPTION 'a client has 20 webhooks at most'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'webhooks_maximum';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER webhooks_are_few BEFORE INSERT ON webhooks FOR EACH ROW EXECUTE FUNCTION webhooks_are_few();

CREATE FUNCTION webhooks_keep_client() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a webhook stays with its client'
    USING ERRCODE = 'check_violation', CONSTRAINT = 'webhooks_client_for_good';
END $$;

CREATE TRIGGER webhooks_keep_client BEFORE UPDATE OF client_id ON webhooks
  FOR EACH ROW WHEN (OLD.client_id <> NEW.client_id) EXECUTE FUNCTION webhooks_keep_client();

-- Deletes logged deliveries that began before a time, at most `maximum`, and answers how many.
CREATE FUNCTION remove_webhook_deliveries(older_than timestamptz, maximum bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  deleted bigint;
BEGIN
  DELETE FROM webhook_deliveries WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM webhook_deliveries WHERE at < older_than
    ORDER BY at LIMIT maximum FOR UPDATE SKIP LOCKED));
  GET DIAGNOSTICS deleted = ROW_COUNT;
  RETURN deleted;
END $$;

-- As before, but first deletes the webhooks of the clients. Each webhook and each device makes an event.
DROP FUNCTION clear_deleted_clients(text, bigint);
CREATE FUNCTION clear_deleted_clients(
  client text, maximum bigint, moment timestamptz, actor_kind text, actor_id text, request_id text, reason text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  doomed refcursor;
  number bigint;
  deleted bigint;
BEGIN
  DELETE FROM webhook_deliveries WHERE ctid = ANY (ARRAY(
    SELECT webhook_deliveries.ctid
    FROM clients JOIN webhooks ON client_id = clients.id JOIN webhook_deliveries ON webhook_id = webhooks.id
    WHERE deleted_at IS NOT NULL AND clients.id = COALESCE(client, clients.id)
    LIMIT maximum FOR UPDATE OF webhook_deliveries SKIP LOCKED));
  GET DIAGNOSTICS deleted = ROW_COUNT;

  -- Without a log, so that no logged deliveries go with a webhook.
  WITH gone AS (
    DELETE FROM webhooks WHERE id = ANY (ARRAY(
      SELECT webhooks.id FROM clients JOIN webhooks ON client_id = clients.id
      WHERE deleted_at IS NOT NULL AND clients.id = COALESCE(client, clients.id)
        AND NOT EXISTS (SELECT FROM webhook_deliveries WHERE webhook_id = webhooks.id)
      LIMIT maximum - deleted FOR UPDATE OF webhooks SKIP LOCKED))
    RETURNING id, client_id
  )
  INSERT INTO events (type, client_id, at, actor_kind, actor_id, request_id, reason, changes)
  SELECT 'webhook.deleted', gone.client_id, clear_deleted_clients.moment, clear_deleted_clients.actor_kind,
    clear_deleted_clients.actor_id, clear_deleted_clients.request_id, clear_deleted_clients.reason,
    json_build_object('webhook_id', json_build_array(gone.id, NULL))
  FROM gone;
  GET DIAGNOSTICS number = ROW_COUNT;
  deleted := deleted + number;

  OPEN doomed FOR SELECT signals.id FROM clients JOIN signals ON client_id = clients.id
    WHERE deleted_at IS NOT NULL AND clients.id = COALESCE(client, clients.id) FOR UPDATE OF signals SKIP LOCKED;
  deleted := deleted + delete_signals(doomed, maximum - deleted);

  DELETE FROM device_tokens WHERE token_hash = ANY (ARRAY(
    SELECT token_hash
    FROM clients JOIN devices ON client_id = clients.id JOIN device_tokens ON device_id = devices.id
    WHERE deleted_at IS NOT NULL AND clients.id = COALESCE(client, clients.id)
    LIMIT maximum - deleted FOR UPDATE OF device_tokens SKIP LOCKED));
  GET DIAGNOSTICS number = ROW_COUNT;
  deleted := deleted + number;

  -- Without signals, so that no deliveries go with a device.
  WITH gone AS (
    DELETE FROM devices WHERE id = ANY (ARRAY(
      SELECT devices.id FROM clients JOIN devices ON client_id = clients.id
      WHERE deleted_at IS NOT NULL AND clients.id = COALESCE(client, clients.id)
        AND NOT EXISTS (SELECT FROM signals WHERE client_id = clients.id)
      LIMIT maximum - deleted FOR UPDATE OF devices SKIP LOCKED))
    RETURNING id, client_id, device_name
  )
  INSERT INTO events (type, client_id, device_id, at, actor_kind, actor_id, request_id, reason, changes)
  SELECT 'device.deleted', gone.client_id, gone.id, clear_deleted_clients.moment, clear_deleted_clients.actor_kind,
    clear_deleted_clients.actor_id, clear_deleted_clients.request_id, clear_deleted_clients.reason,
    json_build_object('device_name', json_build_array(gone.device_name, NULL))
  FROM gone;
  GET DIAGNOSTICS number = ROW_COUNT;
  deleted := deleted + number;

  DELETE FROM clients WHERE id = ANY (ARRAY(
    SELECT id FROM clients
    WHERE deleted_at IS NOT NULL AND id = COALESCE(client, id)
      AND NOT EXISTS (SELECT FROM signals WHERE client_id = clients.id)
      AND NOT EXISTS (SELECT FROM devices WHERE client_id = clients.id)
      AND NOT EXISTS (SELECT FROM webhooks WHERE client_id = clients.id)
    LIMIT maximum - deleted FOR UPDATE SKIP LOCKED));
  GET DIAGNOSTICS number = ROW_COUNT;
  RETURN deleted + number;
END $$;
