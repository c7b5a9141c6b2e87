-- A change of many devices notifies of them together. Until its transaction ends, the triggers are silent.

CREATE FUNCTION is_bulk() RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT current_setting('device_registry.bulk', true) IS NOT DISTINCT FROM 'on'
$$;

CREATE OR REPLACE FUNCTION devices_notify_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT is_bulk() THEN PERFORM notify_of_devices('device_registry_credentials', ARRAY[OLD.id, NEW.id]); END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION device_tokens_notify_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT is_bulk() THEN
    PERFORM notify_of_devices(
      'device_registry_credentials',
      ARRAY(SELECT DISTINCT device_id FROM deleted_tokens WHERE expires_at > clock_timestamp()));
  END IF;
  RETURN NULL;
END $$;
