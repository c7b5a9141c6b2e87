-- The keys of requests that must not be done twice. A key is stored in the transaction of what its request created.
-- It references no client: an administrator's keys have the `sub` of its token.
CREATE TABLE idempotency_keys (
  client_id TEXT NOT NULL,
  key TEXT NOT NULL,
  -- Method, path and digest of the request.
  request TEXT NOT NULL,
  -- The id of what it created or changed.
  resource_id TEXT NOT NULL,
  used_at INTEGER NOT NULL,
  PRIMARY KEY (client_id, key),
  CONSTRAINT idempotency_keys_key_form CHECK (
    length(key) BETWEEN 1 AND 64 AND key NOT GLOB '*[^!-~]*' AND instr(key, char(0)) = 0
  ),
  CONSTRAINT idempotency_keys_time_range CHECK (used_at BETWEEN 0 AND 253402300799999)
) STRICT, WITHOUT ROWID;

CREATE INDEX ix_idempotency_keys_used ON idempotency_keys (used_at);
