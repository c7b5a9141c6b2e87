-- A change of many devices logs them together. While the table has a row, changes of single devices are not logged. It has
-- one only within a transaction, so no other connection sees it.
CREATE TABLE bulk_changes (
  is_only INTEGER NOT NULL PRIMARY KEY DEFAULT 1,
  CONSTRAINT bulk_changes_is_one CHECK (is_only = 1)
) STRICT;

CREATE TRIGGER device_changes_skip BEFORE INSERT ON device_changes
WHEN NEW.device_id IS NOT NULL AND EXISTS (SELECT 1 FROM bulk_changes)
BEGIN
  SELECT RAISE(IGNORE);
END;
