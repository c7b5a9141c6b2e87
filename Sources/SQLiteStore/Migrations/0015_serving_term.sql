-- The name of the term of the process that serves the database: each process that acquires the lock begins one. A process
-- that finds its own name was alone meanwhile, so the nonces that it kept are complete.

CREATE TABLE serving_term (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  term TEXT NOT NULL
) STRICT;

INSERT INTO serving_term (id, term) VALUES (1, '');
