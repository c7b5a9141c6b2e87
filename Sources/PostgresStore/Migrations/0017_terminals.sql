-- Where a device runs: the instance that may poll, what it says of itself, and the account that the owner allows.
ALTER TABLE devices
  ADD COLUMN instance_id text COLLATE "C",
  ADD COLUMN instance_since timestamptz,
  ADD COLUMN instance_polled_at timestamptz,
  -- When an event last told that a second instance polled.
  ADD COLUMN contended_at timestamptz,
  -- A JSON object, as it is answered, and its account.
  ADD COLUMN context text COLLATE "C",
  ADD COLUMN context_login text COLLATE "C",
  ADD COLUMN context_server text COLLATE "C",
  ADD COLUMN bound_login text COLLATE "C",
  ADD COLUMN bound_server text COLLATE "C",
  ADD CONSTRAINT devices_instance_form CHECK (instance_id ~ '^[A-Za-z0-9_-]{8,64}$'),
  ADD CONSTRAINT devices_instance_whole CHECK (num_nulls(instance_id, instance_since, instance_polled_at) IN (0, 3)),
  ADD CONSTRAINT devices_context_whole CHECK (num_nulls(context, context_login, context_server) IN (0, 3)),
  ADD CONSTRAINT devices_bound_whole CHECK ((bound_login IS NULL) = (bound_server IS NULL)),
  ADD CONSTRAINT devices_context_length CHECK (octet_length(context) <= 4096),
  ADD CONSTRAINT devices_bound_length CHECK (char_length(bound_login) <= 128 AND char_length(bound_server) <= 128),
  ADD CONSTRAINT devices_instance_range CHECK (
    instance_since BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
    AND instance_polled_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
    AND contended_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
  );

-- It is cached with the credentials. The time of the last poll is not: it is written like presence.
CREATE TRIGGER devices_notify_terminal
  AFTER UPDATE OF instance_id, instance_since, context, context_login, context_server, bound_login, bound_server ON devices
  FOR EACH ROW WHEN (
    (OLD.instance_id, OLD.instance_since, OLD.context, OLD.context_login, OLD.context_server, OLD.bound_login,
      OLD.bound_server)
    IS DISTINCT FROM
    (NEW.instance_id, NEW.instance_since, NEW.context, NEW.context_login, NEW.context_server, NEW.bound_login,
      NEW.bound_server)
  )
  EXECUTE FUNCTION devices_notify_changed();
