-- A selector means devices of one client that are not revoked: all, those in a group, or those with labels.

DROP INDEX ix_devices_client_active;
CREATE INDEX ix_devices_client_unrevoked ON devices (client_id, id) WHERE NOT revoked;
CREATE INDEX ix_device_groups_members ON device_groups (client_id, group_name, device_id);
CREATE INDEX ix_device_labels_members ON device_labels (client_id, key, value, device_id);

-- The first `maximum` ids after another, in order; all of them where it is null. Of a client's devices, those in the group
-- and with the labels, where these are not null.
CREATE FUNCTION selected_devices(
  owner text, in_group text, with_labels jsonb, last_before uuid, maximum bigint
) RETURNS uuid[] LANGUAGE plpgsql STABLE AS $$
DECLARE
  first record;
BEGIN
  IF in_group IS NOT NULL THEN
    RETURN ARRAY(
      SELECT device_id FROM device_groups JOIN devices ON devices.id = device_id
      WHERE device_groups.client_id = owner AND group_name = in_group AND device_id > last_before AND NOT revoked
      ORDER BY device_id LIMIT maximum);
  ELSIF with_labels IS NOT NULL THEN
    SELECT key, value INTO first FROM jsonb_each_text(with_labels) LIMIT 1;
    RETURN ARRAY(
      SELECT device_id FROM device_labels JOIN devices ON devices.id = device_id
      WHERE device_labels.client_id = owner AND key = first.key AND value = first.value AND device_id > last_before
        AND NOT revoked AND labels @> with_labels
      ORDER BY device_id LIMIT maximum);
  END IF;
  RETURN ARRAY(
    SELECT id FROM devices WHERE client_id = owner AND NOT revoked AND id > last_before ORDER BY id LIMIT maximum);
END $$;

-- As before, but of a selector. Suspended devices get the signal when they are resumed in time.
DROP FUNCTION start_signal(
  uuid, text, text, timestamptz, timestamptz, uuid[], bigint, bigint, bigint, bigint);
CREATE FUNCTION start_signal(
  signal uuid, sender text, content text, creation timestamptz, expiry timestamptz,
  max_live bigint, max_kept bigint, max_deliveries bigint, step bigint,
  addressees uuid[], in_group text, with_labels jsonb,
  OUT refusal text, OUT stored bigint, OUT last_device uuid
) LANGUAGE plpgsql AS $$
DECLARE
  before_all CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
  kept record;
  planned bigint;
BEGIN
  -- The signals of one client queue up here, so that together they keep to the bounds.
  SELECT signal_count, delivery_count INTO kept FROM clients
    WHERE id = sender AND deleted_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    refusal := 'clientNotFound';
    RETURN;
  END IF;
  IF in_group IS NOT NULL AND NOT EXISTS (
    SELECT FROM groups WHERE client_id = sender AND name = in_group AND groups.deleted_at IS NULL
  ) THEN
    refusal := 'groupNotFound';
    RETURN;
  END IF;

  IF addressees IS NULL THEN
    addressees := selected_devices(sender, in_group, with_labels, before_all, step + 1);
    planned := cardinality(addressees);
    IF planned > step THEN
      addressees := addressees[:step];
      last_device := addressees[step];
      planned := cardinality(selected_devices(sender, in_group, with_labels, before_all, NULL));
    END IF;
  ELSE
    planned := cardinality(addressees);
    refusal := (
      SELECT CASE
        WHEN bool_or(devices.id IS NULL) THEN 'deviceNotFound'
        WHEN bool_or(devices.client_id <> sender) THEN 'notOwner'
        WHEN bool_or(devices.revoked) THEN 'deviceRevoked'
      END
      FROM unnest(addressees) AS listed (id) LEFT JOIN devices ON devices.id = listed.id
    );
  END IF;
  IF refusal IS NULL THEN
    refusal := CASE
      WHEN max_live <= (SELECT count(*) FROM signals WHERE client_id = sender AND expires_at > creation)
        THEN 'tooManySignals'
      WHEN kept.signal_count >= max_kept THEN 'tooManyKeptSignals'
      WHEN kept.delivery_count + planned > max_deliveries THEN 'tooManyDeliveries'
    END;
  END IF;
  IF refusal IS NOT NULL THEN RETURN; END IF;

  stored := cardinality(addressees);
  INSERT INTO signals (id, client_id, payload, devices, created_at, expires_at, is_visible)
    VALUES (signal, sender, content, planned, creation, expiry, last_device IS NULL);
  INSERT INTO deliveries (signal_id, device_id, expires_at) SELECT signal, unnest(addressees), expiry;
END $$;

DROP FUNCTION continue_signal(uuid, uuid, bigint, bigint);
CREATE FUNCTION continue_signal(
  signal uuid, last_before uuid, stored_before bigint, step bigint, in_group text, with_labels jsonb,
  OUT stored bigint, OUT last_device uuid
) LANGUAGE plpgsql AS $$
DECLARE
  started record;
  addressees uuid[];
BEGIN
  -- The lock keeps remove_signals away.
  SELECT client_id, signals.expires_at INTO started FROM signals JOIN clients ON clients.id = client_id
    WHERE signals.id = signal AND NOT is_visible AND deleted_at IS NULL FOR NO KEY UPDATE OF signals;
  IF NOT FOUND THEN RETURN; END IF;

  addressees := selected_devices(started.client_id, in_group, with_labels, last_before, step + 1);
  IF cardinality(addressees) > step THEN
    addressees := addressees[:step];
    last_device := addressees[step];
  END IF;
  stored := stored_before + cardinality(addressees);
  INSERT INTO deliveries (signal_id, device_id, expires_at)
    SELECT signal, unnest(addressees), started.expires_at;
  IF last_device IS NULL THEN
    UPDATE signals SET is_visible = true, devices = stored WHERE id = signal;
  END IF;
END $$;
