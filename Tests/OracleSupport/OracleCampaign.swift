package import ChangeCapture

/// One seed of the oracle: a random database, random statements, and on a mismatch a shrunk script.
package struct OracleCampaign {
    package let seed: UInt64
    package let statements: Int
    private let directory: String

    package struct Failure: Error, CustomStringConvertible {
        package var seed: UInt64
        package var level: CaptureLevel
        package var reason: String
        package var script: [ScriptStep]

        package var description: String {
            "seed \(seed), \(level): \(reason)\n" + script.map(\.description).joined(separator: "\n")
        }
    }

    /// - Parameter directory: where databases are created; each run removes its own.
    package init(seed: UInt64, statements: Int, directory: String) {
        self.seed = seed
        self.statements = statements
        self.directory = directory
    }

    /// Two of four seeds capture values, one keys and one counts; one of eight has limits so small that they take
    /// effect.
    package var level: CaptureLevel {
        switch seed % 4 {
        case 0, 1: .values
        case 2: .keys
        default: .counts
        }
    }

    /// One of three seeds has a writer of another process.
    private var isForeign: Bool { seed % 3 == 2 }

    private var limits: CaptureLimits {
        seed % 8 >= 6 || seed % 8 == 0 ? CaptureLimits(maxRows: 12, maxValueBytes: 9_000) : CaptureLimits()
    }

    package func run() throws -> Oracle.Figures {
        var script: [ScriptStep] = []
        do {
            return try generate(&script)
        } catch {
            let reason = "\(error)"
            // To shrink a long script takes minutes.
            print("seed \(seed), statement \(script.count): \(reason)")
            flushOutput()
            var shrinker = ScriptShrinker(script)
            while let candidate = shrinker.next() { shrinker.candidateDid(fail: replay(candidate) != nil) }
            let short = shrinker.script
            throw Failure(seed: seed, level: level, reason: replay(short) ?? reason, script: short)
        }
    }

    private func generate(_ script: inout [ScriptStep]) throws -> Oracle.Figures {
        try withDatabase { path in
            var generator = ScriptGenerator(seed: seed, isForeign: isForeign)
            let oracle = try oracle(path)
            for step in generator.setUp() {
                script.append(step)
                try oracle.run(step)
            }
            var mayHaveMoved = true
            for number in 0..<statements {
                if mayHaveMoved { generator.schema = try oracle.currentSchema(reusing: generator.schema) }
                let step = number < 3 ? generator.table() : generator.next(isInTransaction: oracle.isInTransaction)
                let verb = step.sql.prefix(5).uppercased()
                mayHaveMoved = ["CREAT", "DROP ", "ALTER", "ROLLB", "PRAGM"].contains(verb)
                script.append(step)
                try oracle.run(step)
            }
            return oracle.figures
        }
    }

    private func oracle(_ path: String) throws -> Oracle {
        let encoding = ["UTF-8", "UTF-8", "UTF-8", "UTF-16le", "UTF-16be"][Int(seed % 5)]
        let setUp = "PRAGMA encoding = '\(encoding)'; " + Self.setUp
        return try Oracle(path: path, level: level, limits: limits, setUp: setUp, isForeign: isForeign)
    }

    private static let setUp =
        "PRAGMA page_size = 1024; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; CREATE TEMP TABLE temporary(a)"

    /// The reason why a script fails; nil when it does not.
    private func replay(_ script: [ScriptStep]) -> String? {
        do {
            try withDatabase { path in
                let oracle = try oracle(path)
                for step in script { try oracle.run(step) }
            }
            return nil
        } catch let error as Replica.Mismatch {
            return error.description
        } catch { return nil }
    }

    private func withDatabase<R>(_ body: (String) throws -> R) throws -> R {
        let path = "\(directory)/oracle-\(seed)-\(UInt64.random(in: 0...UInt64.max)).db"
        defer { TemporaryFiles.remove(path) }
        return try body(path)
    }
}
