-- A selector means devices of one client that are not revoked: all, those in a group, or those with labels.

DROP INDEX ix_devices_client_active;
CREATE INDEX ix_devices_client_unrevoked ON devices (client_id, id, revoked) WHERE NOT revoked;
CREATE INDEX ix_device_groups_members ON device_groups (client_id, group_name, device_id);
CREATE INDEX ix_device_labels_members ON device_labels (client_id, key, value, device_id);
