-- Telegram chats that see and halt the devices of a client, and get messages about them.

CREATE TABLE telegram_codes (
  -- A client has one code; a new one replaces it.
  client_id TEXT NOT NULL PRIMARY KEY REFERENCES clients (id) ON DELETE CASCADE,
  -- The SHA-256 of the code.
  code_hash BLOB NOT NULL UNIQUE,
  expires_at INTEGER NOT NULL,
  CONSTRAINT telegram_codes_code_hash_length CHECK (length(code_hash) = 32),
  CONSTRAINT telegram_codes_time_range CHECK (expires_at BETWEEN 0 AND 253402300799999)
) STRICT;

-- Serves the retention.
CREATE INDEX ix_telegram_codes_expires ON telegram_codes (expires_at);

CREATE TABLE telegram_links (
  id TEXT NOT NULL PRIMARY KEY,
  client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  -- Telegram's numbers. A chat is linked to one client.
  chat_id INTEGER NOT NULL UNIQUE,
  user_id INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  muted_until INTEGER,
  -- The chat was notified of events up to this position of the feed. Only PostgreSQL has epochs and numbers of
  -- transactions.
  position_epoch INTEGER NOT NULL,
  position_transaction INTEGER NOT NULL,
  position_sequence INTEGER NOT NULL,
  CONSTRAINT telegram_links_id_form CHECK (
    length(id) = 36 AND id GLOB '????????-????-????-????-????????????'
    AND replace(id, '-', '') NOT GLOB '*[^0-9a-f]*' AND length(replace(id, '-', '')) = 32
  ),
  CONSTRAINT telegram_links_time_range CHECK (
    created_at BETWEEN 0 AND 253402300799999 AND muted_until BETWEEN 0 AND 253402300799999)
) STRICT;

-- Serves the list, the bound and the cascade.
CREATE INDEX ix_telegram_links_client ON telegram_links (client_id, id);

-- A client has at most 5.
CREATE TRIGGER telegram_links_are_few BEFORE INSERT ON telegram_links
WHEN (SELECT count(*) FROM telegram_links WHERE client_id = NEW.client_id) >= 5
BEGIN
  SELECT RAISE(ABORT, 'a client has 5 linked chats at most');
END;

CREATE TRIGGER telegram_links_keep_client BEFORE UPDATE ON telegram_links
WHEN OLD.client_id <> NEW.client_id OR OLD.chat_id <> NEW.chat_id OR OLD.user_id <> NEW.user_id
BEGIN
  SELECT RAISE(ABORT, 'a linked chat stays with its client');
END;

-- INSERT OR REPLACE would move a chat to another client.
CREATE TRIGGER telegram_links_keep_row BEFORE INSERT ON telegram_links
WHEN EXISTS (SELECT 1 FROM telegram_links WHERE id = NEW.id OR chat_id = NEW.chat_id)
BEGIN
  SELECT RAISE(ABORT, 'this chat is linked');
END;

-- What the foreign keys do where foreign_keys is on; in the sqlite3 shell it is off.
CREATE TRIGGER clients_delete_telegram AFTER DELETE ON clients
BEGIN
  DELETE FROM telegram_codes WHERE client_id = OLD.id;
  DELETE FROM telegram_links WHERE client_id = OLD.id;
END;

-- How far the updates of a bot are processed.
CREATE TABLE telegram_bots (
  -- The bot's user id.
  bot_id INTEGER NOT NULL PRIMARY KEY,
  next_update INTEGER NOT NULL
) STRICT;
