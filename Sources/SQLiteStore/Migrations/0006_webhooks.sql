-- Webhooks: URLs to which the events of a client are posted.

CREATE TABLE webhooks (
  id TEXT NOT NULL PRIMARY KEY,
  client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  url TEXT NOT NULL,
  -- Types of events and patterns such as device.*, with blanks between; null for all.
  types TEXT,
  description TEXT,
  -- Sealed.
  secret BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  -- Events up to this position of the feed were delivered. Only PostgreSQL has epochs and numbers of transactions.
  position_epoch INTEGER NOT NULL,
  position_transaction INTEGER NOT NULL,
  position_sequence INTEGER NOT NULL,
  -- Failed attempts at the next event in a row.
  failures INTEGER NOT NULL DEFAULT 0,
  failing_since INTEGER,
  next_attempt_at INTEGER,
  disabled_at INTEGER,
  disabled_cause TEXT,
  -- Grows with each write, by which two writers notice each other.
  version INTEGER NOT NULL DEFAULT 1,
  -- The number of the last delivery in the log.
  delivery_count INTEGER NOT NULL DEFAULT 0,
  CONSTRAINT webhooks_id_form CHECK (
    length(id) = 36 AND id GLOB '????????-????-????-????-????????????'
    AND replace(id, '-', '') NOT GLOB '*[^0-9a-f]*' AND length(replace(id, '-', '')) = 32
  ),
  CONSTRAINT webhooks_url_form CHECK (
    (url LIKE 'https://%' OR url LIKE 'http://%') AND url NOT GLOB '*[^!-~]*' AND instr(url, char(0)) = 0
    AND length(url) <= 2048),
  CONSTRAINT webhooks_types_form CHECK (types NOT GLOB '*[^a-z_.* ]*' AND length(types) BETWEEN 1 AND 4096),
  -- length() counts up to the first NUL.
  CONSTRAINT webhooks_description_length CHECK (length(description) <= 200 AND instr(description, char(0)) = 0),
  CONSTRAINT webhooks_failures_whole CHECK (failures >= 0 AND (failures = 0) = (failing_since IS NULL)),
  CONSTRAINT webhooks_disabled_whole CHECK (
    (disabled_at IS NULL) = (disabled_cause IS NULL) AND (disabled_at IS NULL OR next_attempt_at IS NULL)),
  CONSTRAINT webhooks_disabled_cause_form CHECK (disabled_cause IN ('failing', 'gone', 'owner')),
  CONSTRAINT webhooks_time_range CHECK (
    created_at BETWEEN 0 AND 253402300799999 AND updated_at BETWEEN 0 AND 253402300799999
    AND failing_since BETWEEN 0 AND 253402300799999 AND next_attempt_at BETWEEN 0 AND 253402300799999
    AND disabled_at BETWEEN 0 AND 253402300799999
  )
) STRICT;

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
  webhook_id TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
  -- Counts the deliveries of the webhook.
  number INTEGER NOT NULL,
  event_id TEXT NOT NULL,
  event_type TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  at INTEGER NOT NULL,
  duration_ms INTEGER NOT NULL,
  -- Of the answer, with the beginning of its content; null without an answer.
  status INTEGER,
  excerpt TEXT,
  -- Why there was no answer.
  reason TEXT,
  PRIMARY KEY (webhook_id, number),
  CONSTRAINT webhook_deliveries_outcome_whole CHECK (
    CASE WHEN status IS NULL THEN reason IS NOT NULL AND excerpt IS NULL
      ELSE reason IS NULL AND excerpt IS NOT NULL END),
  CONSTRAINT webhook_deliveries_length CHECK (
    length(excerpt) <= 200 AND instr(excerpt, char(0)) = 0 AND length(reason) <= 200 AND instr(reason, char(0)) = 0),
  CONSTRAINT webhook_deliveries_time_range CHECK (at BETWEEN 0 AND 253402300799999)
) STRICT, WITHOUT ROWID;

-- Serves the retention.
CREATE INDEX ix_webhook_deliveries_at ON webhook_deliveries (at);

CREATE TRIGGER webhooks_keep_client BEFORE UPDATE OF client_id ON webhooks
WHEN OLD.client_id <> NEW.client_id
BEGIN
  SELECT RAISE(ABORT, 'a webhook stays with its client');
END;

-- A client has at most 20.
CREATE TRIGGER webhooks_are_few BEFORE INSERT ON webhooks
WHEN (SELECT count(*) FROM webhooks WHERE client_id = NEW.client_id) >= 20
BEGIN
  SELECT RAISE(ABORT, 'a client has 20 webhooks at most');
END;

-- INSERT OR REPLACE would remove the row that is there, and its log.
CREATE TRIGGER webhooks_keep_row BEFORE INSERT ON webhooks
WHEN EXISTS (SELECT 1 FROM webhooks WHERE id = NEW.id)
BEGIN
  SELECT RAISE(ABORT, 'a webhook with this id exists');
END;

-- What the foreign keys do where foreign_keys is on; in the sqlite3 shell it is off.
CREATE TRIGGER webhooks_delete_deliveries AFTER DELETE ON webhooks
BEGIN
  DELETE FROM webhook_deliveries WHERE webhook_id = OLD.id;
END;

CREATE TRIGGER clients_delete_webhooks AFTER DELETE ON clients
BEGIN
  DELETE FROM webhooks WHERE client_id = OLD.id;
END;
