/// Makes a failing script shorter by leaving out ever smaller parts, as long as it still fails.
///
/// It runs nothing itself: the caller takes the next script to try and reports whether it failed.
package struct ScriptShrinker {
    /// The shortest one that failed so far.
    package private(set) var script: [ScriptStep]

    private var size: Int
    private var start = 0
    private var hasShrunk = false
    private var triesLeft: Int

    /// - Parameter maxTries: the number of scripts to try before the shortest one so far is used.
    package init(_ script: [ScriptStep], maxTries: Int = 5_000) {
        self.script = script
        size = max(1, script.count / 2)
        triesLeft = maxTries
    }

    /// The next script to try; nil when no single statement can be removed any more.
    package mutating func next() -> [ScriptStep]? {
        if start >= script.count {
            if size == 1, !hasShrunk { return nil }
            size = hasShrunk ? min(size, max(1, script.count / 2)) : size / 2
            start = 0
            hasShrunk = false
        }
        guard triesLeft > 0, !script.isEmpty else { return nil }
        triesLeft -= 1
        var candidate = script
        candidate.removeSubrange(start..<min(start + size, script.count))
        return candidate
    }

    /// The result of the script that ``next()`` returned last.
    package mutating func candidateDid(fail hasFailed: Bool) {
        guard hasFailed else {
            start += size
            return
        }
        script.removeSubrange(start..<min(start + size, script.count))
        hasShrunk = true
    }
}
