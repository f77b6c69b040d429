import RandomSupport
import SQLiteConnection

/// The random operations on rows. Each changes a few rows of one kind of table, sometimes none, sometimes many.
struct Operations {
    let connection: Connection
    var values: Values

    mutating func runOne() throws(SQLiteError) {
        switch values.random.int(0...77) {
        case 0..<8: try rowidTable()
        case 8..<18: try integerPrimaryKey()
        case 18..<22: try autoincrement()
        case 22..<32: try withoutRowid()
        case 32..<36: try withoutRowidOverflow()
        case 36..<42: try blobs()
        case 42..<50: try smallRows()
        case 50..<54: try generatedColumns()
        case 54..<60: try foreignKeys()
        case 60..<65: try triggers()
        case 65..<68: try strict()
        case 68..<72: try nocase()
        default: try dynamicTable()
        }
    }

    func run(_ sql: String, _ parameters: SQLiteValue...) throws(SQLiteError) {
        _ = try connection.query(sql, parameters)
    }

    func first(_ sql: String, _ parameters: SQLiteValue...) throws(SQLiteError) -> [SQLiteValue]? {
        try connection.query(sql, parameters).first
    }

    /// Some row's key, anywhere in the table.
    mutating func someKey(_ table: String, _ column: String = "rowid") throws(SQLiteError) -> SQLiteValue? {
        guard let bounds = try first("SELECT min(\(column)), max(\(column)) FROM \(table)"),
            case .integer(let low) = bounds[0], case .integer(let high) = bounds[1]
        else { return nil }
        let from = Int64.random(in: low...high, using: &values.random)
        return try first("SELECT \(column) FROM \(table) WHERE \(column) >= ? LIMIT 1", .integer(from))?.first
    }

    /// Deletes half of a table that has become large.
    func thin(_ table: String, above limit: Int) throws(SQLiteError) {
        guard case .integer(let count)? = try first("SELECT count(*) FROM \(table)")?.first, count > limit else {
            return
        }
        try run("DELETE FROM \(table) WHERE rowid IN (SELECT rowid FROM \(table) ORDER BY random() LIMIT \(limit / 2))")
    }

    mutating func rowidTable() throws(SQLiteError) {
        switch values.random.int(0...19) {
        case 0..<10:
            try run(
                "INSERT INTO t_rowid VALUES(?,?,?)",
                .text(values.random.text(values.random.int(0...60))),
                values.any(),
                values.any()
            )
        case 10..<15:
            guard let key = try someKey("t_rowid") else { return }
            try run("UPDATE t_rowid SET \(values.random.pick(["a", "b", "c"]))=? WHERE rowid=?", values.any(), key)
        case 15..<19:
            guard let key = try someKey("t_rowid") else { return }
            try run("DELETE FROM t_rowid WHERE rowid=?", key)
        default: try thin("t_rowid", above: 400)
        }
    }

    mutating func integerPrimaryKey() throws(SQLiteError) {
        let name = SQLiteValue.text(values.random.text(values.random.int(1...8)))
        switch values.random.int(0...99) {
        case 0..<30:
            try run("INSERT OR IGNORE INTO t_ipk VALUES(?,?,?,?)", values.rowid(), name, values.any(), values.any())
        case 30..<50:
            try run("INSERT OR REPLACE INTO t_ipk VALUES(?,?,?,?)", values.rowid(), name, values.any(), values.any())
        case 50..<60:
            let key = SQLiteValue.integer(Int64(values.random.int(1...3_000)))
            try run(
                "INSERT INTO t_ipk(id,name,val) VALUES(?,?,?) ON CONFLICT(id) DO UPDATE SET val=excluded.val",
                key,
                name,
                values.any()
            )
        case 60..<75:
            guard let key = try someKey("t_ipk") else { return }
            try run("UPDATE OR REPLACE t_ipk SET name=?, val=? WHERE id=?", name, values.any(), key)
        case 75..<82:
            guard let key = try someKey("t_ipk") else { return }
            try run("UPDATE OR REPLACE t_ipk SET id=? WHERE id=?", values.rowid(), key)
        case 82..<97:
            guard let key = try someKey("t_ipk") else { return }
            try run("DELETE FROM t_ipk WHERE id=?", key)
        default: try thin("t_ipk", above: 500)
        }
    }

    mutating func autoincrement() throws(SQLiteError) {
        if values.random.chance(60) {
            try run("INSERT INTO t_auto(x) VALUES(?)", values.any())
        } else if let key = try someKey("t_auto") {
            try run("DELETE FROM t_auto WHERE id=?", key)
        }
    }

    mutating func withoutRowid() throws(SQLiteError) {
        let k1 = SQLiteValue.text(values.random.text(values.random.int(0...12)))
        let k2 = SQLiteValue.integer(Int64(values.random.int(0...40)))
        let some = try first("SELECT k1, k2 FROM t_wr WHERE k2>=? LIMIT 1", k2)
        switch values.random.int(0...19) {
        case 0..<9:
            try run("INSERT OR REPLACE INTO t_wr(k1,k2,v,w) VALUES(?,?,?,?)", k1, k2, values.any(), values.any())
        case 9..<14:
            guard let some else { return }
            try run(
                "UPDATE t_wr SET \(values.random.pick(["v", "w"]))=? WHERE k1=? AND k2=?",
                values.any(),
                some[0],
                some[1]
            )
        case 14..<16:
            guard let some else { return }
            try run("UPDATE OR REPLACE t_wr SET k1=? WHERE k1=? AND k2=?", k1, some[0], some[1])
        case 16..<19:
            guard let some else { return }
            try run("DELETE FROM t_wr WHERE k1=? AND k2=?", some[0], some[1])
        default: try run("DELETE FROM t_wr WHERE k2%3=0 AND (SELECT count(*) FROM t_wr)>300")
        }
    }

    mutating func withoutRowidOverflow() throws(SQLiteError) {
        let page = values.pageSize
        let some = try first("SELECT k, v FROM t_wrbig WHERE k>=? LIMIT 1", .blob(values.random.bytes(2)))
        switch values.random.int(0...9) {
        case 0..<5:
            let key = SQLiteValue.blob(values.random.bytes(values.random.pick([2, 8, page / 4, page, page * 2])))
            try run("INSERT OR REPLACE INTO t_wrbig VALUES(?,?)", key, values.blob())
        case 5..<8:
            guard let some else { return }
            try run("UPDATE t_wrbig SET v=? WHERE k=?", edited(some[1]) ?? values.blob(), some[0])
        default:
            guard let some else { return }
            try run("DELETE FROM t_wrbig WHERE k=?", some[0])
        }
        try run("DELETE FROM t_wrbig WHERE (SELECT count(*) FROM t_wrbig)>60 AND random()%2")
    }

    /// The same blob with one byte changed: SQLite overwrites it in place, possibly only on an overflow page.
    mutating func edited(_ value: SQLiteValue) -> SQLiteValue? {
        guard case .blob(var bytes) = value, !bytes.isEmpty, values.random.chance(70) else { return nil }
        bytes[bytes.count - 1 - values.random.int(0...min(bytes.count, values.pageSize) - 1)] ^= 0x55
        return .blob(bytes)
    }

    mutating func blobs() throws(SQLiteError) {
        switch values.random.int(0...19) {
        case 0..<7:
            try run(
                "INSERT OR REPLACE INTO t_blob VALUES(?,?,?)",
                .integer(Int64(values.random.int(1...120))),
                values.blob(),
                values.any()
            )
        case 7..<16:
            guard let key = try someKey("t_blob"),
                let data = try first("SELECT data FROM t_blob WHERE id=?", key)?.first,
                let data = edited(data)
            else { return }
            try run("UPDATE t_blob SET data=? WHERE id=?", data, key)
        case 16..<18:
            guard let key = try someKey("t_blob") else { return }
            try run("DELETE FROM t_blob WHERE id=?", key)
        default: try run("UPDATE t_blob SET n=? WHERE id%7=?", values.any(), .integer(Int64(values.random.int(0...6))))
        }
    }

    mutating func smallRows() throws(SQLiteError) {
        let start = values.random.int(0...20_000)
        switch values.random.int(0...99) {
        case 0..<40:
            let count = values.random.pick([1, 5, 100])
            let gap = values.random.pick([1, 3])
            for index in 0..<count {
                try run(
                    "INSERT OR IGNORE INTO t_small VALUES(?,?)",
                    .integer(Int64(start + index * gap)),
                    .integer(Int64(values.random.int(0...9)))
                )
            }
        case 40..<70:
            try run(
                "UPDATE t_small SET n=n+1 WHERE id BETWEEN \(start) AND \(start + values.random.pick([1, 10, 500]))"
            )
        case 70..<90:
            try run("DELETE FROM t_small WHERE id BETWEEN \(start) AND \(start + values.random.pick([1, 10, 1_000]))")
        case 90..<93: try run("DELETE FROM t_small")
        case 93..<96:
            try run("UPDATE OR IGNORE t_small SET id=id+100000 WHERE id<20001 AND id%11=0")
            try run("DELETE FROM t_small WHERE id>100000")
        default: try run("UPDATE t_small SET n=n")
        }
    }

    mutating func generatedColumns() throws(SQLiteError) {
        if values.random.chance(60) {
            try run(
                "INSERT INTO t_gen(a,b,c) VALUES(?,?,?)",
                .integer(Int64(values.random.int(0...1_000))),
                .text(values.random.text(5)),
                values.any()
            )
        } else if let key = try someKey("t_gen") {
            if values.random.chance(50) {
                try run("UPDATE t_gen SET a=a+1, b=? WHERE rowid=?", .text(values.random.text(4)), key)
            } else {
                try run("DELETE FROM t_gen WHERE rowid=?", key)
            }
        }
    }

    mutating func foreignKeys() throws(SQLiteError) {
        let key = SQLiteValue.integer(Int64(values.random.int(1...60)))
        let some = try someKey("parent")
        switch values.random.int(0...19) {
        case 0..<6: try run("INSERT OR IGNORE INTO parent VALUES(?,?)", key, .text(values.random.text(4)))
        case 6..<15:
            guard let some else { return }
            try run("INSERT INTO child(pid,x) VALUES(?,?)", some, values.any())
        case 15..<18:
            guard let some else { return }
            try run("DELETE FROM parent WHERE id=?", some)
        default:
            guard let some else { return }
            try run("UPDATE OR IGNORE parent SET id=? WHERE id=?", key, some)
        }
    }

    mutating func triggers() throws(SQLiteError) {
        if values.random.chance(50) {
            try run("INSERT INTO t_trig(x) VALUES(?)", values.any())
        } else if let key = try someKey("t_trig") {
            if values.random.chance(60) {
                try run("UPDATE t_trig SET x=? WHERE id=?", values.any(), key)
            } else {
                try run("DELETE FROM t_trig WHERE id=?", key)
            }
        }
        try run("DELETE FROM t_log WHERE (SELECT count(*) FROM t_log)>500")
    }

    mutating func strict() throws(SQLiteError) {
        try run(
            "INSERT OR REPLACE INTO t_strict VALUES(?,?,?,?)",
            .integer(Int64(values.random.int(1...200))),
            values.random.pick([.integer(1), .real(2.5), .integer(3)]),
            .text(values.random.text(9)),
            values.any()
        )
    }

    mutating func nocase() throws(SQLiteError) {
        let word = String((0..<3).map { _ in values.random.pick(Array("abAB")) })
        switch values.random.int(0...9) {
        case 0..<5: try run("INSERT OR REPLACE INTO t_nocase VALUES(?,?)", .text(word), values.any())
        case 5..<8:
            let swapped = values.random.chance(50) ? word.uppercased() : word.lowercased()
            try run("UPDATE OR REPLACE t_nocase SET k=? WHERE k=?", .text(swapped), .text(word))
        default: try run("DELETE FROM t_nocase WHERE k=?", .text(word))
        }
    }
}
