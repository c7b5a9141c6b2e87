-- Every change writes its event in the same transaction. Events outlive what they are about, so they reference nothing.

CREATE TABLE events (
  -- The order of the feed: there is one writer, so numbers are in the order of commit. None is given twice.
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  -- A UUID of version 4. The service gives one, which costs less.
  id TEXT NOT NULL DEFAULT (
    lower(
      hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-'
      || substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))
  ),
  type TEXT NOT NULL,
  at INTEGER NOT NULL,
  client_id TEXT NOT NULL,
  device_id TEXT,
  signal_id TEXT,
  actor_kind TEXT NOT NULL,
  actor_id TEXT,
  request_id TEXT,
  reason TEXT,
  -- JSON: old and new values by name. Never a secret, a hash or a payload.
  changes TEXT,
  -- Each row is tested, so the tests are in the form that costs least.
  CONSTRAINT events_actor_kind_form CHECK (
    actor_kind = 'owner' OR actor_kind = 'device' OR actor_kind = 'admin' OR actor_kind = 'operator' OR actor_kind = 'system'
  ),
  CONSTRAINT events_reason_length CHECK (reason IS NULL OR length(reason) <= 200 AND instr(reason, char(0)) = 0),
  CONSTRAINT events_time_range CHECK (at BETWEEN 0 AND 253402300799999)
) STRICT;

-- Serves the feed of a client.
CREATE INDEX ix_events_client ON events (client_id, sequence);

-- One row: the number up to which the retention has deleted events.
CREATE TABLE event_feed (
  is_only INTEGER NOT NULL PRIMARY KEY DEFAULT 1,
  removed_sequence INTEGER NOT NULL DEFAULT 0,
  CONSTRAINT event_feed_is_one CHECK (is_only = 1)
) STRICT;
INSERT INTO event_feed DEFAULT VALUES;

CREATE TRIGGER events_stay BEFORE UPDATE ON events
BEGIN
  SELECT RAISE(ABORT, 'events are append-only');
END;

CREATE TRIGGER events_stay_undeleted BEFORE DELETE ON events
WHEN OLD.sequence > (SELECT removed_sequence FROM event_feed)
BEGIN
  SELECT RAISE(ABORT, 'events are append-only');
END;

-- INSERT OR REPLACE removes the row that is there, and fires no trigger on its removal. Without a given number,
-- NEW.sequence is -1.
CREATE TRIGGER events_stay_unreplaced BEFORE INSERT ON events
WHEN NEW.sequence <> -1 AND EXISTS (SELECT 1 FROM events WHERE sequence = NEW.sequence)
BEGIN
  SELECT RAISE(ABORT, 'events are append-only');
END;
