/// One seed: a random script, which is shrunk on a mismatch.
package struct LiveCampaign: Sendable {
    package var seed: UInt64
    package var commits: Int
    package var queries: Int
    package var options: LiveOracle.Options

    package struct Failure: Error, CustomStringConvertible {
        package var seed: UInt64
        package var reason: String
        package var script: LiveScript

        package var description: String { "seed \(seed): \(reason)\n\(script)" }
    }

    package init(seed: UInt64, commits: Int, queries: Int, options: LiveOracle.Options = LiveOracle.Options()) {
        self.seed = seed
        self.commits = commits
        self.queries = queries
        self.options = options
    }

    package func run(isShrunk: Bool = true) throws -> LiveOracle.Figures {
        var generator = LiveGenerator(seed: seed)
        let setUp = generator.setUp()
        let queries = (0..<queries).map { _ in generator.query() }
        let transactions = (0..<commits).map { _ in generator.transaction() }
        let script = LiveScript(setUp: setUp, queries: Array(Set(queries)), transactions: transactions)
        do {
            return try LiveOracle(script, seed: seed, options: options).run()
        } catch let failure as LiveOracle.Failure {
            guard isShrunk else { throw Failure(seed: seed, reason: failure.description, script: script) }
            let (short, reason) = shrink(script, failure)
            throw Failure(seed: seed, reason: reason, script: short)
        }
    }

    // MARK: Shrinking

    /// Shrinks the script to as few transactions, statements and rows as still fail, with only the failing query.
    private func shrink(_ script: LiveScript, _ failure: LiveOracle.Failure) -> (LiveScript, String) {
        var short = script
        var reason = failure.description
        // A different failure, such as that of a removed table, does not count.
        let isRefusal = failure.reason.hasPrefix("was ") || failure.reason.hasPrefix("is not")
        func fails(_ candidate: LiveScript) -> Bool {
            var paced = options
            paced.isPaced = true
            paced.resumes = false
            do {
                _ = try LiveOracle(candidate, seed: seed, options: paced).run()
                return false
            } catch let found as LiveOracle.Failure {
                if found.reason.hasPrefix("was ") != isRefusal, !found.reason.hasPrefix("is not") || !isRefusal {
                    return false
                }
                reason = found.description
                return true
            } catch {
                return false
            }
        }
        var candidate = script
        candidate.queries = script.queries.filter { $0 == failure.query }
        guard !candidate.queries.isEmpty, fails(candidate) else {
            return (short, reason + "\n(in this order of events only)")
        }
        short = candidate
        short.transactions = Self.reduce(short.transactions) { part in
            var candidate = short
            candidate.transactions = part
            return fails(candidate)
        }
        for index in short.transactions.indices {
            // The ledger identifies the commits.
            let number = short.transactions[index].prefix(1)
            short.transactions[index] =
                number
                + Self.reduce(Array(short.transactions[index].dropFirst())) { part in
                    var candidate = short
                    candidate.transactions[index] = number + part
                    return fails(candidate)
                }
        }
        short.setUp = Self.reduce(short.setUp) { part in
            var candidate = short
            candidate.setUp = part
            guard part.contains(where: { $0.contains("ledger") }) else { return false }
            return fails(candidate)
        }
        _ = fails(short)
        return (short, reason)
    }

    /// Removes parts as long as the script still fails.
    private static func reduce<Element>(_ list: [Element], _ fails: ([Element]) -> Bool) -> [Element] {
        var list = list
        var size = max(1, list.count / 2)
        while true {
            var start = 0
            while start < list.count {
                let part = Array(list[..<start] + list[min(list.count, start + size)...])
                if fails(part) { list = part } else { start += size }
            }
            if size == 1 { return list }
            size = max(1, size / 2)
        }
    }
}
