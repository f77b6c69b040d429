/// The tables of a test database: every kind of b-tree and of row that the capture must handle.
let schemaSQL = """
    CREATE TABLE t_rowid(a TEXT, b, c REAL);
    CREATE TABLE t_ipk(id INTEGER PRIMARY KEY, name TEXT, val NUMERIC, data BLOB, UNIQUE(name));
    CREATE INDEX t_ipk_val ON t_ipk(val);
    CREATE TABLE t_auto(id INTEGER PRIMARY KEY AUTOINCREMENT, x);
    CREATE TABLE t_wr(v BLOB, k1 TEXT, w, k2 INT, PRIMARY KEY(k2, k1)) WITHOUT ROWID;
    CREATE TABLE t_wrbig(k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID;
    CREATE TABLE t_blob(id INTEGER PRIMARY KEY, data BLOB, n);
    CREATE TABLE t_small(id INTEGER PRIMARY KEY, n INT);
    CREATE TABLE t_gen(a INT, g1 AS (a*2) VIRTUAL, b TEXT, g2 AS (b||'x') STORED, c);
    CREATE TABLE parent(id INTEGER PRIMARY KEY, n);
    CREATE TABLE child(id INTEGER PRIMARY KEY, pid INT REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE, x);
    CREATE INDEX child_pid ON child(pid);
    CREATE TABLE t_trig(id INTEGER PRIMARY KEY, x);
    CREATE TABLE t_log(op, id, x);
    CREATE TRIGGER tr1 AFTER INSERT ON t_trig BEGIN INSERT INTO t_log VALUES('i', new.id, new.x); END;
    CREATE TRIGGER tr2 AFTER UPDATE ON t_trig BEGIN
        INSERT INTO t_log VALUES('u', new.id, new.x);
        UPDATE t_trig SET x='trg' WHERE id=new.id+1 AND x IS NOT 'trg';
    END;
    CREATE TRIGGER tr3 AFTER DELETE ON t_trig BEGIN DELETE FROM t_log WHERE id=old.id; END;
    CREATE TABLE t_strict(id INTEGER PRIMARY KEY, r REAL, t TEXT, a ANY) STRICT;
    CREATE TABLE t_nocase(k TEXT COLLATE NOCASE PRIMARY KEY, v) WITHOUT ROWID;
    CREATE TABLE ledger(id INTEGER PRIMARY KEY, writer INT, seq INT);
    CREATE VIEW vw AS SELECT * FROM t_ipk;
    """
