-- Every change writes its event in the same statement. Events outlive what they are about, so they reference nothing.

CREATE TABLE events (
  -- The order of the feed. Transactions commit in another order than they begin, so readers see only the events of
  -- transactions below the oldest one that still runs. `epoch` counts the clusters that the database has lived in: in a
  -- new one, transactions are numbered anew. begin_event_epoch sets its default.
  epoch integer NOT NULL DEFAULT 1,
  transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
  sequence bigint GENERATED ALWAYS AS IDENTITY,
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  type text COLLATE "C" NOT NULL,
  at timestamptz NOT NULL,
  client_id text COLLATE "C" NOT NULL,
  device_id uuid,
  signal_id uuid,
  actor_kind text COLLATE "C" NOT NULL,
  actor_id text COLLATE "C",
  request_id text COLLATE "C",
  reason text COLLATE "C",
  -- Old and new values by name. Never a secret, a hash or a payload.
  changes json,
  CONSTRAINT events_pkey PRIMARY KEY (epoch, transaction, sequence),
  CONSTRAINT events_type_form CHECK (type ~ '^[a-z]+\.[a-z_]+$'),
  CONSTRAINT events_actor_kind_form CHECK (actor_kind IN ('owner', 'admin', 'device', 'operator', 'system')),
  CONSTRAINT events_reason_length CHECK (char_length(reason) <= 200),
  CONSTRAINT events_time_range CHECK (at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z')
);

-- Serves the feed of a client.
CREATE INDEX ix_events_client ON events (client_id, epoch, transaction, sequence);

-- One row: the cluster, and the position up to which the retention has deleted events.
CREATE TABLE event_feed (
  is_only boolean NOT NULL DEFAULT true CONSTRAINT event_feed_pkey PRIMARY KEY,
  epoch integer NOT NULL DEFAULT 1,
  -- pg_control_system's, which a dump that is restored elsewhere brings along.
  system_identifier bigint NOT NULL,
  removed_epoch integer NOT NULL DEFAULT 0,
  removed_transaction xid8 NOT NULL DEFAULT '0',
  removed_sequence bigint NOT NULL DEFAULT 0,
  CONSTRAINT event_feed_is_one CHECK (is_only)
);

INSERT INTO event_feed (system_identifier) SELECT system_identifier FROM pg_control_system();

CREATE FUNCTION events_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' AND (OLD.epoch, OLD.transaction, OLD.sequence) <= (
    SELECT removed_epoch, removed_transaction, removed_sequence FROM event_feed
  ) THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'events are append-only; remove_events deletes old ones'
    USING ERRCODE = 'check_violation', CONSTRAINT = 'events_append_only';
END $$;

CREATE TRIGGER events_stay BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION events_stay();

CREATE FUNCTION events_stay_all() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'events are append-only; remove_events deletes old ones'
    USING ERRCODE = 'check_violation', CONSTRAINT = 'events_append_only';
END $$;

CREATE TRIGGER events_stay_all BEFORE TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION events_stay_all();

-- The retention. Deletes the first events of the feed that are older than a time, at most `maximum`, and notes how far it
-- came, so that a reader who was not there yet learns that it missed some.
CREATE FUNCTION remove_events(older_than timestamptz, maximum bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  old record;
  last record;
  deleted bigint := 0;
BEGIN
  PERFORM FROM event_feed FOR UPDATE;
  FOR old IN SELECT epoch, transaction, sequence, at FROM events ORDER BY epoch, transaction, sequence LIMIT maximum LOOP
    EXIT WHEN old.at >= older_than;
    last := old;
    deleted := deleted + 1;
  END LOOP;
  IF deleted > 0 THEN
    UPDATE event_feed
      SET removed_epoch = last.epoch, removed_transaction = last.transaction, removed_sequence = last.sequence;
    DELETE FROM events WHERE (epoch, transaction, sequence) <= (last.epoch, last.transaction, last.sequence);
  END IF;
  RETURN deleted;
END $$;

-- Called at each start. In another cluster than before, to which a dump was restored, the feed continues in a new epoch.
CREATE FUNCTION begin_event_epoch() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  present bigint := (SELECT system_identifier FROM pg_control_system());
  next_epoch integer;
BEGIN
  IF EXISTS (SELECT FROM event_feed WHERE system_identifier = present) THEN RETURN; END IF;
  LOCK TABLE events IN ACCESS EXCLUSIVE MODE;
  UPDATE event_feed SET epoch = epoch + 1, system_identifier = present
    WHERE system_identifier <> present RETURNING epoch INTO next_epoch;
  IF FOUND THEN EXECUTE format('ALTER TABLE events ALTER COLUMN epoch SET DEFAULT %s', next_epoch); END IF;
END $$;
