-- The name of the term of the process that serves the database: each process that acquires the lock begins one. A process
-- that finds its own name was alone meanwhile, so the nonces in its memory are complete.

CREATE TABLE serving_term (
  id integer PRIMARY KEY DEFAULT 1 CHECK (id = 1),
  term text NOT NULL
);

INSERT INTO serving_term (term) VALUES ('');
