-- The keys of requests that must not be done twice. A key is stored in the transaction of what its request created.
-- It references no client: an administrator's keys have the `sub` of its token.
CREATE TABLE idempotency_keys (
  client_id text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  -- Method, path and digest of the request.
  request text COLLATE "C" NOT NULL,
  -- The id of what it created or changed.
  resource_id text COLLATE "C" NOT NULL,
  used_at timestamptz NOT NULL,
  CONSTRAINT idempotency_keys_pkey PRIMARY KEY (client_id, key),
  CONSTRAINT idempotency_keys_key_form CHECK (key ~ '^[!-~]{1,64}$'),
  CONSTRAINT idempotency_keys_time_range CHECK (
    used_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
  )
);

CREATE INDEX ix_idempotency_keys_used ON idempotency_keys (used_at);
