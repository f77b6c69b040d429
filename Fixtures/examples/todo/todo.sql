PRAGMA journal_mode = WAL;
CREATE TABLE todo (
  id INTEGER PRIMARY KEY,
  text TEXT NOT NULL CHECK (text <> ''),
  done INTEGER NOT NULL DEFAULT 0 CHECK (done IN (0, 1))
);
INSERT INTO todo (text, done) VALUES ('Point Tablecast at a file', 1), ('Open this page twice', 0), ('Change a line in a shell', 0);
