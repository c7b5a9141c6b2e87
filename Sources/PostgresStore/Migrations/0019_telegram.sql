-- Telegram chats that see and halt the devices of a client, and get messages about them.

CREATE TABLE telegram_codes (
  -- A client has one code; a new one replaces it.
  client_id text COLLATE "C" CONSTRAINT telegram_codes_pkey PRIMARY KEY
    CONSTRAINT telegram_codes_client_fkey REFERENCES clients (id) ON DELETE CASCADE,
  -- The SHA-256 of the code.
  code_hash bytea NOT NULL CONSTRAINT telegram_codes_code_hash_unique UNIQUE,
  expires_at timestamptz NOT NULL,
  CONSTRAINT telegram_codes_code_hash_length CHECK (octet_length(code_hash) = 32),
  CONSTRAINT telegram_codes_time_range CHECK (
    expires_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z')
);

-- Serves the retention.
CREATE INDEX ix_telegram_codes_expires ON telegram_codes (expires_at);

CREATE TABLE telegram_links (
  id uuid CONSTRAINT telegram_links_pkey PRIMARY KEY,
  client_id text COLLATE "C" NOT NULL
    CONSTRAINT telegram_links_client_fkey REFERENCES clients (id) ON DELETE CASCADE,
  -- Telegram's numbers. A chat is linked to one client.
  chat_id bigint NOT NULL CONSTRAINT telegram_links_chat_unique UNIQUE,
  user_id bigint NOT NULL,
  created_at timestamptz NOT NULL,
  muted_until timestamptz,
  -- The chat was notified of events up to this position of the feed.
  position_epoch bigint NOT NULL,
  position_transaction bigint NOT NULL,
  position_sequence bigint NOT NULL,
  CONSTRAINT telegram_links_time_range CHECK (
    created_at BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
    AND muted_until BETWEEN '1970-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'
  )
);

-- Serves the list, the bound and the cascade.
CREATE INDEX ix_telegram_links_client ON telegram_links (client_id, id);

-- A client has at most 5. Its insertions queue up at the lock of its row, so that each sees those before it.
CREATE FUNCTION telegram_links_are_few() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM clients WHERE id = NEW.client_id AND deleted_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no such client'
      USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'telegram_links_client_fkey';
  END IF;
  IF (SELECT count(*) FROM telegram_links WHERE client_id = NEW.client_id) >= 5 THEN
    RAISE EXCEPTION 'a client has 5 linked chats at most'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'telegram_links_maximum';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER telegram_links_are_few BEFORE INSERT ON telegram_links
  FOR EACH ROW EXECUTE FUNCTION telegram_links_are_few();

CREATE FUNCTION telegram_links_keep_client() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a linked chat stays with its client'
    USING ERRCODE = 'check_violation', CONSTRAINT = 'telegram_links_client_for_good';
END $$;

CREATE TRIGGER telegram_links_keep_client BEFORE UPDATE ON telegram_links
  FOR EACH ROW WHEN (OLD.client_id <> NEW.client_id OR OLD.chat_id <> NEW.chat_id OR OLD.user_id <> NEW.user_id)
  EXECUTE FUNCTION telegram_links_keep_client();

-- How far the updates of a bot are processed.
CREATE TABLE telegram_bots (
  -- The bot's user id.
  bot_id bigint CONSTRAINT telegram_bots_pkey PRIMARY KEY,
  next_update bigint NOT NULL
);
