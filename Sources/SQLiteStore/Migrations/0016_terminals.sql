-- Where a device runs: the instance that may poll, what it says of itself, and the account that the owner allows.
ALTER TABLE devices ADD COLUMN instance_id TEXT CONSTRAINT devices_instance_form CHECK (
  length(instance_id) BETWEEN 8 AND 64 AND instance_id NOT GLOB '*[^A-Za-z0-9_-]*' AND instr(instance_id, char(0)) = 0);
ALTER TABLE devices ADD COLUMN instance_since INTEGER CHECK (instance_since BETWEEN 0 AND 253402300799999);
ALTER TABLE devices ADD COLUMN instance_polled_at INTEGER CONSTRAINT devices_instance_whole CHECK (
  instance_polled_at BETWEEN 0 AND 253402300799999
  AND (instance_id IS NULL) = (instance_since IS NULL) AND (instance_id IS NULL) = (instance_polled_at IS NULL));
-- When an event last told that a second instance polled.
ALTER TABLE devices ADD COLUMN contended_at INTEGER CHECK (contended_at BETWEEN 0 AND 253402300799999);
-- A JSON object, as it is answered, and its account.
ALTER TABLE devices ADD COLUMN context TEXT CHECK (length(CAST(context AS BLOB)) <= 4096);
ALTER TABLE devices ADD COLUMN context_login TEXT;
ALTER TABLE devices ADD COLUMN context_server TEXT CONSTRAINT devices_context_whole CHECK (
  (context IS NULL) = (context_login IS NULL) AND (context IS NULL) = (context_server IS NULL));
ALTER TABLE devices ADD COLUMN bound_login TEXT CHECK (length(bound_login) <= 128);
ALTER TABLE devices ADD COLUMN bound_server TEXT CONSTRAINT devices_bound_whole CHECK (
  length(bound_server) <= 128 AND (bound_login IS NULL) = (bound_server IS NULL));

-- It is cached with the credentials. The time of the last poll is not: it is written like presence.
CREATE TRIGGER devices_log_terminal AFTER UPDATE OF
  instance_id, instance_since, context, context_login, context_server, bound_login, bound_server ON devices
WHEN OLD.instance_id IS NOT NEW.instance_id OR OLD.instance_since IS NOT NEW.instance_since
  OR OLD.context IS NOT NEW.context OR OLD.context_login IS NOT NEW.context_login
  OR OLD.context_server IS NOT NEW.context_server OR OLD.bound_login IS NOT NEW.bound_login
  OR OLD.bound_server IS NOT NEW.bound_server
BEGIN
  INSERT INTO device_changes (device_id) VALUES (OLD.id);
END;
